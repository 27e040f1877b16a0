"""Two sides, metric by metric: B minus A, paired by prompt. What `evalkit compare` says; nothing is allowed or refused.

Unlike the gate it asks no policy, and its family for Holm's correction is what it was asked to show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.analysis.clusters import shared_clusters
from evalkit.analysis.effects import Outcome, is_plain, outcome
from evalkit.analysis.estimates import compare_arms, corrected, estimate_arms, remeasured
from evalkit.analysis.where_changed import headline_measures, where_changed
from evalkit.errors import Incomparable, InputError
from evalkit.gate.baselines import find_side, read_side
from evalkit.gate.common_prompts import common_of
from evalkit.gate.decide import values_of
from evalkit.gate.sides import Pair, Side, estimates_of, is_one_text, named, unlike_prompts
from evalkit.metrics.registry import is_by_prompt
from evalkit.metrics.summary import Difference, Estimate, WhereChanged
from evalkit.metrics.word_use import WordChange
from evalkit.plumbing.prose import counted
from evalkit.records import Arm
from evalkit.report.verdicts.joint import forms_for_all
from evalkit.report.wording import unlike_fields
from evalkit.runs.asked import Common, common_to, few


@dataclass(frozen=True, slots=True)
class NamedSide:
    """One of the two: a side, and the arm that was named with it."""

    side: Side
    arm: str | None = None


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric. Values are means over the prompts that both sides have."""

    metric: str
    a: Estimate | None
    b: Estimate | None
    difference: Difference | None
    """B minus A; None where the two must not be compared."""
    outcome: Outcome | None
    why_not: str
    """Why there is no difference; else empty."""


@dataclass(frozen=True, slots=True)
class PairRows:
    """Two arms."""

    a: str
    b: str
    rows: tuple[MetricRow, ...]
    where_changed: WhereChanged | None = None
    """On which prompts B differs from A most; None where no measure of diversity or quality is compared."""
    words: WordChange | None = None
    """What B says more and less than A, where A is B's baseline in one run."""


@dataclass(frozen=True, slots=True)
class SideComparison:
    """All pairs of arms of two sides."""

    a: str
    b: str
    """The sides, as the user called them."""
    common: Common
    """The prompts that both asked alike, and those that are left out."""
    clusters: tuple[str, ...]
    """The cluster of each that both asked; empty: each is its own."""
    tests: int
    """Differences with a p-value, over which Holm corrects (each variant is a family)."""
    pairs: tuple[PairRows, ...]


def read_named_side(given: str) -> NamedSide:
    """`RUN` or `RUN:ARM`, RUN as in `read_side`; names may hold colons. Raises `RecordsError`, `InputError`."""
    if find_side(given) is None:
        pieces = given.split(":")
        for cut in range(len(pieces) - 1, 0, -1):
            run, arm = ":".join(pieces[:cut]), ":".join(pieces[cut:])
            if find_side(run) is not None:
                return named_side(read_side(run), arm)
    return NamedSide(read_side(given))


def named_side(side: Side, arm: str) -> NamedSide:
    """One arm of a side. Raises `InputError` where it has none of the name."""
    known = [member.name for member in side.summary.arms]
    if arm not in known:
        raise InputError(f"{side.name} has no arm {arm!r}; it has {', '.join(known) or 'none'}")
    return NamedSide(side, arm)


