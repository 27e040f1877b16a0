"""Where it changed: sentences with links to the prompts, a dot plot of tags and topics, and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from evalkit.metrics.summary import MeasureChange, PartChange, PromptChange, Summary, WhereChanged
from evalkit.plumbing.arrays import JSON, is_number
from evalkit.plumbing.prose import short, showable
from evalkit.report.content.content import ReportContent
from evalkit.report.html.render import sentence
from evalkit.report.plots import figures, markers
from evalkit.report.plots.grouped_dots import Dot, Series, grouped_dots, upright
from evalkit.report.verdicts.where_changed import (
    PartSentence,
    PromptSentence,
    arm_stories,
    family_words,
    measure_words,
    prompt_value,
    rest_of,
)
from evalkit.report.wording import interval_text, interval_words, label, p_text, value_text

ROWS = 24
"""Tags and topics that the chart has; the table has all."""
LINKS = 12
"""Prompts that are linked to from a sentence."""
LONGEST = 28
"""Letters of a name beside the chart."""
EVERY = "all prompts"
UNRESERVED = "-_.!~*'()"
"""What the sample browser's addresses leave as it is, as JavaScript's encodeURIComponent does."""


@dataclass(frozen=True, slots=True)
class Link:
    """A prompt, and how far it went."""

    prompt: str
    address: str
    value: str


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence, and prompts that it is about."""

    text: str
    links: tuple[Link, ...]
    """Those that changed most first."""
    more: int
    """Prompts that are not linked to."""


@dataclass(frozen=True, slots=True)
class ArmView:
    arms: tuple[str, ...]
    """One, or several of which the same nothing is said."""
    baseline: str
    told: tuple[Told, ...]
    nothing: str


@dataclass(frozen=True, slots=True)
class Row:
    """One arm, measure and part, in words."""

    arm: str
    metric: str
    part: str
    prompts: str
    value: str
    interval: str
    rest: str
    p: str
    stands_out: bool


@dataclass(frozen=True, slots=True)
class WhereView:
    """What the template prints."""

    arms: tuple[ArmView, ...]
    family: str
    options: tuple[str, ...]
    """The measures that the chart can show; empty where there is no chart."""
    rows: tuple[Row, ...]
    left_out: int
    """Tags and topics that the chart has no room for."""
    has_tags: bool
    has_topics: bool


def where_view(content: ReportContent) -> WhereView | None:
    """None where nothing is compared, or nothing could be tested."""
    where = content.summary.where_changed
    stories = arm_stories(where)
    if where is None or not stories:
        return None
    gaps, parts = _gaps(content.summary), where.changes[0].parts
    prompts = {(part.kind, part.name): part.prompts for part in content.summary.parts}
    arms = [
        ArmView(
            (story.arm,),
            story.baseline,
            (
                *(_told_of_part(each, prompts.get((each.part.kind, each.part.name), ()), gaps) for each in story.parts),
                *(_told_of_prompts(each) for each in story.prompts),
            ),
            story.nothing,
        )
        for story in stories
    ]
    return WhereView(
        _together(arms),
        family_words(where),
        tuple(label(metric) for metric in _metrics(where)) if parts else (),
        tuple(_row(change, part) for change in where.changes for part in change.parts),
        max(0, len(parts) - ROWS),
        any(part.kind == "tag" for part in parts),
        any(part.kind == "topic" for part in parts),
    )


def _together(arms: Sequence[ArmView]) -> tuple[ArmView, ...]:
    """Arms without anything to tell stand where the first of them does."""
    views: dict[object, ArmView] = {}
    for place, view in enumerate(arms):
        key = place if view.told else (view.baseline, view.nothing)
        before = views.get(key)
        views[key] = view if before is None else replace(before, arms=(*before.arms, *view.arms))
    return tuple(views.values())


Gaps = dict[tuple[str, str], dict[str, float]]
"""(measure, arm) -> prompt -> difference to the baseline."""


def _gaps(summary: Summary) -> Gaps:
    known = {(each.metric, each.arm): each.values for each in summary.estimates}
    gaps: Gaps = {}
    for change in summary.where_changed.changes if summary.where_changed else ():
        here, there = known.get((change.metric, change.arm)), known.get((change.metric, change.baseline))
        if here and there:
            rows = zip(summary.prompts, here, there, strict=True)
            gaps[change.metric, change.arm] = {
                prompt: one - other for prompt, one, other in rows if one is not None and other is not None
            }
    return gaps


def _told_of_part(told: PartSentence, prompts: Sequence[str], gaps: Gaps) -> Told:
    """With its prompts, those first that went furthest the way that the part went against the rest."""
    of_prompts = gaps.get((told.change.metric, told.change.arm), {})
    part = told.part
    sign = 1 if (part.value or 0.0) >= (part.rest or 0.0) else -1
    known = sorted((prompt for prompt in prompts if prompt in of_prompts), key=lambda one: -sign * of_prompts[one])
    links = [_link(prompt, _signed(of_prompts[prompt])) for prompt in known[:LINKS]]
    return Told(told.text, tuple(links), len(known) - len(links))


