"""Two summaries and a policy become a verdict: may this checkpoint ship? Pure.

Each metric of each pair of arms is judged by the paired differences of its prompts (`gate.stats.noninferiority`):

    pass          what was lost is shown to be within what is allowed
    regression    it is shown to be beyond
    inconclusive  the data cannot tell

The gate reports a regression when one metric has one. Holm's correction over the whole family keeps the probability of
any wrong "regression" at 1 - confidence. It passes only when EVERY metric passes; that needs no correction: where some
metric truly lost too much, the gate passes only if that metric's own test errs (an intersection-union test,
Berger 1982).

With a trade ("10 % may go if reward rises by 0.3") too much is lost where the wider margin is broken, or the narrow one
without the gain. Both claims are tested as what they are: the union by its larger p-value (Berger), the intersection by
twice its smaller one (Bonferroni). So a trade keeps both error rates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from evalkit.analysis.clusters import shared_clusters
from evalkit.analysis.intervals import by_cluster, holm
from evalkit.errors import InputError
from evalkit.gate.shares import Share, is_worse, share_of
from evalkit.gate.sides import Pair, Side, estimates_of, is_named, named, other_engines, refuse_incomparable, select
from evalkit.gate.stats.group_sequential import Look
from evalkit.gate.stats.noninferiority import (
    FEWEST_TELLING,
    Change,
    Tested,
    change,
    has_no_spread,
    prompts_needed,
    turned,
    weigh,
)
from evalkit.metrics.registry import is_by_prompt
from evalkit.metrics.summary import Estimate
from evalkit.plumbing.arrays import Array, defined_in_all, finite_or_none, nan_for_none
from evalkit.plumbing.prose import counted, listed
from evalkit.records import Margin, Unit
from evalkit.report.wording import label, percent
from evalkit.runs.asked import Common
from evalkit.suite.gate_policy import Inconclusive, Policy, Rule, Trade

_LARGEST = 1e100
"""No metric is larger; the square of what is could overflow."""
GateOutcome = Literal["pass", "regression", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One metric of one pair of arms."""

    metric: str
    arm: str
    against: str
    outcome: GateOutcome
    unit: Unit
    allowed: float
    """What may be lost, in `unit`."""
    change: float | None
    """Better upwards; a share of the baseline's mean where `unit` is relative, else in the metric's unit."""
    low: float | None
    high: float | None
    """Each is a bound that is wrong with probability 1 - confidence."""
    p_within: float | None
    p_beyond: float | None
    """Holm-adjusted over the family."""
    prompts: int
    units: int
    """Units of resampling: clusters of prompts, where prompts belong together, else as many as `prompts`."""
    needed: int | None
    """How many units of resampling would settle an inconclusive one; None where few units do not tell."""
    note: str
    """What else must be said, in a line; may be empty."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What the gate says of all."""

    outcome: GateOutcome
    judgements: tuple[Judgement, ...]
    """Regressions first, then what cannot be told, then what passes; in the summary's order within each."""
    confidence: float
    new: str
    old: str
    """The two places that were compared."""
    suite: str = ""
    notes: tuple[str, ...] = ()
    """What must be said of the two as a whole, a sentence each."""
    common: Common | None = None
    """By which prompts they were judged, where only the common ones count."""

    def counted(self, outcome: GateOutcome) -> int:
        return sum(judgement.outcome == outcome for judgement in self.judgements)


@dataclass(frozen=True, slots=True)
class _Case:
    """One metric of one pair, ready to be judged: one value a unit of resampling, turned so that more is better."""

    metric: str
    pair: Pair
    rule: Rule
    new: Array
    base: Array
    prompts: int
    """Prompts that both sides have a number for."""
    missing: int
    """Prompts that only one side has a number for."""
    gain: tuple[Array, Array] | None
    """(new, base) of what a trade asks for, turned; None without a trade."""
    is_of_others: bool
    """Whether it is of all prompts at once, and some were left out: then it has no values."""
    share: Share
    """Whether what may be lost is a share of anything."""
    means: tuple[float, float]
    """(new, base), as they are."""


