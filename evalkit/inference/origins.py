"""Where an arm's completions come from: sampled by this run, or by an earlier one and taken from the cache; and when.

A shard says itself when it was sampled. One that is older than the run that holds it was not sampled by it, nor was one
that the run's list has from the cache.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.inference.plan import Plan, Shard
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.prose import listed
from evalkit.plumbing.times import day_and_time, span
from evalkit.runs.folder import Store


@dataclass(frozen=True)
class Origin:
    """Of one arm's completions."""

    completions: int
    from_cache: int
    """How many of them an earlier run sampled."""
    cached: tuple[datetime.datetime, datetime.datetime] | None
    """First and last time of sampling of those."""
    first: datetime.datetime
    last: datetime.datetime


def origins(plan: Plan, store: Store, manifest: Mapping[str, Any]) -> dict[str, Origin]:
    """Arm -> where its completions come from; all its shards are here."""
    began = datetime.datetime.fromisoformat(manifest["started"])
    return {
        arm.name: _origin([(shard, store.sampled(shard.key)) for shard in plan.shards_of(arm.name)], began)
        for arm in plan.arms
    }


def cache_note(found: Mapping[str, Origin]) -> str | None:
    """What the user should know of samples that were not drawn for this run; None where there are none."""
    told = [
        f"{arm} ({origin.from_cache} of {origin.completions} completions, sampled {span(*origin.cached)})"
        for arm, origin in found.items()
        if origin.cached is not None
    ]
    return f"from the cache, not sampled by this run: {listed(told)}; --fresh samples anew" if told else None


def to_json(found: Mapping[str, Origin]) -> dict[str, dict[str, Any]]:
    """For the manifest."""
    return {arm: _row(origin) for arm, origin in found.items()}


def _origin(shards: Sequence[tuple[Shard, datetime.datetime]], began: datetime.datetime) -> Origin:
    times = [time for _, time in shards]
    earlier = [(shard.size, time) for shard, time in shards if shard.cached or time < began]
    cached = [time for _, time in earlier]
    return Origin(
        completions=sum(shard.size for shard, _ in shards),
        from_cache=sum(size for size, _ in earlier),
        cached=(min(cached), max(cached)) if cached else None,
        first=min(times),
        last=max(times),
    )


def _row(origin: Origin) -> dict[str, Any]:
    row = {"completions": origin.completions, "from_cache": origin.from_cache}
    times = {"sampled_first": origin.first.isoformat(), "sampled_last": origin.last.isoformat()}
    if origin.cached is None:
        return row | times
    first, last = (time.isoformat() for time in origin.cached)
    return row | times | {"cached_first": first, "cached_last": last}


def tell_of_reuse(plan: Plan, store: Store, manifest: dict[str, Any], sampled: int, tell: Listener) -> None:
    """Note what was not sampled now, and when it was; the manifest takes it all down."""
    found = origins(plan, store, manifest)
    manifest["samples"] = to_json(found)
    if note := cache_note(found):
        tell.note(note)
    elif not sampled:
        tell.note(f"nothing was sampled now: {store.folder} holds all completions, the last of them sampled "
                  f"on {day_and_time(max(origin.last for origin in found.values()))}")  # fmt: skip
