"""The atlas in regions, each named by the words that its texts have and others have not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import regex

from evalkit.analysis.atlas.layout import Layout, evenly, squared_distances
from evalkit.analysis.atlas.said import Places, Said
from evalkit.metrics.embeddings.encoder import Floats

MOST_REGIONS = 120
TEXTS_A_REGION = 60
"""Of a small run; of a larger one regions grow."""
MOST_READ = 20_000
"""Texts whose words are counted, evenly chosen, ..."""
CHARACTERS = 2000
"""... and so many characters of each."""
WORDS = 3
"""In a name."""
CLEAR = 2.0
"""Standard errors by which a word of a name must be more frequent than elsewhere."""
USUAL = 0.2
"""Share of the others' texts from which a word says nothing of what a text is about ("the"), however distinctive."""
COMMON = 0.05
"""Share of the region's texts that it must be in."""
LONGEST = 24
"""Characters of a word; one of a language without spaces may be a sentence."""
STRENGTH = 100.0
"""Texts that what is expected of a word counts for."""
_WORD = regex.compile(r"\p{L}[\p{L}\p{M}'’-]*")


def find_regions(layout: Layout) -> Places:
    """(U,) the region of each text, by its place on the map; fewer than there could be where places coincide.

    Which regions there are is found from the landmarks alone, so the cost is linear in texts.
    """
    from sklearn.cluster import KMeans

    landmarks = layout.points[layout.landmarks]
    count = min(MOST_REGIONS, max(2, len(layout.points) // TEXTS_A_REGION), len(np.unique(landmarks, axis=0)))
    centres = KMeans(count, n_init=1, random_state=0).fit(landmarks).cluster_centers_
    found = squared_distances(layout.points, centres.astype(np.float32)).argmin(axis=1)
    return np.asarray(np.unique(found, return_inverse=True)[1])


def middle(points: Floats, own: Places) -> int:
    """The text of a region that is nearest to its median: a place where something lies."""
    nearest: int = own[squared_distances(points[own], np.median(points[own], axis=0)[None]).argmin()]
    return nearest


def name_regions(said: Said, regions: Places) -> list[tuple[str, ...]]:
    """At most `WORDS` words of each region, the most distinctive first; none where no word is. No two are of the same.

    A word is in a text or not; how much likelier it is to be in a text of the region is the log-odds ratio with an
    informative prior, over its standard error (Monroe, Colaresi and Quinn 2008), the prior
    being how often the word is in all texts.
    """
    read = evenly(len(said.texts), MOST_READ)
    of_region: dict[int, Counter[str]] = {}
    for text in read:
        of_region.setdefault(int(regions[text]), Counter()).update(words(said.texts[text]))
    sizes = Counter(regions[read].tolist())
    everywhere: Counter[str] = sum(of_region.values(), Counter())
    return _told_apart(
        [
            _distinctive(of_region.get(region, Counter()), sizes[region], everywhere, len(read))
            for region in range(int(regions.max()) + 1)
        ]
    )


def words(text: str) -> set[str]:
    """The different words of a text's beginning, in lower case."""
    return {word[:LONGEST] for word in _WORD.findall(text[:CHARACTERS].lower()) if len(word) > 1}


def _told_apart(distinctive: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The first words of each, with the next one for the last where an earlier region is of these; none if none is."""
    names: list[tuple[str, ...]] = []
    for own in distinctive:
        first = tuple(own[:WORDS])
        nexts = [first, *((*first[:-1], word) for word in own[WORDS:]), *(first[:kept] for kept in range(WORDS)[::-1])]
        taken = [set(name) for name in names if name]
        names.append(next((name for name in nexts if set(name) not in taken), ()))
    return names


def _distinctive(own: Mapping[str, int], size: int, everywhere: Mapping[str, int], texts: int) -> tuple[str, ...]:
    """All words that are clearly more frequent in the region, the most distinctive first."""
    usual = USUAL * (texts - size)
    known = [
        word for word, count in own.items() if count >= max(2, COMMON * size) and everywhere[word] - count <= usual
    ]
    if not known or size == texts:
        return ()
    scores = _scores(
        np.array([own[word] for word in known], dtype=np.float64),
        float(size),
        np.array([everywhere[word] for word in known], dtype=np.float64),
        float(texts),
    )
    # Words that are equally distinctive are in the order of the alphabet, whatever the order of texts.
    ranked = sorted(zip(-scores, known, strict=True))
    return tuple(word for score, word in ranked if -score >= CLEAR)


def _scores(own: Floats, size: float, everywhere: Floats, texts: float) -> Floats:
    """(V,) log-odds ratios of words in `own` of `size` texts and in others, over their standard errors."""
    expected = STRENGTH * everywhere / texts
    inside, outside = own + expected, everywhere - own + expected
    odds = np.log(inside / (size + STRENGTH - inside)) - np.log(outside / (texts - size + STRENGTH - outside))
    return np.asarray(odds / np.sqrt(1 / inside + 1 / outside))


def shares(said: Said, regions: Places) -> tuple[Sequence[Sequence[int]], Sequence[int]]:
    """Of each region each arm's completions, and how many prompts they answer."""
    of_point = regions[said.text]
    count = int(regions.max()) + 1
    completions = np.zeros((count, len(said.arms)), dtype=np.int64)
    np.add.at(completions, (of_point, said.arm), said.count)
    pairs = np.unique(of_point * len(said.prompts) + said.prompt) // len(said.prompts)
    return completions.tolist(), np.bincount(pairs, minlength=count).tolist()
