"""Which words and phrases each arm says clearly more, and clearly less, than its baseline. Three passes over the texts:

which phrases occur on enough prompts (`occurring`), their sums over prompts (`tally`), and for the few that moved
how they read and where they are said (`closeup`). Cost: linear in prompts and in words. Memory: some 100 MB of tables,
and what `occurring.MOST_PHRASES` phrases and the results of 32 prompts take, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evalkit.analysis.words.closeup import Closeup, look_closely
from evalkit.analysis.words.coding import ORDERS, Places
from evalkit.analysis.words.folding import Moved, folded
from evalkit.analysis.words.listed import phrase_uses
from evalkit.analysis.words.log_odds import (
    FALSE,
    PRIOR,
    discovery_rates,
    informative_prior,
    log_odds_ratio,
    p_of,
    z_over_prompts,
)
from evalkit.analysis.words.occurring import MOST_COMPLETIONS, frequent_phrases
from evalkit.analysis.words.tally import Tally, tally
from evalkit.metrics.word_use import WordChange, WordShift, WordUse
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.plumbing.tokenizer import signature
from evalkit.records import Arm, Groups

SHOWN = 20
"""Of what is said more, and of what is said less, as many are told."""
LOOKED_AT = 100
"""As many of either are looked at closely, to find the parts of longer ones."""


def word_use(
    arms: Sequence[Arm],
    groups: Groups,
    clusters: Sequence[str] = (),
    phrases: Sequence[str] = (),
    tell: Listener = QUIET,
) -> WordUse | None:
    """What each arm makes of words beside its baseline, and of `phrases`; None where there is neither.

    `clusters`: to which cluster each prompt belongs; empty: each is its own.
    """
    present = {arm: of_arm for arm, of_arm in groups.items() if of_arm}
    pairs = [(arm.name, arm.baseline) for arm in arms if arm.baseline in present and arm.name in present]
    compared = [(arm, baseline) for arm, baseline in pairs if baseline is not None]
    if not present or not (compared or phrases):
        return None
    beside = {name: present[name] for pair in compared for name in pair}
    first = next(iter(present.values()))[0]
    counted = min(len(first.completions), MOST_COMPLETIONS)
    return WordUse(
        signature=f"words|tok:{signature(first.tokenizer)}|n:{ORDERS}|prior:{PRIOR:g}|k:{counted}|v:1.0",
        completions=counted,
        changes=tuple(_changes(compared, beside, clusters, tell)) if compared else (),
        phrases=phrase_uses(arms, present, clusters, phrases, tell) if phrases else (),
    )


def units_of(clusters: Sequence[str], prompts: int) -> list[tuple[int, ...]]:
    """The prompts of each unit of resampling."""
    if not clusters:
        return [(row,) for row in range(prompts)]
    members: dict[str, list[int]] = {}
    for row, cluster in enumerate(clusters[:prompts]):
        members.setdefault(cluster, []).append(row)
    return [tuple(rows) for rows in members.values()]


def _changes(
    pairs: Sequence[tuple[str, str]], groups: Groups, clusters: Sequence[str], tell: Listener
) -> list[WordChange]:
    prompts = max(map(len, groups.values()))
    units = units_of(clusters, prompts)
    tell.stage("look for phrases", prompts)
    frequent = frequent_phrases(groups, units, tell)
    tell.stage("count words", prompts)
    tested = {pair: _Tested(sums) for pair, sums in tally(pairs, groups, units, frequent, tell).items()}
    looked_at = [of_pair.sums.codes[of_pair.surest(sign)] for of_pair in tested.values() for sign in (1, -1)]
    tell.stage("look at words", prompts)
    closeup = look_closely(np.unique(np.concatenate(looked_at)), groups, units, tell)
    return [
        WordChange(
            arm=arm,
            baseline=baseline,
            prompts=of_pair.sums.prompts,
            words=int(closeup.words[arm].sum()),
            baseline_words=int(closeup.words[baseline].sum()),
            tested=len(of_pair.p),
            least_prompts=frequent.least_prompts,
            clear=int((of_pair.q <= FALSE).sum()),
            gained=of_pair.shifts(1, arm, baseline, closeup, units),
            lost=of_pair.shifts(-1, arm, baseline, closeup, units),
        )
        for (arm, baseline), of_pair in tested.items()
    ]


class _Tested:
    """The tests of one arm's V phrases against its baseline."""

    def __init__(self, sums: Tally) -> None:
        self.sums = sums
        own, other, words = sums["own"], sums["other"], sums.words
        self.z = z_over_prompts(own - other, sums["squares"])
        self.p = p_of(self.z, sums["moved"])
        self.q = discovery_rates(self.p)
        prior = informative_prior(own, other, words, words) if words else np.zeros(0)
        self.log_odds = log_odds_ratio(own, other, words, words, prior, PRIOR)

    def surest(self, sign: int) -> Places:
        """The places of what moved most surely in this direction, the surest first."""
        clear = np.flatnonzero((self.q <= FALSE) & (self.z * sign > 0))
        # Equally sure ones, as many are on few prompts, by how far they moved.
        order = np.lexsort((-np.abs(self.log_odds[clear]), -np.abs(self.z[clear])))
        return np.asarray(clear[order][:LOOKED_AT], dtype=np.int64)

    def shifts(
        self, sign: int, arm: str, baseline: str, closeup: Closeup, units: Sequence[Sequence[int]]
    ) -> tuple[WordShift, ...]:
        places = self.surest(sign)
        if not len(places):
            return ()
        columns = [closeup.place(code) for code in self.sums.codes[places]]
        phrases = [closeup.phrases[column] for column in columns]
        moved = Moved(
            phrases,
            _counts(closeup, arm, columns),
            _counts(closeup, baseline, columns),
            closeup.words[arm],
            closeup.words[baseline],
            units,
            sign,
            float(self.p[self.q <= FALSE].max()),
        )
        said = list(folded(moved).items())[:SHOWN]
        return tuple(
            replace(self._shift(places[at], phrases[at]), parts=tuple(phrases[part] for part in parts))
            for at, parts in said
        )

    def _shift(self, place: int, phrase: str) -> WordShift:
        sums = self.sums
        return WordShift(
            phrase=phrase,
            log_odds=float(self.log_odds[place]),
            z=float(self.z[place]),
            p=float(self.p[place]),
            q=float(self.q[place]),
            per_thousand=float(1000 * sums["own"][place] / sums.words),
            baseline_per_thousand=float(1000 * sums["other"][place] / sums.words),
            prompts=int(sums["own_prompts"][place]),
            baseline_prompts=int(sums["other_prompts"][place]),
        )


def _counts(closeup: Closeup, arm: str, columns: Sequence[int]) -> Array:
    return np.asarray(closeup.counts[arm][:, columns], dtype=np.float64)
