"""All pairs of a run that could be compared, with what is known of both completions before anybody votes.

Known are the run's own scores and plain traits of the texts; a pair is told by how much its two completions differ in
each, in units of how much such pairs usually differ. Pairs of the same text are no question to anybody and left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import numpy as np

from evalkit.plumbing.arrays import Array, nan_for_none
from evalkit.preferences.annotation import Annotation, Comparison
from evalkit.preferences.annotation import votes as votes_of
from evalkit.preferences.crossed import Codes
from evalkit.preferences.pairs import Pair
from evalkit.records import Completion, Group, Groups
from evalkit.runs.stored_scores import Scores

FOLDS = 5
"""Parts of the prompts; a prompt's votes are predicted from the votes on the others' alone."""
FLOOR = 0.3
"""Of a uniform choice's chance, which every pair of a prompt has at least: no vote weighs more than 3.3 others."""
_TRAITS = 5
T = TypeVar("T")
PairName: TypeAlias = tuple[str, str, int, int]
"""Compared arm, prompt id, which draw of the arm, which of its baseline."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """The N pairs of one arm and prompt."""

    arm: str
    prompt: str
    fold: int
    pairs: Codes
    """(N, 2): which completion of the arm, which of the baseline."""
    differences: Array
    """(N, d); the last one is 0, for the order in which the two are shown: +1 where the arm's comes first, else -1."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of k completions of one arm and prompt."""

    traits: Array
    """(k, d) scores and traits of texts."""
    texts: Codes
    """(k,) hashes, to tell equal ones."""
    places: dict[int, int]
    """Sample index -> which of the k it is."""


