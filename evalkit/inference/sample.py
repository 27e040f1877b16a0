"""What is missing is sampled, an engine at a time; what is there is read, whoever sampled it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial

import pyarrow as pa

from evalkit.errors import StoreError
from evalkit.inference.draw import Drawing, Sampled
from evalkit.inference.engines.base import by_load
from evalkit.inference.engines.openai_batch import OpenAIBatchEngine
from evalkit.inference.manifest import chosen
from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Shard
from evalkit.inference.workers.places import place_of
from evalkit.plumbing.array_cache import key_of
from evalkit.plumbing.by_row import by_row
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.records import Completion, Group, Groups
from evalkit.runs.folder import Store
from evalkit.runs.groups import group_completions
from evalkit.runs.shards import extras_of
from evalkit.runs.stored_groups import Source

AT_ONCE = 20_000
"""Completions that are written together, some 160 MB."""


def missing_shards(plan: Plan, store: Store, fresh: bool = False) -> list[Shard]:
    """The shards of a plan that are neither in the folder nor in the cache; what the cache has is then in the folder.

    `fresh`: the cache does not count. Nor does it for a server that does not name its weights.
    """
    return [
        shard
        for shard in plan.shards
        if not store.holds(shard.key, shard.arm.name, shard.shared and not fresh, shard.distribution)
    ]


def sample_missing(plan: Plan, store: Store, tell: Listener, fresh: bool = False) -> Sampled:
    """Sample every one of the `missing_shards`. Raises `StoreError`, `EngineError`; what was sampled before is kept."""
    missing = missing_shards(plan, store, fresh)
    if lost := [shard.key for shard in missing if shard.part]:
        raise StoreError(f"shard {lost[0]} was lost since the run began; give the same command again")
    todo = {shard.arm.checkpoint for shard in missing}
    drawing = Drawing(plan, store)
    loads, batches = [], []
    for names in by_load(
        [(loaded.engine, loaded.checkpoint) for name, loaded in plan.checkpoints.items() if name in todo]
    ):
        members = [plan.checkpoints[name] for name in names]
        shards = [shard for name in names for shard in missing if shard.arm.checkpoint == name]
        if members[0].engine == OpenAIBatchEngine.name:
            batches.append((members[0], shards))
        else:
            loads.append(drawing.load(members, shards))
    # What takes a day is asked for first and waited for last.
    for loaded, shards in batches:
        drawing.submit(loaded, shards, tell)
    if loads:
        drawing.draw(place_of(plan.cluster), loads, tell)
    for loaded, shards in batches:
        drawing.collect(loaded, shards, tell)
    return drawing.sampled()


def read_groups(plan: Plan, store: Store, tell: Listener = QUIET) -> dict[str, Sequence[Group]]:
    """Every arm's completions, from disk: what was just sampled and what was there before go the same way.

    Thinking is apart from answers; what was cut inside it has an empty one. The answers of a list are apart. Many
    completions stay on disk, and a group is made when it is looked at.
    """
    tell.stage("read samples", sum(shard.size for shard in plan.shards))

    def read(shard: Shard) -> pa.Table:
        table = store.table(shard.key)
        tell.advance(shard.size)
        return table

    sources = {
        arm.name: [Source(shard.row, partial(read, shard)) for shard in plan.shards_of(arm.name)] for arm in plan.arms
    }
    arms = {arm.name: arm for arm in plan.arms}
    return group_completions(arms, plan.suite.prompts, sources, sum(shard.size for shard in plan.shards))


def put_kept(store: Store, plan: Plan, groups: Groups) -> dict[str, str]:
    """A shard of what each best-of-n arm kept of its draws: arm -> key."""
    keys = {}
    for arm in plan.arms:
        if arm.best_of > 1:
            shards = plan.shards_of(arm.name)
            drawn = [[s.key, s.row.prompts, s.row.slots] if s.part else s.key for s in shards]
            marks = {"thinking": asdict(arm.thinking)} if arm.thinking else {}
            keys[arm.name] = key_of({"kept of": drawn, "by": chosen(plan, arm)} | marks)
            is_shared, last = all(shard.shared for shard in shards), max(store.sampled(shard.key) for shard in shards)
            extras = frozenset[str]().union(*by_row(_extras, {arm.name: groups[arm.name]}))
            store.put_parts(keys[arm.name], _kept_in_parts(groups[arm.name]), extras, arm.name, is_shared, last)
    return keys


def _kept_in_parts(groups: Sequence[Group]) -> Iterator[list[Completion]]:
    """All that an arm kept, `AT_ONCE` completions at a time or little more."""
    part: list[Completion] = []
    for group in groups:
        part += (*group.completions, *group.unfinished)
        if len(part) > AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _extras(row: int, groups: Mapping[str, Group]) -> frozenset[str]:
    """Columns that one prompt's completions need."""
    [group] = groups.values()
    return extras_of(group.completions) | extras_of(group.unfinished)