def decide(new: Side, old: Side, pairs: Sequence[Pair], policy: Policy, common: Common | None = None) -> GateDecision:
    """The verdict on all pairs of arms.

    A new side that was stopped at a look is judged on the prompts it asked, by that look's levels. `common`: what the
    sides were cut to (`common.on_common_prompts`); too small a share of the prompts is no pass of the suite. Raises
    `Incomparable` with every reason, `InputError` on a bad rule.
    """
    look = new.look
    whole = old
    if look is not None:
        old = old.only(new.summary.prompts)
    refuse_incomparable(new, old, pairs, policy)
    clusters = shared_clusters(new.summary.prompts, (new.name, old.name), (new.summary, old.summary))
    every_case = [case for pair in pairs for case in _cases(new, old, whole, pair, policy, clusters)]
    cases = [case for case in every_case if case.share == "of something"]
    tested = [_tested(case, look.fraction if look else 1.0) for case in cases]
    beyond = holm(np.array([test.beyond for test in tested]))
    adjusted = [replace(test, beyond=float(p)) for test, p in zip(tested, beyond, strict=True)]
    levels = _levels(policy.alpha, max(len(cases), 1), look)
    judgements = [
        _judgement(case, corrected, raw, policy, levels, len(cases))
        for case, corrected, raw in zip(cases, adjusted, tested, strict=True)
    ]
    unstated, set_aside = _of_nothing([case for case in every_case if case.share != "of something"], policy)
    judgements += unstated
    if not judgements:
        raise InputError(f"there is nothing to judge: {'; '.join(set_aside)}")
    if common is not None:
        judgements = [_held_back(judgement, common) for judgement in judgements]
    order: tuple[GateOutcome, ...] = ("regression", "inconclusive", "pass")
    ranked = tuple(sorted(judgements, key=lambda judgement: order.index(judgement.outcome)))
    notes = (*other_engines(new.summary, old.summary, pairs), *set_aside)
    return GateDecision(
        ranked[0].outcome, ranked, policy.confidence, new.name, old.name, new.summary.suite, notes, common
    )


def exit_code(verdict: GateDecision, inconclusive: Inconclusive) -> int:
    """0 pass, 1 regression, 3 cannot be told (or what `inconclusive` makes of it)."""
    undecided = {"report": 3, "pass": 0, "fail": 1}[inconclusive]
    return {"pass": 0, "regression": 1, "inconclusive": undecided}[verdict.outcome]


def _held_back(judgement: Judgement, common: Common) -> Judgement:
    """A pass on few of the prompts says nothing of the suite; a loss on them is one all the same."""
    if judgement.outcome != "pass" or common.is_enough:
        return judgement
    note = (
        f"passes on the {counted(len(common.prompts), 'common prompt')}, {percent(common.share)} of the larger side's; "
        f"a pass of the suite needs {percent(common.least)}"
    )
    return replace(judgement, outcome="inconclusive", note="; ".join(filter(None, (note, judgement.note))))


def _cases(new: Side, old: Side, whole: Side, pair: Pair, policy: Policy, clusters: tuple[str, ...]) -> list[_Case]:
    """`whole`: the old side with the prompts that a run which was stopped early has not asked."""
    here, there = estimates_of(new.summary, pair[0]), estimates_of(old.summary, pair[1])
    is_part = new.is_part or old.is_part
    cases = []
    for metric, rule in select(there, policy).items():
        share = _share(metric, pair, rule, new, old, whole, clusters, policy.alpha)
        is_of_others = is_part and not is_by_prompt(metric)
        cases.append(_case(metric, pair, rule, here, there, clusters, is_of_others, share))
    return cases


def _share(
    metric: str, pair: Pair, rule: Rule, new: Side, old: Side, whole: Side, clusters: tuple[str, ...], alpha: float
) -> Share:
    """Told of all that the old side asked: what is judged must not change from look to look of one run.

    A rule that names the metric is held to it, whatever its values are.
    """
    if is_named(estimates_of(old.summary, pair[1]), rule, metric):
        return "of something"
    mine, theirs, every = (
        values_of(estimates_of(side.summary, arm)[metric])
        for side, arm in ((new, pair[0]), (old, pair[1]), (whole, pair[1]))
    )
    base = np.where(np.isnan(mine), np.nan, theirs)
    so_far = _allowed_of(rule, base if not np.isnan(base).all() else theirs, clusters, alpha)
    if new.look is None or new.look.fraction >= 1:
        return so_far
    if len(every) == len(theirs):
        return so_far if so_far == "of something" else "not known yet"
    share = _allowed_of(rule, every, whole.summary.clusters, alpha)
    return "not known yet" if share == "of something" != so_far else share


def _allowed_of(rule: Rule, base: Array, clusters: tuple[str, ...], alpha: float) -> Share:
    """What is no share of the mean may be lost of nothing too."""
    share = share_of(base, clusters, alpha)
    return "of something" if share == "of nothing" and rule.allow.relative is None else share


