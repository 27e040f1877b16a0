"""Coverage: what k samples reach. Right answers, best answers, and good answers in different places.

All are means over the subsets (or orders) of the n completions that were drawn, so nothing depends on the luck of their
order, and figures at one k agree on average whatever n is. `k` = 0 stands for n. Whole curves over k: `subsets`.

Where quality is added up (utility_k, qd_score) it counts from `floor`, the quality of an answer that is worth nothing:
u = max(quality - floor, 0). The default 0 fits accuracy, probabilities and NoveltyBench's marks of 1 to 10; a reward
model's scale has no zero of its own, so a suite that uses one says where worth begins.
"""

from __future__ import annotations

import numpy as np

from evalkit.errors import MetricError
from evalkit.metrics.answer_match import matcher
from evalkit.metrics.declaration import metric
from evalkit.metrics.diversity.semantic_classes import POOL, THRESHOLD, partition
from evalkit.metrics.estimators.ngrams import Ints
from evalkit.metrics.estimators.subsets import best_of, expected_classes, largest_shares, pass_at
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.tokenizer import SPACED
from evalkit.records import Group

NAN = float("nan")


@metric(
    name="pass_at_k",
    unit="probability",
    better="higher",
    side="quality",
    family="several tries",
    plain="chance of a right answer in several tries",
    bounds=(0, 1),
    least={"k": 1},
    of_draws="k",
    needs={"answer"},
    version="1.2",
    cites="Chen et al. 2021",
)
def pass_at_k(group: Group, *, k: int) -> float:
    """Chance that at least one of k completions gives the right answer.

    1 - C(n - c, k) / C(n, k) with c of the n completions right, as accuracy judges them.

    Range: [0, 1]; 0 when none is right, 1 when n - k + 1 or more are. k = 1 is accuracy.

    Bias: none at any k up to n (a U-statistic).

    Cost: O(n).

    Undefined: where the prompt has no answer, or without completions. A k above n is an error.
    """
    matches = matcher(group.prompt)
    if matches is None or not group.completions:
        return NAN
    return float(pass_at(sum(map(matches, group.texts)), len(group.texts), [k])[0])


@metric(
    name="best_of_k",
    unit="quality",
    better="higher",
    side="quality",
    family="several tries",
    plain="score of the best of several answers",
    least={"k": 1},
    of_draws="k",
    needs={"quality"},
    version="1.0",
    cites="Nakano et al. 2021",
)
def best_of_k(group: Group, *, k: int) -> float:
    """Expected quality of the best of k completions, chosen by the same quality.

    Range: that of the suite's quality measure; the mean quality at k = 1, the best one's at k = n.

    Bias: none at any k up to n (a U-statistic of order statistics).

    Cost: O(n log n).

    Undefined: when the quality of any completion is, or without completions. A k above n is an error.
    """
    quality = _known_quality(group)
    return NAN if quality is None else float(best_of(quality, [k])[0])


@metric(
    name="utility_k",
    unit="quality",
    better="higher",
    side="quality",
    family="several tries",
    plain="worth of several answers to a reader",
    least={"k": 0},
    of_draws="k",
    needs={"words", "embeddings", "quality"},
    version="1.0",
    cites="Zhang et al. 2025",
)
def utility_k(
    group: Group,
    *,
    k: int = 0,
    patience: float = 0.8,
    floor: float = 0.0,
    orders: str = "all",
    threshold: float = THRESHOLD,
) -> float:
    """What k completions are worth to a reader who goes on to the next with chance `patience`, and wants new things.

    (1 - p) / (1 - p^k) times the sum over i = 1..k of p^(i-1) u_i, where u_i counts only if the i-th is the first of
    its class. `orders` = "all" is the mean over all orders of all n completions; "drawn" takes the first k as they
    came, as NoveltyBench does, with the same mean and more noise. Its quality is in marks of 1 to 10.

    Range: [0, largest quality less `floor`]; that of a single completion when k = 1 or all are new and equally good.

    Bias: falls with k, as later completions are less often new: compare at equal k.

    Cost: as distinct_k, and O(classes x k) more.

    Undefined: when the quality of any completion is, or without completions. A k above n is an error.
    """
    if not 0 < patience < 1:
        raise MetricError(f"metric utility_k: patience is {patience:g}; it must be between 0 and 1, both left out")
    if orders not in ("all", "drawn"):
        raise MetricError(f"metric utility_k: orders is {orders!r}; it must be one of all, drawn")
    quality = _known_quality(group)
    if quality is None:
        return NAN
    steps = _steps(k, len(quality))
    worth, classes = np.maximum(quality - floor, 0), partition(group, threshold)
    gains = _gains_in_order(worth, classes) if orders == "drawn" else _gains_in_any_order(worth, classes)
    weights = patience ** np.arange(steps)
    return float(weights @ gains[:steps] / weights.sum())


