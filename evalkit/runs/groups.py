"""A run's completions as groups, read back from its shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evalkit.records import Arm, Completion, Group, Prompt
from evalkit.runs.asking import answers_to
from evalkit.runs.manifest import ShardRow
from evalkit.runs.shards import read_shard, shards_in
from evalkit.runs.thinking import answers_apart


def groups_of(
    folder: Path, prompts: Sequence[Prompt], rows: Sequence[ShardRow], arms: Sequence[Arm]
) -> dict[str, list[Group]]:
    """Arm -> one group a prompt, its answers in order, from the shards of these rows, with their thinking apart.

    Raises `RecordsError`.
    """
    known = {arm.name: arm for arm in arms}
    paths = shards_in(folder / "completions")
    by_arm: dict[str, list[Completion]] = {}
    for row in rows:
        by_arm.setdefault(row.arm, []).extend(row.of(read_shard(paths, folder, row.key)))
    return {arm: answers_apart(answers_to(prompts, drawn, known.get(arm))) for arm, drawn in by_arm.items()}
