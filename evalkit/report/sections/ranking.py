"""For which use each arm is the right one: stated weights on what it gained and lost, and how sure the ranking is.

Every measure's difference to the baseline is turned towards better and divided by the largest that any arm shows, but
by no less than `effects.LARGE` standard deviations over prompts (the largest of any arm's, as the baseline's may be 0):
so no measure counts more than 1, whatever its unit, and one on which nobody moved far counts little. A fixed bound in
standard deviations would not do: where prompts are alike, all arms of a ladder are beyond it, and the bound would call
them equal. Nor are deviations a measure of shares of answers: where nearly all pass on every prompt, 3 of a hundred are
many of them. So the unit of a share of quality is at least the `MANY` of all answers that a headline calls "much", as
it does `effects.LARGE` deviations of the rest. The price is that the unit is the report's own: another arm in the
report may change it.

A part is the mean over a side's measures. Scores are linear in each prompt's values, so that an interval of one arm's
lead over another is that of a paired mean over prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from evalkit.analysis import effects
from evalkit.analysis.intervals import Mean, mean_intervals, mean_p_values
from evalkit.metrics.declaration import Traits
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.arrays import Array, is_number, nan_for_none
from evalkit.records import CONFIDENCE, Better, Side
from evalkit.report.content.content import ReportContent
from evalkit.report.verdicts.joint import forms_for_all, is_saturated, is_share_of_quality
from evalkit.report.verdicts.rater_groups import rater_groups
from evalkit.report.verdicts.side_words import FORM, MANY

OF_SEVERAL = "several tries"
"""Family of the measures of several samples at once: neither how good one sample is nor how various many are."""
STATED = "the stated chances"
"""Family of the measures of agreement with chances that prompts state."""
STEPS = 20
"""The slider's, from diversity alone to quality alone."""
_NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Use:
    """What somebody wants, as weights that add up to 1."""

    name: str
    wants: str
    quality: float

    @property
    def diversity(self) -> float:
        return 1 - self.quality


USES = (
    Use("reliable answers", "one answer must be good, as in search or support", 0.8),
    Use("creative range", "many answers must differ, as for a writer", 0.3),
)
FORM_ALONE = (
    Use("answers in the form that was asked for", "whether they are good is not known", USES[0].quality),
    Use("different answers", "whether they are good is not known, and noise is various too", USES[1].quality),
)
"""The same weights where nothing but the form is known of quality."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One measure: every arm's difference to the baseline, and the unit that it is counted in."""

    measure: str
    side: Side
    unit: float
    """Of the measure itself; a difference of one unit counts 1."""
    counted: Mapping[str, float]
    """Arm -> difference in that unit, positive where it is better."""


@dataclass(frozen=True, slots=True)
class RankedArm:
    """An arm in a ranking."""

    arm: str
    score: float
    behind: Mean | None
    """How far behind the first, None for the first itself; the interval is wide enough that all of a ranking's hold
    together with a chance of `CONFIDENCE`."""
    is_tied: bool = False
    """Whether chance alone may have put it behind the first: of few equal leads too, whose interval is a point."""


@dataclass(frozen=True)
class Part:
    """One side of the trade, as every arm's mean over the measures of that side."""

    scales: tuple[Scale, ...]
    values: Mapping[str, Array]
    """Arm -> (P,), its part prompt by prompt; the part is their mean."""
    clusters: tuple[str, ...]
    """The cluster of each prompt; empty: each is its own."""

    def interval(self, arm: str) -> Mean:
        """An arm's part with its interval over prompts."""
        return mean_intervals(self.values[arm][None, :], CONFIDENCE, self.clusters)[0]


@dataclass(frozen=True)
class Parts:
    """What every score is made of."""

    baseline: str
    quality: Part
    diversity: Part
    left_out: tuple[str, ...]
    """Measures with a better direction that some arm lacks, that hardly vary, or that count several samples."""
    is_form_alone: bool
    """Whether all that is known of quality is whether answers have the form that was asked for."""

    @property
    def uses(self) -> tuple[Use, ...]:
        """What the arms can be ranked for."""
        return FORM_ALONE if self.is_form_alone else USES


@dataclass(frozen=True)
class BestOf:
    """The best of each prompt's completions, by every score of quality."""

    k: int
    part: Part


def parts(summary: Summary, baseline: str) -> Parts | None:
    """Both parts against `baseline`; None where one of them has no measure that every arm has.

    None too where prompts state what is wanted, the chances of each answer: then neither quality nor range is.
    """
    estimates, betters, traits = effects.estimates(summary), effects.betters(summary), effects.traits(summary)
    if any(declared.side == "match" and declared.family == STATED for declared in traits.values()):
        return None
    arms = [arm.name for arm in summary.arms]
    directed = [m for m, better in betters.items() if better != "neither" and effects.is_plain(m)]
    groups = rater_groups(summary)  # no mean stands for several groups of people
    single = [m for m in directed if traits[m].family != OF_SEVERAL and m not in groups]
    forms = forms_for_all(summary)
    standing = _telling([forms[m] for m in single if m in forms], arms, baseline, estimates, summary.clusters)
    scales = [made for m in standing if (made := _of_measure(m, betters[m], arms, baseline, estimates)) is not None]
    quality, diversity = (
        _part([scale for scale in scales if scale[0].side == side], arms, summary.clusters)
        for side in ("quality", "diversity")
    )
    if quality is None or diversity is None:
        return None
    kept = {scale.measure for scale, _ in scales}
    form_alone = {traits[scale.measure].family for scale in quality.scales} == {FORM}
    return Parts(baseline, quality, diversity, tuple(m for m in directed if forms.get(m) not in kept), form_alone)


