"""Proxies of "good" beside people: a reward, a test of truth, a judge; how often their order is not people's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.intervals import Mean, mean_intervals
from evalkit.metrics.quality.win_rate import win_rate
from evalkit.plumbing.arrays import Array, nan_for_none
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.crossed import Crossed, codes_of, crossed_intervals
from evalkit.records import CONFIDENCE, Better, Group, Groups
from evalkit.runs.stored_scores import Scores

WORST = 3
"""Prompts that are shown of each proxy."""


@dataclass(frozen=True, slots=True)
class ProxyRate:
    """How often an arm's completion has the better score than one of the baseline's: all pairs, ties half."""

    arm: str
    proxy: str
    rate: Mean


@dataclass(frozen=True, slots=True)
class Contested:
    """A prompt on which a proxy and people order pairs differently."""

    prompt_id: str
    prompt: str
    pairs: int
    against: int
    preferred: str
    """Of the pair on which people are surest, what they chose ..."""
    scored: str
    """... and what the proxy gives the better score."""
    votes_for: float
    votes: int


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One proxy beside the majority of votes on each pair."""

    proxy: str
    pairs: int
    """On which both have an order."""
    against: Crossed
    """Share of pairs that the proxy orders the other way round; pairs that were likelier to be asked count less."""
    undecided: int
    """Pairs that people order, and the proxy does not."""
    contested: tuple[Contested, ...]
    """Prompts where it happens most."""


def proxy_rates(
    groups: Groups, baselines: Mapping[str, str], scores: Scores, directions: Mapping[str, Better],
    clusters: Sequence[str] = (),
) -> list[ProxyRate]:  # fmt: skip
    """Of every compared arm by every proxy; `directions`: proxy -> which scores are better."""
    rates = []
    for arm, baseline in baselines.items():
        for proxy, better in directions.items():
            by_arm = scores.get(proxy, {})
            if arm in by_arm and baseline in by_arm:
                sides = ((groups[arm], by_arm[arm]), (groups[baseline], by_arm[baseline]))
                own, other = (_with_quality(*side, better) for side in sides)
                values = np.array([[_rate(group, other) for group in own.values()]])
                [mean] = mean_intervals(values, CONFIDENCE, clusters, (0.0, 1.0))
                rates.append(ProxyRate(arm, proxy, mean))
    return rates


def disagreements(
    votes: Sequence[Annotation], groups: Groups, scores: Scores, directions: Mapping[str, Better]
) -> list[Disagreement]:
    """Of every proxy that orders some pair that people order; the one that differs most first."""
    by_pair = _by_pair(votes)
    found = [_disagreement(by_pair, _Lookup(groups, scores[proxy], better), proxy)
             for proxy, better in directions.items() if proxy in scores]  # fmt: skip
    return sorted((one for one in found if one is not None), key=lambda one: -one.against.value)


def _disagreement(by_pair: Sequence[Sequence[Annotation]], lookup: _Lookup, proxy: str) -> Disagreement | None:
    ordered = [(pair, lead) for pair in by_pair if (lead := _lead(pair)) != 0]
    leads = [(pair, lead, gap) for pair, lead in ordered if (gap := lookup.gap(pair[0])) is not None]
    decided = [(pair, lead, gap) for pair, lead, gap in leads if gap != 0]
    if not decided:
        return None
    differs = np.array([(lead > 0) != (gap > 0) for _, lead, gap in decided], dtype=np.float64)
    weights = 1 / np.array([pair[0].comparison.probability for pair, _, _ in decided])
    weights = weights / weights.sum()
    share = weights @ differs
    prompts = codes_of([pair[0].comparison.pair.prompt_id for pair, _, _ in decided])
    moves = (weights * (differs - share))[:, None]
    [against] = crossed_intervals(np.array([share]), moves, prompts, np.zeros_like(prompts), (0.0, 1.0))
    flags = list(zip((pair for pair, _, _ in decided), differs.astype(bool).tolist(), strict=True))
    return Disagreement(proxy, len(decided), against, len(leads) - len(decided), tuple(_contested(flags)))


