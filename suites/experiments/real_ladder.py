"""Tune one small chat model by PPO, GRPO and DPO at three betas each, and compare the ten from one loaded base.

Prints the tables of docs/real-ladder.md. What was done before is not done again.

    python suites/experiments/real_ladder.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from evalkit.checkpoints.training_log import read_curves
from evalkit.runs.summary import read_summary
from evalkit.suite import load_suite

HERE = Path("suites/experiments/real-ladder")
MADE = Path("trained/real-ladder")
REPORTS = Path("reports/real-ladder")
SHOWN = {
    "creative": ("reward|model:trained/real-ladder/reward/reward", "kl_reverse", "sequence_entropy", "distinct_n",
                 "vendi", "embedding_distance", "task_checks", "length"),
    "search": ("accuracy", "kl_reverse", "distinct_n", "vendi", "length"),
}  # fmt: skip
"""Suite -> what its table shows."""
LOGGED = {
    "ppo": ("reward", "gold", "kl", "entropy", "length", "eos_rate"),
    "grpo": ("reward", "gold", "kl", "entropy", "length", "eos_rate"),
    "dpo": ("held_out_loss", "held_out_accuracy", "held_out_chosen_log_ratio", "held_out_rejected_log_ratio"),
}
"""Method -> what of its log is shown, at the beginning and at the end."""


def main() -> None:
    os.chdir(Path(__file__).parents[2])
    if not (MADE / "preferences.jsonl").exists():
        evalkit("prefs", "sample", HERE / "pairs.yaml", "--out", MADE / "pairs.jsonl")
        evalkit("prefs", "simulate", HERE / "votes.yaml", "--out", MADE / "preferences.jsonl")
    evalkit("train", "reward", HERE / "reward.yaml", "--out", MADE / "reward")
    for method in LOGGED:
        evalkit("train", method, HERE / f"{method}.yaml", "--out", MADE / method)
    for suite in SHOWN:
        evalkit("run", HERE / f"{suite}.yaml", "--engine", "vllm", "--out", REPORTS / suite)
    for method, columns in LOGGED.items():
        show_training(method, columns)
    for suite, measures in SHOWN.items():
        show(suite, measures)


def evalkit(*arguments: object) -> None:
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "evalkit", *map(str, arguments)], check=True)  # noqa: S603
    print(f"{time.monotonic() - begun:.0f} s: evalkit {arguments[0]} {arguments[1]}", flush=True)


def show_training(method: str, columns: tuple[str, ...]) -> None:
    """Two rows a beta: the first of its log, and the last."""
    print("\n|", " | ".join([method, *columns]), "|")
    print("|---" * (len(columns) + 1) + "|")
    for folder in sorted((MADE / method).glob("beta-*/training.json"), reverse=True):
        rows = read_curves(folder.parent)
        for when, row in (("begins", rows[0]), ("ends", rows[-1])):
            told = [f"{row[column]:.2f}" for column in columns]
            print("|", " | ".join([f"{folder.parent.name} {when}", *told]), "|")


def show(suite: str, measures: tuple[str, ...]) -> None:
    """A row an arm, each figure with its 95 % interval."""
    found = {(one.metric, one.arm): one for one in read_summary(REPORTS / suite / "summary.json").estimates}
    print("\n|", " | ".join([suite, *(name.partition("|")[0] for name in measures)]), "|")
    print("|---" * (len(measures) + 1) + "|")
    for arm in load_suite(HERE / f"{suite}.yaml").checkpoints:
        cells = [found.get((name, arm)) for name in measures]
        told = ["-" if one is None else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})" for one in cells]
        print("|", " | ".join([arm, *told]), "|")


if __name__ == "__main__":
    main()
