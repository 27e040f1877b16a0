"""Across prompts: a metric on one completion of every prompt; tuning costs less there (Kirk et al. 2023).

The j-th completion of every prompt makes one group; the estimate is the mean over j, the sample index. Prompts must
not be bootstrapped under such a figure, because a prompt drawn twice is a duplicate that the metric would count as
sameness. Instead every prompt gets its influence by the delete-one jackknife (Tukey 1958), and these influence values,
which average to the estimate exactly, take the way that every metric's values take: intervals, paired differences,
corrections.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.overview import Overview
from evalkit.metrics.estimators.ngrams import Ints
from evalkit.metrics.registry import Measure
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.by_row import by_row
from evalkit.plumbing.lazily import is_lazy
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.records import Group, Groups, Prompt

EVALUATIONS = 256
"""Completions that a metric is taken on an arm, at as many sample indices as that is; what every prompt has bounds it
too."""
TEXTS = EVALUATIONS**2
"""Completions that metrics are taken on an arm, all groups without some prompts together; up to 256 prompts each is
left out alone, ..."""
FEWEST_GROUPS = 20
"""... and from 3 277 prompts on so many groups are, for fewer would make intervals wider."""
EVERY = Prompt("every prompt", "every prompt")
"""What a group across prompts is asked: metrics that have this variant never look at the prompt."""
Part = tuple[Ints, ...]
"""Rows of the prompts that are left out together, for each time that some are."""


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
        parts = [[len(group) for group in part] for part in self.pools]
        return min((sum(sizes) - (max(sizes) if len(sizes) > 1 else 0) for sizes in parts), default=0)


def pooled_values(
    measures: Sequence[Measure], groups: Groups, advance: Callable[[int], None] = lambda _: None
) -> dict[Measure, dict[str, Array]]:
    """Measure -> arm -> (P,) influence values: theta + (P - 1) (mean of theta without one - theta without this one).

    theta is the metric's mean over `common_samples(groups)` groups of P completions, one of every prompt. The values'
    mean is theta exactly; their spread over the root of their number is the jackknife standard error. NaN on prompts
    that some arm has no completion of: P is the same in every arm that has any. Where prompts are left out in groups,
    all but one of each group's are NaN too. `advance` is told of each pool, on which all measures are taken: none
    takes longer than another.
    """
    rows, samples = _common_rows(groups), common_samples(groups)
    values = {measure: {arm: np.full(len(of_arm), np.nan) for arm, of_arm in groups.items()} for measure in measures}
    if not samples or not rows:
        return values
    prompts = _prompts(groups, rows)
    designs = {measure: design_of(measure, prompts) for measure in measures}
    fitting = [measure for measure in measures if measure.fits(designs[measure].smallest)]
    sums = {measure: {arm: np.zeros(len(rows)) for arm in groups} for measure in fitting}
    for sample in range(samples):
        for arm, of_arm in _answered(groups).items():
            pool = _pool([of_arm[row] for row in rows], sample)
            for measure in fitting:
                sums[measure][arm] += influence_values(measure, pool, designs[measure])
            advance(1)
    for measure in fitting:
        for arm in _answered(groups):
            values[measure][arm][rows] = sums[measure][arm] / samples
    return values


def number_of_pools(groups: Groups) -> int:
    """On how many pools `pooled_values` takes each measure."""
    return common_samples(groups) * len(_answered(groups)) if _common_rows(groups) else 0


def common_samples(groups: Groups) -> int:
    """How many completions of each prompt are used: all that every prompt has, or as many as `EVALUATIONS` pays for."""
    return _common([[len(group.completions) for group in of_arm] for of_arm in groups.values()])


def _common(sizes: Sequence[Sequence[int]]) -> int:
    prompts = max(map(len, sizes), default=0)
    answered = [size for of_arm in sizes for size in of_arm if size]
    return min(*answered, max(1, EVALUATIONS // max(1, prompts))) if answered else 0


def first_samples(groups: Groups, overview: Overview, tell: Listener = QUIET) -> dict[str, list[Group]]:
    """The groups with as many of their first completions as `common_samples` there are; those in memory as they are."""
    samples = _common([[seen.completions for seen in of_arm] for of_arm in overview.values()])
    if not is_lazy(groups):
        return {arm: list(of_arm) for arm, of_arm in groups.items()}
    tell.stage("take first samples", max(map(len, groups.values())))
    rows = by_row(_First(samples), groups, tell.advance)
    return {arm: [row[arm] for row in rows] for arm in groups}


@dataclass(frozen=True)
class _First:
    samples: int

    def __call__(self, row: int, groups: Mapping[str, Group]) -> dict[str, Group]:
        return {arm: self._cut(group) for arm, group in groups.items()}

    def _cut(self, group: Group) -> Group:
        embeddings = None if group.embeddings is None else group.embeddings[: self.samples]
        cut = Group(group.prompt, group.completions[: self.samples], embeddings, tokenizer=group.tokenizer)
        return cut.of(cut.completions, cut.words) if embeddings is None else cut.only(range(len(cut.completions)))


def essentials(measure: Measure, groups: Groups) -> Iterator[str]:
    """What a cross-prompt number and its values depend on, for the signature."""
    yield f"prompts:{max(map(len, groups.values()))}"
    yield f"slots:{common_samples(groups)}"
    prompts = _prompts(groups, _common_rows(groups))
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
    pools = _shared_out(_units(prompts), -(-count // most)) if count > most else [[np.arange(count)]]
    if measure.definition.without_each is not None or count <= EVALUATIONS:
        return Design(tuple(tuple(np.sort(np.concatenate(units))[:, None]) for units in pools), count)
    enough = max(TEXTS // count, -(-FEWEST_GROUPS // len(pools)), 2)
    if len(pools) == 1:
        pools = [_units(prompts)]
    parts = [[np.concatenate(group) for group in _shared_out(units, enough)] for units in pools]
    return Design(tuple(map(tuple, parts)), count)


def influence_values(measure: Measure, pool: Group, design: Design) -> Array:
    """(P,) the influence of each of a pool's P completions; NaN on all but one of those left out together."""
    values = np.full(design.of, np.nan)
    for part in design.pools:
        rows = np.sort(np.concatenate(part))
        taken = pool if len(rows) == design.of else pool.only(rows.tolist())
        left_out = [np.searchsorted(rows, group) for group in part]
        values[[group[0] for group in part]] = _influences(measure, taken, left_out)
    return values


