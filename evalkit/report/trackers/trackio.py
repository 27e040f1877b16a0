"""Trackio: on this machine, or where `TRACKIO_SPACE_ID` or `TRACKIO_SERVER_URL` says."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import httpx
import trackio
from huggingface_hub import HfApi
from trackio.utils import TRACKIO_DIR

from evalkit.report.trackers.record import Record
from evalkit.report.trackers.send import Note, named

ROWS = 10_000
"""Of the table, which trackio keeps as one value in its database and shows without pages."""
SECONDS = 20


def open_tracker(project: str | None) -> Trackio:
    return Trackio(named(project, "TRACKIO_PROJECT"))


class Trackio:
    name = "trackio"

    def __init__(self, project: str) -> None:
        self.project = project

    def check(self) -> None:
        """The Space's owner is logged in, the server answers, or the folder can be written. Raises their errors."""
        if "TRACKIO_SPACE_ID" in os.environ:
            HfApi().whoami()
        elif url := os.environ.get("TRACKIO_SERVER_URL"):
            httpx.get(url, timeout=SECONDS, follow_redirects=True).raise_for_status()
        else:
            Path(TRACKIO_DIR).mkdir(parents=True, exist_ok=True)
            if not os.access(TRACKIO_DIR, os.W_OK):
                raise PermissionError(f"{TRACKIO_DIR} cannot be written; name another folder in TRACKIO_DIR")

    def log(self, record: Record, note: Note) -> str:
        """A run with settings, numbers, table and page. What trackio warns of, `note` is told."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            run = trackio.init(
                self.project,
                record.name,
                group=record.group or None,
                config=_config(record),
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
            for step, numbers in record.points():
                run.log({record.counted: step, **numbers}, step=step)
            run.log(dict(record.scalars) | _shown(record, note))
            trackio.finish()
        for warning in said:
            note(f"trackio: {warning.message}")
        return f"project {self.project}, run {record.name}; look at it with: trackio show --project {self.project}"


def _config(record: Record) -> dict[str, Any]:
    return {**record.config, "job": record.job, "tags": list(record.tags), "headline": record.headline}


def _shown(record: Record, note: Note) -> dict[str, Any]:
    """The page, the headline and the table."""
    shown: dict[str, Any] = {
        "report": trackio.Html(record.page, inject=False),
        "headline": trackio.Markdown(record.headline),
    }
    if record.table:
        rows, left = record.table.first(ROWS)
        if left:
            note(f"trackio: {left}")
        shown["prompts"] = trackio.Table(columns=list(record.table.columns), data=[list(row) for row in rows])
    return shown
