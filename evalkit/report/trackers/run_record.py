"""A finished run, or texts that were scored, as trackers are told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit import __version__
from evalkit.errors import RecordsError
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.report.trackers.record import Cell, Record, Table, unique_names
from evalkit.report.verdicts.verdict import verdict
from evalkit.runs.manifest import read_manifest
from evalkit.runs.summary import read_summary

SETTINGS = ("evalkit", "command", "started", "ended", "fresh", "suite", "identity", "engines", "versions", "machine")
"""Of a run's manifest: what a reader of the tracker may want to filter by. The rest is hashes of its parts."""


def run_record(folder: Path) -> Record:
    """A finished run. Raises `RecordsError` on a folder that is none, or lacks its report."""
    manifest, summary = read_manifest(folder), read_summary(folder / "summary.json")
    fields = manifest.to_json()
    return Record(
        name=folder.resolve().name,
        job="run",
        folder=folder,
        config={key: fields[key] for key in SETTINGS if key in fields},
        headline=verdict(summary).headline,
        page=read_page(folder / "report.html"),
        tags=manifest.tags,
        scalars=scalars(summary),
        table=prompt_table(summary),
    )


def scored_record(summary: Summary, page: bytes, settings: Mapping[str, Any]) -> Record:
    """Texts made elsewhere, of which there is no folder."""
    return Record(
        name=summary.suite,
        job="score",
        folder=Path("runs") / summary.suite,
        config={"evalkit": __version__, **settings},
        headline=verdict(summary).headline,
        page=page.decode("utf-8"),
        scalars=scalars(summary),
        table=prompt_table(summary),
    )


def read_page(path: Path) -> str:
    """A run's page. Raises `RecordsError`."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecordsError(
            f"{path.parent} has no {path.name}; make it again with: evalkit report {path.parent}"
        ) from None
    except (OSError, UnicodeError) as error:
        raise RecordsError(f"{path} cannot be read: {error}") from None


def scalars(summary: Summary) -> dict[str, float]:
    """`estimate/ARM/METRIC` and `difference/ARM/METRIC`, each with `/low` and `/high`, a difference with `/p_adjusted`.

    What is undefined is left out. Characters that a tracker would refuse become `_`.
    """
    numbers = dict(_numbers_of(summary))
    named = unique_names(numbers)
    return {named[name]: value for name, value in numbers.items()}


def _numbers_of(summary: Summary) -> Iterator[tuple[str, float]]:
    intervals: list[tuple[str, Estimate | Difference]] = [
        *((f"estimate/{estimate.arm}/{estimate.metric}", estimate) for estimate in summary.estimates),
        *((f"difference/{interval.arm}/{interval.metric}", interval) for interval in summary.differences),
    ]
    for name, interval in intervals:
        adjusted = interval.p_adjusted if isinstance(interval, Difference) else None
        ends = {"": interval.value, "/low": interval.low, "/high": interval.high, "/p_adjusted": adjusted}
        yield from ((name + end, value) for end, value in ends.items() if value is not None)


def prompt_table(summary: Summary) -> Table:
    """A row a prompt and arm, a column a measure that has values by prompt."""
    values = {(e.metric, e.arm): e.values for e in summary.estimates if any(value is not None for value in e.values)}
    metrics = list(dict.fromkeys(metric for metric, _ in values))

    def row(index: int, prompt: str, arm: str) -> tuple[Cell, ...]:
        cells = (values.get((metric, arm)) for metric in metrics)
        return prompt, arm, *(None if cell is None else cell[index] for cell in cells)

    rows = [row(index, prompt, arm.name) for index, prompt in enumerate(summary.prompts) for arm in summary.arms]
    return Table(("prompt_id", "arm", *metrics), tuple(rows))
