"""What is missing is sampled, an engine at a time; what is there is read, whoever sampled it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial

from evalkit.errors import StoreError
from evalkit.inference.engines.base import Engine, Metered, by_load, open_engine
from evalkit.inference.engines.openai_batch import OpenAIBatchEngine
from evalkit.inference.manifest import chosen
from evalkit.inference.plan import Loaded, Plan, Shard
from evalkit.inference.speeds import Speed, remember_speed
from evalkit.plumbing.array_cache import key_of
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.prose import listed
from evalkit.records import Completion, Group, Groups, Usage
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


def sample_missing(plan: Plan, store: Store, tell: Listener, fresh: bool = False) -> int:
    """Sample every one of the `missing_shards`, one engine at a time; how many completions. Raises `StoreError`."""
    missing = missing_shards(plan, store, fresh)
    if lost := [shard.key for shard in missing if shard.part]:
        raise StoreError(f"shard {lost[0]} was lost since the run began; give the same command again")
    todo = {shard.arm.checkpoint for shard in missing}
    loads = by_load([(loaded.engine, loaded.checkpoint) for name, loaded in plan.checkpoints.items() if name in todo])
    firsts = [plan.checkpoints[names[0]] for names in loads]
    # What takes a day is asked for first and waited for last.
    queued = [loaded for loaded in firsts if loaded.engine == OpenAIBatchEngine.name]
    for loaded in queued:
        _submit(loaded, missing, store, tell)
    for names in sorted(loads, key=lambda names: plan.checkpoints[names[0]] in queued):
        _sample([plan.checkpoints[name] for name in names], missing, store, tell)
    return sum(shard.size for shard in missing)


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


def _submit(loaded: Loaded, missing: Sequence[Shard], store: Store, tell: Listener) -> None:
    with open_engine(loaded.engine, loaded.checkpoint, loaded.max_length) as engine:
        assert isinstance(engine, OpenAIBatchEngine)
        shards = [shard for shard in missing if shard.arm.checkpoint == loaded.checkpoint.name]
        engine.submit_calls(shards, store.folder, tell)


def _sample(members: Sequence[Loaded], missing: Sequence[Shard], store: Store, tell: Listener) -> None:
    """Sample all that is missing of checkpoints that share a load."""
    first, *others = (loaded.checkpoint for loaded in members)
    tell.stage(f"load {listed([checkpoint.name for checkpoint in (first, *others)])} ({members[0].engine})", 1)
    start = time.monotonic()
    with open_engine(members[0].engine, first, max(loaded.max_length for loaded in members), *others) as engine:
        tell.advance(1)
        load = time.monotonic() - start
        speeds: dict[str, Speed] = {}
        for loaded in members:
            if others:
                engine.turn_to(loaded.checkpoint)
            shards = [shard for shard in missing if shard.arm.checkpoint == loaded.checkpoint.name]
            speed, weights = _draw(engine, shards, load, store, tell), loaded.checkpoint.fingerprint
            speeds[weights] = speed.after(speeds[weights]) if weights in speeds else speed
            remember_speed(loaded, speeds[weights], store.notice)


def _draw(engine: Engine, shards: Sequence[Shard], load: float, store: Store, tell: Listener) -> Speed:
    """Sample one checkpoint's shards; how fast that went, after so many seconds of loading."""
    tokens: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    stored = prompt_tokens = prompt_letters = 0
    tell.stage(f"sample {shards[0].arm.checkpoint}", sum(shard.size for shard in shards))
    ready = time.monotonic()
    for shard, drawn, used in _calls(engine, shards, store, tell):
        stored += store.put(shard.key, drawn, shard.arm.name, shard.shared, call=replace(shard.call, usage=tuple(used)))
        letters = {prompt.prompt_id: prompt.letters for prompt in shard.prompts}
        prompt_tokens += sum(one.prompt_tokens for one in used)
        prompt_letters += sum(letters[one.prompt_id] for one in used)
        counts[shard.distribution] += shard.size
        tokens[shard.distribution] += _tokens_of(drawn, used)
    seconds = time.monotonic() - ready
    return Speed(load, seconds, counts.total(), dict(tokens), dict(counts), stored, prompt_tokens, prompt_letters)


def _calls(
    engine: Engine, shards: Sequence[Shard], store: Store, tell: Listener
) -> Iterator[tuple[Shard, list[Completion], list[Usage]]]:
    """Each call with what it draws and what its requests took: one after another, or all asked for together."""
    if not isinstance(engine, OpenAIBatchEngine):
        yield from ((shard, *_call(engine, shard, store, tell)) for shard in shards)
        return
    for whole in engine.sample_calls(shards, store.folder, tell):
        yield shards[whole.place], shards[whole.place].drawn(whole.completions), whole.usages


def _call(engine: Engine, shard: Shard, store: Store, tell: Listener) -> tuple[list[Completion], list[Usage]]:
    """What a shard's call draws, and what its requests took where the engine tells."""
    used: list[Usage] = []
    if isinstance(engine, Metered):
        engine.meter = used.append
    try:
        return shard.drawn(engine.sample(shard.prompts, shard.sampling, shard.seed, tell.advance)), used
    except BaseException:
        store.note_unfinished(shard.arm.name, used)
        raise


def _tokens_of(drawn: Sequence[Completion], used: Sequence[Usage]) -> int:
    """Tokens of completions; where their ids are not told, as many as the server counted for each draw."""
    tokens, draws = sum(len(completion.token_ids) for completion in drawn), sum(one.draws for one in used)
    if tokens or not draws:
        return tokens
    return round(sum(one.completion_tokens for one in used) / draws * len(drawn))
