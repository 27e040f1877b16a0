"""Prompts that belong together are one draw: which they are, by a suite and by summaries, and how they are counted."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.analysis.intervals import units
from evalkit.errors import Incomparable
from evalkit.metrics.summary import Summary
from evalkit.records import Prompt


def clusters_of(prompts: Sequence[Prompt]) -> tuple[str, ...]:
    """The cluster of each prompt; one without is its own, called by its id. Empty where none names any."""
    if all(prompt.cluster is None for prompt in prompts):
        return ()
    return tuple(prompt.cluster or prompt.id for prompt in prompts)


def shared_clusters(prompts: Sequence[str], names: Sequence[str], summaries: Sequence[Summary]) -> tuple[str, ...]:
    """The cluster of each of these prompts, which all summaries have; empty where no summary names any.

    What belongs together is said of the prompts, not of a run: where some summaries say it, it holds for all. `names`
    are what the summaries are called. Raises `Incomparable` where two say different things.
    """
    stated: list[tuple[str, tuple[str, ...]]] = []
    for name, summary in zip(names, summaries, strict=True):
        if summary.clusters:
            cluster_of = dict(zip(summary.prompts, summary.clusters, strict=True))
            stated.append((name, tuple(cluster_of[prompt] for prompt in prompts)))
    if not stated:
        return ()
    first, shared = stated[0]
    for name, clusters in stated[1:]:
        if _partition(clusters) != _partition(shared):
            raise Incomparable(
                f"clusters: {first} takes {sized(len(prompts), shared)}, {name} {sized(len(prompts), clusters)}, or "
                "other ones: give the prompts of both the same `cluster`, and run both again (nothing is sampled anew)"
            )
    return shared


def sized(prompts: int, clusters: Sequence[str]) -> str:
    """How many units of resampling, in words: `20 clusters of 100 prompts`, or `100 prompts`."""
    count = f"{prompts:,} prompt{'' if prompts == 1 else 's'}"
    groups = units(clusters, prompts)
    return count if groups == prompts else f"{groups:,} cluster{'' if groups == 1 else 's'} of {count}"


def _partition(clusters: Sequence[str]) -> list[int]:
    """The same for the same division, whatever its parts are called."""
    first: dict[str, int] = {}
    return [first.setdefault(cluster, row) for row, cluster in enumerate(clusters)]
