"""Train a policy with each estimator of the KL inside the reward, and compare the three with the base.

Prints the tables of docs/kl-estimators.md. What was done before is not done again.

    python suites/experiments/kl_estimators.py
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from evalkit.checkpoints.training_log import read_curves
from evalkit.plumbing.progress import Bars
from evalkit.run import run_suite
from evalkit.suite import load_suite
from evalkit.training.config import PpoConfig, load_config
from evalkit.training.ladder import train_ladder

HERE = Path("suites/experiments")
ESTIMATORS = ("k1", "k2", "k3")
LAST = 10
"""Updates at the end whose mean is told."""
TRAINED = {
    "score": "reward, in deviations of the base's",
    "kl": "KL from the base, exact, nats a completion",
    "objective": "reward - 0.3 KL, what is to be maximised",
    "entropy": "entropy, exact, nats a completion",
    "probe_distinct_texts": "share of different texts among 16",
    "probe_embedding_distance": "embedding distance between answers to one prompt",
    "probe_across": "embedding distance between answers to different prompts",
}
MEASURED = (
    "reward|model:lab:reward",
    "kl_reverse",
    "sequence_entropy",
    "distinct_n",
    "vendi",
    "embedding_distance",
    "length",
)


def main() -> None:
    os.chdir(Path(__file__).parents[2])
    tell = Bars()
    runs = {}
    for name in ESTIMATORS:
        config = load_config(PpoConfig, HERE / f"kl-{name}.yaml")
        [checkpoint] = train_ladder(config, Path("trained") / config.name, tell, ["kl_estimators.py"])
        runs[name] = read_curves(checkpoint.with_name(f"{checkpoint.name}.work"))
        for row in runs[name]:
            row["objective"] = float(row["score"] or 0) - config.beta[0] * float(row["kl"] or 0)
    suite = load_suite(HERE / "kl-estimators.yaml")
    result = run_suite(suite, "transformers", Path("reports/kl-estimators"), tell, ["kl_estimators.py"])
    tell.close()
    arms = ["base", *ESTIMATORS]
    show("in training", arms, [trained(name, runs) for name in TRAINED])
    updates = sorted({0, 2, 5, 10, 20, len(runs["k1"]) - 1})
    entropies = [[name, *(f"{runs[name][update]['entropy']:.2f}" for update in updates)] for name in ESTIMATORS]
    show("entropy at update", [str(update) for update in updates], entropies)
    values = {(found.metric, found.arm): found.value for found in result.summary.estimates}
    rows = [[f"`{name.partition('|')[0]}`", *(number(values.get((name, arm))) for arm in arms)] for name in MEASURED]
    show("measured by evalkit run", arms, rows)
    print(f"Report: {result.report}")


def trained(name: str, runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A row of figures: before the first step, and the means of each run's last updates."""
    last = (fmean(float(row[name]) for row in rows[-LAST:] if name in row) for rows in runs.values())
    return [TRAINED[name], number(runs["k1"][0][name]), *map(number, last)]


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    for row in ([title, *columns], ["---"] * (1 + len(columns)), *rows):
        print(f"| {' | '.join(row)} |")
    print()


if __name__ == "__main__":
    main()
