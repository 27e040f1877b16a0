"""A pilot run's completions, measured whole and in halves: what `evalkit power` plans with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.intervals import by_cluster, units
from evalkit.analysis.measure import measure_groups
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.errors import Incomparable, InputError, RecordsError
from evalkit.gate.baselines import read_side
from evalkit.gate.decide import values_of
from evalkit.gate.sides import Pair, Side, choose_pairs, estimates_of, refuse_incomparable, select
from evalkit.gate.stats.group_sequential import LOOKS, InBlocks, in_blocks, look_sizes, looks_of
from evalkit.gate.stats.noninferiority import turned
from evalkit.gate.stats.power import Cost, Split, Spread, cheapest, common_splits, splits_for, spread_of
from evalkit.metrics.embeddings.encoder import find_encoder
from evalkit.metrics.registry import Measure
from evalkit.metrics.summary import Summary
from evalkit.metrics.text_sets import split_alike
from evalkit.plumbing.arrays import Array, defined_in_all
from evalkit.plumbing.progress import Listener, Quiet
from evalkit.plumbing.tokenizer import tokenizer
from evalkit.records import Arm, Group
from evalkit.runs.groups import groups_of
from evalkit.runs.manifest import read_manifest
from evalkit.suite.gate_policy import Policy
from evalkit.suite.schema import Suite

SPLITS = 8
"""Random halvings a prompt: enough that their mean is as good as that of all."""
_FROM_TEXTS = frozenset({"words", "token_ids", "logprobs", "embeddings", "answer"})
"""What stored completions answer for; other measures would need a model, or another arm."""
Halves = Mapping[str, Array]
"""Measure -> (splits, 2, P) values, as they are."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One metric of one pair of arms, and what finds the loss in it."""

    metric: str
    pair: Pair
    splits: tuple[Split, ...]
    chosen: Split | None
    """The cheapest that the suite's prompts are enough for, or the one that needs the fewest more."""


@dataclass(frozen=True, slots=True)
class Plans:
    """What `evalkit power` has to say."""

    planned: tuple[Planned, ...]
    left_out: tuple[str, ...]
    """Metrics under the policy that cannot be planned, each with why."""
    common: Split | None
    """The cheapest that is enough for every one of them."""
    prompts: int
    """Those of the suite."""
    clusters: int
    """Units of resampling that these are: as many, where no prompts belong together."""
    family: int
    """Tests that Holm divides the level by, at first."""
    in_blocks: InBlocks
    """What asking in blocks takes to find it with the same chance."""


def plan_size(
    suite: Suite, pilot: str, policy: Policy, loss: float, power: float, requested: Sequence[Pair], tell: Listener
) -> Plans:
    """What finds a loss of `loss` (a share of the baseline's mean) with this power, for each metric of the policy.

    Raises `RecordsError` on a folder that is no run of this suite, `InputError` on a loss that the policy allows.
    """
    side = _clustered(read_side(pilot), suite)
    groups = split_alike(_read_groups(suite, Path(pilot), side), suite.tokenizer, tell)
    pairs = _pairs(side, requested)
    refuse_incomparable(side, side, pairs, policy)
    family = sum(len(select(estimates_of(side.summary, old), policy)) for _, old in pairs)
    halves = {
        name: _halves(suite, _arm(side, name), groups[name], tell) for name in {n for pair in pairs for n in pair}
    }
    clusters = units(side.summary.clusters, len(suite.prompts))
    planned: list[Planned] = []
    left_out: list[str] = []
    for pair in pairs:
        for metric, rule in select(estimates_of(side.summary, pair[1]), policy).items():
            why = _unplannable(metric, rule.allow.relative, halves[pair[1]], loss)
            spread = None if why else _spread(side, metric, pair, halves, policy)
            if spread is None or not spread.level:
                left_out.append(f"{metric}: {why or 'its mean is 0, and the loss is a share of it'}")
                continue
            beyond = (loss - rule.allow.margin.size) * abs(spread.level)
            cost = _cost(groups[pair[0]])
            splits = splits_for(spread, beyond, policy.alpha / family, power, cost, len(suite.prompts) / clusters)
            planned.append(Planned(metric, pair, tuple(splits), cheapest(splits, len(suite.prompts))))
    if not planned:
        raise InputError("there is nothing to plan:\n" + "\n".join(dict.fromkeys(left_out)))
    common = cheapest(common_splits([plan.splits for plan in planned]), len(suite.prompts))
    blocks = in_blocks(looks_of(look_sizes(LOOKS, LOOKS)), policy.alpha / family, power)
    left = tuple(dict.fromkeys(left_out))
    return Plans(tuple(planned), left, common, len(suite.prompts), clusters, family, blocks)


def _clustered(side: Side, suite: Suite) -> Side:
    """With the clusters that the suite names by now, if any."""
    clusters = clusters_of(suite.prompts)
    fits = len(clusters) == len(side.summary.prompts)
    return dataclasses.replace(side, summary=dataclasses.replace(side.summary, clusters=clusters)) if fits else side


def _unplannable(metric: str, relative: float | None, halves: Halves, loss: float) -> str:
    if relative is None:
        return "the policy allows it no share, and the loss is one"
    if loss <= relative:
        raise InputError(
            f"--loss is {loss:g} and the policy allows {metric} to lose {relative:g}; ask for a larger loss"
        )
    if metric not in halves:
        return "cannot be measured on half of the completions without a model"
    return "undefined on some prompts" if np.isnan(halves[metric]).any() else ""


