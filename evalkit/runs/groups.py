"""A run's completions as groups, read back from its shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.plumbing.lazily import Mapped
from evalkit.records import Arm, Group, Prompt
from evalkit.runs.manifest import ShardRow
from evalkit.runs.shards import completions_of, read_shard, shards_in
from evalkit.runs.stored_groups import Columns, Source, by_prompt
from evalkit.runs.thinking import ThinkingApart, answers_apart, apart

IN_MEMORY = 20_000
"""Completions that are kept as objects, some 160 MB: what is smaller is faster so."""


def groups_of(
    folder: Path, prompts: Sequence[Prompt], rows: Sequence[ShardRow], arms: Sequence[Arm]
) -> dict[str, Sequence[Group]]:
    """Arm -> one group a prompt, its draws in order, from the shards of these rows, with their thinking apart.

    Raises `RecordsError`.
    """
    known = {arm.name: arm for arm in arms}
    paths = shards_in(folder / "completions")
    sources: dict[str, list[Source]] = {}
    for row in rows:
        sources.setdefault(row.arm, []).append(Source(row, partial(read_shard, paths, folder, row.key)))
    every = [known.get(name, Arm(name, name, None, None, None)) for name in sources]
    size = sum(_size(paths.get(row.key, ()), row) for row in rows)
    groups = group_completions(every, prompts, sources, size)
    return {arm: answers_apart(members) for arm, members in groups.items()}


def group_completions(
    arms: Sequence[Arm], prompts: Sequence[Prompt], sources: Mapping[str, Sequence[Source]], size: int
) -> dict[str, Sequence[Group]]:
    """Arm -> one group a prompt, its draws in order, with their thinking apart; `size` completions altogether.

    `sources`: arm -> its shards, which are read one at a time. Raises `StoreError` where there is no room on disk, and
    what reading raises.
    """
    if size <= IN_MEMORY:
        return {arm.name: _in_memory(arm, prompts, sources[arm.name]) for arm in arms}
    with Columns() as columns:
        stored: dict[str, Any] = {arm.name: columns.lay(prompts, sources[arm.name]) for arm in arms}
    for arm in arms:
        if arm.thinking is not None:
            stored[arm.name] = Mapped(replace(stored[arm.name], thinks=True), ThinkingApart(arm))
    return stored


def _in_memory(arm: Arm, prompts: Sequence[Prompt], sources: Sequence[Source]) -> list[Group]:
    drawn = {prompt: completions_of(table) for prompt, table in by_prompt(sources)}
    return [Group(prompt, tuple(apart(one, arm) for one in drawn.get(prompt.id, ()))) for prompt in prompts]


def _size(paths: Sequence[Path], row: ShardRow) -> int:
    """Completions of a shard that are an arm's; none of one that is gone, which `read_shard` tells of."""
    if isinstance(row.prompts, list) and row.slots is not None:
        return len(row.prompts) * len(range(*row.slots))
    with suppress(OSError, pa.ArrowException):
        return sum(pq.read_metadata(path).num_rows for path in paths[:1])
    return 0
