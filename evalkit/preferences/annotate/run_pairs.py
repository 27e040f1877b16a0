"""A run's pairs: each draw of an arm beside each draw of its baseline, prompt by prompt."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from evalkit.errors import RecordsError
from evalkit.preferences.annotation import Comparison
from evalkit.preferences.pairs import Pair
from evalkit.records import Completion, Group
from evalkit.runs.asked import read_prompts
from evalkit.runs.groups import groups_of
from evalkit.runs.manifest import ShardRow, read_manifest
from evalkit.runs.summary import read_summary


class RunPairs:
    """All pairs of a run's arms with their baselines, numbered from 0 in each arm; a pair is made when it is asked for.

    `a` of a pair is the arm's completion, `b` the baseline's.
    """

    def __init__(self, groups: Mapping[str, Sequence[Group]], baselines: Mapping[str, str]) -> None:
        """`groups`: arm -> one group a prompt, the same prompts for all; `baselines`: arm -> its baseline."""
        self._groups = groups
        self._baselines = baselines
        self._counts = {name: [len(group.completions) for group in members] for name, members in groups.items()}

    @property
    def arms(self) -> list[str]:
        """Those that are held against a baseline, in order."""
        return list(self._baselines)

    @property
    def groups(self) -> Mapping[str, Sequence[Group]]:
        """Arm -> one group a prompt."""
        return self._groups

    @property
    def baselines(self) -> Mapping[str, str]:
        """Arm -> its baseline."""
        return self._baselines

    def size(self, arm: str) -> int:
        """How many pairs an arm has."""
        return self._ends[arm][-1]

    def equal(self, arm: str) -> int:
        """How many of an arm's pairs are of equal texts."""
        both = zip(self._groups[arm], self._groups[self._baselines[arm]], strict=True)
        counts = ((Counter(own.texts), Counter(others.texts)) for own, others in both)
        return sum(own[text] * others[text] for own, others in counts for text in own)

    def comparison(self, arm: str, number: int) -> Comparison:
        """One of an arm's pairs, with probability 1."""
        place = bisect_right(self._ends[arm], number)
        within = number - (self._ends[arm][place - 1] if place else 0)
        return self.pair_of(arm, place, *divmod(within, self._counts[self._baselines[arm]][place]))

    def pair_of(self, arm: str, place: int, own: int, others: int) -> Comparison:
        """The pair of an arm's completion number `own` and the baseline's number `others` to the prompt at a place."""
        baseline = self._baselines[arm]
        group = self._groups[arm][place]
        first, second = group.completions[own], self._groups[baseline][place].completions[others]
        return Comparison(
            Pair(group.prompt, first.text.strip(), second.text.strip()),
            (arm, baseline),
            (first.sample_index, second.sample_index),
        )

    def number(self, arm: str, prompt_id: str, own_index: int, other_index: int) -> int | None:
        """Which of an arm's pairs it is; None where the run has it no more. The indices are the draws' own."""
        place = self._places.get(prompt_id)
        if place is None:
            return None
        baseline = self._baselines[arm]
        own = _position(self._groups[arm][place].completions, own_index)
        other = _position(self._groups[baseline][place].completions, other_index)
        if own is None or other is None:
            return None
        return (self._ends[arm][place - 1] if place else 0) + own * self._counts[baseline][place] + other

    @cached_property
    def _ends(self) -> dict[str, list[int]]:
        """Arm -> prompt by prompt, the number after its last pair."""
        return {
            arm: list(accumulate(a * b for a, b in zip(self._counts[arm], self._counts[baseline], strict=True)))
            for arm, baseline in self._baselines.items()
        }

    @cached_property
    def _places(self) -> dict[str, int]:
        return {group.prompt.id: place for place, group in enumerate(next(iter(self._groups.values())))}


def _position(completions: Sequence[Completion], sample_index: int) -> int | None:
    return next((place for place, one in enumerate(completions) if one.sample_index == sample_index), None)


def read_run_pairs(folder: Path) -> RunPairs:
    """The pairs of a finished run. Raises `RecordsError`, also where no arm is held against another."""
    manifest, summary = read_manifest(folder), read_summary(folder / "summary.json")
    kept = manifest.kept or {}
    rows = [row for row in manifest.shards if row.arm not in kept]
    rows += [ShardRow(arm=arm, key=key) for arm, key in kept.items()]
    groups = groups_of(folder, read_prompts(folder), rows, summary.arms)
    baselines = {
        arm.name: arm.baseline for arm in summary.arms if arm.name in groups and arm.baseline in groups
        and arm.baseline != arm.name
    }  # fmt: skip
    pairs = RunPairs(groups, {arm: baseline for arm, baseline in baselines.items() if baseline is not None})
    if not any(pairs.size(arm) > pairs.equal(arm) for arm in pairs.arms):
        raise RecordsError(
            f"{folder} has no arm whose completions differ from those of a baseline: there is nothing to choose "
            "between; run a suite with two models"
        )
    return pairs