def _case(
    metric: str,
    pair: Pair,
    rule: Rule,
    here: Mapping[str, Estimate],
    there: Mapping[str, Estimate],
    clusters: Sequence[str],
    is_of_others: bool,
    share: Share,
) -> _Case:
    better = rule.better or there[metric].better
    if better == "neither":
        raise InputError(
            f"the policy names metric {metric!r}, which is neither better high nor low; add `better` there"
        )
    new, base = values_of(here[metric]), values_of(there[metric])
    both = ~np.isnan(new) & ~np.isnan(base)
    if share == "of something" and rule.allow.relative is not None and both.any() and base[both].mean() <= 0:
        raise InputError(
            f"the policy allows a share of {metric!r}, whose mean is {base[both].mean():.3g}: a share of what is not "
            "above 0 means nothing; allow an absolute loss"
        )
    gain = None
    if rule.trade is not None:
        traded = named(there, rule.trade.metric)
        gain = _gain(here[traded], there[traded], clusters)
    mine, theirs = (turned(side, better) for side in _paired(new, base, clusters))
    means = (float(new[both].mean()), float(base[both].mean())) if both.any() else (math.nan, math.nan)
    missing = int((np.isnan(new) != np.isnan(base)).sum())
    return _Case(metric, pair, rule, mine, theirs, int(both.sum()), missing, gain, is_of_others, share, means)


def _of_nothing(cases: Sequence[_Case], policy: Policy) -> tuple[list[Judgement], list[str]]:
    """Of measures whose allowance is a share of nothing: those that cannot be told, and why the others are set aside.

    None is a regression, since nobody has said how much of it may be lost. Set aside is what did not get worse, by a
    test at the level that so many measures leave each.
    """
    unstated: list[Judgement] = []
    nothing, undefined = [], []
    for case in cases:
        name = f"{label(case.metric)} of {case.pair[0]}"
        means = f"{case.means[0]:.3g} against {case.means[1]:.3g}"
        if case.share == "not known yet":
            unstated.append(_unstated(case, f"so far nothing that a share could be lost of ({means})"))
        elif case.share == "of the undefined":
            undefined.append(name)
        elif is_worse(case.new, case.base, policy.alpha / len(cases)):
            why = f"got worse ({means}), and a share of the baseline's mean is one of nothing"
            unstated.append(_unstated(case, f"{why}; allow {case.metric} an absolute loss in a policy"))
        else:
            nothing.append(f"{name} ({means})")
    return unstated, [
        f"not judged: {listed(names)}; {why}"
        for names, why in (
            (nothing, "the baseline's mean is not above 0, and a share of nothing may be lost; a policy judges them by "
                      "an absolute loss"),
            (undefined, "not defined on any prompt of the baseline"),
        )
        if names
    ]  # fmt: skip


def _unstated(case: _Case, note: str) -> Judgement:
    margin = case.rule.allow.margin
    return Judgement(
        case.metric, *case.pair, "inconclusive", margin.unit, margin.size, None, None, None, None, None,
        case.prompts, len(case.new), None, note,
    )  # fmt: skip


def _gain(new: Estimate, base: Estimate, clusters: Sequence[str]) -> tuple[Array, Array]:
    if new.better == "neither":
        raise InputError(f"the policy trades for {new.metric!r}, which is neither better high nor low")
    here, there = _paired(values_of(new), values_of(base), clusters)
    return turned(here, new.better), turned(there, new.better)


def _paired(new: Array, base: Array, clusters: Sequence[str]) -> tuple[Array, Array]:
    """One value a unit of resampling, of the prompts that both sides have a number for."""
    new, base = by_cluster(defined_in_all([new, base]), clusters)
    return new[~np.isnan(new)], base[~np.isnan(base)]


def values_of(estimate: Estimate) -> Array:
    """One a prompt, NaN where undefined."""
    values = nan_for_none(estimate.values)
    return np.where(np.abs(values) <= _LARGEST, values, np.nan)


@dataclass(frozen=True, slots=True)
class _Levels:
    """What p-values are held against; `beyond` is for Holm-adjusted ones."""

    within: float
    beyond: float


def _levels(alpha: float, family: int, look: Look | None) -> _Levels:
    """At a look each test has a boundary of its own; Holm's first step, which decides the whole, is the family's share.

    So an adjusted p-value, `family` times the smallest, is held against `family` times that share's boundary.
    """
    if look is None:
        return _Levels(alpha, alpha)
    return _Levels(look.level(alpha), family * look.level(alpha / family))


def _tested(case: _Case, fraction: float) -> Tested:
    lost = _weighed(case, case.rule.allow.margin, fraction)
    if case.rule.trade is None or case.gain is None:
        return lost
    wider = _weighed(case, case.rule.trade.allow.margin, fraction)
    return _traded(lost, wider, _gained(case.gain, case.rule.trade))


