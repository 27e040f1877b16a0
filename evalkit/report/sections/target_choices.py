"""Choices against the law that a prompt states: every choice of every prompt at once, and one prompt at a time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.analysis.figure_data import ChoiceShares
from evalkit.plumbing.arrays import JSON
from evalkit.plumbing.prose import counted, listed, short
from evalkit.records import Arm, Prompt
from evalkit.report.content.content import ReportContent
from evalkit.report.html.render import sentence
from evalkit.report.plots import figures
from evalkit.report.plots import markers as signs

BAR, LOW_BAR, GAP, FEET = 19, 15, 14, 70
"""Pixels: an arm's bar, one where choices are many, the room between two choices, and the axis."""
FEW = 4
SIDE = 215
"""Height of one arm's square in the overview."""
LONGEST = 60
"""Characters of a prompt in the selector."""
NEAR = 0.36
"""Of the longest bar: a mark so little beyond a bar's end would run through the bar's label on a narrow screen."""
UNIT = "\u00a0%"
EN = "\u2002"
"""An en space, between a bar's end, or a mark on it, and its label."""


@dataclass(frozen=True, slots=True)
class Given:
    """What one arm makes of one prompt's choices."""

    arm: str
    shares: Mapping[str, float]
    """Choice -> probability; those of all other answers are not in it."""
    is_exact: bool
    """Read from the law, not counted among completions."""
    draws: int

    def missed(self, target: Mapping[str, float]) -> float:
        """Total variation: the share of this arm's answers that would have to be others."""
        others = max(0.0, 1 - sum(self.shares.values()))
        return (sum(abs(self.shares[choice] - asked) for choice, asked in target.items()) + others) / 2


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt with choices."""

    prompt: Prompt
    given: tuple[Given, ...]
    """In the order of the report's arms."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """One arm over all prompts: what stands above its square."""

    arm: str
    missed: str
    """Mean share of its answers that would have to be others."""
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Choices:
    """All that the section prints."""

    lead: str
    portraits: tuple[Portrait, ...]
    options: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    """(prompt, its choices as cells: choice, asked, each arm's share)."""
    arms: tuple[str, ...]


def choices(content: ReportContent) -> Choices | None:
    """None where no prompt has choices."""
    asked = read(content)
    arms = _arms(asked)
    if not arms:
        return None
    return Choices(
        lead=_lead(asked, arms),
        portraits=tuple(_portrait(asked, arm) for arm in arms),
        options=tuple(short(f"{one.prompt.id}: {one.prompt.text}", LONGEST) for one in asked),
        rows=tuple((one.prompt.id, tuple(_cells(one, arms))) for one in asked),
        arms=tuple(arms),
    )


def overview(content: ReportContent) -> dict[str, figures.Figure]:
    """Arm -> its square: asked to the right, given upwards."""
    asked, numbers = read(content), signs.numbers(content.summary)
    return {arm: _square(asked, arm, numbers[arm]) for arm in _arms(asked)}


def one_by_one(content: ReportContent) -> JSON:
    """For the selector: each prompt with its text, its figure and what it says; and which of them to show first."""
    asked = read(content)
    if not _arms(asked):
        return None
    numbers = signs.numbers(content.summary)
    moved = [_moved(one, content.summary.arms) for one in asked]
    return {
        "first": moved.index(max(moved)),
        "prompts": [
            {"text": one.prompt.text, "says": sentence(says(one)), "figure": _bars(one, numbers)} for one in asked
        ],
    }


def read(content: ReportContent) -> list[Asked]:
    """The prompts that state a law, in the summary's order, with what each arm makes of them."""
    prompts = {group.prompt.id: group.prompt for own in content.groups.values() for group in own}
    found: dict[str, dict[str, Given]] = {}
    for shares in content.evidence.choices:
        if shares.prompt in prompts:
            found.setdefault(shares.prompt, {})[shares.arm] = _given(shares, prompts[shares.prompt].choices)
    order = [arm.name for arm in content.summary.arms]
    return [
        Asked(prompts[name], tuple(found[name][arm] for arm in order if arm in found[name]))
        for name in content.summary.prompts
        if name in found
    ]


def says(asked: Asked) -> str:
    """`Asked for 51 to 49 (Cats to Dogs), base says 53 to 47 and ppo-0.1 says 97 to 3.`"""
    target = asked.prompt.choices
    if len(target) == 2:
        told = [f"{given.arm} says {_odds(given.shares, target)}" for given in asked.given]
        return f"Asked for {_odds(target, target)} ({' to '.join(target)}), {listed(told)}."
    best = max(target, key=lambda choice: target[choice])
    wanted = "each" if len(set(target.values())) == 1 else f"at the most ({best})"
    told = [f"{_most(given)} in {given.arm}" for given in asked.given]
    return f"Asked for {percent(target[best])} {wanted}; the likeliest answer is {listed(told)}."