@metric(
    name="niches",
    unit="niches",
    better="higher",
    side="diversity",
    family="meaning",
    plain="kinds of answer found",
    moves_with_length=True,
    bounds=(1, "k"),
    least={"k": 0},
    of_draws="k",
    needs={"words", "embeddings"},
    version="1.0",
    cites="Mouret & Clune 2015",
    pool_at_most=POOL,
)
def niches(group: Group, *, k: int = 0, threshold: float = THRESHOLD) -> float:
    """Coverage of the archive: expected number of niches that k of the n completions fill.

    A niche is a class of meaning at a length: 0 words, 1, 2 to 3, 4 to 7, and so on by doubling. Words are what stands
    between spaces, or what the tokenizer splits where that is another than 13a.

    Range: [1, k]; 1 when all say the same at one length. Never less than distinct_k.

    Bias: grows with k: compare at equal k.

    Cost: as distinct_k.

    Undefined: without completions. A k above n is an error.
    """
    if not group.completions:
        return NAN
    sizes = np.bincount(_niche_of(group, threshold))
    return float(expected_classes(sizes.tolist(), [_steps(k, len(group.completions))])[0])


@metric(
    name="qd_score",
    unit="quality",
    better="higher",
    side="quality",
    family="several tries",
    plain="good answers of different kinds",
    bounds=(0, None),
    least={"k": 0},
    of_draws="k",
    needs={"words", "embeddings", "quality"},
    version="1.0",
    cites="Pugh et al. 2016",
)
def qd_score(group: Group, *, k: int = 0, floor: float = 0.0, threshold: float = THRESHOLD) -> float:
    """Quality-diversity: the quality of the best completion in every niche, added up, for k of the n completions.

    Niches as in `niches`; quality counts from `floor`, so that a worthless answer adds nothing for being different.
    The mean over all subsets of k.

    Range: [0, niches times the largest quality less `floor`].

    Bias: grows with k: compare at equal k.

    Cost: as distinct_k.

    Undefined: when the quality of any completion is, or without completions. A k above n is an error.
    """
    quality = _known_quality(group)
    if quality is None:
        return NAN
    shares = largest_shares(len(quality), _steps(k, len(quality)))
    worth, niche = np.maximum(quality - floor, 0), _niche_of(group, threshold)
    members = (np.sort(worth[niche == number])[::-1] for number in range(int(niche.max()) + 1))
    # What a completion adds is its worth, if it is drawn and no better one of its own niche is.
    return float(sum(shares[: len(best_first)] @ best_first for best_first in members))


def _gains_in_order(worth: Array, classes: Ints) -> Array:
    """(n,) the worth of each completion that is the first of its class, else 0."""
    gains = np.zeros(len(worth))
    firsts = np.unique(classes, return_index=True)[1]
    gains[firsts] = worth[firsts]
    return gains


def _gains_in_any_order(worth: Array, classes: Ints) -> Array:
    """(n,) the mean of `_gains_in_order` over all orders.

    A completion stands at position i with chance 1/n, and is then the first of its class when the i before it, any of
    the n - 1 others, are none of its class's other members: C(n - size, i) / C(n - 1, i).
    """
    total = len(worth)
    position = np.arange(total)
    gains = np.zeros(total)
    for size, worth_of_class in zip(np.bincount(classes), np.bincount(classes, worth), strict=True):
        left = np.maximum(total - size - position, 0) / np.maximum(total - 1 - position, 1)
        gains += worth_of_class / total * np.concatenate([[1.0], np.cumprod(left)[:-1]])
    return gains


def _niche_of(group: Group, threshold: float) -> Ints:
    """(n,) number of each completion's niche."""
    words = [text.split() for text in group.texts] if group.tokenizer == SPACED else group.words
    octaves = [len(of_text).bit_length() for of_text in words]
    pairs = np.stack([partition(group, threshold), np.array(octaves, dtype=np.int64)])
    return np.unique(pairs, axis=1, return_inverse=True)[1].astype(np.int64).ravel()


def _known_quality(group: Group) -> Array | None:
    """(n,) the quality of every completion; None where any is unknown."""
    quality = group.quality
    if quality is None or not len(quality) or np.isnan(quality).any():
        return None
    return np.asarray(quality, dtype=np.float64)


def _steps(k: int, total: int) -> int:
    """k, or all completions where it is 0. Raises `MetricError` where there are fewer."""
    if not 0 <= k <= total:
        raise MetricError(f"k is {k}; of {total} completions it must be 1 to {total}, or 0 for all of them")
    return k or total
