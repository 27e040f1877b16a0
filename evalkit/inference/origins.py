"""Where an arm's completions come from: sampled by this run, or by an earlier one and taken from the cache; and when.

A shard says itself when it was sampled, and by which run. Of those that older evalkits sampled, one that is older than
the run that holds it was not sampled by it, nor was one that the run's list has from the cache; where clocks jump, or
those of a cluster's nodes differ, that may be wrong.
"""

from __future__ import annotations

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
    own = [one for one in plan.shards if not is_earlier(one, store, manifest)]
    told = {"spending": spent} if (spent := spending(plan, store, own)) else {}
    return manifest.model_copy(update={"samples": samples} | told)


def origins(plan: Plan, store: Store, manifest: Manifest) -> dict[str, Origin]:
    """Arm -> where its completions come from; all its shards are here."""
    return {arm.name: _origin(plan.shards_of(arm.name), store, manifest) for arm in plan.arms}


def cache_note(samples: Mapping[str, Origin]) -> str | None:
    """What the user should know of samples that were not drawn for this run; None where there are none."""
    arms = [
        f"{arm} ({origin.from_cache} of {origin.completions} completions, sampled {span(*origin.cached)})"
        for arm, origin in samples.items()
        if origin.cached is not None
    ]
    return f"from the cache, not sampled by this run: {listed(arms)}; --fresh samples anew" if arms else None


def is_earlier(shard: Shard, store: Store, manifest: Manifest) -> bool:
    """Whether a shard was not sampled by the run that holds it."""
    call = store.call(shard.key)
    if call is not None and call.run and manifest.run:
        return call.run != manifest.run
    return bool(shard.cached or (manifest.started and store.sampled(shard.key) < manifest.started))


def _origin(shards: Sequence[Shard], store: Store, manifest: Manifest) -> Origin:
    times = [store.sampled(shard.key) for shard in shards]
    earlier = [
        (shard.size, time) for shard, time in zip(shards, times, strict=True) if is_earlier(shard, store, manifest)
    ]
    cached = [time for _, time in earlier]
    origin = Origin(
        completions=sum(shard.size for shard in shards),
        from_cache=sum(size for size, _ in earlier),
        sampled_first=min(times),
        sampled_last=max(times),
    )
    return origin.model_copy(update={"cached_first": min(cached), "cached_last": max(cached)}) if cached else origin
