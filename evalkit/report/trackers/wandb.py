"""Weights & Biases: `WANDB_PROJECT`, `WANDB_MODE`, `WANDB_NAME` and all else of its environment hold as anywhere."""

from __future__ import annotations

import os
from typing import Any

import wandb

from evalkit.errors import InputError
from evalkit.report.trackers.record import Record
from evalkit.report.trackers.send import Note, named, only

ROWS = 200_000
"""Of a table; W&B keeps no more in one."""
SECONDS = 600
"""After which an upload that does not end is given up, where the environment says nothing; it lies on disk then."""
OFFLINE = ("offline", "dryrun", "disabled")


def open_tracker(project: str | None) -> Wandb:
    return Wandb(named(project, "WANDB_PROJECT"))


class Wandb:
    name = "wandb"

    def __init__(self, project: str) -> None:
        self.project = project

    def check(self) -> None:
        """Logged in, unless it works offline. Raises `InputError` and wandb's own errors."""
        if wandb.setup().settings.mode in OFFLINE:
            return
        if not wandb.login(prompt=False, verify=True):
            raise InputError("nobody is logged in; call `wandb login`, or set WANDB_API_KEY, or WANDB_MODE=offline")

    def log(self, record: Record, note: Note) -> str:
        """A run with settings, numbers, table and page. Raises wandb's own errors, and `TimeoutError`."""
        with wandb.init(project=self.project, config=dict(record.config), **_settings(record)) as run:
            run.summary["headline"] = record.headline
            if record.curves:
                run.define_metric("*", step_metric=record.counted)
            for step, numbers in record.points():
                run.log({record.counted: step, **numbers})
            run.log(dict(record.scalars) | _shown(record, note))
            where = _offline(run.settings.sync_dir) if run.offline else run.url
        return str(where)


def _offline(folder: str) -> str:
    return f"{folder} (offline; send it with: wandb sync {folder})"


def _settings(record: Record) -> dict[str, Any]:
    """What wandb.init is told besides; what the environment names is left to it."""
    timeout = {} if "WANDB_FINISH_TIMEOUT" in os.environ else {"finish_timeout": SECONDS}
    # The console holds progress bars, and the machine's load after the work is over says nothing.
    quiet = {"console": "off", "silent": True, "x_disable_stats": True, "finish_timeout_raises": True}
    tags = filter(None, dict.fromkeys([*os.environ.get("WANDB_TAGS", "").split(","), *record.tags]))
    names = {
        "name": None if "WANDB_NAME" in os.environ else record.name,
        "group": None if "WANDB_RUN_GROUP" in os.environ else record.group or None,
        "job_type": None if "WANDB_JOB_TYPE" in os.environ else record.job,
        "tags": list(tags) or None,
    }
    return only(names) | {"settings": wandb.Settings(**quiet, **timeout)}


def _shown(record: Record, note: Note) -> dict[str, Any]:
    """The page as a panel, and the table."""
    shown: dict[str, Any] = {"report": wandb.Html(record.page, inject=False, data_is_not_path=True)}
    if record.table:
        rows, left = record.table.first(ROWS)
        if left:
            note(f"wandb: {left}")
        shown["prompts"] = wandb.Table(columns=list(record.table.columns), data=[list(row) for row in rows])
    return shown
