"""The charts of a training: which there are, what each tells, and how it is drawn.

Every chart has a sentence for a reader who sees it for the first time, and the numbers behind it as a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from evalkit.checkpoints.training_log import STEPS, Value, step_of
from evalkit.plumbing.arrays import is_number
from evalkit.report.plots import markers
from evalkit.report.plots.figures import GRID, Figure, page_layout, shown

Rows: TypeAlias = Sequence[Mapping[str, Value]]
Runs: TypeAlias = Mapping[str, Rows]
"""Name of a training -> its rows, oldest first."""
POINTS = 1000
"""A longer line is drawn with evenly spaced ones of its points, so that a long training makes no heavy page."""
TABLE_ROWS = 26
MARKED = 30
"""A line of so few points shows each of them; a longer one only the last."""
HEIGHT = 260
Section = Literal["reward", "diversity", "health"]
SECTIONS: Mapping[Section, tuple[str, str]] = {
    "reward": (
        "Gain and price",
        "What the training gained, and how far a policy went from its reference for it.",
    ),
    "diversity": (
        "Diversity on the probe set",
        "The same prompts, sampled again and again while the policy learns; each value is a mean over these prompts.",
    ),
    "health": ("Health", "Whether the numbers above come from a training that went as it should."),
}
"""Section -> its title and what it answers."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What one chart draws; it is left out where no row has a number for it."""

    title: str
    lines: Mapping[str, str]
    """Column -> its name where there are several, all of one unit: the first is drawn solid, the second dotted."""
    caption: str
    """One sentence: what it is, and what to look for."""
    unit: str = ""
    section: Section = "reward"
    root_of: str = ""
    """Column whose square root is the horizontal axis; empty: the step."""
    from_zero: bool = True
    """Whether the vertical axis begins at 0."""
    if_it_moves: bool = False
    """Left out where the column never changes."""


