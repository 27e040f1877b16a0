"""The training page: one HTML file, without any network, that tells what a training gained and what it paid.

Style, Plotly, escaping and policy are those of the report. Names and facts are not ours: the template escapes them, and
the figures travel as JSON.
"""

from __future__ import annotations

import json
import math
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evalkit.checkpoints.training_log import read_curves, step_of, work_of
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import listed
from evalkit.report.html.page_file import write_page
from evalkit.report.html.render import asset, render
from evalkit.report.plots import markers
from evalkit.training.output import manifest
from evalkit.training.output.charts import CHARTS, SECTIONS, Chart, Rows, Runs, draw, number_text, step_name
from evalkit.training.output.disagreement_tables import tables_of

LAST = 10
"""Rows at the end whose mean counts as the last value, as on a checkpoint's card; fewer in a very short training."""
MOST_TOLD = 3
"""Trainings without a KL that the headline tells; the table tells all."""
PARTS = 10
"""Pieces of a gold curve whose means are compared."""
SURE = 4.0
"""Standard errors that the gold reward must have fallen by, to be said to have fallen."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A column that the headline and the table of trainings tell of."""

    column: str
    words: str
    unit: str = ""
    shown_as: Literal["change", "last", "setting"] = "change"
    """As the first and the last value, as the last alone, or as the last with all its digits."""


GAINS = (
    Outcome("reward", "reward"),
    Outcome("gold", "gold reward"),
    Outcome("loss", "loss", "nats"),
    Outcome("held_out_loss", "held-out loss", "nats"),
    Outcome("accuracy", "accuracy"),
    Outcome("held_out_accuracy", "held-out accuracy"),
)
BETA, KL = Outcome("beta", "beta", shown_as="setting"), Outcome("kl", "KL", "nats a sequence", shown_as="last")
PRICES = (
    Outcome("entropy", "entropy", "nats a sequence"),
    Outcome("probe_distinct_n", "distinct bigrams"),
    Outcome("probe_embedding_distance", "embedding distance within a prompt"),
    Outcome("probe_across", "embedding distance across prompts"),
)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The table of trainings: a cell a training and outcome, for the outcomes that any has numbers of."""

    heads: Sequence[Outcome]
    rows: Mapping[str, tuple[int, Sequence[str]]]
    """Training -> rows logged, cells."""


def training_page(
    title: str,
    runs: Runs,
    facts: Mapping[str, Any],
    charts: Sequence[Chart] | None = None,
    disagreement: Mapping[str, Any] | None = None,
) -> str:
    """The page as HTML, ready to be written as UTF-8.

    `runs` are drawn over each other, a colour each; a column that a training lacks is not drawn for it. `facts`
    (config, versions, command), nested as they come, stand at the end. `charts` replaces `CHARTS`. `disagreement`:
    that of rater groups, as groups.json has it.
    """
    drawn = list(enumerate(draw(CHARTS if charts is None else charts, runs)))
    sections = [(name, *SECTIONS[name], [pair for pair in drawn if pair[1].chart.section == name]) for name in SECTIONS]
    view = {
        "title": title,
        "headline": headline(runs),
        "outcomes": outcomes(runs),
        "counter": step_name(runs),
        "last": LAST,
        "keys": {run: (markers.colour(index), markers.mark(index)) for index, run in enumerate(runs)},
        "sections": [section for section in sections if section[-1]],
        "facts": facts,
        "disagreement": tables_of(disagreement or {}),
    }
    package = "evalkit.training.output"
    return render(
        "training.html.jinja",
        [asset("evalkit.report.html", "style.css"), asset(package, "templates/training.css")],
        [
            *(asset("evalkit.report.html", name) for name in ("names.js", "charts.js")),
            asset(package, "templates/training.js"),
        ],
        [chart.figure for _, chart in drawn],
        view,
        package,
    )


def write_training_page(title: str, out: Path, names: Iterable[str]) -> None:
    """Write training.html over the curves of the trainings `names` so far, with what is known of those that are done.

    Raises `StoreError`.
    """
    runs = {name: rows for name in names if (rows := read_curves(work_of(out / name)))}
    facts = json.loads((out / manifest.NAME).read_text(encoding="utf-8"))
    facts["command"] = shlex.join(facts.get("command", ()))
    written = {name: out / name / "training.json" for name in runs if (out / name / "training.json").exists()}
    facts["checkpoints"] = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in written.items()}
    groups = out / "groups.json"
    disagreement = json.loads(groups.read_text(encoding="utf-8")).get("disagreement") if groups.exists() else None
    write_page(out / "training.html", training_page(title, runs, facts, disagreement=disagreement))


def headline(runs: Runs) -> str:
    """What was gained, how far the policy went for it and what that cost, in words with numbers.

    Of many trainings it tells two: the one that stayed nearest to its reference and the one that went furthest.
    """
    begun = {run: rows for run, rows in runs.items() if rows}
    if not begun:
        return "Nothing has been logged yet."
    distances = {run: kl for run, rows in begun.items() if (kl := _last(rows, KL)) is not None}
    if len(distances) < 2:
        few = list(begun.items())[:MOST_TOLD]
        sentences = [sentence for run, rows in few for sentence in (f"{run}: {_gain(rows)}.", _price(rows))]
    else:
        nearest, furthest = min(distances, key=distances.__getitem__), max(distances, key=distances.__getitem__)
        sentences = [
            f"{nearest} stayed nearest to its reference: {_gain(begun[nearest])}.",
            f"{furthest} went furthest: {_gain(begun[furthest])}.",
            _price(begun[furthest]),
        ]
    return " ".join(filter(None, [*sentences, _warning(begun)]))


def outcomes(runs: Runs) -> Outcomes:
    """Every training's first and last numbers."""
    heads = [
        outcome
        for outcome in (BETA, *GAINS, KL, *PRICES)
        if any(_last(rows, outcome) is not None for rows in runs.values())
    ]
    cells = {run: (len(rows), [_cell(rows, outcome) for outcome in heads]) for run, rows in runs.items()}
    return Outcomes(heads, cells)


