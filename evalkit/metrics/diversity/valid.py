"""How much of a prompt's set of valid answers a model gives: how many different ones, and how evenly."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from evalkit.metrics.declaration import metric
from evalkit.metrics.estimators.subsets import expected_kinds
from evalkit.metrics.valid_answers import read_valid
from evalkit.records import Group

NAN = float("nan")
SPECTRUM = "Sorensen et al. 2025"


@metric(
    name="valid_yield",
    unit="answers",
    better="higher",
    side="diversity",
    family="the valid set",
    plain="different valid answers",
    bounds=(0, "k"),
    least={"k": 0},
    of_draws="k",
    needs={"valid"},
    version="1.0",
    cites=SPECTRUM,
)
def valid_yield(group: Group, *, k: int = 0) -> float:
    """Expected number of DIFFERENT valid answers among k of the n completions; what is not valid adds nothing.

    Sum over the valid answers that were given of 1 - C(n - n_c, k) / C(n, k): the mean over all subsets of k
    (rarefaction). `k` = 0 stands for n. Which answer a completion gives is read as by `valid_share`; spellings of one
    answer are one, and of a checker's answers each different normal form or number is another.

    Range: [0, k], and at most the size of the set; k = 1 is `valid_share`.

    Bias: grows with k: compare at equal k; at one k none, whatever n (a U-statistic).

    Cost: that of `valid_share`, and O(n).

    Undefined: where the prompt states no valid answers, or without completions. A k above n is an error.
    """
    valid = read_valid(group.prompt)
    if valid is None or not group.completions:
        return NAN
    names = Counter(name for text in group.texts if (name := valid.given(text)) is not None)
    total = len(group.completions)
    return float(expected_kinds(list(names.values()), total, [k or total])[0])


@metric(
    name="valid_coverage",
    unit="share",
    better="higher",
    side="diversity",
    family="the valid set",
    plain="share of all valid answers that come",
    bounds=(0, 1),
    least={"k": 0},
    of_draws="k",
    needs={"valid"},
    version="1.0",
    cites=SPECTRUM,
)
def valid_coverage(group: Group, *, k: int = 0) -> float:
    """`valid_yield` as a share of the whole set: of all valid answers, those expected among k of the n completions.

    Range: [0, 1], and at most k over the size of the set.

    Bias: as `valid_yield`: compare at equal k.

    Cost: that of `valid_yield`.

    Undefined: as `valid_yield`; and where nothing says how many valid answers there are (an expression, `prime`).
    """
    valid = read_valid(group.prompt)
    if valid is None or valid.size is None:
        return NAN
    return valid_yield(group, k=k) / valid.size


@metric(
    name="evenness",
    unit="share",
    better="higher",
    side="diversity",
    family="the valid set",
    plain="evenness over the valid answers",
    bounds=(0, 1),
    needs={"valid_logprobs"},
    version="1.0",
    cites="Pielou 1966; Sampling More, Getting Less, arXiv 2605.11128",
)
def evenness(group: Group) -> float:
    """How evenly the chance of valid answers is spread over them: entropy over the log of their number, exact.

    The chances, those of `valid_mass`, are normalised to add up to 1: how probable a valid answer is does not
    matter here.

    Range: [0, 1]; 0 where one answer has all, 1 where all have the same.

    Bias: none; exact, however many completions there are.

    Cost: that of `valid_mass`, shared with it.

    Undefined: as `valid_mass`; below two valid answers; and where none of them has any chance.
    """
    logprobs = np.array(list((group.valid_logprobs or {}).values()), dtype=np.float64)
    if len(logprobs) < 2 or logprobs.max() == -math.inf:
        return NAN
    chances = np.exp(logprobs - logprobs.max())
    chances = chances[chances > 0] / chances.sum()
    return min(1.0, max(0.0, float(-(chances @ np.log(chances)) / math.log(len(logprobs)))))
