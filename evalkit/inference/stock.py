"""What of a plan was sampled before, and the calls that are made for the rest.

What is reused is a prompt's single draws: prompts x numbers of draws are looked for in the run's own list, then in its
folder, then in the cache. Only what none has is asked for, in calls that are settled (and written in run.json) before
the first is made: so a run that is killed goes on with the same calls.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Shard, fitting, make_call, prompt_key
from evalkit.runs.folder import StoredShard
from evalkit.runs.manifest import ShardRow

Missing = npt.NDArray[np.bool_]
"""(prompts, draws) of an arm: which are not there."""


class Stock(Protocol):
    """Where samples may be: a run's folder and the cache."""

    def holds(self, key: str, arm: str = "", shared: bool = True, distribution: str = "") -> bool:
        """Whether a call's shard is there, whole."""

    def stored(self, distribution: str, shared: bool = True) -> Sequence[StoredShard]:
        """All shards of a distribution, in the order in which they are to be used."""

    def take(self, stored: StoredShard, arm: str) -> bool:
        """Whether one of them is whole; it is then the run's."""


@dataclass
class _Arm:
    """One arm while its draws are looked for."""

    planned: list[Shard]
    """Its calls as if nothing were there."""
    missing: Missing
    taken: list[Shard]
    """What supplies its draws."""
    advance: Callable[[int], None]
    """Told of draws that are given."""

    def __init__(self, planned: Sequence[Shard], advance: Callable[[int], None]) -> None:
        self.planned = list(planned)
        self.advance = advance
        self.taken = []
        prompts = [prompt for shard in planned for prompt in shard.prompts]
        self.row = {prompt.prompt_id: row for row, prompt in enumerate(prompts)}
        self.rendered = prompts
        self.call = [shard for shard in planned for _ in shard.prompts]
        self.missing = np.ones((len(prompts), len(planned[0].sample_indices)), dtype=bool)

    def give(self, shard: Shard) -> None:
        self.taken.append(shard)
        rows = [self.row[prompt.prompt_id] for prompt in shard.prompts]
        self.missing[rows, shard.sample_indices.start : shard.sample_indices.stop] = False
        self.advance(shard.size)


