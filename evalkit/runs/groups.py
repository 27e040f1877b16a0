"""A run's completions as groups, read back from its shards."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

from evalkit.records import Arm, Completion, Group, Prompt
from evalkit.runs.manifest import ShardRow
from evalkit.runs.shards import read_shard, shards_in
from evalkit.runs.thinking import answers_apart, apart


def groups_of(
    folder: Path, prompts: Sequence[Prompt], rows: Sequence[ShardRow], arms: Sequence[Arm]
) -> dict[str, list[Group]]:
    """Arm -> one group a prompt, its draws in order, from the shards of these rows, with their thinking apart.

    Raises `RecordsError`.
    """
    known = {arm.name: arm for arm in arms}
    paths = shards_in(folder / "completions")
    by_arm: dict[str, dict[str, list[Completion]]] = {}
    for row in rows:
        for completion in row.of(read_shard(paths, folder, row.key)):
            answered = apart(completion, known[row.arm]) if row.arm in known else completion
            by_arm.setdefault(row.arm, {}).setdefault(completion.prompt_id, []).append(answered)
    return {
        arm: answers_apart(
            [
                Group(prompt, tuple(sorted(drawn.get(prompt.id, ()), key=attrgetter("sample_index"))))
                for prompt in prompts
            ]
        )
        for arm, drawn in by_arm.items()
    }