def percent(share: float) -> str:
    """Whole percents, and never all or nothing where it is not."""
    if 0 < share < 0.005:
        return f"under 1{UNIT}"
    return f"over 99{UNIT}" if 0.995 <= share < 1 else f"{100 * share:.0f}{UNIT}"


def _odds(shares: Mapping[str, float], order: Mapping[str, float]) -> str:
    return " to ".join(percent(shares[choice]).removesuffix(UNIT) for choice in order)


def _most(given: Given) -> str:
    best = max(given.shares, key=lambda choice: given.shares[choice])
    return f"{best} with {percent(given.shares[best])}"


def _given(shares: ChoiceShares, choices: Iterable[str]) -> Given:
    drawn = {choice: count / max(1, shares.draws) for choice, count in shares.drawn.items()}
    known = shares.exact or drawn
    return Given(shares.arm, {choice: known.get(choice, 0.0) for choice in choices}, bool(shares.exact), shares.draws)


def _arms(asked: Sequence[Asked]) -> list[str]:
    return list(dict.fromkeys(given.arm for one in asked for given in one.given))


def _of(asked: Sequence[Asked], arm: str) -> list[tuple[Prompt, Given]]:
    return [(one.prompt, given) for one in asked for given in one.given if given.arm == arm]


def _lead(asked: Sequence[Asked], arms: Sequence[str]) -> str:
    """How sure of its likeliest answer an arm is, beside how sure it was asked to be."""
    wanted = statistics.fmean(max(one.prompt.choices.values()) for one in asked)
    told = [
        f"{percent(statistics.fmean(max(given.shares.values()) for _, given in _of(asked, arm)))} in {arm}"
        for arm in arms
    ]
    return (
        f"On average over {counted(len(asked), 'prompt')} the likeliest answer should have {percent(wanted)}; "
        f"the likeliest one has {listed(told)}."
    )


def _portrait(asked: Sequence[Asked], arm: str) -> Portrait:
    own = _of(asked, arm)
    missed = statistics.fmean(given.missed(prompt.choices) for prompt, given in own)
    return Portrait(arm, percent(missed), all(given.is_exact for _, given in own))


def _moved(asked: Asked, arms: Sequence[Arm]) -> float:
    """How far the prompt's law went from a baseline's, or from the stated one where nothing is compared."""
    found = {given.arm: given for given in asked.given}
    pairs = [(found[arm.name], found[arm.baseline].shares) for arm in arms
             if arm.name in found and arm.baseline in found]  # fmt: skip
    return max(
        (given.missed(home) for given, home in pairs),
        default=max(given.missed(asked.prompt.choices) for given in asked.given),
    )


def _cells(asked: Asked, arms: Sequence[str]) -> list[tuple[str, ...]]:
    found = {given.arm: given for given in asked.given}
    return [
        (choice, _exactly(target), *(_exactly(found[arm].shares[choice]) if arm in found else "–" for arm in arms))
        for choice, target in asked.prompt.choices.items()
    ]


def _exactly(share: float) -> str:
    return f"< 0.001{UNIT}" if 0 < share < 0.00001 else f"{100 * share:.3g}{UNIT}"


def _square(asked: Sequence[Asked], arm: str, number: int) -> figures.Figure:
    points = [(prompt, choice, target, given)
              for prompt, given in _of(asked, arm) for choice, target in prompt.choices.items()]  # fmt: skip
    whole = {"range": [-0.04, 1.04], "tickformat": ".0%", "dtick": 0.5, "automargin": True, "tickfont": {"size": 11}}
    symbol = signs.symbol(number)
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [target for _, _, target, _ in points],
        "y": [round(given.shares[choice], 6) for _, choice, _, given in points],
        "text": [figures.shown(f"{prompt.id}: {choice}") for prompt, choice, _, _ in points],
        "hovertemplate": "<b>%{text}</b><br>asked for %{x:.3p}, given %{y:.3p}<extra></extra>",
        "marker": {
            "color": signs.themed(number),
            "size": 8,
            "opacity": 0.7,
            "symbol": [symbol if given.is_exact else f"{symbol}-open" for *_, given in points],
        },
        "showlegend": False,
    }
    layout = figures.page_layout(
        height=SIDE,
        xaxis=figures.GRID | whole | {"title": {"text": "asked for", "font": {"size": 12}}},
        yaxis=figures.GRID | whole | {"title": {"text": "given", "font": {"size": 12}}},
        shapes=[_as_asked()],
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
    )
    return {"data": [trace], "layout": layout}