class KnownPairs:
    """Every pair of an arm's completion with one of its baseline's to the same prompt."""

    def __init__(self, groups: Groups, baselines: Mapping[str, str], scores: Scores) -> None:
        """`groups`: arm -> a group a prompt; `baselines`: compared arm -> its baseline."""
        self._groups = groups
        self._baselines = {arm: base for arm, base in baselines.items() if arm in groups and base in groups}
        names = list(dict.fromkeys([*self._baselines, *self._baselines.values()]))
        self._places = {arm: {group.prompt.id: at for at, group in enumerate(groups[arm])} for arm in names}
        usable = [name for name in scores if all(arm in scores[name] for arm in names)]
        known = {
            arm: [_known(group, [scores[name][arm][at] for name in usable]) for at, group in enumerate(groups[arm])]
            for arm in names
        }
        scale = _scale([of_prompt.traits for by_prompt in known.values() for of_prompt in by_prompt])
        self._known = {
            arm: [replace(of_prompt, traits=of_prompt.traits / scale) for of_prompt in by_prompt]
            for arm, by_prompt in known.items()
        }
        self._size = len(scale) + len(self._baselines) + 1
        prompts = dict.fromkeys(prompt for arm in self._baselines for prompt in self._places[arm])
        self._folds = {prompt: at % FOLDS for at, prompt in enumerate(prompts)}

    @property
    def strata(self) -> list[tuple[str, str]]:
        """(arm, prompt id) of all that have a pair to compare."""
        return [(arm, prompt) for arm in self._baselines for prompt in self._places[arm] if self._differ(arm, prompt)]

    def have(self, votes: Sequence[Annotation]) -> bool:
        """Whether all votes are on these pairs, completion for completion."""
        return all(self._holds(vote.comparison) for vote in votes)

    def among(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """The votes on these pairs; neither skips nor checks."""
        return [vote for vote in votes_of(annotations) if self._holds(vote.comparison)]

    def fold(self, prompt: str) -> int:
        return self._folds[prompt]

    def compared(self, comparison: Comparison) -> str:
        """Which of its two arms is compared with the other, its baseline."""
        a, b = comparison.arms or ("", "")
        return a if self._baselines.get(a) == b else b

    def stratum(self, arm: str, prompt: str) -> Stratum:
        one, other = self._both(arm, prompt)
        pairs = np.argwhere(one.texts[:, None] != other.texts[None, :])
        differences = one.traits[pairs[:, 0]] - other.traits[pairs[:, 1]]
        return Stratum(arm, prompt, self.fold(prompt), pairs, self._with_arm(differences, arm))

    def names(self, stratum: Stratum) -> list[PairName]:
        """Names of its N pairs."""
        one, other = self._both(stratum.arm, stratum.prompt)
        own, others = list(one.places), list(other.places)
        return [(stratum.arm, stratum.prompt, own[a], others[b]) for a, b in stratum.pairs.tolist()]

    def comparison(self, stratum: Stratum, pair: int, probability: float) -> Comparison:
        """One of its pairs, the arm's completion as `a`."""
        arm, baseline = stratum.arm, self._baselines[stratum.arm]
        group = self._groups[arm][self._places[arm][stratum.prompt]]
        against = self._groups[baseline][self._places[baseline][stratum.prompt]]
        one, other = stratum.pairs[pair].tolist()
        drawn = group.completions[one].sample_index, against.completions[other].sample_index
        texts = Pair(group.prompt, group.texts[one], against.texts[other])
        return Comparison(texts, (arm, baseline), drawn, probability)

    def differences(self, votes: Sequence[Annotation]) -> Array:
        """(V, d) of votes on these pairs, each with the order in which it was shown."""
        rows = [self._difference(vote) for vote in votes]
        return np.stack(rows) if rows else np.zeros((0, self._size))

    def _difference(self, vote: Annotation) -> Array:
        comparison = vote.comparison
        arm, prompt = self.compared(comparison), comparison.pair.prompt_id
        (one, other), (drawn, against) = self._both(arm, prompt), _oriented(comparison.sample_indices, comparison, arm)
        difference = one.traits[one.places[drawn]] - other.traits[other.places[against]]
        row: Array = self._with_arm(difference[None, :], arm)[0]
        row[-1] = 1.0 if (vote.first == "a") == _is_a(comparison, arm) else -1.0
        return row

    def _with_arm(self, differences: Array, arm: str) -> Array:
        """With a column for each compared arm, 1 for this, and one for the order."""
        which = np.zeros((len(differences), len(self._baselines) + 1))
        which[:, list(self._baselines).index(arm)] = 1.0
        return np.asarray(np.concatenate([differences, which], axis=1), dtype=np.float64)

    def _holds(self, comparison: Comparison) -> bool:
        arm, prompt = self.compared(comparison), comparison.pair.prompt_id
        baseline = self._baselines.get(arm)
        if comparison.sample_indices is None or baseline is None or set(comparison.arms or ()) != {arm, baseline}:
            return False
        if prompt not in self._places[arm] or prompt not in self._places[baseline]:
            return False
        texts = _oriented((comparison.pair.a, comparison.pair.b), comparison, arm)
        drawn = _oriented(comparison.sample_indices, comparison, arm)
        return all(
            index in known.places and known.texts[known.places[index]] == hash(text)
            for known, index, text in zip(self._both(arm, prompt), drawn, texts, strict=True)
        )

    def _differ(self, arm: str, prompt: str) -> bool:
        if prompt not in self._places[self._baselines[arm]]:
            return False
        one, other = self._both(arm, prompt)
        return bool(len(one.texts) and len(other.texts)) and len({*one.texts.tolist(), *other.texts.tolist()}) > 1

    def _both(self, arm: str, prompt: str) -> tuple[_Known, _Known]:
        baseline = self._baselines[arm]
        return self._known[arm][self._places[arm][prompt]], self._known[baseline][self._places[baseline][prompt]]


def _is_a(comparison: Comparison, arm: str) -> bool:
    return (comparison.arms or ("",))[0] == arm


def _oriented(of_a_and_b: tuple[T, T] | None, comparison: Comparison, arm: str) -> tuple[T, T]:
    """The arm's, then its baseline's."""
    if of_a_and_b is None:
        raise ValueError("a comparison of a run says which draws it compares")
    return of_a_and_b if _is_a(comparison, arm) else of_a_and_b[::-1]


def _known(group: Group, scores: Sequence[Sequence[float | None]]) -> _Known:
    """`scores`: of its completions, a row a score."""
    size = len(group.completions)
    rows = [_filled(nan_for_none(values), size) for values in scores]
    traits = np.array([_traits(completion) for completion in group.completions]).reshape(size, _TRAITS)
    return _Known(
        np.concatenate([*(row[:, None] for row in rows), traits], axis=1),
        np.array([hash(text) for text in group.texts], dtype=np.int64),
        {completion.sample_index: at for at, completion in enumerate(group.completions)},
    )


def _filled(values: Array, count: int) -> Array:
    """What is not known of one completion is taken to be as of the others; zeros where it is known of none."""
    known = values[np.isfinite(values)]
    mean = known.mean() if len(known) else 0.0
    return np.where(np.isfinite(values), values, mean) if len(values) == count else np.zeros(count)


def _traits(completion: Completion) -> tuple[float, ...]:
    """How long, how various, how long its words, how much is no letter, whether it was cut."""
    text = completion.text.strip()
    words = text.lower().split()
    letters = sum(character.isalpha() or character.isspace() for character in text)
    return (
        float(np.log1p(len(words))),
        len(set(words)) / max(len(words), 1),
        len(text) / max(len(words), 1),
        1 - letters / max(len(text), 1),
        float(completion.finish_reason == "length"),
    )


def _scale(traits: Sequence[Array]) -> Array:
    """(d,) how much two completions of a prompt differ, as a root mean square; 1 where they never do."""
    variances = [rows.var(axis=0) for rows in traits if len(rows)]
    spread = np.sqrt(2 * np.mean(variances, axis=0)) if variances else np.ones(_TRAITS)
    return np.asarray(np.where(spread > 0, spread, 1.0))
