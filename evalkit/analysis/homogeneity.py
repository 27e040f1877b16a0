"""Do models grow like each other? How alike the answers of different arms to the same prompt are (2510.22954).

*Homogeneity* of two arms on a prompt: the mean cosine between the embedding of a completion of the one and that of one
of the other, over all pairs. Beside it stands each arm's own: the mean over pairs of its own completions, none with
itself. Where the two are equal, nobody could tell by meaning which arm an answer is from; where the first is low, each
has something to say that the other has not.

Range: [-1, 1]. Bias: none at any number of completions: both are means over pairs that are draws like any other.
Cost: O(K d) for each prompt and arm and O(d) for each pair of arms, through mean(u_A) . mean(u_B), and within an arm
(|sum u|^2 - K) / (K (K - 1)). Undefined: between arms without completions of a prompt, within one below two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evalkit.analysis.figure_data import Accord
from evalkit.analysis.intervals import Bounds, Mean, mean_intervals, mean_p_values
from evalkit.metrics.diversity.semantic import unit_rows
from evalkit.metrics.summary import Contrast, Homogeneity, Likeness
from evalkit.plumbing.arrays import Array, finite_or_none
from evalkit.plumbing.by_row import by_row
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.plumbing.prose import short
from evalkit.records import CONFIDENCE, Arm, Group, Groups, Kind

BOUNDS: Bounds = (-1.0, 1.0)
SHOWN = 5
"""Prompts on which arms agree most, of which the page has examples."""
LONGEST = 400
"""Characters of an example."""


def mean_cosines(rows: Sequence[Array]) -> Array:
    """(A, A) mean cosines of A arms' completions of one prompt, from (k_a, d) rows of length 1 of each arm.

    On the diagonal those of an arm's own pairs, without a completion with itself. NaN where there is no pair.
    """
    sums = np.stack([of_arm.sum(axis=0) for of_arm in rows])
    counts = np.array([len(of_arm) for of_arm in rows], dtype=np.float64)
    within = counts * (counts - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = sums @ sums.T / np.outer(counts, counts)
        np.fill_diagonal(cosines, np.where(within > 0, (np.einsum("ad,ad->a", sums, sums) - counts) / within, np.nan))
    return np.asarray(np.clip(cosines, *BOUNDS), dtype=np.float64)


def homogeneity(
    arms: Sequence[Arm], groups: Groups, clusters: Sequence[str], encoder: str, tell: Listener = QUIET
) -> Homogeneity | None:
    """How alike the arms are, with intervals over prompts; None below two arms that are embedded.

    `clusters`: to which cluster each prompt belongs; empty: each is its own. `encoder`: the identity of what embedded.
    """
    embedded = [arm for arm in arms if _is_embedded(groups.get(arm.name, ()))]
    if len(embedded) < 2:
        return None
    columns = {arm.name: groups[arm.name] for arm in embedded}
    tell.stage("compare arms", max(map(len, columns.values())))
    cosines = np.stack(by_row(_Cosines(tuple(columns)), columns, tell.advance))
    return Homogeneity(
        signature=f"homogeneity|enc:{encoder}|v:1.0",
        confidence=CONFIDENCE,
        cells=tuple(_cells(embedded, cosines, clusters)),
        by_prompt=tuple(map(finite_or_none, _mean_of(cosines, _between_checkpoints(embedded)))),
        contrast=_contrast(embedded, cosines, clusters),
    )


def _is_embedded(groups: Sequence[Group]) -> bool:
    return len(groups) > 0 and groups[0].embeddings is not None


@dataclass(frozen=True)
class _Cosines:
    """The (A, A) mean cosines of one prompt."""

    arms: tuple[str, ...]

    def __call__(self, row: int, groups: Mapping[str, Group]) -> Array:
        known = {arm: unit_rows(groups[arm]) for arm in self.arms if arm in groups}
        dimensions = next(rows.shape[1] for rows in known.values())
        return mean_cosines([known.get(arm, np.empty((0, dimensions))) for arm in self.arms])


Pairs = Sequence[tuple[int, int]]
"""Places of two arms each."""


def _cells(arms: Sequence[Arm], cosines: Array, clusters: Sequence[str]) -> Iterable[Likeness]:
    pairs = [(one, other) for one in range(len(arms)) for other in range(one, len(arms))]
    values = np.stack([cosines[:, one, other] for one, other in pairs])
    for (one, other), mean in zip(pairs, mean_intervals(values, CONFIDENCE, clusters, BOUNDS), strict=True):
        yield Likeness(arms[one].name, arms[other].name, *_numbers(mean), mean.count)


def _numbers(mean: Mean) -> tuple[float | None, float | None, float | None]:
    return finite_or_none(mean.value), finite_or_none(mean.low), finite_or_none(mean.high)


def _mean_of(cosines: Array, pairs: Pairs) -> Array:
    """(P,) mean over these pairs, NaN where one of them is."""
    return np.asarray(np.mean([cosines[:, one, other] for one, other in pairs], axis=0), dtype=np.float64)


def _between_checkpoints(arms: Sequence[Arm]) -> Pairs:
    """Those of different checkpoints; where there is only one, all: then its settings are what is compared."""
    every = list(combinations(range(len(arms)), 2))
    return [(one, other) for one, other in every if arms[one].checkpoint != arms[other].checkpoint] or every


def _contrast(arms: Sequence[Arm], cosines: Array, clusters: Sequence[str]) -> Contrast | None:
    """Pairs of tuned checkpoints against pairs of base ones, or of a tuned with the base one where there is but one.

    Under each setting that both kinds of pair have, then their mean: what is drawn colder is more alike anyway.
    """
    tuned, bases = _pairs(arms, "tuned", "tuned"), _pairs(arms, "base", "base")
    beside = bases or _pairs(arms, "tuned", "base")
    settings = [setting for setting in tuned if setting in beside]
    if not settings:
        return None
    ours = np.mean([_mean_of(cosines, tuned[setting]) for setting in settings], axis=0)
    theirs = np.mean([_mean_of(cosines, beside[setting]) for setting in settings], axis=0)
    gap = (ours - theirs)[None]
    known = ~np.isnan(gap[0])
    if not known.any():
        return None
    [mean] = mean_intervals(gap, CONFIDENCE, clusters, (-2.0, 2.0))
    p = float(mean_p_values(gap, clusters, (-2.0, 2.0))[0])
    return Contrast(
        "bases" if bases else "base",
        float(ours[known].mean()),
        float(theirs[known].mean()),
        *_numbers(mean),
        finite_or_none(p),
    )


def _pairs(arms: Sequence[Arm], kind: Kind, other_kind: Kind) -> dict[object, list[tuple[int, int]]]:
    """How arms are drawn -> pairs of different checkpoints of these kinds that both are drawn so."""
    found: dict[object, list[tuple[int, int]]] = {}
    for one, other in combinations(range(len(arms)), 2):
        first, second = arms[one], arms[other]
        is_alike = first.checkpoint != second.checkpoint and _drawing(first) == _drawing(second)
        if is_alike and (first.kind, second.kind) in ((kind, other_kind), (other_kind, kind)):
            found.setdefault(_drawing(first), []).append((one, other))
    return found


def _drawing(arm: Arm) -> object:
    return arm.sampling.distribution if arm.sampling else None, arm.best_of, arm.asking


def accords(found: Homogeneity | None, groups: Groups, most: int = SHOWN) -> tuple[Accord, ...]:
    """The prompts on which arms are most alike, first the most, each with an answer of every arm.

    `groups` with their embeddings, a prompt a row as in `found.by_prompt`.
    """
    if found is None:
        return ()
    values = np.array([-np.inf if value is None else value for value in found.by_prompt])
    rows = [int(row) for row in np.argsort(-values, kind="stable")[:most] if np.isfinite(values[row])]
    arms = list(dict.fromkeys(cell.arm for cell in found.cells))
    return tuple(
        _accord(float(values[row]), {arm: groups[arm][row] for arm in arms if row < len(groups[arm])}) for row in rows
    )


def _accord(value: float, groups: Mapping[str, Group]) -> Accord:
    """Of each arm the answer that is nearest to the middle of all arms: what they agree on, if on anything."""
    rows = {arm: unit_rows(group) for arm, group in groups.items() if group.completions}
    middle = np.mean([of_arm.mean(axis=0) for of_arm in rows.values()], axis=0)
    nearest = {arm: int((of_arm @ middle).argmax()) for arm, of_arm in rows.items()}
    prompt = next(iter(groups.values())).prompt
    texts = tuple((arm, short(groups[arm].texts[place], LONGEST)) for arm, place in nearest.items())
    return Accord(prompt.id, prompt.text, value, texts)
