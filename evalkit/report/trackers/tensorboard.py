"""TensorBoard: event files in the run's folder, or under `TENSORBOARD_LOGGING_DIR`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import tensorboard as _needed  # noqa: F401 - torch's writer says less clearly what is missing
from torch.utils.tensorboard import SummaryWriter

from evalkit.report.trackers.record import Record, Table
from evalkit.report.trackers.send import Note

ROWS = 200
"""Of the table, which TensorBoard shows as one text."""
FOLDER = "TENSORBOARD_LOGGING_DIR"
"""The name that transformers reads too."""


def open_tracker(project: str | None) -> Tensorboard:
    return Tensorboard(project or "")


class Tensorboard:
    name = "tensorboard"

    def __init__(self, project: str) -> None:
        self.project = project

    def check(self) -> None:
        """The folder that the environment names can be written. Raises `OSError`."""
        if chosen := os.environ.get(FOLDER):
            Path(chosen).mkdir(parents=True, exist_ok=True)
            if not os.access(chosen, os.W_OK):
                raise PermissionError(f"{chosen}, named by {FOLDER}, cannot be written")

    def log(self, record: Record, note: Note) -> str:
        """Numbers as scalars; headline, settings, table and where the page lies as texts. Raises `OSError`."""
        folder = self._folder(record)
        # What an earlier call told of this run would else be drawn beside it.
        with SummaryWriter(str(folder), purge_step=0) as writer:
            for step, numbers in record.points():
                for key, value in numbers.items():
                    writer.add_scalar(key, value, step)
            for key, value in record.scalars.items():
                writer.add_scalar(key, value, 0)
            for key, text in _texts(record, note).items():
                writer.add_text(key, text, 0)
        return f"{folder}; look at it with: tensorboard --logdir {folder}"

    def _folder(self, record: Record) -> Path:
        chosen = os.environ.get(FOLDER)
        if chosen is None:
            return record.folder / "tensorboard" / (record.name if record.group else "")
        return Path(chosen, self.project, record.group, record.name)


def _texts(record: Record, note: Note) -> dict[str, str]:
    """Name -> Markdown, of which TensorBoard shows no raw HTML."""
    texts = {
        "headline": _plain(record.headline),
        "page": f"The page is no thing for TensorBoard: see {_plain(str(record.folder / record.page_name))}",
        "config": "\n".join(f"    {line}" for line in json.dumps(record.config, indent=2).splitlines()),
        "tags": _plain(", ".join(record.tags)),
    }
    if record.table:
        rows, left = record.table.first(ROWS)
        if left:
            note(f"tensorboard: {left}; all of them stand in metrics.parquet")
        texts["prompts"] = _markdown(Table(record.table.columns, tuple(rows)))
    return {key: text for key, text in texts.items() if text}


def _markdown(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(cell: str | float | None) -> str:
    return "" if cell is None else _plain(cell) if isinstance(cell, str) else f"{cell:.6g}"


def _plain(text: str) -> str:
    """A text in which no sign is Markdown's."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>()#+!|~" else sign for sign in " ".join(text.split()))
