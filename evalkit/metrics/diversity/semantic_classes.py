"""Diversity of meaning counted in classes: which completions say the same, and how many different things are said.

The partition is the greedy one of `evalkit.metrics.divisions.greedy`, with its rule for short answers. Of other pairs
the cosine of their sentence embeddings tells: at `threshold` or more they say the same. The signature names the
encoder. NoveltyBench asks a classifier instead; `classifier/distinct_k` and its kin do too.

The embedded encoder reads Chinese, Japanese and Thai: "红色" (red) and "红色的" have a cosine of 0.97, red and "蓝色"
(blue), which share one of two letters, 0.53; numerals ("四" and "五", 0.78) and "cat" and "dog" (0.64) are what sharing
no letter tells apart.

THRESHOLD was set with the embedded encoder on 72 hand-made answers of six words or more to 12 open questions, each
meaning in two wordings (tests/metrics/diversity/paraphrases.py): at 0.65 it joins 35 of 36 pairs that say the same
and 4 of 144 that do not (0.55: 36 and 4; 0.75: 30 and 4). Those 4 differ in one name ("the capital is Sydney"), which
sentence encoders hardly see: for long answers that turn on one word, classes are too few. Compare figures at equal
thresholds only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evalkit.errors import MetricError
from evalkit.metrics.declaration import metric
from evalkit.metrics.diversity.semantic import unit_rows
from evalkit.metrics.divisions.greedy import divide, greedy, short_of
from evalkit.metrics.estimators.entropy import ENTROPIES
from evalkit.metrics.estimators.ngrams import Ints
from evalkit.metrics.estimators.subsets import expected_classes
from evalkit.records import Completion, Group

NAN = float("nan")
THRESHOLD = 0.65
"""Least cosine at which two longer answers say the same."""
POOL = 512
"""Completions across prompts that are divided together: where hardly two say the same, all are held against all."""


@metric(
    name="distinct_k",
    unit="classes",
    better="higher",
    side="diversity",
    family="meaning",
    plain="different things said",
    picture=1,
    bounds=(1, "k"),
    least={"k": 0},
    of_draws="k",
    needs={"words", "embeddings"},
    version="1.0",
    cites="Zhang et al. 2025",
    pool_at_most=POOL,
)
def distinct_k(group: Group, *, k: int = 0, threshold: float = THRESHOLD) -> float:
    """Expected number of different things said among k of the n completions.

    Sum over classes of 1 - C(n - n_c, k) / C(n, k): the mean over all subsets of k (rarefaction). `k` = 0 stands for n,
    where it is the number of classes. In NoveltyBench's files of 2025 `distinct` is one lower: the number of the last
    class, counted from 0.

    Range: [1, k]; 1 when all say the same.

    Bias: grows with k: compare at equal k; at one k it is the same on average whatever n. The order of completions
    matters only where "says the same" is not transitive.

    Cost: O(n d) a class, no n x n matrix. Where hardly two say the same that is the square of n, so across prompts it
    is the mean over pools of at most 512.

    Undefined: without completions. A k above n is an error.
    """
    sizes = _sizes(group, threshold)
    return float(expected_classes(sizes.tolist(), [k or int(sizes.sum())])[0]) if len(sizes) else NAN


@metric(
    name="simpson_classes",
    unit="probability",
    better="higher",
    side="diversity",
    family="meaning",
    plain="chance that two answers say different things",
    bounds=(0, 1),
    needs={"words", "embeddings"},
    version="1.0",
    cites="Simpson 1949",
    any_k=True,
    pool_at_most=POOL,
)
def simpson_classes(group: Group, *, threshold: float = THRESHOLD) -> float:
    """Chance that two completions say different things: 1 - sum of n_c (n_c - 1) / (n (n - 1)) over classes.

    Range: [0, 1]; 0 when all say the same, 1 when no two do.

    Bias: none at any k for a given division into classes (a U-statistic), so figures at different k compare.

    Cost: as distinct_k.

    Undefined: below two completions.
    """
    sizes = _sizes(group, threshold)
    total = int(sizes.sum())
    return 1 - int(sizes @ (sizes - 1)) / (total * (total - 1)) if total > 1 else NAN


@metric(
    name="class_entropy",
    unit="nats",
    better="higher",
    side="diversity",
    family="meaning",
    plain="variety of what is said",
    bounds=(0, None),
    of_draws="correction",
    needs={"words", "embeddings"},
    version="1.0",
    cites="Farquhar et al. 2024",
    pool_at_most=POOL,
)
def class_entropy(group: Group, *, correction: str = "chao-wang-jost", threshold: float = THRESHOLD) -> float:
    """Entropy of what is said, from how many completions are in each class: discrete semantic entropy.

    Needs no log-probs, so it serves servers, texts from elsewhere and any temperature. `correction` as in
    ngram_entropy; "none" is Farquhar et al.'s discrete form.

    Range: [0, inf); 0 when all say the same, log n when no two do and nothing is corrected.

    Bias: without a correction too low, the more so the smaller k; with Chao, Wang & Jost's most of it is gone.

    Cost: as distinct_k.

    Undefined: without completions.
    """
    if correction not in ENTROPIES:
        allowed = ", ".join(ENTROPIES)
        raise MetricError(f"metric class_entropy: correction is {correction!r}; it must be one of {allowed}")
    sizes = _sizes(group, threshold)
    return max(0.0, ENTROPIES[correction](sizes)) if len(sizes) else NAN


@metric(
    name="semantic_entropy",
    unit="nats",
    better="higher",
    side="diversity",
    family="meaning",
    plain="variety of what is said",
    bounds=(0, None),
    needs={"words", "embeddings", "logprobs"},
    version="1.0",
    cites="Farquhar et al. 2024",
)
def semantic_entropy(group: Group, *, threshold: float = THRESHOLD) -> float:
    """Entropy of what is said, each class weighing as much as the model's probability of its completions.

    p(class) is the sum of p(x) over its DIFFERENT token sequences, made to add up to 1 over what was drawn. Two
    departures from the reference code: it adds a sequence once each time it was drawn, which weighs it by about p
    squared, and takes the geometric mean over tokens in place of p. `class_entropy` is the form without probabilities.

    Range: [0, log k]; 0 when all say the same.

    Bias: too low at small k, as classes not drawn are left out; compare at equal k.

    Cost: as distinct_k.

    Undefined: when the log-probs of any completion are unknown, or the arm's temperature is not 1 or tokens are cut
    off.
    """
    if not group.completions or not all(completion.logprobs for completion in group.completions):
        return NAN
    distinct = list({_sequence(completion): sample for sample, completion in enumerate(group.completions)}.values())
    surprisal = np.array([-math.fsum(group.completions[sample].logprobs) for sample in distinct])
    weights = np.exp(surprisal.min() - surprisal)
    distribution = np.bincount(partition(group, threshold)[distinct], weights) / weights.sum()
    distribution = distribution[distribution > 0]
    return max(0.0, -float(distribution @ np.log(distribution)))


def partition(group: Group, threshold: float) -> Ints:
    """(k,) the class of each completion, numbered from 0 in order of first appearance. Raises `MetricError`.

    By embeddings, unless it is known of the group otherwise.
    """
    if group.classes is not None:
        return np.asarray(group.classes, dtype=np.int64)
    if not -1 <= threshold <= 1:
        raise MetricError(f"threshold is {threshold:g}; a cosine is between -1 and 1")
    rows = unit_rows(group)

    def alike(leader: int, others: Sequence[int]) -> list[bool]:
        close: list[bool] = (rows[others] @ rows[leader] >= threshold).tolist()
        return close

    return divide(greedy(group.texts, short_of(group)), alike)


def _sizes(group: Group, threshold: float) -> Ints:
    """How many completions each class has."""
    return np.bincount(partition(group, threshold)).astype(np.int64)


def _sequence(completion: Completion) -> tuple[int, ...] | str:
    return completion.token_ids or completion.text
