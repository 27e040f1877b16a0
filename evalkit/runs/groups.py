"""A run's completions as groups, read back from its shards: in memory where they are few, else on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.checkpoints.asking import wording_id
from evalkit.plumbing.lazily import Mapped
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.records import Arm, Group, Prompt
from evalkit.runs.asking import answers_to
from evalkit.runs.manifest import ShardRow
from evalkit.runs.shards import completions_of, read_shard, shards_in
from evalkit.runs.stored_groups import Columns, Source, StoredGroups
from evalkit.runs.thinking import answers_apart

IN_MEMORY = 20_000
"""Completions that are kept as objects, some 160 MB: what is smaller is faster so."""


def groups_of(
    folder: Path, prompts: Sequence[Prompt], rows: Sequence[ShardRow], arms: Sequence[Arm], tell: Listener = QUIET
) -> dict[str, Sequence[Group]]:
    """Arm -> one group a prompt, its answers in order, from the shards of these rows, with their thinking apart.

    Raises `RecordsError`.
    """
    paths = shards_in(folder / "completions")
    sizes = [_size(paths.get(row.key, ()), row) for row in rows]
    tell.stage(f"read {folder.name}", sum(sizes))

    def read(key: str, size: int) -> pa.Table:
        table = read_shard(paths, folder, key)
        tell.advance(size)
        return table

    sources: dict[str, list[Source]] = {}
    for row, size in zip(rows, sizes, strict=True):
        sources.setdefault(row.arm, []).append(Source(row, partial(read, row.key, size)))
    known = {arm.name: arm for arm in arms}
    groups = group_completions({name: known.get(name) for name in sources}, prompts, sources, sum(sizes))
    return {arm: answers_apart(members) for arm, members in groups.items()}


def group_completions(
    arms: Mapping[str, Arm | None], prompts: Sequence[Prompt], sources: Mapping[str, Sequence[Source]], size: int
) -> dict[str, Sequence[Group]]:
    """Arm -> one group a prompt, its answers in order, with their thinking apart; `size` completions altogether.

    `arms`: None for one whose completions are taken as they are. `sources`: arm -> its shards, which are read one at a
    time. Raises `StoreError` where there is no room on disk, and what reading raises.
    """
    if size <= IN_MEMORY:
        drawn = {name: (one for source in sources[name] for one in completions_of(source.table)) for name in arms}
        return {name: answers_to(prompts, drawn[name], arm) for name, arm in arms.items()}
    with Columns() as columns:
        stored = {name: columns.lay(prompts, _asked(prompts, arm), sources[name]) for name, arm in arms.items()}
    return {name: _answers(stored[name], arm) for name, arm in arms.items()}


@dataclass(frozen=True)
class Answers:
    """`answers_to` each prompt, from what was drawn for it."""

    arm: Arm

    def __call__(self, index: int, drawn: Group) -> Group:
        [group] = answers_to([drawn.prompt], drawn.completions, self.arm)
        return group


def _answers(stored: StoredGroups, arm: Arm | None) -> Sequence[Group]:
    """As they were drawn, where nothing has to be taken apart."""
    if arm is None or (arm.thinking is None and arm.asking is None):
        return stored
    return Mapped(stored.to_take_apart(), Answers(arm))


def _asked(prompts: Sequence[Prompt], arm: Arm | None) -> list[tuple[str, ...]]:
    """Under which ids completions of each prompt were drawn: its own, or those of its wordings."""
    wordings = 1 if arm is None or arm.asking is None else arm.asking.wordings
    if wordings == 1:
        return [(prompt.id,) for prompt in prompts]
    return [tuple(wording_id(prompt.id, wording) for wording in range(wordings)) for prompt in prompts]


def _size(paths: Sequence[Path], row: ShardRow) -> int:
    """Completions of a shard that are an arm's; none of one that is gone, which `read_shard` tells of."""
    if isinstance(row.prompts, list) and row.slots is not None:
        return len(row.prompts) * len(range(*row.slots))
    with suppress(OSError, pa.ArrowException):
        return sum(pq.read_metadata(path).num_rows for path in paths[:1])
    return 0