def best_of_all(content: ReportContent, baseline: str) -> BestOf | None:
    """What the best of all k completions is worth; None without scores, or where prompts have unequal numbers."""
    summary, traits = content.summary, effects.traits(content.summary)
    arms, groups = [arm.name for arm in summary.arms], rater_groups(summary)
    counts = {len(row) for by_arm in content.scores.values() for rows in by_arm.values() for row in rows}
    if len(counts) != 1 or max(counts) < 2:
        return None
    made = [
        scale
        for score, by_arm in content.scores.items()
        if score in traits and traits[score].side == "quality" and set(arms) <= by_arm.keys() and score not in groups
        if (scale := _scaled(score, traits[score], 1, {arm: _best(by_arm[arm]) for arm in arms}, baseline)) is not None
    ]
    part = _part(made, arms, summary.clusters)
    return BestOf(max(counts), part) if part else None


def ranking(parts: Parts, quality: float) -> tuple[RankedArm, ...]:
    """Arms by quality times the quality part and the rest times the diversity part, the best first."""
    scores = {
        arm: quality * parts.quality.values[arm] + (1 - quality) * parts.diversity.values[arm]
        for arm in parts.quality.values
    }
    return ranked(scores, parts.quality.clusters)


def ranked(scores: Mapping[str, Array], clusters: Sequence[str] = ()) -> tuple[RankedArm, ...]:
    """Arms by their mean score, each with how far it is behind the first; `scores`: arm -> (P,),
    `clusters`: that of each prompt.
    """
    means = {arm: float(values.mean()) for arm, values in scores.items()}
    first, *others = sorted(means, key=lambda arm: -means[arm])
    if not others:
        return (RankedArm(first, means[first], None),)
    leads = np.stack([scores[first] - scores[arm] for arm in others])
    # Bonferroni over the others, so that "tied" and "behind" hold of all of them at once.
    chance = (1 - CONFIDENCE) / len(others)
    behind, clear = mean_intervals(leads, 1 - chance, clusters), mean_p_values(leads, clusters) < chance
    followers = [
        RankedArm(arm, means[arm], lead, not is_clear)
        for arm, lead, is_clear in zip(others, behind, clear, strict=True)
    ]
    return (RankedArm(first, means[first], None), *followers)


def _telling(
    measures: Sequence[str],
    arms: Sequence[str],
    baseline: str,
    estimates: Mapping[tuple[str, str], Estimate],
    clusters: Sequence[str],
) -> list[str]:
    """Without shares of quality that all arms have nearly all of, as long as another measure tells of quality."""
    known = [m for m in measures if all((m, arm) in estimates for arm in arms)]
    saturated = {
        m for m in known if all(is_saturated(estimates[m, arm], estimates[m, baseline], clusters) for arm in arms)
    }
    tells = any(estimates[m, baseline].traits.side == "quality" for m in known if m not in saturated)
    return [m for m in measures if m not in saturated] if tells else list(measures)


def _of_measure(
    measure: str, better: Better, arms: Sequence[str], baseline: str, estimates: Mapping[tuple[str, str], Estimate]
) -> tuple[Scale, Mapping[str, Array]] | None:
    by_arm = {arm: estimates[measure, arm] for arm in arms if (measure, arm) in estimates}
    if by_arm.keys() != set(arms) or len({estimate.signature for estimate in by_arm.values()}) > 1:
        return None
    values = {arm: nan_for_none(by_arm[arm].values) for arm in arms}
    return _scaled(measure, estimates[measure, baseline].traits, -1 if better == "lower" else 1, values, baseline)


def _scaled(
    measure: str, traits: Traits, sign: int, values: Mapping[str, Array], baseline: str
) -> tuple[Scale, Mapping[str, Array]] | None:
    """The measure's unit and every arm's values in it, prompt by prompt.

    None where an arm cannot be compared, and where all values of all arms are equal.
    """
    away = {arm: sign * (values_of_arm - values[baseline]) for arm, values_of_arm in values.items()}
    if any(np.count_nonzero(~np.isnan(values_of_arm)) < 2 for values_of_arm in away.values()):
        return None
    spread = max(float(np.nanstd(values_of_arm, ddof=1)) for values_of_arm in values.values())
    means = {arm: float(np.nanmean(values_of_arm)) for arm, values_of_arm in away.items()}
    moved = max(effects.LARGE * spread, *(abs(mean) for mean in means.values()))
    if moved <= _NOTHING:
        return None
    unit = max(moved, MANY) if is_share_of_quality(traits) else moved
    counted = {arm: mean / unit for arm, mean in means.items()}
    return Scale(measure, traits.side, unit, counted), {
        arm: _filled(values_of_arm / unit) for arm, values_of_arm in away.items()
    }


def _filled(values: Array) -> Array:
    """Values without NaN that have the mean of the defined ones, and whose spread gives that mean's standard error."""
    defined = ~np.isnan(values)
    mean = float(values[defined].mean())
    return np.asarray(np.where(defined, mean + (values - mean) * len(values) / defined.sum(), mean))


def _part(
    made: Sequence[tuple[Scale, Mapping[str, Array]]], arms: Sequence[str], clusters: tuple[str, ...]
) -> Part | None:
    if not made:
        return None
    means = {arm: np.mean([values[arm] for _, values in made], axis=0) for arm in arms}
    return Part(tuple(scale for scale, _ in made), means, clusters)


def _best(rows: Sequence[Sequence[float | None]]) -> Array:
    """The best score of each prompt; NaN where any completion has none, as in the curves over k."""
    return np.array([max(row) if _all_known(row) else np.nan for row in rows], dtype=np.float64)


def _all_known(row: Sequence[float | None]) -> TypeGuard[Sequence[float]]:
    return all(is_number(value) for value in row)
