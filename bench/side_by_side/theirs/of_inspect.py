"""Inspect: a task of given answers through `eval`, as a run of it is, with a solver that hands them over as epochs."""

from __future__ import annotations

import tempfile
from typing import Any

from inspect_ai import Epochs, Task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import accuracy, ci, exact, scorer, stderr
from inspect_ai.solver import solver
from shared import keep, sets, timed, write

PASS_AT = 4


def main() -> None:
    for name, arm, rows, _ in sets("answers"):
        with tempfile.TemporaryDirectory() as folder:
            [log], seconds = timed(_evaluated, rows, folder)
        assert log.status == "success", log.error
        mean, several = log.results.scores
        for measure, of in (("accuracy", mean), ("pass_at_4", several)):
            keep(measure, name, arm, of.metrics["accuracy"].value, seconds)
        for measure, low, high in _intervals(mean.metrics):
            keep(measure, name, arm, [low, high], seconds)
    write()


def _evaluated(rows: list[Any], folder: str) -> Any:
    return evaluate(_task(rows), model="mockllm/model", log_dir=folder, display="none")


def _intervals(metrics: Any) -> list[tuple[str, float, float]]:
    """The second metric of a name has its number behind it: here the one by clusters."""
    ends = {end: metrics[end].value for end in ("lower", "upper", "lower2", "upper2")}
    return [("ci", ends["lower"], ends["upper"]), ("ci, clustered", ends["lower2"], ends["upper2"])]


def _task(rows: list[Any]) -> Task:
    samples = [
        Sample(
            row["prompt"],
            target=row["answer"],
            id=row["id"],
            metadata={"cluster": row["cluster"], "all": row["generations"]},
        )
        for row in rows
    ]
    draws = len(rows[0]["generations"])
    return Task(samples, solver=_given(), scorer=_exact(), epochs=Epochs(draws, ["mean", f"pass_at_{PASS_AT}"]))


@solver
def _given() -> Any:
    async def solve(state: Any, generate: Any) -> Any:
        state.output = ModelOutput.from_content("given", state.metadata["all"][state.epoch - 1])
        return state

    return solve


@scorer(metrics=[accuracy(), stderr(), stderr(cluster="cluster"), ci(), ci(cluster="cluster")])
def _exact() -> Any:
    return exact()


if __name__ == "__main__":
    main()
