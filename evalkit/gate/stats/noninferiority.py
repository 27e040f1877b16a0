"""Is a loss within what is allowed? Paired one-sided tests of non-inferiority; pure functions of arrays.

One number a unit of resampling (prompt or cluster) and side, better upwards. With margin d the tests are of a mean on

    absolute d          new - base + d
    relative d          new - (1 - d) base          a ratio of means, made linear so that a mean's test holds
    standard errors d   new - base, against -d of its own standard errors

and each is about the mean over all prompts that might have been asked. A mean's p-value is the larger of Student's and
of that of Hall's transformation, which takes out skewness (`intervals.tails`). Against standard errors it is the
larger of the noncentral t's, exact for normal values, and of the mean's test on mean + d standard errors made linear,
which knows that the error is estimated too. `bench/intervals.py` measures how often they err.
Sources: Wellek 2010 (margins, two one-sided tests); Fieller 1954 (the interval of a ratio); Hall 1992 (skewness).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize
from scipy import stats as scipy_stats

from evalkit.analysis.intervals import reaches, tails
from evalkit.plumbing.arrays import Array
from evalkit.records import Margin, Unit

POWER = 0.8
"""With this chance the named number of prompts settles a verdict, if the difference is what it looks like."""
FARTHER = 12
"""Doublings of a bound's distance after which it counts as nowhere."""
FEWEST_TELLING = 8
"""Units of resampling from which on it is said how many would do: the upper end of a normal variance's 95 % interval
is a thousand times what 2 of them show, and four times what 8 show."""
MOST_PROMPTS = 1_000_000
"""More than anyone will ask is no advice."""


@dataclass(frozen=True, slots=True)
class Tested:
    """Two one-sided p-values of one margin; NaN both where nothing can be tested."""

    within: float
    """Of "more was lost than allowed": small where the loss is within the margin."""
    beyond: float
    """Of "no more was lost than allowed": small where the loss is beyond it."""


@dataclass(frozen=True, slots=True)
class Change:
    """New against base, in the metric's unit or as a share of base's mean; better upwards, as all here."""

    value: float
    low: float
    high: float


def turned(values: Array, better: Literal["higher", "lower"]) -> Array:
    """The values so that more is better."""
    return values if better == "higher" else -values


def shifted(new: Array, base: Array, margin: Margin) -> Array:
    """One number a prompt whose mean is above 0 exactly where the mean loss is within an absolute or relative margin.

    A share is one of the baseline's size, so that a metric turned around (a BLEU that may rise by 5 %) is meant too.
    """
    if margin.unit == "absolute":
        return np.asarray(new - base + margin.size)
    if margin.unit == "relative":
        return np.asarray(new - base + margin.size * np.sign(base.mean()) * base)
    return np.asarray(new - base)


def weigh(new: Array, base: Array, margin: Margin) -> Tested:
    """Both p-values for P prompts (1-D, without NaN); NaN below two prompts or where the differences do not vary."""
    if has_no_spread(new, base):
        return Tested(math.nan, math.nan)
    differences = shifted(new, base, margin)
    if has_no_spread(differences, np.zeros_like(differences)) or not differences.std() > 0:
        return Tested(math.nan, math.nan)
    slack = margin.size if margin.unit == "standard_errors" else 0.0
    linear = Tested(*tails(_beyond_errors(differences, slack)))
    if not slack:
        return linear
    exact = p_values(statistic(differences), len(differences), slack)
    return Tested(max(exact.within, linear.within), max(exact.beyond, linear.beyond))


def _beyond_errors(differences: Array, slack: float) -> Array:
    """One number a unit whose mean is the mean plus `slack` standard errors, and which varies as that does."""
    deviation = float(differences.std(ddof=1))
    squares = ((differences - differences.mean()) / deviation) ** 2
    return np.asarray(differences + slack * deviation / math.sqrt(len(differences)) * (1 + (squares - 1) / 2))


def p_values(t: float, prompts: int, slack: float = 0.0) -> Tested:
    """Student's of a t statistic over so many units, where a mean of -slack standard errors is just allowed."""
    distribution = scipy_stats.nct(prompts - 1, -slack) if slack else scipy_stats.t(prompts - 1)
    return Tested(float(distribution.sf(t)), float(distribution.cdf(t)))


