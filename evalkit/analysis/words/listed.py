"""What arms make of the phrases on a user's own list: how often per 1 000 words, in which share of completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalkit.analysis.intervals import Bounds, mean_intervals, mean_p_values
from evalkit.analysis.words.coding import coded
from evalkit.analysis.words.log_odds import discovery_rates
from evalkit.analysis.words.occurring import in_portions
from evalkit.metrics.word_use import Gap, Level, PhraseUse
from evalkit.plumbing.arrays import Array, finite_or_none
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.tokenizer import Name
from evalkit.records import CONFIDENCE, Arm, Group, Groups

ALL = ""
"""In the place of a phrase: any of them."""
_RATES: Bounds = (0.0, float("inf"))
_SHARES: Bounds = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class _Uses:
    """F phrases and all of them together, in the completions of one arm to P prompts."""

    times: Array
    """(F + 1, P)"""
    per_thousand: Array
    """(F + 1, P) NaN where there is no word."""
    shares: Array
    """(F + 1, P) NaN where there is no completion."""


def phrase_uses(
    arms: Sequence[Arm], groups: Groups, clusters: Sequence[str], phrases: Sequence[str], tell: Listener
) -> tuple[PhraseUse, ...]:
    """Each phrase under each arm, then all together; all completions are counted, a prompt being one draw.

    A phrase is found wherever its words follow each other, upper and lower case alike, signs counting as words.
    """
    prompts = max(map(len, groups.values()))
    tell.stage("look for listed phrases", prompts)
    work = _Listed(tuple(phrases))
    by_row: dict[int, dict[str, Array]] = {}
    for _, results in in_portions(work, groups, [(row,) for row in range(prompts)], tell):
        by_row |= results
    used = {arm.name: _uses([by_row[row].get(arm.name) for row in range(prompts)], len(phrases) + 1)
            for arm in arms if arm.name in groups}  # fmt: skip
    return tuple(use for arm in arms if arm.name in used for use in _of_arm(arm, used, clusters, phrases))


def _uses(rows: Sequence[Array | None], phrases: int) -> _Uses:
    nothing = np.zeros((phrases, 4))
    table = np.stack([nothing if row is None else row for row in rows], axis=1)
    times, holders, words, completions = (table[:, :, column] for column in range(4))
    with np.errstate(invalid="ignore", divide="ignore"):
        return _Uses(
            times,
            np.where(words > 0, 1000 * times / words, np.nan),
            np.where(completions > 0, holders / completions, np.nan),
        )


def _of_arm(arm: Arm, used: Mapping[str, _Uses], clusters: Sequence[str], phrases: Sequence[str]) -> list[PhraseUse]:
    own = used[arm.name]
    other = used.get(arm.baseline) if arm.baseline is not None else None
    rates, shares = _levels(own.per_thousand, clusters, _RATES), _levels(own.shares, clusters, _SHARES)
    rate_gaps: Sequence[Gap | None] = [None] * len(rates)
    share_gaps: Sequence[Gap | None] = rate_gaps
    if other is not None:
        rate_gaps = _gaps(own.per_thousand - other.per_thousand, clusters, None)
        share_gaps = _gaps(own.shares - other.shares, clusters, (-1.0, 1.0))
    return [
        PhraseUse(
            phrase,
            arm.name,
            arm.baseline if other is not None else None,
            int(own.times[row].sum()),
            rates[row],
            shares[row],
            rate_gaps[row],
            share_gaps[row],
        )
        for row, phrase in enumerate((*phrases, ALL))
    ]


def _levels(values: Array, clusters: Sequence[str], bounds: Bounds) -> list[Level]:
    means = mean_intervals(values, CONFIDENCE, clusters, bounds)
    return [Level(*map(finite_or_none, (mean.value, mean.low, mean.high))) for mean in means]


def _gaps(values: Array, clusters: Sequence[str], bounds: Bounds | None) -> list[Gap]:
    means = mean_intervals(values, CONFIDENCE, clusters, bounds)
    p = mean_p_values(values, clusters, bounds)
    q = np.full(len(p), np.nan)
    # All together is a question of its own, not one of the family.
    family = np.flatnonzero(~np.isnan(p[:-1]))
    q[family] = discovery_rates(p[family])
    q[-1] = p[-1]
    return [
        Gap(*map(finite_or_none, (mean.value, mean.low, mean.high, p[row], q[row]))) for row, mean in enumerate(means)
    ]


@dataclass(frozen=True)
class _Listed:
    """Of each arm on one prompt: (F + 1, 4) times, completions that hold it, all words, all completions."""

    phrases: tuple[str, ...]

    def __call__(self, row: int, items: Mapping[str, Any]) -> dict[str, Array]:
        return {arm: self._of(group) for arm, group in items["groups"].items()}

    def _of(self, group: Group) -> Array:
        texts = coded([completion.text for completion in group.completions], group.tokenizer)
        k = len(group.completions)
        found = np.zeros((len(self.phrases) + 1, 4))
        holds_any = np.zeros(k, dtype=np.bool_)
        runs = {}
        for place, (code, n) in enumerate(_codes(self.phrases, group.tokenizer)):
            if n not in runs:
                runs[n] = texts.phrases(n, over_signs=True)
            codes, starts = runs[n]
            holders = texts.text[starts[codes == np.uint64(code)]]
            found[place, :2] = len(holders), len(np.unique(holders))
            holds_any[holders] = True
        found[-1, :2] = found[:-1, 0].sum(), holds_any.sum()
        found[:, 2:] = len(texts), k
        return found


def _codes(phrases: Sequence[str], tokenizer: Name) -> list[tuple[int, int]]:
    """(code, number of words) of each phrase."""
    every = [coded([phrase], tokenizer) for phrase in phrases]
    return [(int(one.phrases(len(one), over_signs=True)[0][0]), len(one)) for one in every]
