"""Training curves: what the trainer logged while the compared checkpoints were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.checkpoints.training_log import Training
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import listed
from evalkit.report.plots import figures, markers
from evalkit.report.wording import number_text

ROWS = 8
"""Of the table, a training."""


@dataclass(frozen=True, slots=True)
class Column:
    """What one chart draws."""

    name: str
    title: str
    unit: str
    caption: str
    from_zero: bool = True


COLUMNS = (
    Column(
        "reward",
        "Reward",
        "",
        "What the training maximises: it should rise, and level off where more of it is not worth more KL.",
        from_zero=False,
    ),
    Column(
        "kl",
        "KL from where it began",
        "nats a completion",
        "How far the policy has gone: a climb that does not slow down is a training that runs away.",
    ),
    Column(
        "entropy",
        "Entropy",
        "nats a completion",
        "How open its completions still are: each lost nat leaves about 2.7 times fewer ways to answer.",
    ),
)


@dataclass(frozen=True, slots=True)
class LogRow:
    """One point of one training in numbers, in the order of `COLUMNS`."""

    checkpoint: str
    step: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trainings:
    """What the section prints."""

    columns: tuple[Column, ...]
    heads: tuple[str, ...]
    rows: tuple[LogRow, ...]
    points: str
    keys: Mapping[str, tuple[int, str]]
    """Checkpoint -> number of its colour, and the mark at the end of its lines."""


def trainings(summary: Summary, known: Sequence[Training]) -> Trainings | None:
    """None where no checkpoint brought the log of its training."""
    if not known:
        return None
    heads = tuple(f"{column.title}, {column.unit}" if column.unit else column.title for column in COLUMNS)
    rows = tuple(row for training in known for row in _rows(training))
    numbers = _numbers(summary)
    keys = {training.checkpoint: numbers.get(training.checkpoint, 0) for training in known}
    marked = {name: (markers.colour(number), markers.mark(number)) for name, number in keys.items()}
    return Trainings(tuple(_drawn(known)), heads, rows, _points(known), marked)


def _drawn(trainings: Sequence[Training]) -> list[Column]:
    """The charts that there are numbers for."""
    return [column for column in COLUMNS if any(_has(training, column) for training in trainings)]


def curves(summary: Summary, known: Sequence[Training]) -> Mapping[str, figures.Figure]:
    """Column -> steps to the right, a line a checkpoint, in its arms' colour."""
    return {column.name: _figure(column, known, _numbers(summary)) for column in _drawn(known)}


def _numbers(summary: Summary) -> dict[str, int]:
    """Checkpoint -> its number in every plot."""
    numbers = markers.numbers(summary)
    return {arm.checkpoint: numbers[arm.name] for arm in summary.arms}


def _points(trainings: Sequence[Training]) -> str:
    """What a point is, where it is more than one update."""
    sizes = dict.fromkeys((training.every, training.counted) for training in trainings if training.every > 1)
    means = [f"{every} {counted}s" for every, counted in sizes]
    return f"Each point is the mean of {listed(means, 'or')}." if means else ""


def _has(training: Training, column: Column) -> bool:
    return any(is_number(value) for value in getattr(training, column.name))


def _figure(column: Column, trainings: Sequence[Training], numbers: Mapping[str, int]) -> figures.Figure:
    counted = " or ".join(dict.fromkeys(training.counted for training in trainings))
    x = figures.GRID | {"title": {"text": counted}, "rangemode": "tozero", "automargin": True}
    y = figures.GRID | {
        "title": {"text": column.unit},
        "rangemode": "tozero" if column.from_zero else "normal",
        "automargin": True,
    }
    lines = [_line(column, training, numbers.get(training.checkpoint, 0)) for training in trainings]
    margin = {"l": 8, "r": 12, "t": 8, "b": 8}
    layout = figures.page_layout(height=260, xaxis=x, yaxis=y, margin=margin, showlegend=False)
    return {"data": lines, "layout": layout}


def _line(column: Column, training: Training, number: int) -> figures.Figure:
    values = getattr(training, column.name)
    name = figures.shown(training.checkpoint)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": list(training.steps),
        "y": list(values),
        "hovertext": [
            f"<b>{name}</b>, {training.counted} {step}<br>{number_text(value)} {column.unit}"
            for step, value in zip(training.steps, values, strict=True)
        ],
        "hoverinfo": "text",
        "line": {"color": markers.themed(number), "width": 1.8},
        # A line's end tells it from others without its colour.
        "marker": {
            "color": markers.themed(number),
            "symbol": markers.symbol(number),
            "size": [0] * (len(values) - 1) + [9],
            "opacity": 1,
            "line": {"width": 0},
        },
        "cliponaxis": False,
    }


def _rows(training: Training) -> list[LogRow]:
    """Some of its points, evenly spaced back from the last, which matters most."""
    every = max(1, -(-len(training.steps) // ROWS))
    indices = range(len(training.steps) - 1, -1, -every)[::-1]
    return [
        LogRow(
            training.checkpoint,
            f"{training.steps[index]:,}",
            tuple(number_text(getattr(training, column.name)[index], "–") for column in COLUMNS),
        )
        for index in indices
    ]