def statistic(differences: Array) -> float:
    """Student's t of "the mean is 0"."""
    return float(differences.mean() / differences.std(ddof=1) * math.sqrt(len(differences)))


def has_no_spread(new: Array, base: Array) -> bool:
    """Whether the paired differences are all the same, but for rounding: then there is nothing to judge them by."""
    if len(new) < 2:
        return True
    scale = max(float(np.abs(new).max()), float(np.abs(base).max()))
    return bool(np.ptp(new - base) <= 1e-12 * scale)


def change(new: Array, base: Array, unit: Unit, alpha: float) -> Change:
    """The mean change with its lower and upper bound, each of which is wrong with probability `alpha`.

    So the bounds agree with the tests at `alpha`. A share's bounds are Fieller's, or farther out where skewness says
    so; NaN where the baseline's mean is not clearly different from 0, when any share is possible.
    """
    if unit == "relative":
        return _share(new, base, alpha)
    differences = new - base
    if len(differences) < 2:
        return Change(float(differences.mean()), math.nan, math.nan)
    below, above = reaches(differences, alpha)
    return Change(float(differences.mean()), float(differences.mean()) - below, float(differences.mean()) + above)


def prompts_needed(new: Array, base: Array, margin: Margin, alpha: float, family: int = 1) -> int | None:
    """How many prompts like these would settle the verdict, with a chance of POWER, if the means are what they seem.

    A pass is tested at `alpha`, a regression at `alpha / family`: Holm's first step, which may be stricter than needed.

    None where that is more than MOST_PROMPTS or cannot be told, as of fewer than FEWEST_TELLING, whose variance is
    hardly known. Normal quantiles: at the sizes where the answer is of use they are Student's, nearly.
    """
    differences = shifted(new, base, margin)
    spread = float(differences.std(ddof=1)) if len(differences) >= FEWEST_TELLING else 0.0
    effect = float(differences.mean()) / spread if spread > 0 else 0.0
    if effect == 0:
        return None
    level = alpha if effect > 0 else alpha / family
    reach = float(scipy_stats.norm.isf(level) + scipy_stats.norm.ppf(POWER))
    slack = margin.size if margin.unit == "standard_errors" else 0.0
    root = (reach - math.copysign(slack, effect)) / abs(effect)
    return math.ceil(max(root, math.sqrt(2)) ** 2) if root <= math.sqrt(MOST_PROMPTS) else None


def _quantile(alpha: float, prompts: int) -> float:
    return float(scipy_stats.t.isf(alpha, prompts - 1))


def _share(new: Array, base: Array, alpha: float) -> Change:
    """The ratios whose test at `alpha` does not reject them, less 1; turned where the baseline is below 0."""
    value = float((new.mean() - base.mean()) / abs(base.mean()))
    ends = _fieller(new, base, alpha) if len(new) > 1 else None
    if ends is None:
        return Change(value, math.nan, math.nan)
    return Change(value, *(_outward(new, base, end, value, alpha) for end in ends))


def _fieller(new: Array, base: Array, alpha: float) -> tuple[float, float] | None:
    sign = math.copysign(1.0, base.mean())
    square = _quantile(alpha, len(new)) ** 2 / len(new)
    (new_variance, both), (_, base_variance) = np.cov(new, base)
    a = float(base.mean() ** 2 - square * base_variance)
    b = float(new.mean() * base.mean() - square * both)
    c = float(new.mean() ** 2 - square * new_variance)
    if a <= 0 or b * b < a * c:
        return None
    first, second = (sign * ((b + turn * math.sqrt(b * b - a * c)) / a - 1) for turn in (-1, 1))
    return min(first, second), max(first, second)


def _outward(new: Array, base: Array, end: float, value: float, alpha: float) -> float:
    """Where the test of the mean rejects, from Fieller's end on away from `value`; NaN where it never does."""
    step, upwards = end - value, end > value

    def excess(ratio: float) -> float:
        within, beyond = tails(shifted(new, base, Margin("relative", -ratio)))
        return (beyond if upwards else within) - alpha

    if not abs(step) > 0 or excess(end) <= 0:
        return end
    for _ in range(FARTHER):
        if excess(end + step) <= 0:
            return float(optimize.brentq(excess, end, end + step, xtol=1e-12))
        step *= 2
    return math.nan
