"""MLflow: `MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME` hold; a server, or a database file beside one's work."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from evalkit.report.trackers.record import Record, flat
from evalkit.report.trackers.send import Note, named

ROWS = 200_000
"""Of the table, as of W&B's: more is no table that anyone opens."""
PARAMS = 1000
"""Settings that are told one by one; all of them stand in config.json."""
LONGEST = 6000
"""Letters of a setting's text; MLflow takes no more."""
NUMBERS_AT_ONCE, PARAMS_AT_ONCE = 500, 100
"""Of one request, which MLflow wants under a megabyte."""
ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""While it is only asked whether it is there: MLflow's own patience is four minutes (measured, release 3.17)."""
T = TypeVar("T")


def open_tracker(project: str | None) -> Mlflow:
    return Mlflow(named(project, "MLFLOW_EXPERIMENT_NAME"))


class Mlflow:
    name = "mlflow"

    def __init__(self, experiment: str) -> None:
        self.experiment = experiment

    def check(self) -> None:
        """The server or database answers. Raises MLflow's own errors."""
        with _hasty():
            MlflowClient().get_experiment_by_name(self.experiment)

    def log(self, record: Record, note: Note) -> str:
        """A run with settings, numbers, table and page. Raises MLflow's own errors."""
        client = MlflowClient()
        known = client.get_experiment_by_name(self.experiment)
        experiment = known.experiment_id if known else client.create_experiment(self.experiment)
        run = client.create_run(experiment, run_name=record.name).info.run_id
        try:
            _tell(client, run, record, note)
        except BaseException:
            client.set_terminated(run, "FAILED")
            raise
        client.set_terminated(run)
        return f"experiment {self.experiment}, run {record.name} ({run})"


def _tell(client: MlflowClient, run: str, record: Record, note: Note) -> None:
    tags = {
        "mlflow.note.content": record.headline,  # what MLflow shows as the run's description
        "evalkit.headline": record.headline,
        "evalkit.job": record.job,
        "evalkit.tags": ", ".join(record.tags),
        "evalkit.group": record.group,
    }
    client.log_batch(run, tags=[RunTag(key, value[:LONGEST]) for key, value in tags.items() if value])
    params = [Param(key, text[:LONGEST]) for key, text in flat(record.config, PARAMS).items()]
    for some in _some(params, PARAMS_AT_ONCE):
        client.log_batch(run, params=some)
    for numbers in _some(_metrics(record), NUMBERS_AT_ONCE):
        client.log_batch(run, metrics=numbers)
    client.log_dict(run, dict(record.config), "config.json")
    client.log_text(run, record.page, record.page_name)
    if record.table:
        rows, left = record.table.first(ROWS)
        if left:
            note(f"mlflow: {left}")
        client.log_table(
            run, dict(zip(record.table.columns, map(list, zip(*rows, strict=True)), strict=True)), "prompts.json"
        )


def _metrics(record: Record) -> list[Metric]:
    now = int(time.time() * 1000)
    curves = [Metric(key, value, now, step) for step, row in record.points() for key, value in row.items()]
    return [*curves, *(Metric(key, value, now, 0) for key, value in record.scalars.items())]


def _some(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]


@contextlib.contextmanager
def _hasty() -> Iterator[None]:
    """With little patience, unless the user's environment says how much."""
    patience = {key: value for key, value in ONCE.items() if key not in os.environ}
    os.environ.update(patience)
    try:
        yield
    finally:
        for key in patience:
            del os.environ[key]
