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

from evalkit.records import Alarm, Prompt

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
    count, pair, sign = max((len(by_id), by_id, "ids"), (len(by_text), by_text, "texts"), key=lambda found: found[0])
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
    for place, prompt in enumerate(prompts):
        found = _SUFFIX.fullmatch(prompt.id)
        if found is not None:
            families[found["stem"]].append(place)
    several = [own for own in families.values() if len(own) > 1]
    members = sum(map(len, several))
    if len(several) ** 2 < members:
        return {}
    words = [_words(prompt.text) for prompt in prompts]
    alike: dict[int, int] = {}
    for own in several:
        for one, other in combinations(own[:MOST_OF_FAMILY], 2):
            if _alike(words[one], words[other]):
                alike.setdefault(one, other)
                alike.setdefault(other, one)
    return alike


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two texts share so many words, whatever they weigh; other tasks about one topic share its name alone."""
    return len(one & other) >= SHARED * len(one | other)


def _by_text(prompts: Sequence[Prompt]) -> dict[int, int]:
    """Prompt -> another that shares most of its rare words."""
    words = [_words(prompt.text) for prompt in prompts]
    holders: dict[str, list[int]] = defaultdict(list)
    for place, spoken in enumerate(words):
        for word in spoken:
            holders[word].append(place)
    weight = {word: math.log(len(prompts) / len(own)) ** 2 for word, own in holders.items()}
    shared: Counter[tuple[int, int]] = Counter()
    for own in holders.values():
        if len(own) <= RARE:
            shared.update((one, other) for one, other in combinations(own, 2))
    found: dict[int, int] = {}
    for first, second in shared:
        common = sum(weight[word] for word in words[first] & words[second])
        if _alike(words[first], words[second]) and common >= ALIKE * sum(
            weight[word] for word in words[first] | words[second]
        ):
            found.setdefault(first, second)
            found.setdefault(second, first)
    return found


def _words(text: str) -> frozenset[str]:
    """Words; where a script puts no spaces between them, Chinese characters and pairs of other signs."""
    found: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        if _UNSPACED.search(word):
            found.update(_HAN.findall(word))
            found.update("".join(pair) for part in _HAN.split(word) for pair in pairwise(part))
        else:
            found.add(word)
    return frozenset(found)
