"""A training, as trackers are told of it: a run for each model that it made, with the curves along its own axis."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalkit.checkpoints.training_log import NAME, Row, read_curves, work_of
from evalkit.errors import RecordsError
from evalkit.report.trackers import Record
from evalkit.report.trackers.run_record import read_page
from evalkit.runs.manifest import read_json
from evalkit.training.output import manifest as manifests
from evalkit.training.output.page import headline

PAGE = "training.html"


def is_training(folder: Path) -> bool:
    """Whether this is the folder of a training, not of a run."""
    return (folder / manifests.NAME).exists()


def is_first_process() -> bool:
    """Whether this process is the one of many, launched together, that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def training_records(folder: Path) -> list[Record]:
    """A record a model of a finished training. Raises `RecordsError`."""
    manifest = read_json(folder / manifests.NAME)
    if manifest.get("state") != "complete":
        raise RecordsError(f"{folder} is not finished: give its `evalkit train` again with --out {folder}")
    page, name = read_page(folder / PAGE), folder.resolve().name
    records = [_record(folder, name, model, rows, manifest, page) for model, rows in _curves(folder)]
    if not records:
        raise RecordsError(f"{folder} has no curves: no {NAME} in any of its folders")
    return records


def _record(folder: Path, name: str, model: str, rows: list[Row], manifest: dict[str, Any], page: str) -> Record:
    return Record(
        name=f"{name}-{model}",
        job="train",
        folder=folder,
        config=manifest | {"model": model},
        headline=headline({model: rows}),
        page=page,
        page_name=PAGE,
        group=name,
        curves=rows,
    )


def _curves(folder: Path) -> Iterator[tuple[str, list[Row]]]:
    """Model -> its rows: from the log beside it, or from the copy in it where that was cleared away."""
    suffix = work_of(Path("_")).name.removeprefix("_")
    names = {path.parent.name.removesuffix(suffix) for path in folder.glob(f"*/{NAME}")}
    for name in sorted(names):
        work = work_of(folder / name)
        if rows := read_curves(work if (work / NAME).exists() else folder / name):
            yield name, rows
