"""Parts of a suite's prompts: its tags; and topics, where prompts have no tag that divides them.

Topics are found from the embedded encoder's rows of the prompts (k-means), and are named by the words that stand in
more of their prompts than in the others'. The same prompts have the same topics on every run; the cost is linear in
prompts.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.intervals import units
from evalkit.metrics.embeddings.encoder import EMBEDDED, encode, unread_share
from evalkit.metrics.summary import Part
from evalkit.records import Prompt

FEWEST = 5
"""Prompts, or clusters of them, that a part has at least, and leaves at least."""
MOST_TAGS = 50
"""Tags that are looked at, those of most prompts: each is a test that makes all others weaker."""
FEWEST_FOR_TOPICS, PROMPTS_A_TOPIC, MOST_TOPICS = 12, 8, 8
UNREAD_SHARE = 0.1
"""Of letters that the encoder never learned, from which on it finds no topics."""
NAMES = 3
"""Words of a topic's name."""
_WORD = re.compile(r"[^\W\d_]{4,}")
"""Shorter words hardly ever name a subject."""
_SHARE, _TIMES = 0.15, 1.5
"""Of a topic's prompts, how many have a word of its name at least; and how many times as many as of the others."""


def parts_of(prompts: Sequence[Prompt], with_topics: bool = True) -> tuple[Part, ...]:
    """Tags in the suite's order, then topics of the prompts that none of these tags has, the largest first.

    Only those of `FEWEST` prompts or more that leave as many. Tags of the very same prompts are one part.
    """
    clusters = clusters_of(prompts)
    tags = _tags(prompts, clusters)
    tagged = {row for rows in tags.values() for row in rows}
    rest = [row for row in range(len(prompts)) if row not in tagged]
    topics = _topics(prompts, rest) if with_topics and len(rest) >= FEWEST_FOR_TOPICS else {}
    topics = {name: rows for name, rows in topics.items() if _is_large_enough(rows, clusters, len(prompts))}
    return (
        *(Part("tag", name, tuple(prompts[row].id for row in rows)) for name, rows in tags.items()),
        *(Part("topic", name, tuple(prompts[row].id for row in rows)) for name, rows in topics.items()),
    )


def _tags(prompts: Sequence[Prompt], clusters: Sequence[str]) -> dict[str, tuple[int, ...]]:
    rows: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts):
        for tag in dict.fromkeys(prompt.tags):
            rows.setdefault(tag, []).append(row)
    names: dict[tuple[int, ...], list[str]] = {}
    for tag, of_tag in rows.items():
        if _is_large_enough(of_tag, clusters, len(prompts)):
            names.setdefault(tuple(of_tag), []).append(tag)
    largest = sorted(names, key=lambda of_tag: -len(of_tag))[:MOST_TAGS]
    return {", ".join(names[of_tag]): of_tag for of_tag in names if of_tag in set(largest)}


def _is_large_enough(rows: Sequence[int], clusters: Sequence[str], prompts: int) -> bool:
    """Whether so many prompts are in it and beside it that both can be spoken of."""
    inside = set(rows)
    beside = [row for row in range(prompts) if row not in inside]
    parts = [units([clusters[row] for row in some] if clusters else (), len(some)) for some in (rows, beside)]
    return min(parts) >= FEWEST


def _topics(prompts: Sequence[Prompt], rows: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Name -> rows."""
    texts = [prompts[row].turns[-1].content for row in rows]
    if unread_share(texts, EMBEDDED) > UNREAD_SHARE:
        return {}
    member = _divided(encode(texts).astype(np.float64))
    words = [frozenset(_WORD.findall(text.casefold())) for text in texts]
    topics: dict[str, tuple[int, ...]] = {}
    for topic in np.argsort(-np.bincount(member), kind="stable"):
        inside = np.flatnonzero(member == topic)
        name = _name([words[place] for place in inside], [words[place] for place in np.flatnonzero(member != topic)])
        if name and name not in topics:
            topics[name] = tuple(rows[place] for place in inside)
    return topics


def _divided(rows: np.ndarray) -> np.ndarray:
    """(N,) to which of its topics each row belongs; what all prompts have in common divides nothing."""
    from sklearn.cluster import KMeans

    rows = rows - rows.mean(axis=0)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    count = min(MOST_TOPICS, max(2, len(rows) // PROMPTS_A_TOPIC), len(np.unique(rows, axis=0)))
    return np.asarray(KMeans(count, n_init=8, random_state=0).fit_predict(rows))


def _name(inside: Sequence[frozenset[str]], outside: Sequence[frozenset[str]]) -> str:
    """The words that tell a topic's prompts from others, the most telling first; empty where there are none."""
    here, there = Counter(word for words in inside for word in words), Counter(w for words in outside for w in words)
    telling: list[tuple[float, str]] = []
    for word, count in here.items():
        share, other = count / len(inside), (there[word] + 0.5) / (len(outside) + 1)
        if share >= _SHARE and count > 1 and share > _TIMES * other:
            telling.append((-share * math.log(share / other), word))
    return ", ".join(word for _, word in sorted(telling)[:NAMES])