CHARTS = (
    Chart(
        "Reward",
        {"reward": "reward"},
        "What the training maximises, as it is given, before normalisation and KL penalty: it should rise, and level "
        "off where more of it is not worth more KL.",
        from_zero=False,
    ),
    Chart(
        "Gold reward",
        {"gold": "gold reward"},
        "The reward that one would really want, which the training never sees: where it falls while the reward still "
        "rises, the policy exploits faults of the reward.",
        from_zero=False,
    ),
    Chart(
        "Loss",
        {"loss": "training batches", "held_out_loss": "held out"},
        "It should fall, quickly at first and then slowly; if it falls on training batches and rises on held-out "
        "prompts, the model learns them by heart.",
        unit="nats",
        from_zero=False,
    ),
    Chart(
        "Accuracy",
        {"accuracy": "accuracy", "held_out_accuracy": "held out"},
        "Share of comparisons in which the preferred completion gets the higher reward: 0.5 is guessing, and raters "
        "who disagree keep it below 1.",
        unit="share",
        from_zero=False,
    ),
    Chart(
        "Margin",
        {"margin": "training batches", "held_out_margin": "held out"},
        "Log-odds that the implicit reward gives to the preferred completion: it should rise and level off; where no "
        "two votes contradict each other, only the number of steps keeps it from rising for ever.",
        unit="nats",
        from_zero=False,
    ),
    Chart(
        "Log-ratios to the reference",
        {"chosen_log_ratio": "chosen", "rejected_log_ratio": "rejected"},
        "How much likelier than at the start a completion is: the rejected ones should fall below the chosen ones, and "
        "where both fall, probability goes to completions that no pair holds.",
        unit="nats a completion",
        from_zero=False,
    ),
    Chart(
        "KL to the reference",
        {"kl": "KL"},
        "How far the policy has gone from where it began, exact over the vocabulary at each token: the smaller beta, "
        "the further, and a climb that does not slow down is a training that runs away.",
        unit="nats a sequence",
    ),
    Chart(
        "Entropy",
        {"entropy": "entropy"},
        "How open the policy's completions still are: each lost nat leaves it about 2.7 times fewer ways to answer, "
        "and near 0 it knows one completion a prompt.",
        unit="nats a sequence",
    ),
    Chart(
        "Reward against √KL",
        {"reward": "reward"},
        "What the distance from the reference bought (Gao et al. 2022), a point an update: the higher points spend "
        "their KL better, and where they flatten more KL buys little more.",
        root_of="kl",
        from_zero=False,
    ),
    Chart(
        "Gold reward against √KL",
        {"gold": "gold reward"},
        "The same for the gold reward: points that turn down to the right, while those of the reward still rise, "
        "are over-optimisation.",
        root_of="kl",
        from_zero=False,
    ),
    Chart(
        "Embedding distance",
        {"probe_embedding_distance": "two completions of one prompt", "probe_across": "of two different prompts"},
        "How differently two completions mean: tuning narrows the answers to one prompt, mostly much more than it "
        "draws different prompts together (Kirk et al. 2023).",
        unit="1 − cosine",
        section="diversity",
    ),
    Chart(
        "Distinct bigrams",
        {"probe_distinct_n": "distinct bigrams"},
        "Share of different word pairs among all those of a prompt's completions: it falls as they repeat each other,"
        " and also as they grow longer, so look at the length too.",
        unit="share",
        section="diversity",
    ),
    Chart(
        "Distinct completions",
        {"probe_distinct_texts": "distinct completions"},
        "Share of different texts among a prompt's completions: below 1 the policy gives the very same answer again.",
        unit="share",
        section="diversity",
    ),
    Chart(
        "Vendi score",
        {"probe_vendi": "Vendi score"},
        "How many completions of different meaning there are in effect (Friedman & Dieng 2023): 1 when all mean the "
        "same.",
        unit="effective number",
        section="diversity",
    ),
    Chart(
        "Word entropy",
        {"probe_ngram_entropy": "word entropy"},
        "How wide a vocabulary a prompt's completions draw on: it falls as the same words come back.",
        unit="nats",
        section="diversity",
    ),
    Chart(
        "Self-BLEU",
        {"probe_self_bleu": "self-BLEU"},
        "How well a prompt's completions predict each other's wording: here a rise is a loss, and 1 means all are "
        "the same.",
        unit="BLEU",
        section="diversity",
    ),
    Chart(
        "Clip fraction",
        {"clip_fraction": "clip fraction"},
        "Share of tokens whose probability changed by more than the clip allows: up to about 0.2 is usual, more means"
        " that the steps are too large.",
        unit="share",
        section="health",
    ),
    Chart(
        "KL within an update",
        {"approx_kl": "approx KL"},
        "How far one batch's passes move the policy from the one that sampled the batch: peaks far above 0.02 mean "
        "that the learning rate is too high or the passes too many.",
        unit="nats a token",
        section="health",
    ),
    Chart(
        "Largest ratio",
        {"max_ratio": "largest ratio"},
        "The most that a single token's probability grew in an update: single peaks are normal, a steady climb is not.",
        unit="new over old probability",
        section="health",
        from_zero=False,
    ),
    Chart(
        "Explained variance",
        {"explained_variance": "explained variance"},
        "How much of the return the value network predicts: it should rise from 0 towards 1; below 0 it is worse "
        "than no value network at all.",
        unit="share",
        section="health",
    ),
    Chart(
        "Value loss",
        {"value_loss": "value loss"},
        "Squared error of the value network: it should fall and stay low; a rise means that rewards move faster than "
        "it can follow.",
        section="health",
    ),
    Chart(
        "Gradient norm",
        {"grad_norm": "gradient norm"},
        "Length of the gradient before it is clipped: it should keep its order of magnitude.",
        section="health",
    ),
    Chart(
        "Completions that end by themselves",
        {"eos_rate": "ended"},
        "Share with an end-of-sequence token: the others ran into the length limit, and a fall means that answers "
        "sprawl.",
        unit="share",
        section="health",
    ),
    Chart(
        "Length",
        {"length": "length"},
        "If it grows while the reward rises, ask whether the reward pays for length.",
        unit="tokens a completion",
        section="health",
    ),
    Chart(
        "Learning rate",
        {"learning_rate": "learning rate"},
        "It falls to 0, so that the training comes to rest; without that, noise keeps moving weights that are already "
        "at their best.",
        section="health",
    ),
    Chart(
        "Beta",
        {"beta": "beta"},
        "Weight of the KL, which follows a target here: it rises while the KL is above the target and falls below it.",
        section="health",
        if_it_moves=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One column of one training, without the rows that have no number for it."""

    run: str
    index: int
    """Of the training on the page: decides colour and symbol."""
    column: str
    is_dotted: bool
    steps: Sequence[int]
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind a chart."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    every: int
    """1 when all rows are there, 4 when each fourth is."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart that has data."""

    chart: Chart
    key: str
    """What solid and dotted mean; empty where only one of them is there."""
    table: Table
    figure: Figure = field(repr=False)


def draw(charts: Sequence[Chart], runs: Runs) -> list[Drawn]:
    """The charts that `runs` have numbers for, drawn."""
    counter = step_name(runs)
    with_lines = [(chart, _lines(chart, runs)) for chart in charts]
    return [
        Drawn(chart, _key(chart, lines), _table(chart, lines, counter), _figure(chart, lines, counter))
        for chart, lines in with_lines
        if lines and (not chart.if_it_moves or any(len(set(line.y)) > 1 for line in lines))
    ]


def step_name(runs: Runs) -> str:
    """What the rows count: `update` or `step`."""
    keys = {key for rows in runs.values() for row in rows for key in STEPS if key in row}
    return next((key for key in STEPS if key in keys), STEPS[0])


def number_text(value: float | None, beside: float | None = None) -> str:
    """Three significant digits, and no more decimals than the number `beside` it has, if that is larger."""
    if not is_number(value):
        return "–"
    size = max(abs(value), abs(beside) if is_number(beside) else 0.0)
    if not 1e-4 <= size < 1e9:
        return f"{value:.3g}".replace("-", "−")
    decimals = max(0, 2 - math.floor(math.log10(size)))
    rounded = round(value, decimals) + 0.0
    return f"{rounded:,.{decimals}f}".replace("-", "−")


def _lines(chart: Chart, runs: Runs) -> list[Line]:
    lines = [
        _line(chart, run, index, column, rows)
        for index, (run, rows) in enumerate(runs.items())
        for column in chart.lines
    ]
    return [line for line in lines if line.y]


def _line(chart: Chart, run: str, index: int, column: str, rows: Rows) -> Line:
    known = [row for row in rows if is_number(row.get(column)) and is_number(_across(chart, row))]
    return Line(
        run,
        index,
        column,
        is_dotted=column != next(iter(chart.lines)),
        steps=[step_of(row) for row in known],
        x=[_across(chart, row) or 0.0 for row in known],
        y=[row[column] or 0.0 for row in known],
    )


def _across(chart: Chart, row: Mapping[str, Value]) -> float | None:
    """Where a row lies on the horizontal axis."""
    if not chart.root_of:
        return step_of(row)
    value = row.get(chart.root_of)
    return math.sqrt(max(0.0, value)) if is_number(value) else None


def _key(chart: Chart, lines: Sequence[Line]) -> str:
    columns = {line.column: line.is_dotted for line in lines}
    if len(columns) < 2:
        return ""
    return "; ".join(f"{'dotted' if dotted else 'Solid'}: {chart.lines[column]}" for column, dotted in columns.items())


def _table(chart: Chart, lines: Sequence[Line], counter: str) -> Table:
    columns: list[tuple[str, Mapping[int, float]]] = []
    is_named = bool(chart.root_of) or len({line.column for line in lines}) > 1
    for line in lines:
        if chart.root_of:
            columns.append((f"{line.run}: {_root(chart)}", dict(zip(line.steps, line.x, strict=True))))
        head = f"{line.run}: {chart.lines[line.column]}" if is_named else line.run
        columns.append((head, dict(zip(line.steps, line.y, strict=True))))
    steps = sorted({step for line in lines for step in line.steps})
    every = max(1, math.ceil(len(steps) / TABLE_ROWS))
    # Counted from the end, so that the last row, which matters most, is there.
    shown_steps = steps[::-1][::every][::-1]
    rows = [[str(step), *(number_text(column.get(step)) for _, column in columns)] for step in shown_steps]
    return Table([counter, *(head for head, _ in columns)], rows, every)


def _root(chart: Chart) -> str:
    return f"√{'KL' if chart.root_of == 'kl' else chart.root_of}"


def _figure(chart: Chart, lines: Sequence[Line], counter: str) -> Figure:
    across = {"title": {"text": shown(_root(chart) if chart.root_of else counter), "font": {"size": 12}, "standoff": 6}}
    up = {"rangemode": "tozero" if chart.from_zero else "normal"}
    layout = page_layout(
        height=HEIGHT,
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
        xaxis=GRID | across | {"automargin": True, "rangemode": "tozero"},
        yaxis=GRID | up | {"automargin": True, "exponentformat": "power"},
        showlegend=False,
        hovermode="closest" if chart.root_of else "x unified",
    )
    return {"data": [_trace(chart, line, counter) for line in lines], "layout": layout}


def _trace(chart: Chart, line: Line, counter: str) -> Figure:
    kept = range(len(line.y) - 1, -1, -max(1, math.ceil(len(line.y) / POINTS)))[::-1]
    colour = markers.themed(line.index)
    return {
        "type": "scatter",
        # Where a training stays at one KL, a line would only scribble over its own points.
        "mode": "markers" if chart.root_of else "lines+markers",
        "name": shown(f"{line.run}, {chart.lines[line.column]}" if line.is_dotted else line.run),
        "x": [_short(line.x[index]) for index in kept],
        "y": [_short(line.y[index]) for index in kept],
        "customdata": [line.steps[index] for index in kept],
        "hovertemplate": _hover(chart, counter),
        "line": {"color": colour, "width": 1.8, "dash": "dot" if line.is_dotted else "solid"},
        "marker": {
            "color": colour,
            "symbol": markers.symbol(line.index),
            "size": _sizes(chart, len(kept)),
            "opacity": 0.7 if chart.root_of else 1,
            "line": {"width": 0},
        },
        "cliponaxis": False,
    }


def _sizes(chart: Chart, points: int) -> list[int]:
    """Every point, where there are few or no line joins them; else only the last one of the line."""
    usual = 5 if chart.root_of else 6 if points <= MARKED else 0
    return [usual] * (points - 1) + [9]


def _hover(chart: Chart, counter: str) -> str:
    where = f" at {shown(_root(chart))} %{{x:.3g}}, {counter} %{{customdata}}" if chart.root_of else ""
    return f"%{{y:.4g}}{where}"


def _short(value: float) -> float:
    return float(f"{value:.6g}")
