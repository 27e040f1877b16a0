"""Do prompts belong together though nobody says so? Ids and texts that look like paraphrases, in time linear in them.

Ids: most prompts share a numbered stem with others (`q1-a` and `q1-b`, `q07_p2`), in many small families, and many of
their words, which different tasks about one topic do not. Texts: most
prompts share with another the words that are rare in the suite, where common ones ("write a poem about") say nothing;
overlap is Jaccard's, each word weighing by how rare it is (inverse document frequency, Spärck Jones 1972).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations, pairwise

from evalkit.metrics.summary import Alarm
from evalkit.records import Prompt

MOST = 0.5
"""Of all prompts, so many or more must look like paraphrases."""
FEWEST = 6
"""Prompts below which nothing is read out of them."""
ALIKE = 0.5
"""Of the weight of two prompts' words, what they share where they ask the same."""
SHARED = 0.3
"""Of all words of two prompts, what they share where they ask the same."""
MOST_OF_FAMILY = 20
"""Members of a family that are compared with each other."""
RARE = 12
"""A word that more prompts have is no sign that two ask the same, unless they share rarer ones too."""
_SUFFIX = re.compile(r"(?P<stem>.*\d)(?:[-_./:# ]+(?:[a-z]{0,10}[-_]?\d{1,2}|[a-z])|[a-z])", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_HAN = re.compile("[\u3400-\u9fff]")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")


def paraphrased(prompts: Sequence[Prompt]) -> list[Alarm]:
    """An alarm where most prompts look like paraphrases of each other and none names its cluster."""
    if len(prompts) < FEWEST or any(prompt.cluster is not None for prompt in prompts):
        return []
    by_id, by_text = _by_id(prompts), _by_text(prompts)
    count, pair, sign = max(
        (len(by_id), by_id, "ids"), (len(by_text), by_text, "texts"), key=lambda candidate: candidate[0]
    )
    if count < MOST * len(prompts):
        return []
    first = prompts[min(pair)]
    other = prompts[pair[min(pair)]]
    message = (
        f"{count} of {len(prompts)} prompts look like paraphrases of others by their {sign} (such as {first.id!r} and "
        f"{other.id!r}). If they ask the same question, intervals are too short and differences called too often: give "
        "prompts that belong together the same `cluster`, which is then the unit of resampling"
    )
    return [Alarm("all arms", "paraphrases", message)]


def _by_id(prompts: Sequence[Prompt]) -> dict[int, int]:
    """Prompt -> another of its family; families must be at least as many as they have members."""
    families: dict[str, list[int]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        suffixed = _SUFFIX.fullmatch(prompt.id)
        if suffixed is not None:
            families[suffixed["stem"]].append(row)
    several = [family for family in families.values() if len(family) > 1]
    members = sum(map(len, several))
    if len(several) ** 2 < members:
        return {}
    words = [_words(prompt.text) for prompt in prompts]
    alike: dict[int, int] = {}
    for family in several:
        for first, second in combinations(family[:MOST_OF_FAMILY], 2):
            if _alike(words[first], words[second]):
                alike.setdefault(first, second)
                alike.setdefault(second, first)
    return alike


def _alike(first: frozenset[str], second: frozenset[str]) -> bool:
    """Whether two texts share so many words, whatever they weigh; other tasks about one topic share its name alone."""
    return len(first & second) >= SHARED * len(first | second)


def _by_text(prompts: Sequence[Prompt]) -> dict[int, int]:
    """Prompt -> another that shares most of its rare words."""
    words = [_words(prompt.text) for prompt in prompts]
    holders: dict[str, list[int]] = defaultdict(list)
    for row, of_prompt in enumerate(words):
        for word in of_prompt:
            holders[word].append(row)
    weight = {word: math.log(len(prompts) / len(rows)) ** 2 for word, rows in holders.items()}
    shared: Counter[tuple[int, int]] = Counter()
    for rows in holders.values():
        if len(rows) <= RARE:
            shared.update(combinations(rows, 2))
    alike: dict[int, int] = {}
    for first, second in shared:
        common = sum(weight[word] for word in words[first] & words[second])
        if _alike(words[first], words[second]) and common >= ALIKE * sum(
            weight[word] for word in words[first] | words[second]
        ):
            alike.setdefault(first, second)
            alike.setdefault(second, first)
    return alike


def _words(text: str) -> frozenset[str]:
    """Words; where a script puts no spaces between them, Chinese characters and pairs of other signs."""
    words: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        if _UNSPACED.search(word):
            words.update(_HAN.findall(word))
            words.update("".join(pair) for part in _HAN.split(word) for pair in pairwise(part))
        else:
            words.add(word)
    return frozenset(words)
