"""Tune the built-in base by every objective, and compare what each costs.

Prints the table of docs/objectives.md. What was done before is not done again.

    python suites/experiments/objectives.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from evalkit.runs.summary import read_summary
from evalkit.suite import load_suite

HERE = Path("suites/experiments")
MADE = Path("trained/objectives")
REPORT = Path("reports/objectives")
BY_REWARD = ("ppo", "rloo", "grpo", "entropy", "jensen-shannon", "distinct")
METHODS = {"rloo": "rloo", "grpo": "grpo", "distinct": "rloo"}
"""By which command an objective is trained; the others by PPO."""
MEASURED = ("reward|model:lab:reward", "kl_reverse", "sequence_entropy", "distinct_n", "vendi", "embedding_distance")


def main() -> None:
    os.chdir(Path(__file__).parents[2])
    configs = HERE / "objectives"
    for name in BY_REWARD:
        evalkit("train", METHODS.get(name, "ppo"), configs / f"{name}.yaml", "--out", MADE / name)
    if not (MADE / "preferences.jsonl").exists():
        evalkit("prefs", "sample", configs / "pairs.yaml", "--out", MADE / "pairs.jsonl")
        evalkit("prefs", "simulate", configs / "votes.yaml", "--out", MADE / "preferences.jsonl")
    evalkit("train", "dpo", configs / "dpo.yaml", "--out", MADE / "dpo")
    evalkit("run", HERE / "objectives.yaml", "--engine", "transformers", "--out", REPORT)
    show(list(load_suite(HERE / "objectives.yaml").checkpoints))


def evalkit(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "evalkit", *map(str, arguments)], check=True)  # noqa: S603


def show(arms: list[str]) -> None:
    """A row an arm, each figure with its 95 % interval."""
    found = {(one.metric, one.arm): one for one in read_summary(REPORT / "summary.json").estimates}
    print("|", " | ".join(["", *(name.partition("|")[0] for name in MEASURED)]), "|")
    print("|---" * (len(MEASURED) + 1) + "|")
    for arm in arms:
        cells = [found.get((name, arm)) for name in MEASURED]
        told = ["-" if one is None else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})" for one in cells]
        print("|", " | ".join([arm, *told]), "|")


if __name__ == "__main__":
    main()
