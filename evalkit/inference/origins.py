"""Where an arm's completions come from: sampled by this run, or by an earlier one and taken from the cache; and when.

A shard says itself when it was sampled. One that is older than the run that holds it was not sampled by it, nor was one
that the run's list has from the cache.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Shard
from evalkit.inference.spending import spending
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.prose import listed
from evalkit.plumbing.times import day_and_time, span
from evalkit.runs.folder import Store
from evalkit.runs.manifest import Manifest, Origin


def note_origins(plan: Plan, store: Store, manifest: Manifest, sampled: int, tell: Listener) -> Manifest:
    """Note what was not sampled now, and when it was; the manifest with each arm's origin."""
    samples = origins(plan, store, manifest)
    if note := cache_note(samples):
        tell.note(note)
    elif not sampled:
        tell.note(f"nothing was sampled now: {store.folder} holds all completions, the last of them sampled "
                  f"on {day_and_time(max(origin.sampled_last for origin in samples.values()))}")  # fmt: skip
    own = [one for one in plan.shards if not is_earlier(one, store.sampled(one.key), manifest.started)]
    told = {"spending": spent} if (spent := spending(plan, store, own)) else {}
    return manifest.model_copy(update={"samples": samples} | told)


def origins(plan: Plan, store: Store, manifest: Manifest) -> dict[str, Origin]:
    """Arm -> where its completions come from; all its shards are here."""
    return {
        arm.name: _origin([(shard, store.sampled(shard.key)) for shard in plan.shards_of(arm.name)], manifest.started)
        for arm in plan.arms
    }


def cache_note(samples: Mapping[str, Origin]) -> str | None:
    """What the user should know of samples that were not drawn for this run; None where there are none."""
    arms = [
        f"{arm} ({origin.from_cache} of {origin.completions} completions, sampled {span(*origin.cached)})"
        for arm, origin in samples.items()
        if origin.cached is not None
    ]
    return f"from the cache, not sampled by this run: {listed(arms)}; --fresh samples anew" if arms else None


def is_earlier(shard: Shard, sampled: datetime.datetime, started: datetime.datetime | None) -> bool:
    """Whether a shard was not sampled by the run that holds it."""
    return bool(shard.cached or (started and sampled < started))


def _origin(shards: Sequence[tuple[Shard, datetime.datetime]], started: datetime.datetime | None) -> Origin:
    times = [time for _, time in shards]
    earlier = [(shard.size, time) for shard, time in shards if is_earlier(shard, time, started)]
    cached = [time for _, time in earlier]
    origin = Origin(
        completions=sum(shard.size for shard, _ in shards),
        from_cache=sum(size for size, _ in earlier),
        sampled_first=min(times),
        sampled_last=max(times),
    )
    return origin.model_copy(update={"cached_first": min(cached), "cached_last": max(cached)}) if cached else origin