def over_optimised_from(rows: Rows) -> int | None:
    """The step near which the gold reward was highest, if it has clearly fallen since while the reward rose.

    Means of tenths of the training are compared, so that a noisy curve's highest point is not taken for its top.
    """
    pairs = [(step_of(row), row.get("gold"), row.get("reward")) for row in rows]
    known = [(step, gold, reward) for step, gold, reward in pairs if is_number(gold) and is_number(reward)]
    size = len(known) // PARTS
    if size < 2:
        return None
    parts = [known[-size * index :][:size] for index in range(PARTS, 0, -1)]
    golds = [[gold for _, gold, _ in part] for part in parts]
    rewards = [statistics.fmean(reward for _, _, reward in part) for part in parts]
    best = max(range(PARTS), key=lambda index: statistics.fmean(golds[index]))
    fall = statistics.fmean(golds[best]) - statistics.fmean(golds[-1])
    error = math.sqrt((statistics.variance(golds[best]) + statistics.variance(golds[-1])) / size)
    return parts[best][size // 2][0] if fall > SURE * error and rewards[-1] > rewards[best] else None


def _gain(rows: Rows) -> str:
    gains = [_moved(rows, outcome) for outcome in GAINS if _last(rows, outcome) is not None]
    kl = _last(rows, KL)
    distance = "" if kl is None else f" at a KL of {number_text(kl)} {KL.unit}"
    return f"{listed(gains) if gains else 'no reward was logged'}{distance}"


def _price(rows: Rows) -> str:
    prices = [_moved(rows, outcome) for outcome in PRICES if _last(rows, outcome) is not None]
    sentence = listed(prices) if prices else ""
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


def _warning(runs: Runs) -> str:
    turned = {run: step for run, rows in runs.items() if (step := over_optimised_from(rows)) is not None}
    if not turned:
        return ""
    where = listed(f"{run} (from about {step_name(runs)} {step:,} on)" for run, step in turned.items())
    return f"The reward is over-optimised in {where}: it still rises while the gold reward falls."


def _moved(rows: Rows, outcome: Outcome) -> str:
    first, last = _first(rows, outcome), _last(rows, outcome)
    before, after = number_text(first, last), number_text(last, first)
    unit = f" {outcome.unit}" if outcome.unit else ""
    if before == after:
        return f"{outcome.words} stayed at {after}{unit}"
    return f"{outcome.words} {'rose' if (last or 0.0) > (first or 0.0) else 'fell'} from {before} to {after}{unit}"


def _cell(rows: Rows, outcome: Outcome) -> str:
    first, last = _first(rows, outcome), _last(rows, outcome)
    if outcome.shown_as == "setting" and last is not None:
        return f"{last:g}"
    if outcome.shown_as == "last" or first == last:
        return number_text(last)
    return f"{number_text(first, last)} → {number_text(last, first)}"


def _first(rows: Rows, outcome: Outcome) -> float | None:
    return next((value for row in rows if is_number(value := row.get(outcome.column))), None)


def _last(rows: Rows, outcome: Outcome) -> float | None:
    """The mean over the last rows, of which there may be none: then the last value."""
    end = rows[-max(1, min(LAST, len(rows) // 2)) :]
    known = [value for row in end if is_number(value := row.get(outcome.column))]
    return statistics.fmean(known) if known else _first(rows[::-1], outcome)