def compare_sides(
    a: NamedSide, b: NamedSide, metrics: Sequence[str] = (), common_prompts: bool = False
) -> SideComparison:
    """Every plain metric, or those named, on the prompts that both sides asked.

    `common_prompts`: where they did not ask the same, on those that are. Raises `Incomparable` where nothing can be
    paired, `InputError` on a metric that neither side has.
    """
    common = _common(a.side, b.side, common_prompts)
    shared = common.prompts
    sides = (a.side, b.side)
    clusters = shared_clusters(shared, [side.name for side in sides], [side.summary for side in sides])
    pairs = _pairs(a, b)
    estimates = [
        (
            _only(estimates_of(a.side.summary, arm), a.side, shared),
            _only(estimates_of(b.side.summary, against), b.side, shared),
        )
        for arm, against in pairs
    ]
    wanted = _wanted({name: e for here, there in estimates for name, e in (here | there).items()}, metrics)
    rows = [
        [
            _row(name, here.get(name), there.get(name), common, clusters, a, b)
            for name in wanted
            if name in here or name in there
        ]
        for here, there in estimates
    ]
    adjusted = iter(corrected([row.difference for of_pair in rows for row in of_pair if row.difference]))
    rows = [[_judged(row, next(adjusted)) if row.difference else row for row in of_pair] for of_pair in rows]
    return SideComparison(
        a.side.name,
        b.side.name,
        common,
        clusters,
        sum(row.difference is not None and row.difference.p is not None for of_pair in rows for row in of_pair),
        tuple(
            PairRows(
                *pair,
                tuple(of_pair),
                _where(of_pair, sides, known, common, clusters, bool(metrics)),
                _words(pair, a, b),
            )
            for pair, of_pair, known in zip(pairs, rows, estimates, strict=True)
        ),
    )


def _where(
    rows: Sequence[MetricRow],
    sides: tuple[Side, Side],
    known: tuple[Mapping[str, Estimate], Mapping[str, Estimate]],
    common: Common,
    clusters: Sequence[str],
    is_named: bool,
) -> WhereChanged | None:
    """Of the headline measures; of all that were named, where any were."""
    compared = [row.metric for row in rows if row.difference is not None]
    forms = {name: name for name in compared} if is_named else forms_for_all(sides[1].summary)
    here, there = known
    chosen = headline_measures([there[name] for name in here if name in there], forms)
    pairs = [
        (replace(there[name], arm="B"), replace(here[name], arm="A"))
        for name in chosen
        if here[name].signature == there[name].signature
    ]
    parts = max((side.summary.parts for side in reversed(sides)), key=len)
    return where_changed(pairs, common.prompts, parts, clusters) if pairs else None


def _words(pair: Pair, a: NamedSide, b: NamedSide) -> WordChange | None:
    """As their run has it: words are counted in completions, which no summary holds."""
    use = b.side.summary.words
    if use is None or a.side.summary != b.side.summary:
        return None
    return next((change for change in use.changes if (change.baseline, change.arm) == pair), None)


def _common(a: Side, b: Side, common_prompts: bool) -> Common:
    if common_prompts:
        common = common_of(a, b)
    elif reason := unlike_prompts(a, b):
        raise Incomparable(reason)
    else:
        common = common_to(dict.fromkeys(a.summary.prompts, ""), dict.fromkeys(b.summary.prompts, ""))
    if not common.prompts:
        raise Incomparable(f"prompts: {a.name} and {b.name} have none in common, so that nothing can be paired")
    return common


def _pairs(a: NamedSide, b: NamedSide) -> list[Pair]:
    """(arm of A, arm of B): those named; else those of equal names; in one run each arm with its own baseline."""
    if a.arm is not None or b.arm is not None:
        return [(a.arm or _counterpart(b.arm, a), b.arm or _counterpart(a.arm, b))]
    if a.side.summary == b.side.summary:
        return _with_baselines(a.side)
    if is_one_text(a.side.summary) and is_one_text(b.side.summary):
        return [(a.side.summary.arms[0].name, b.side.summary.arms[0].name)]
    here, there = _compared(a.side), _compared(b.side)
    pairs = [(name, name) for name in here if name in there]
    if not pairs:
        raise Incomparable(
            f"arm: {a.side.name} has {', '.join(here)}, {b.side.name} has {', '.join(there)}, and none of the same "
            "name: say which are compared, as in RUN:ARM"
        )
    return pairs