def _as_asked() -> figures.Figure:
    line = {"color": "var(--ink)", "width": 1, "dash": "dot"}
    return {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1, "line": line, "layer": "below"}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the bars of one prompt are drawn: a choice a band, an arm a bar in it."""

    bar: int
    """Pixels of a bar with the room to the next one."""
    arms: int
    reach: float
    """The largest probability that is drawn."""

    @property
    def band(self) -> int:
        """Pixels of a band with the room to the next one."""
        return self.bar * self.arms + GAP

    def height(self, row: int, arm: int) -> float:
        """Of an arm's bar, in bands from the middle of the first."""
        return row + (GAP / 2 + self.bar * (arm + 0.5)) / self.band - 0.5


def _place(asked: Asked) -> _Place:
    choices = asked.prompt.choices
    reach = max(*choices.values(), *(share for given in asked.given for share in given.shares.values()))
    return _Place(BAR if len(choices) <= FEW else LOW_BAR, len(asked.given), reach)


def _bars(asked: Asked, numbers: Mapping[str, int]) -> figures.Figure:
    """A choice a band, an arm a bar with its name; a line across the band is what was asked for."""
    target, place = list(asked.prompt.choices.items()), _place(asked)
    bars = [_bar(asked, given, arm, place, numbers[given.arm]) for arm, given in enumerate(asked.given)]
    names = [_names(asked, given, arm, place) for arm, given in enumerate(asked.given)]
    layout = figures.page_layout(
        height=FEET + place.band * len(target),
        barmode="overlay",
        xaxis=figures.GRID
        | {
            "range": [0, 1.3 * place.reach],
            "tickvals": _ticks(place.reach),
            "tickformat": ".0%",
            "title": {"text": "probability"},
            "automargin": True,
        },
        yaxis={
            "tickmode": "array",
            "tickvals": list(range(len(target))),
            "ticktext": [figures.shown(short(choice, 24)) for choice, _ in target],
            "range": [len(target) - 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
        shapes=[_mark(row, share, 0.5 - GAP / place.band / 4) for row, (_, share) in enumerate(target)],
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
    return {"data": [*bars, *names], "layout": layout}


def _ticks(reach: float) -> list[float]:
    """A few round probabilities up to the largest one that is drawn."""
    step = 0.25 if reach > 0.5 else 0.1 if reach > 0.2 else 0.05
    return [round(step * tick, 2) for tick in range(math.ceil(reach / step) + 1) if step * tick <= 1]


def _names(asked: Asked, given: Given, arm: int, place: _Place) -> figures.Figure:
    """Behind each bar its arm and share, and behind the mark too where that is near."""
    ends = [(given.shares[choice], target) for choice, target in asked.prompt.choices.items()]
    return {
        "type": "scatter",
        "mode": "text",
        "x": [round(max(share, target) if target - share < NEAR * place.reach else share, 6) for share, target in ends],
        "y": [place.height(row, arm) for row in range(len(ends))],
        "text": [f"{EN}{figures.shown(short(given.arm, 20))} {percent(share)}" for share, _ in ends],
        "textposition": "middle right",
        "textfont": {"size": 11},
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _bar(asked: Asked, given: Given, arm: int, place: _Place, number: int) -> figures.Figure:
    shares = [(choice, given.shares[choice]) for choice in asked.prompt.choices]
    source = "exact" if given.is_exact else f"of {given.draws} completions"
    return {
        "type": "bar",
        "orientation": "h",
        "x": [round(share, 6) for _, share in shares],
        "y": [place.height(row, arm) for row in range(len(shares))],
        "width": (place.bar - 4) / place.band,
        "hovertext": [
            f"<b>{figures.shown(given.arm)}</b>: {figures.shown(choice)}<br>{_exactly(share)}, {source}"
            for choice, share in shares
        ],
        "hoverinfo": "text",
        "marker": {
            "color": signs.themed(number) if given.is_exact else "rgba(0,0,0,0)",
            "line": {"color": signs.themed(number), "width": 1.5},
        },
        "showlegend": False,
    }


def _mark(row: int, share: float, half: float) -> figures.Figure:
    line = {"color": "var(--ink)", "width": 2, "dash": "dot"}
    return {"type": "line", "x0": share, "x1": share, "y0": row - half, "y1": row + half, "line": line}