def _pairs(side: Side, requested: Sequence[Pair]) -> list[Pair]:
    """Those of a gate within the run; where nothing is compared there, each arm with itself."""
    try:
        return choose_pairs(side, side, requested)
    except Incomparable:
        return [(arm.name, arm.name) for arm in side.summary.arms]


def _spread(side: Side, metric: str, pair: Pair, halves: Mapping[str, Halves], policy: Policy) -> Spread:
    new, old = (estimates_of(side.summary, name) for name in pair)
    rule = select(old, policy)[metric]
    better = rule.better or old[metric].better
    assert better != "neither", "a rule for a metric without a direction gives one"
    values = [turned(values_of(estimates[metric]), better) for estimates in (new, old)]
    clusters = side.summary.clusters
    both = by_cluster(defined_in_all(values), clusters)
    return spread_of(
        both[0][~np.isnan(both[0])],
        both[1][~np.isnan(both[1])],
        (_in_clusters(halves[pair[0]][metric], clusters), _in_clusters(halves[pair[1]][metric], clusters)),
        rule.allow.margin,
        old[metric].samples,
        pair[0] == pair[1],
    )


def _in_clusters(halves: Array, clusters: Sequence[str]) -> Array:
    """(splits, 2, units of resampling)"""
    return by_cluster(halves.reshape(-1, halves.shape[-1]), clusters).reshape(*halves.shape[:2], -1)


def _halves(suite: Suite, arm: Arm, groups: Sequence[Group], tell: Listener) -> Halves:
    """Every measure that texts allow, on the halves of SPLITS random halvings of each prompt's completions."""
    measures = [m for m in suite.metrics if _is_from_texts(m) and m.fits(len(groups[0].completions) // 2)]
    rng = np.random.default_rng(0)
    cut = [list(zip(*(_halve(group, rng) for group in groups), strict=True)) for _ in range(SPLITS)]
    arms = [dataclasses.replace(arm, name=f"{split}.{half}") for split in range(SPLITS) for half in range(2)]
    parts = {arm.name: cut[i // 2][i % 2] for i, arm in enumerate(arms)}
    tell.note(f"measuring {arm.name} in halves")
    sampled = SampledArms(arms, parts, len(groups[0].completions) // 2)
    measured = measure_groups(measures, sampled, Quiet(), find_encoder(suite.encoder)).measured
    return {
        estimate.measure: np.array([estimate.values[arm.name] for arm in arms]).reshape(SPLITS, 2, len(groups))
        for estimate in measured
    }


def _is_from_texts(measure: Measure) -> bool:
    definition = measure.definition
    return measure.variant == "whole" and definition.kind == "metric" and definition.needs <= _FROM_TEXTS


def _halve(group: Group, rng: np.random.Generator) -> tuple[Group, Group]:
    order = rng.permutation(len(group.completions))
    half = len(order) // 2
    first, second = order[:half], order[half : 2 * half]
    return group.only(sorted(map(int, first))), group.only(sorted(map(int, second)))


def _cost(groups: Sequence[Group]) -> Cost:
    """Tokens an engine writes and reads. Those of a prompt are told from its words, at the completions' rate."""
    drawn = [completion for group in groups for completion in group.completions]
    words = sum(len(words) for group in groups for words in group.words)
    tokens = sum(len(completion.token_ids) for completion in drawn) or words
    words_asked = sum(len(tokenizer(group.tokenizer)(group.prompt.text)) for group in groups)
    return Cost(words_asked / len(groups) * tokens / max(words, 1), tokens / len(drawn))


def _arm(side: Side, name: str) -> Arm:
    return next(arm for arm in side.summary.arms if arm.name == name)


def _read_groups(suite: Suite, folder: Path, side: Side) -> dict[str, Sequence[Group]]:
    """The pilot's completions by arm, from its shards."""
    if tuple(prompt.id for prompt in suite.prompts) != side.summary.prompts:
        raise RecordsError(f"{folder} is of other prompts than the suite: it is no pilot of it")
    groups = groups_of(folder, suite.prompts, read_manifest(folder).shards, side.summary.arms)
    _check_sizes(folder, side.summary, groups)
    return groups


def _check_sizes(folder: Path, summary: Summary, groups: Mapping[str, Sequence[Group]]) -> None:
    for arm in summary.arms:
        unfinished = sum(len(group.unfinished) for group in groups.get(arm.name, ()))
        if unfinished:
            raise RecordsError(
                f"{folder}: {unfinished} completions of arm {arm.name!r} were cut inside their thinking, so that its "
                "prompts have not equally many answers to plan by; give the pilot more room (max_tokens)"
            )
        sizes = {len(group.completions) for group in groups.get(arm.name, ())} or {0}
        if arm.best_of > 1:
            raise InputError(
                f"arm {arm.name!r} keeps the best of several draws: its halves are not draws from its own distribution"
            )
        if len(sizes) > 1 or min(sizes) < 4:
            raise RecordsError(
                f"{folder}: arm {arm.name!r} has not four completions or more of every prompt, or not equally many"
            )