def _weighed(case: _Case, margin: Margin, fraction: float) -> Tested:
    """Standard errors are those of all the data that are planned: so far they are larger, and fewer are allowed."""
    if margin.unit == "standard_errors":
        margin = Margin(margin.unit, margin.size * math.sqrt(fraction))
    return weigh(case.new, case.base, margin)


def _gained(gain: tuple[Array, Array], trade: Trade) -> Tested:
    """`within`: of "less was gained than asked"; a gain is a loss whose margin lies on the other side of 0."""
    return weigh(*gain, Margin("absolute", -trade.gain))


def _traded(lost: Tested, wider: Tested, gained: Tested) -> Tested:
    return Tested(
        within=max(wider.within, _either(lost.within, gained.within)),
        beyond=max(lost.beyond, _either(wider.beyond, gained.beyond)),
    )


def _either(first: float, second: float) -> float:
    """The p-value of "neither holds" (Bonferroni); what cannot be tested proves nothing."""
    return min(1.0, 2 * float(np.fmin(first, second)))


def _judgement(case: _Case, tested: Tested, alone: Tested, policy: Policy, levels: _Levels, family: int) -> Judgement:
    margin = case.rule.allow.margin
    outcome = _outcome(case, tested, levels)
    moved = change(case.new, case.base, margin.unit, policy.alpha) if len(case.new) else Change(*(math.nan,) * 3)
    unsettled = outcome == "inconclusive" and not math.isnan(tested.within)
    return Judgement(
        metric=case.metric,
        arm=case.pair[0],
        against=case.pair[1],
        outcome=outcome,
        unit=margin.unit,
        allowed=margin.size,
        change=finite_or_none(moved.value),
        low=finite_or_none(moved.low),
        high=finite_or_none(moved.high),
        p_within=finite_or_none(tested.within),
        p_beyond=finite_or_none(tested.beyond),
        prompts=case.prompts,
        units=len(case.new),
        needed=prompts_needed(case.new, case.base, margin, policy.alpha, family) if unsettled else None,
        note="; ".join(
            filter(
                None,
                (
                    _note(case, tested, outcome),
                    _why_not_sure(outcome, alone, policy, levels, family),
                    _why_no_number(case) if unsettled else "",
                ),
            )
        ),
    )


def _outcome(case: _Case, tested: Tested, levels: _Levels) -> GateOutcome:
    if tested.beyond <= levels.beyond:
        return "regression"
    return "pass" if tested.within <= levels.within and not case.missing else "inconclusive"


def _note(case: _Case, tested: Tested, outcome: GateOutcome) -> str:
    if case.is_of_others:
        return (
            "it is of all the prompts of a run at once, and some are left out: it can be told on the same prompts alone"
        )
    if not len(case.new):
        return "undefined on every prompt"
    if len(case.new) == 1:
        what = "prompt" if case.prompts == 1 else "cluster"
        return f"defined on one {what} alone: nothing says how much {what}s vary"
    if has_no_spread(case.new, case.base):
        asked = "is it the same run twice, or at a bound?"
        return f"the difference is the same on every prompt: nothing to judge it by ({asked})"
    if math.isnan(tested.within):
        return "what is tested is the same on every prompt: nothing to judge it by"
    if case.missing:
        return f"{case.missing} prompts have a number on one side only; they are left out, so this cannot pass"
    trade = case.rule.trade
    return f"judged with a trade: {trade.metric} must rise by {trade.gain:g}" if trade and outcome != "pass" else ""


def _why_no_number(case: _Case) -> str:
    """Why it is not said how many prompts would settle it."""
    if len(case.new) >= FEWEST_TELLING:
        return ""
    what = counted(len(case.new), "prompt" if len(case.new) == case.prompts else "cluster")
    return f"{what} are too few to tell how many would settle it; ask {FEWEST_TELLING} or more"


def _why_not_sure(outcome: GateOutcome, alone: Tested, policy: Policy, levels: _Levels, family: int) -> str:
    """Why a measure whose interval lies beyond what is allowed is none the less no regression.

    The interval is of this measure by itself. A regression is held against the level that Holm's correction leaves it
    and, at a look, against that look's boundary.
    """
    if outcome != "inconclusive" or not alone.beyond <= policy.alpha:
        return ""
    if alone.beyond <= levels.within:
        return (
            f"by itself beyond what is allowed; not sure enough for one of {counted(family, 'measure')} judged "
            "together (Holm's correction)"
        )
    return "by itself beyond what is allowed; not sure enough for a run that was stopped early"