def _influences(measure: Measure, pool: Group, left_out: Sequence[Ints]) -> Array:
    """One value for each set of rows that is left out; they average to the metric on the pool."""
    size, count = len(pool.completions), len(left_out)
    theta = float(measure(pool))
    if count == 1:
        return np.array([theta])
    if measure.definition.without_each is not None:
        without = np.asarray(measure.without_each(pool), dtype=np.float64)
    else:
        kept = (np.delete(np.arange(size), rows).tolist() for rows in left_out)
        without = np.array([measure(pool.only(rows)) for rows in kept], dtype=np.float64)
    lost = theta - without
    # What a completion less does to any such figure is no influence of the group: larger ones would show more of it.
    weight = np.array([len(rows) for rows in left_out]) / size
    return np.asarray(theta + (count - 1) * (lost - weight * lost.sum()), dtype=np.float64)


def _common_rows(groups: Groups) -> list[int]:
    """Rows of the prompts that every arm has completions of, but for arms that have none at all."""
    by_prompt = zip(*_answered(groups).values(), strict=True)
    return [row for row, of_prompt in enumerate(by_prompt) if all(group.completions for group in of_prompt)]


def _answered(groups: Groups) -> Groups:
    """The arms that came to any answer."""
    return {arm: of_arm for arm, of_arm in groups.items() if any(group.completions for group in of_arm)}


def _prompts(groups: Groups, rows: Sequence[int]) -> list[Prompt]:
    """The prompts in these rows."""
    of_any_arm = next(iter(groups.values()))
    return [of_any_arm[row].prompt for row in rows]


def _units(prompts: Sequence[Prompt]) -> list[Ints]:
    """Rows of prompts that belong together, in an order that depends on nothing but their names."""
    rows: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts):
        rows.setdefault(prompt.cluster or prompt.id, []).append(row)
    ordered = {name: sorted(of_unit, key=lambda row: _order_key(prompts[row].id)) for name, of_unit in rows.items()}
    return [np.array(ordered[name]) for name in sorted(ordered, key=_order_key)]


def _order_key(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _shared_out(units: Sequence[Ints], parts: int) -> list[list[Ints]]:
    """The units shared out in turn, in their order; no part is empty."""
    return [list(units[first::parts]) for first in range(min(parts, len(units)))]


def _pool(groups: Sequence[Group], sample: int) -> Group:
    """The completion of every prompt at one sample index, with its words and embedding."""
    completions = tuple(group.completions[sample] for group in groups)
    words = tuple(group.words[sample] for group in groups)
    pool = Group(EVERY, (), tokenizer=groups[0].tokenizer).of(completions, words)
    rows = [group.embeddings[sample] for group in groups if group.embeddings is not None]
    return pool.embedded(np.stack(rows)) if len(rows) == len(groups) and rows else pool