def _contested(pairs: Sequence[tuple[Sequence[Annotation], bool]]) -> list[Contested]:
    by_prompt: dict[str, list[tuple[Sequence[Annotation], bool]]] = defaultdict(list)
    for pair, differs in pairs:
        by_prompt[pair[0].comparison.pair.prompt_id].append((pair, differs))
    told = [_of_prompt(members) for members in by_prompt.values() if any(differs for _, differs in members)]
    # One more pair than there are: of few pairs a large share says little.
    return sorted(told, key=lambda one: (-one.against / (one.pairs + 1), -one.against, one.prompt_id))[:WORST]


def _of_prompt(pairs: Sequence[tuple[Sequence[Annotation], bool]]) -> Contested:
    differing = [pair for pair, differs in pairs if differs]
    surest = max(differing, key=lambda pair: abs(_lead(pair)))
    texts = surest[0].comparison.pair
    is_a = _lead(surest) > 0
    return Contested(
        texts.prompt_id,
        texts.prompt.text,
        len(pairs),
        len(differing),
        preferred=texts.a if is_a else texts.b,
        scored=texts.b if is_a else texts.a,
        votes_for=(len(surest) + abs(_lead(surest))) / 2,
        votes=len(surest),
    )


class _Lookup:
    """A proxy's score of a completion."""

    def __init__(self, groups: Groups, scores: Mapping[str, Sequence[Sequence[float | None]]], better: Better) -> None:
        self._groups, self._scores, self._sign = groups, scores, -1 if better == "lower" else 1
        self._places = {arm: {group.prompt.id: at for at, group in enumerate(groups[arm])}
                        for arm in groups if arm in scores}  # fmt: skip

    def gap(self, vote: Annotation) -> float | None:
        """By how much the proxy finds `a` better than `b`; None where it does not know both."""
        arms, drawn = vote.comparison.arms, vote.comparison.sample_indices
        if arms is None or drawn is None:
            return None
        prompt = vote.comparison.pair.prompt_id
        first, second = (self._score(arm, prompt, index) for arm, index in zip(arms, drawn, strict=True))
        return None if first is None or second is None else self._sign * (first - second)

    def _score(self, arm: str, prompt: str, sample_index: int) -> float | None:
        place = self._places.get(arm, {}).get(prompt)
        if place is None:
            return None
        completions = self._groups[arm][place].completions
        known = dict(zip((one.sample_index for one in completions), self._scores[arm][place], strict=False))
        return known.get(sample_index)


def _by_pair(votes: Sequence[Annotation]) -> list[list[Annotation]]:
    """Votes on one comparison together."""
    pairs: dict[str, list[Annotation]] = defaultdict(list)
    for vote in votes:
        pairs[f"{vote.comparison.arms}{vote.comparison.id}"].append(vote)
    return list(pairs.values())


def _lead(pair: Sequence[Annotation]) -> float:
    """Votes for `a` less votes for `b`."""
    return sum(2 * (vote.target or 0.0) - 1 for vote in pair)


def _with_quality(
    groups: Sequence[Group], scores: Sequence[Sequence[float | None]], better: Better
) -> dict[str, tuple[Group, Array]]:
    sign = -1 if better == "lower" else 1
    pairs = zip(groups, scores, strict=True)
    return {group.prompt.id: (group, sign * nan_for_none(values)) for group, values in pairs}


def _rate(own: tuple[Group, Array], others: Mapping[str, tuple[Group, Array]]) -> float:
    group, quality = own
    if group.prompt.id not in others:
        return float("nan")
    other, of_baseline = others[group.prompt.id]
    return win_rate(group.having(quality=quality, baseline=other.having(quality=of_baseline)))