def _told_of_prompts(told: PromptSentence) -> Told:
    links = [_link(each.prompt, _prompt_words(each)) for each in told.change.prompts[:LINKS]]
    return Told(f"{told.text}.", tuple(links), len(told.change.prompts) - len(links))


def _prompt_words(change: PromptChange) -> str:
    return f"{prompt_value(change)}, {_signed(change.low)} to {_signed(change.high)}"


def _signed(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−")


def _link(prompt: str, value: str) -> Link:
    return Link(prompt, f"#prompt-{quote(showable(prompt), safe=UNRESERVED)}", value)


def _row(change: MeasureChange, part: PartChange) -> Row:
    return Row(
        change.arm,
        label(change.metric),
        part.name,
        f"{part.prompts:,}",
        value_text(part, signed=True),
        interval_text(part),
        value_text(rest_of(part), signed=True),
        p_text(part.p_adjusted).removeprefix("p ").removeprefix("= "),
        part.stands_out,
    )


def where_figures(summary: Summary) -> JSON:
    """For the selector: a figure for each measure; None where there are no parts to draw."""
    where = summary.where_changed
    if where is None or not arm_stories(where) or not where.changes[0].parts:
        return None
    return {"first": 0, "prompts": [_figure(summary, where, metric) for metric in _metrics(where)]}


def _metrics(where: WhereChanged) -> list[str]:
    return list(dict.fromkeys(change.metric for change in where.changes))


def _figure(summary: Summary, where: WhereChanged, metric: str) -> JSON:
    changes = [change for change in where.changes if change.metric == metric]
    parts = _drawn_parts(changes)
    numbers, symbols = markers.numbers(summary), markers.symbols(summary)
    series = [
        Series(
            f"{change.arm} − {change.baseline}",
            numbers.get(change.arm, 0),
            symbols.get(change.arm, "circle"),
            (_whole_dot(change), *(_part_dot(change.parts[at]) for at in parts)),
        )
        for change in changes
    ]
    names = [EVERY, *(_named(changes[0].parts[at]) for at in parts)]
    better = changes[0].better
    turned = {"autorange": "reversed"} if better == "lower" else {}
    title = f"{figures.shown(label(metric))}: difference to the baseline ({figures.direction(changes[0].side)} →)"
    axis = turned | {"title": {"text": title}}
    figure = grouped_dots(names, series, axis)
    figure["layout"]["shapes"] += [upright(0.0), *(_overall(change, numbers) for change in changes)]
    says = "; ".join(
        f"{change.arm} against {change.baseline} {value_text(change, signed=True)} ({interval_words(change)})"
        for change in changes
    )
    return {
        "text": f"Difference in {measure_words(changes[0])}",
        "says": sentence(f"Over all prompts: {says}."),
        "figure": figure,
    }


def _drawn_parts(changes: Sequence[MeasureChange]) -> list[int]:
    """Places of the parts that are drawn: the surest of any arm, ordered by what the first arm did there."""
    places = range(len(changes[0].parts))
    surest = {at: min((p for c in changes if is_number(p := c.parts[at].p)), default=2.0) for at in places}
    kept = sorted(surest, key=lambda at: surest[at])[:ROWS]
    known = [at for at in kept if any(is_number(change.parts[at].value) for change in changes)]
    return sorted(known, key=lambda at: changes[0].parts[at].value or 0.0)


def _named(part: PartChange) -> str:
    return f"{short(part.name, LONGEST)} ({part.prompts:,})"


def _whole_dot(change: MeasureChange) -> Dot | None:
    if not is_number(change.value):
        return None
    return Dot(change.low, change.value, change.high, f"{value_text(change, signed=True)}, {interval_words(change)}")


def _part_dot(part: PartChange) -> Dot | None:
    if not is_number(part.value):
        return None
    p = p_text(part.p_adjusted)
    rest = [f"the rest {value_text(rest_of(part), signed=True)}", *([f"adjusted {p}"] if p else [])]
    hover = f"{value_text(part, signed=True)}, {interval_words(part)}<br>{'; '.join(rest)}"
    return Dot(part.low, part.value, part.high, hover, part.stands_out)


def _overall(change: MeasureChange, numbers: dict[str, int]) -> figures.Figure:
    """A dotted line at what the arm did over all prompts."""
    line = {"color": markers.themed(numbers.get(change.arm, 0)), "width": 1.5, "dash": "dot"}
    return upright(change.value or 0.0) | {"line": line, "layer": "below"}