def allot(
    plan: Plan,
    stock: Stock,
    known: Sequence[ShardRow] = (),
    fresh: bool = False,
    ends: Sequence[int] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> Plan:
    """The plan with what is there in the place of calls, and calls for what is not.

    `known`: the shards that the run's manifest lists. `fresh`: the cache does not count. `ends`: after how many prompts
    no call goes on, in the order of the suite. `advance` is told of completions as it is settled where they come from.
    """
    place_of = plan.place_of
    shards: list[Shard] = []
    for name in dict.fromkeys(shard.arm.name for shard in plan.shards):
        arm = _Arm(plan.shards_of(name), advance)
        blocks = [bisect_right(ends, place_of[prompt.prompt_id]) for prompt in arm.rendered]
        _take_known(arm, stock, [row for row in known if row.arm == name], blocks, fresh)
        _take_stored(arm, stock, fresh)
        _ask(arm, plan, blocks)
        shards += arm.taken
    return replace(plan, shards=tuple(shards))


def _take_known(arm: _Arm, stock: Stock, rows: Sequence[ShardRow], blocks: Sequence[int], fresh: bool) -> None:
    """What the run itself had settled; a call that is not yet made, or whose shard is damaged, is made as it was."""
    for shard in _listed(arm, rows):
        whole = not shard.part and len({blocks[arm.row[prompt.prompt_id]] for prompt in shard.prompts}) == 1
        if stock.holds(shard.key, shard.arm.name, shard.shared and not fresh, shard.distribution) or whole:
            arm.give(shard)


def _listed(arm: _Arm, rows: Sequence[ShardRow]) -> Iterator[Shard]:
    """The shards that a manifest lists for an arm, as far as the arm still asks for them."""
    in_order = (shard for shard in arm.planned)
    for row in rows:
        shard = _by_prompts(arm, row) if isinstance(row.prompts, list) else _by_order(next(in_order, None), row)
        if shard is not None:
            yield shard


def _by_prompts(arm: _Arm, row: ShardRow) -> Shard | None:
    assert isinstance(row.prompts, list)
    start, stop = row.slots or (0, 0)
    prompts = tuple(arm.rendered[arm.row[prompt]] for prompt in row.prompts if prompt in arm.row)
    sample_indices = range(start, min(stop, arm.missing.shape[1]))
    if not prompts or not sample_indices:
        return None
    part = row.part or len(prompts) < len(row.prompts) or sample_indices.stop < stop
    like = arm.call[arm.row[prompts[0].prompt_id]]
    return replace(
        like, key=row.key, seed=row.seed, prompts=prompts, sample_indices=sample_indices, part=part, cached=row.cached
    )


def _by_order(planned: Shard | None, row: ShardRow) -> Shard | None:
    """Older evalkits wrote how many prompts a call asked, and cut an arm into calls as is done for an empty cache."""
    if planned is None or row.prompts != len(planned.prompts):
        return None
    return replace(planned, key=row.key, seed=row.seed)


def _take_stored(arm: _Arm, stock: Stock, fresh: bool) -> None:
    """What shards of the folder and of the cache have of single draws."""
    if not arm.missing.any():
        return
    keys = {prompt_key(prompt): row for row, prompt in enumerate(arm.rendered)}
    for distribution, like in {shard.distribution: shard for shard in arm.planned}.items():
        of_distribution = np.array([shard.distribution == distribution for shard in arm.call])
        lacking = int(arm.missing[of_distribution].sum())
        for stored in stock.stored(distribution, like.shared and not fresh):
            if not lacking:
                break
            rows = [keys[key] for key in stored.call.prompts if key in keys]
            rows = sorted({row for row in rows if of_distribution[row]})
            slots = stored.call.sample_indices
            wanted = arm.missing[rows, slots.start : slots.stop]
            if wanted.any() and stock.take(stored, like.arm.name):
                lacking -= int(wanted.sum())
                for shard in _supplied(arm, like, stored, rows, wanted):
                    arm.give(shard)


def _supplied(arm: _Arm, like: Shard, stored: StoredShard, rows: Sequence[int], wanted: Missing) -> Iterator[Shard]:
    """`wanted`: of these rows, which of the stored shard's draws."""
    first = stored.call.sample_indices.start
    size = len(stored.call.prompts) * len(stored.call.sample_indices)
    for members, sample_indices in rectangles(wanted):
        prompts = tuple(arm.rendered[rows[member]] for member in members)
        yield replace(
            like,
            key=stored.key,
            seed=stored.call.seed,
            prompts=prompts,
            sample_indices=range(first + sample_indices.start, first + sample_indices.stop),
            part=len(prompts) * len(sample_indices) < size,
            cached=stored.cached,
        )


def _ask(arm: _Arm, plan: Plan, blocks: Sequence[int]) -> None:
    """Calls for what is missing: those that were planned where they are wanted whole, else as large as fits."""
    for shard in arm.planned:
        if all(arm.missing[arm.row[prompt.prompt_id]].all() for prompt in shard.prompts):
            arm.give(shard)
    source = plan.checkpoints[arm.planned[0].arm.checkpoint]
    for like, rows in _alike(arm, blocks):
        wanted = np.zeros_like(arm.missing)
        wanted[rows] = arm.missing[rows]
        for members, sample_indices in list(rectangles(wanted)):
            most = fitting(source, len(sample_indices))
            for start in range(0, len(members), most):
                prompts = [arm.rendered[row] for row in members[start : start + most]]
                arm.give(make_call(like.arm, source, like.kept, like.twin, prompts, sample_indices))


def _alike(arm: _Arm, blocks: Sequence[int]) -> list[tuple[Shard, list[int]]]:
    """Prompts that lack draws and may go in one call: of one distribution and one block."""
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row in np.flatnonzero(arm.missing.any(axis=1)).tolist():
        groups[blocks[row], arm.call[row].distribution].append(row)
    return [(arm.call[rows[0]], rows) for rows in groups.values()]


def rectangles(wanted: Missing) -> Iterator[tuple[list[int], range]]:
    """Some of (prompts, draws) as rows x runs of draws: rows that want the same go together."""
    alike: dict[bytes, list[int]] = defaultdict(list)
    for row in np.flatnonzero(wanted.any(axis=1)).tolist():
        alike[wanted[row].tobytes()].append(row)
    for rows in alike.values():
        edges = np.flatnonzero(np.diff(np.concatenate(([False], wanted[rows[0]], [False]))))
        for start, stop in edges.reshape(-1, 2).tolist():
            yield rows, range(start, stop)
