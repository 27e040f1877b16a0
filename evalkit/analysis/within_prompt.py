"""How sure a value on one prompt is: its standard error over the prompt's completions, and tests of single prompts.

A measure that counts what completions share has no plain standard error: a bootstrap draws the same completion twice,
which such a measure takes for sameness. Its error here is the delete-one jackknife's, from the k values without each
completion. For any symmetric measure of independent draws that is too large in the mean rather than too small (Efron &
Stein 1981). In the mean: where answers are few and each is given several times, none is missed when one completion
goes, and the error found is 0 although other completions would have had other answers. So a prompt's error is taken to
be at least what the arm's prompts have in the mean. A score is a mean over completions and has the error of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from evalkit.metrics.registry import Measure
from evalkit.metrics.summary import Estimate
from evalkit.plumbing.arrays import Array, nan_for_none
from evalkit.records import Group

FEWEST_COMPLETIONS = 4
"""Of fewer the spread is hardly known."""
_TINY = np.finfo(np.float64).tiny


def measures_with_errors(measures: Sequence[Measure]) -> tuple[Measure, ...]:
    """Of each family of diversity the measure that a reader pictures best, among those with a quick jackknife.

    In each of the forms in which all completions of a prompt are measured: as they are, and at equal lengths.
    """
    best: dict[tuple[str, str], Measure] = {}
    for measure in measures:
        traits, key = measure.definition.traits, (measure.variant, measure.definition.traits.family)
        is_quick = measure.definition.kind == "metric" and measure.definition.without_each is not None
        if not is_quick or traits.side != "diversity" or measure.variant not in ("whole", "matched"):
            continue
        if key not in best or _picture(measure) < _picture(best[key]):
            best[key] = measure
    return tuple(best.values())


def _picture(measure: Measure) -> float:
    picture = measure.definition.traits.picture
    return math.inf if picture is None else picture


def jackknife_error(measure: Measure, group: Group) -> float:
    """The standard error of a measure on one prompt; NaN below three completions, and where it is undefined without
    one of them. Cost: that of its values without each completion.
    """
    if len(group.completions) < 3:
        return math.nan
    without = np.asarray(measure.without_each(group), dtype=np.float64)
    k = len(without)
    return float(math.sqrt((k - 1) / k * ((without - without.mean()) ** 2).sum()))


def score_errors(scores: Sequence[Array]) -> Array:
    """(P,) the standard error of each prompt's mean score; NaN below two completions that have one."""
    return np.array([_error_of_mean(of_prompt[~np.isnan(of_prompt)]) for of_prompt in scores], dtype=np.float64)


def _error_of_mean(scores: Array) -> float:
    return float(scores.std(ddof=1) / math.sqrt(len(scores))) if len(scores) > 1 else math.nan


@dataclass(frozen=True, slots=True)
class PromptTests:
    """Of each prompt the difference of two arms, (P,) each, NaN where it could not be tested."""

    gaps: Array
    p: Array
    spread: Array
    """Standard error of the difference; of shares as if each arm had a success and a failure more."""
    freedom: Array
    middle: Array
    """Of its interval; of shares it is drawn towards 0."""

    def interval(self, row: int, alpha: float) -> tuple[float, float]:
        """(low, high) at level 1 - alpha."""
        reach = float(scipy_stats.t.isf(alpha / 2, self.freedom[row]) * self.spread[row])
        return float(self.middle[row]) - reach, float(self.middle[row]) + reach


def prompt_tests(here: Estimate, there: Estimate) -> PromptTests | None:
    """Tests of "the measure has the same value on this prompt under both arms"; None where no errors are known.

    Welch's t over completions, no error smaller than its arm's root mean square over prompts. Shares of right and wrong
    answers are known by their errors, and have Fisher's exact test and the interval of Agresti and Caffo (2000).
    Undefined where no prompt of either arm has an error above 0.
    """
    k = min(here.samples, there.samples)
    if not here.errors or not there.errors or k < FEWEST_COMPLETIONS:
        return None
    values, errors = ([nan_for_none(of_arm) for of_arm in both] for both in (
        (here.values, there.values), (here.errors, there.errors)))  # fmt: skip
    gaps = np.asarray(values[0] - values[1], dtype=np.float64)
    variances = [np.maximum(error**2, _mean_square(error)) for error in errors]
    spread = np.sqrt(variances[0] + variances[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = (k - 1) * spread**4 / (variances[0] ** 2 + variances[1] ** 2)
        p = np.clip(2 * scipy_stats.t.sf(np.abs(gaps) / spread, freedom), _TINY, 1.0)
    known = ~np.isnan(gaps + spread)
    if all(_are_shares(value, error, k) for value, error in zip(values, errors, strict=True)):
        shares = [(value * k + 1) / (k + 2) for value in values]
        spread = np.sqrt(sum(share * (1 - share) for share in shares) / (k + 2))
        p, freedom = _fisher(values[0], values[1], k, known), np.full(len(gaps), math.inf)
        return PromptTests(gaps, p, spread, freedom, np.asarray(shares[0] - shares[1]))
    return PromptTests(gaps, np.where(known & (spread > 0), p, np.nan), spread, freedom, gaps)


def _mean_square(errors: Array) -> float:
    """Over prompts; NaN where none is known."""
    known = errors[~np.isnan(errors)]
    return float((known**2).mean()) if len(known) else math.nan


def _are_shares(values: Array, errors: Array, k: int) -> bool:
    """Whether all values are means of zeros and ones: only then is the variance v (1 - v)."""
    known = ~np.isnan(values + errors)
    v, error = values[known], errors[known]
    return bool(np.allclose(error**2 * (k - 1), v * (1 - v), rtol=1e-9, atol=1e-12))


def _fisher(here: Array, there: Array, k: int, known: NDArray[np.bool_]) -> Array:
    """(P,) two-sided p of Fisher's exact test of two shares of k each: all splits that are no likelier."""
    p = np.full(len(here), np.nan)
    for row in np.flatnonzero(known):
        hits, total = round(here[row] * k), round(here[row] * k) + round(there[row] * k)
        chances = scipy_stats.hypergeom.pmf(np.arange(k + 1), 2 * k, total, k)
        p[row] = min(1.0, float(chances[chances <= chances[hits] * (1 + 1e-7)].sum()))
    return p