def _with_baselines(side: Side) -> list[Pair]:
    """Each arm with its own baseline, which is A."""
    pairs = [(arm.baseline, arm.name) for arm in side.summary.arms if arm.baseline is not None]
    if not pairs:
        raise Incomparable(
            f"arm: {side.name} has {', '.join(arm.name for arm in side.summary.arms)}, and none with a baseline: say "
            "which are compared, as in RUN:ARM"
        )
    return pairs


def _counterpart(arm: str | None, side: NamedSide) -> str:
    """The arm of the same name, or the only one that is compared with a baseline."""
    names = [member.name for member in side.side.summary.arms]
    if arm in names:
        return str(arm)
    if len(_compared(side.side)) == 1:
        return _compared(side.side)[0]
    raise Incomparable(
        f"arm: {side.side.name} has no arm {arm!r}; it has {', '.join(names)}: say which is compared, as in RUN:ARM"
    )


def _compared(side: Side) -> list[str]:
    """Its arms but the baselines, unless it has no others: the same base sampled twice says nothing of a tuning."""
    arms = side.summary.arms
    return [arm.name for arm in arms if arm.baseline is not None] or [arm.name for arm in arms]


def _wanted(known: Mapping[str, Estimate], metrics: Sequence[str]) -> list[str]:
    if not metrics:
        return [name for name in known if is_plain(name)]
    return list(dict.fromkeys(named(known, name, "--metric names") for name in metrics))


def _only(estimates: Mapping[str, Estimate], side: Side, shared: Sequence[str]) -> dict[str, Estimate]:
    """The estimates with the values of the shared prompts alone."""
    index_of = {prompt: index for index, prompt in enumerate(side.summary.prompts)}
    indices = [index_of[prompt] for prompt in shared]

    def only(values: Sequence[float | None]) -> tuple[float | None, ...]:
        return tuple(values[index] for index in indices) if values else ()

    return {name: replace(e, values=only(e.values), errors=only(e.errors)) for name, e in estimates.items()}


def _row(
    name: str,
    a: Estimate | None,
    b: Estimate | None,
    common: Common,
    clusters: Sequence[str],
    left: NamedSide,
    right: NamedSide,
) -> MetricRow:
    if a is None or b is None:
        known = a or b
        missing = left if a is None else right
        alone = _alone(known, clusters) if known else None
        return MetricRow(
            name, alone if a else None, alone if b else None, None, None, f"{missing.side.name} has not got it"
        )
    if not common.is_all and not is_by_prompt(name):
        return MetricRow(name, None, None, None, None, "it is of all the prompts of a run at once, and these differ")
    if a.signature != b.signature:
        why = f"measured in another way: {unlike_fields(b.signature, a.signature)}"
        return MetricRow(name, _alone(a, clusters), _alone(b, clusters), None, None, why)
    arms = [Arm("a", "a", None, None, None), Arm("b", "b", None, None, "a")]
    measured = remeasured(a, {"a": values_of(a), "b": values_of(b)})
    mine, theirs = estimate_arms(measured, arms, clusters)
    [difference] = compare_arms(measured, arms, clusters)
    return MetricRow(name, mine, theirs, difference, None, "")


def _alone(estimate: Estimate, clusters: Sequence[str]) -> Estimate:
    measured = remeasured(estimate, {"x": values_of(estimate)})
    [alone] = estimate_arms(measured, [Arm("x", "x", None, None, None)], clusters)
    return alone


def _judged(row: MetricRow, difference: Difference) -> MetricRow:
    assert row.a is not None
    return replace(row, difference=difference, outcome=outcome(difference, row.a.better))


def left_out(comparison: SideComparison) -> str:
    """Which prompts take no part, in words; empty where all do."""
    common = comparison.common
    parts = [
        (common.only_here, f"only in {comparison.a}"),
        (common.only_there, f"only in {comparison.b}"),
        (common.changed, "that they asked otherwise under the same id"),
    ]
    left = [f"{counted(len(prompts), 'prompt')} {where} ({few(prompts)})" for prompts, where in parts if prompts]
    return f"left out: {', '.join(left)}" if left else ""
