"""What is missing is sampled, an engine at a time; what is there is read, whoever sampled it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from evalkit.errors import StoreError
from evalkit.inference.draw import Drawing, Sampled
from evalkit.inference.engines.base import by_load
from evalkit.inference.engines.openai_batch import OpenAIBatchEngine
from evalkit.inference.manifest import chosen
from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Shard
from evalkit.inference.workers.places import place_of
from evalkit.plumbing.array_cache import key_of
from evalkit.plumbing.progress import Listener
from evalkit.records import Group, Groups
from evalkit.runs.folder import Store
from evalkit.runs.groups import group_completions
from evalkit.runs.stored_groups import Source


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


def read_groups(plan: Plan, store: Store) -> dict[str, Sequence[Group]]:
    """Every arm's completions, from disk: what was just sampled and what was there before go the same way.

    Thinking is apart from answers; what was cut inside it has an empty one. The answers of a list are apart. Many
    completions stay on disk, and a group is made when it is looked at.
    """
    sources = {
        arm.name: [Source(shard.row, partial(store.table, shard.key)) for shard in plan.shards_of(arm.name)]
        for arm in plan.arms
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
            kept = [completion for group in groups[arm.name] for completion in (*group.completions, *group.unfinished)]
            is_shared, last = all(shard.shared for shard in shards), max(store.sampled(shard.key) for shard in shards)
            store.put(keys[arm.name], kept, arm.name, is_shared, last)
    return keys
