"""What is missing is sampled, an engine at a time; what is there is read, whoever sampled it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter

from evalkit.errors import StoreError
from evalkit.inference.engines.base import open_engine
from evalkit.inference.manifest import chosen
from evalkit.inference.plan import Loaded, Plan, Shard
from evalkit.inference.speeds import Speed, remember_speed
from evalkit.plumbing.array_cache import key_of
from evalkit.plumbing.progress import Listener
from evalkit.records import Completion, Group
from evalkit.runs.folder import Store


def missing_shards(plan: Plan, store: Store, fresh: bool = False) -> list[Shard]:
    """The shards of a plan that are neither in the folder nor in the cache; what the cache has is then in the folder.

    `fresh`: the cache does not count. Nor does it for a server that does not name its weights.
    """
    return [
        shard
        for shard in plan.shards
        if not store.holds(shard.key, shard.arm.name, shard.shared and not fresh, shard.distribution)
    ]


def sample_missing(plan: Plan, store: Store, tell: Listener, fresh: bool = False) -> int:
    """Sample every one of the `missing_shards`, one engine at a time; how many completions. Raises `StoreError`."""
    missing = missing_shards(plan, store, fresh)
    if lost := [shard.key for shard in missing if shard.part]:
        raise StoreError(f"shard {lost[0]} was lost since the run began; give the same command again")
    for name, loaded in plan.checkpoints.items():
        shards = [shard for shard in missing if shard.arm.checkpoint == name]
        if shards:
            _sample(loaded, shards, store, tell)
    return sum(shard.size for shard in missing)


def read_groups(plan: Plan, store: Store) -> dict[str, list[Group]]:
    """Every arm's completions, from disk: what was just sampled and what was there before go the same way."""
    groups: dict[str, list[Group]] = {}
    for arm in plan.arms:
        by_prompt: dict[str, list[Completion]] = {prompt.id: [] for prompt in plan.suite.prompts}
        for shard in plan.shards_of(arm.name):
            for completion in shard.row.of(store.read(shard.key)):
                by_prompt[completion.prompt_id].append(completion)
        groups[arm.name] = [
            Group(prompt, tuple(sorted(by_prompt[prompt.id], key=attrgetter("slot")))) for prompt in plan.suite.prompts
        ]
    return groups


def put_kept(store: Store, plan: Plan, groups: dict[str, list[Group]]) -> dict[str, str]:
    """A shard of what each best-of-n arm kept of its draws: arm -> key."""
    keys = {}
    for arm in plan.arms:
        if arm.best_of > 1:
            shards = plan.shards_of(arm.name)
            drawn = [[s.key, s.row.prompts, s.row.slots] if s.part else s.key for s in shards]
            keys[arm.name] = key_of({"kept of": drawn, "by": chosen(plan, arm)})
            kept = [completion for group in groups[arm.name] for completion in group.completions]
            is_shared, last = all(shard.shared for shard in shards), max(store.sampled(shard.key) for shard in shards)
            store.put(keys[arm.name], kept, arm.name, is_shared, last)
    return keys


def _sample(loaded: Loaded, shards: Sequence[Shard], store: Store, tell: Listener) -> None:
    name = loaded.checkpoint.name
    tokens: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    stored = 0
    tell.stage(f"load {name} ({loaded.engine})", 1)
    start = time.monotonic()
    with open_engine(loaded.engine, loaded.checkpoint, loaded.max_length) as engine:
        tell.advance(1)
        tell.stage(f"sample {name}", sum(shard.size for shard in shards))
        ready = time.monotonic()
        for shard in shards:
            drawn = shard.drawn(engine.sample(shard.prompts, shard.sampling, shard.seed, tell.advance))
            stored += store.put(shard.key, drawn, shard.arm.name, shard.shared, call=shard.call)
            counts[shard.distribution] += shard.size
            tokens[shard.distribution] += sum(len(completion.token_ids) for completion in drawn)
        seconds = time.monotonic() - ready
    speed = Speed(ready - start, seconds, counts.total(), dict(tokens), dict(counts), stored)
    remember_speed(loaded, speed, store.notice)
