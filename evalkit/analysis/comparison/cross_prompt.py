"""Across prompts: a metric on one completion of every prompt; tuning costs less there (Kirk et al. 2023).

Slot j of every prompt makes one group; the estimate is the mean over slots. Prompts must not be bootstrapped under
such a figure, because a prompt drawn twice is a duplicate that the metric would count as sameness. Instead every prompt
gets its influence by the delete-one jackknife (Tukey 1958), and these influence values, which average to the estimate
exactly, take the way that every metric's values take: intervals, paired differences, corrections.

A metric that has a way to its values without each completion takes the time of a few figures, however many prompts
there are. Any other is taken anew for every prompt left out, and where that is too much work, prompts are left out in
groups (Shao & Wu 1989): one value a group, which stands at one of its prompts, so that whoever takes an interval of the
values counts groups. Prompts of one cluster are in one group. A metric whose cost goes with the square is a mean over
pools of a bounded size.

The jackknife errs on the wide side (Efron & Stein 1981): on 30 prompts of simulated topics its intervals were 1.1 to
1.3 times as wide as they had to be, and 1.4 to 1.8 times where prompts exhaust a small vocabulary that they share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.metrics.estimators.ngrams import Ints
from evalkit.metrics.registry import Measure
from evalkit.plumbing.arrays import Array
from evalkit.records import Group, Prompt

EVALUATIONS = 256
"""Completions that are pooled an arm and metric, in as many slots as that is: what every prompt has bounds it too."""
TEXTS = EVALUATIONS**2
"""Completions that metrics are taken on an arm, all groups without some prompts together; up to 256 prompts each is
left out alone, ..."""
FEWEST_GROUPS = 20
"""... and from 3 277 prompts on so many groups are, for fewer would make intervals wider."""
EVERY = Prompt("every prompt", "every prompt")
"""What a pooled group is asked: metrics that have this variant never look at the prompt."""
Part = tuple[Ints, ...]
"""Places of the prompts that are left out together, for each time that some are."""


@dataclass(frozen=True, slots=True)
class Design:
    """How the influences of P prompts are found: the same for all arms, and for all runs of the same prompts.

    Where there are several pools, theta is the mean over all values: over pools of equal size and as many groups.
    """

    pools: tuple[Part, ...]
    """On which prompts the metric is taken together, and in which groups they are left out."""
    of: int
    """P."""

    @property
    def in_groups(self) -> bool:
        """Whether some prompts are left out together."""
        return self.groups < self.of

    @property
    def groups(self) -> int:
        return sum(map(len, self.pools))

    @property
    def smallest(self) -> int:
        """Completions that the metric is taken on at least."""
        sizes = [[len(group) for group in part] for part in self.pools]
        return min((sum(own) - (max(own) if len(own) > 1 else 0) for own in sizes), default=0)


def pooled_values(measure: Measure, groups: Mapping[str, Sequence[Group]]) -> dict[str, Array]:
    """Arm -> one influence value a prompt: theta + (P - 1) (mean of theta without one - theta without this one).

    theta is the metric's mean over `slots_of(groups)` pooled groups of P completions. The values' mean is theta
    exactly; their spread over the root of their number is the jackknife standard error. NaN on prompts that some arm
    has no completion of: P is the same in every arm. Where prompts are left out in groups, all but one of each group's
    are NaN too.
    """
    asked = _asked(groups)
    slots = slots_of(groups)
    values = {arm: np.full(len(own), np.nan) for arm, own in groups.items()}
    if not slots:
        return values
    prompts = [next(iter(groups.values()))[place].prompt for place in asked]
    design = design_of(measure, prompts)
    for arm, own in groups.items():
        if measure.fits(design.smallest):
            pools = (_pool([own[place] for place in asked], slot) for slot in range(slots))
            values[arm][asked] = np.mean([influence_values(measure, pool, design) for pool in pools], axis=0)
    return values


def slots_of(groups: Mapping[str, Sequence[Group]]) -> int:
    """How many slots are pooled: all that every prompt has, or as many as `EVALUATIONS` pays for."""
    sizes = [len(group.completions) for own in groups.values() for group in own if group.completions]
    prompts = max((len(own) for own in groups.values()), default=0)
    return min(*sizes, max(1, EVALUATIONS // max(1, prompts))) if sizes else 0


def essentials(measure: Measure, groups: Mapping[str, Sequence[Group]]) -> Iterator[str]:
    """What a pooled number and its values depend on, for the signature."""
    yield f"prompts:{max(map(len, groups.values()))}"
    yield f"slots:{slots_of(groups)}"
    prompts = [next(iter(groups.values()))[place].prompt for place in _asked(groups)]
    design = design_of(measure, prompts)
    if len(design.pools) > 1:
        yield f"pools:{len(design.pools)}"
    if design.in_groups:
        yield f"groups:{design.groups}"
    if (len(design.pools) > 1 or design.in_groups) and any(prompt.cluster for prompt in prompts):
        yield f"clusters:{len({prompt.cluster or prompt.id for prompt in prompts})}"


def design_of(measure: Measure, prompts: Sequence[Prompt]) -> Design:
    """Pools of at most as many prompts as the metric allows, each prompt left out alone where that can be paid for."""
    count = len(prompts)
    most = measure.definition.pool_at_most or max(1, count)
    pools = _dealt(_units(prompts), -(-count // most)) if count > most else [[np.arange(count)]]
    if measure.definition.without_each is not None or count <= EVALUATIONS:
        return Design(tuple(tuple(np.sort(np.concatenate(units))[:, None]) for units in pools), count)
    enough = max(TEXTS // count, -(-FEWEST_GROUPS // len(pools)), 2)
    if len(pools) == 1:
        pools = [_units(prompts)]
    parts = [[np.concatenate(group) for group in _dealt(units, enough)] for units in pools]
    return Design(tuple(map(tuple, parts)), count)


def influence_values(measure: Measure, pool: Group, design: Design) -> Array:
    """The influence of every place of a pool of P completions, (P,); NaN on all but one of those left out together."""
    values = np.full(design.of, np.nan)
    for part in design.pools:
        places = np.sort(np.concatenate(part))
        own = pool if len(places) == design.of else pool.only(places.tolist())
        inside = [np.searchsorted(places, group) for group in part]
        values[[group[0] for group in part]] = _influences(measure, own, inside)
    return values


def _influences(measure: Measure, pool: Group, left_out: Sequence[Ints]) -> Array:
    """One value for each set of places, which average to the metric on the pool."""
    size, count = len(pool.completions), len(left_out)
    theta = float(measure(pool))
    if count == 1:
        return np.array([theta])
    if measure.definition.without_each is not None:
        without = np.asarray(measure.without_each(pool), dtype=np.float64)
    else:
        kept = (np.delete(np.arange(size), places).tolist() for places in left_out)
        without = np.array([measure(pool.only(places)) for places in kept], dtype=np.float64)
    lost = theta - without
    # What a completion less does to any such figure is no influence of the group: larger ones would show more of it.
    weight = np.array([len(places) for places in left_out]) / size
    return np.asarray(theta + (count - 1) * (lost - weight * lost.sum()), dtype=np.float64)


def _asked(groups: Mapping[str, Sequence[Group]]) -> list[int]:
    """Prompts that every arm has completions of."""
    members = zip(*groups.values(), strict=True)
    return [place for place, found in enumerate(members) if all(group.completions for group in found)]


def _units(prompts: Sequence[Prompt]) -> list[Ints]:
    """Places of prompts that belong together, in an order that depends on nothing but their names."""
    places: dict[str, list[int]] = {}
    for place, prompt in enumerate(prompts):
        places.setdefault(prompt.cluster or prompt.id, []).append(place)
    own = {name: sorted(found, key=lambda place: _shuffled(prompts[place].id)) for name, found in places.items()}
    return [np.array(own[name]) for name in sorted(own, key=_shuffled)]


def _shuffled(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _dealt(units: Sequence[Ints], hands: int) -> list[list[Ints]]:
    """The units dealt out in turn, in their order; no hand is empty."""
    return [list(units[first::hands]) for first in range(min(hands, len(units)))]


def _pool(groups: Sequence[Group], slot: int) -> Group:
    """One completion of every prompt, with its words and embedding."""
    completions = tuple(group.completions[slot] for group in groups)
    pool = Group(EVERY, (), tokenizer=groups[0].tokenizer).of(completions, tuple(group.words[slot] for group in groups))
    rows = [group.embeddings[slot] for group in groups if group.embeddings is not None]
    return pool.embedded(np.stack(rows)) if len(rows) == len(groups) and rows else pool
