"""How often a headline is said of nothing: one arm's completions split in two at random, again and again.

    python -m bench.headlines RUN [--arm NAME] [--trials N]

RUN is a finished run's folder. Both halves of a prompt's completions are draws of one checkpoint, so a claim that one
half is better, worse, wider or narrower than the other is false. Seeds are fixed: the same numbers come back.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evalkit.analysis.estimates import AskedSuite, Measured, summarise
from evalkit.metrics.embeddings.attach import embed_groups
from evalkit.metrics.embeddings.encoder import find_encoder
from evalkit.metrics.registry import Measure, parse
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Group
from evalkit.report.content.read import read_content
from evalkit.report.verdicts.joint import joint_statements

MEASURES = (
    "distinct_n", "self_bleu", "ngram_entropy", "compression_ratio", "ead_n",
    "embedding_distance", "vendi", "distinct_k", "nats_per_byte", "branching_factor", "task_checks",
)  # fmt: skip
ARMS = (Arm("one", "one", "base", None, None), Arm("other", "other", "tuned", None, "one"))


def claims(groups: Sequence[Group], scores: Sequence[np.ndarray] | None, trials: int) -> Counter[str]:
    """What was claimed, and how often: "together" of a side as a whole, "family" of a family alone."""
    rng = np.random.default_rng(0)
    measures = [parse(name) for name in MEASURES if name != "task_checks"]
    found: Counter[str] = Counter()
    for _ in range(trials):
        halves = [split(rng, len(group.completions)) for group in groups]
        measured = [
            Measured(
                str(one), str(one), one.definition.better, values_of(one, groups, halves), 1, one.definition.traits
            )
            for one in measures
        ]
        if scores is not None:
            quality = parse("task_checks").definition
            own = {
                arm.name: np.array([np.nanmean(rows[half[place]]) for rows, half in zip(scores, halves, strict=True)])
                for place, arm in enumerate(ARMS)
            }
            measured.append(Measured("task_checks", "task_checks", quality.better, own, 1, quality.traits))
        told = joint_statements(summarise(AskedSuite("a/a", [group.prompt.id for group in groups]), ARMS, measured, []))
        together = any(joint.together.outcome != "unclear" for joint in told.values())
        found["together"] += together
        found["family"] += not together and any(joint.clear for joint in told.values())
    return found


def split(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(size)
    return np.sort(order[: size // 2]), np.sort(order[size // 2 : size // 2 * 2])


def values_of(
    measure: Measure, groups: Sequence[Group], halves: Sequence[tuple[np.ndarray, np.ndarray]]
) -> dict[str, np.ndarray]:
    return {
        arm.name: np.array([measure(group.only(half[place])) for group, half in zip(groups, halves, strict=True)])
        for place, arm in enumerate(ARMS)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--arm")
    parser.add_argument("--trials", type=int, default=400)
    asked = parser.parse_args()
    content = read_content(asked.run)
    arm = asked.arm or content.summary.arms[0].name
    groups = embed_groups({arm: list(content.groups[arm])}, Quiet(), find_encoder(None), references=False)[arm]
    kept = [place for place, group in enumerate(groups) if len(group.completions) >= 4]
    checked = content.scores.get("task_checks", {}).get(arm)
    scores = None if checked is None else [np.array(checked[place], dtype=np.float64) for place in kept]
    groups = [dataclasses.replace(groups[place]) for place in kept]
    found = claims(groups, scores, asked.trials)
    print(f"{arm} of {asked.run}: {len(groups)} prompts, {asked.trials} random halves")
    print(
        f"  a side as a whole was claimed better or worse, wider or narrower in {found['together'] / asked.trials:.1%}"
    )
    print(f"  a family alone in another {found['family'] / asked.trials:.1%}")


if __name__ == "__main__":
    main()
