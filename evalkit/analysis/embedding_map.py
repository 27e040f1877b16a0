"""Completions in two dimensions, so that one sees how far apart an arm's answers lie and where they have collapsed.

There are two maps, because what prompts are about is most of what differs between embeddings: one picture of them all
would be a picture of the prompts.

*One prompt*: its completions of all arms, placed so that the distances between points are as near as can be to those
between embeddings (metric scaling: SMACOF, de Leeuw 1977, from principal components as the start, so that nothing is
left to a seed). Equal texts are one point, with the weight of their number.

*All prompts*: from each completion the mean of its arm's completions of the same prompt is taken away, and the arm's
mean displacement put in its place: how far, on average over prompts, its means lie from the means of all arms. So a
cloud's width is how much one prompt's answers differ, and its place is where the arm went on all prompts alike.
Principal components (Pearson 1901) show it: scaling needs the distances of all pairs, which are too many here. To
take away the baseline's mean instead would mislead: an arm that says one thing a prompt would have a point a prompt,
each wherever that answer happens to lie, and so a wide cloud. On the creative suite it makes the narrowest arm more
than twice as wide as the baseline.

How true are they? Of 16 prompts of the creative suite, with five arms and 32 completions each: the correlation
between an arm's mean distance from its middle on the map and in all dimensions, both over the mean of the prompt's
arms, is 0.94 by scaling, 0.85 by principal components and 0.83 by t-SNE (perplexity 30); that between the distances
of pairs 0.80, 0.75 and 0.63. t-SNE and UMAP keep who is next to whom, not how far apart: every point gets about as
many near neighbours as any other. They find clusters; these maps are about width, and whoever looks at one takes
distances for distances.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.figure_data import CompletionMap, MappedArm, MappedTexts, Outline, PromptMap
from evalkit.metrics.embeddings.encoder import Floats
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.plumbing.spread import spread
from evalkit.records import Group, Groups

MOST_POINTS = 20_000
"""More would make the page heavy, and slow to draw."""
MOST_OF_A_PROMPT = 1000
"""Scaling takes the distances of all pairs of a prompt's points, many times over."""
ROUNDS = 300
SETTLED = 1e-4
"""Scaling ends when a round lowers the stress by less than this share of it, or after so many rounds."""
NOTHING = 1e-9
"""Variance below which embeddings of length 1 are one point, and what is left is rounding."""


@dataclass(frozen=True)
class Plane:
    """Two directions among d, and what they show."""

    centre: Array
    """(d,)"""
    axes: Array
    """(d, 2)"""
    share: float | None
    """Of the variance; None where there is none."""

    def project(self, rows: Array | Floats) -> Array:
        """(k, 2) points of (k, d) rows."""
        return np.asarray((rows - self.centre) @ self.axes)


def map_completions(groups: Groups, tell: Listener = QUIET) -> CompletionMap | None:
    """Both maps of all groups that have embeddings; None where there are none."""
    by_prompt = _by_prompt(groups)
    if not by_prompt:
        return None
    tell.stage("map prompts", len(by_prompt))
    step = _step(by_prompt.values())
    displaced = _displacements(by_prompt)
    members = [(arm, group) for by_arm in by_prompt.values() for arm, group in by_arm.items()]
    plane = find_plane(np.concatenate([_around(group, displaced[arm])[::step].copy() for arm, group in members]))
    around = {
        prompt: {arm: plane.project(_around(group, displaced[arm])) for arm, group in by_arm.items()}
        for prompt, by_arm in by_prompt.items()
    }
    tell.ready()
    maps = {}
    for prompt in spread(list(by_prompt)):
        maps[prompt] = _prompt_map(prompt, by_prompt[prompt], around[prompt], step)
        tell.advance(1)
    return CompletionMap(
        prompts=tuple(maps[prompt] for prompt in by_prompt),
        share=None if plane.share is None else _rounded(plane.share),
        arms=tuple(_mapped_arm(arm, [by_arm[arm] for by_arm in around.values() if arm in by_arm]) for arm in displaced),
        step=step,
    )


def find_plane(rows: Array | Floats) -> Plane:
    """The plane through the mean of (k, d) rows that shows most of their variance; the same for the same rows."""
    k, d = rows.shape
    middle = np.asarray(rows.mean(axis=0), dtype=np.float64)
    away = np.asarray(rows - middle, dtype=np.float64)
    axes = np.zeros((d, 2))
    if away.var(axis=0).sum() < NOTHING:
        return Plane(middle, axes, None)
    # Of the smaller of the two symmetric matrices, whose eigenvectors are always found; a decomposition into singular
    # values need not converge on rows that are nearly equal.
    variances, vectors = np.linalg.eigh(away.T @ away if k > d else away @ away.T)
    largest = [last for last in (-1, -2) if len(variances) >= -last and variances[last] > NOTHING * variances[-1]]
    for column, last in enumerate(largest):
        axis = vectors[:, last] if k > d else away.T @ vectors[:, last]
        axes[:, column] = axis / np.linalg.norm(axis) * np.sign(axis[np.abs(axis).argmax()])
    return Plane(middle, axes, float(variances[largest].sum() / variances.clip(0).sum()))


def scale(distances: Array, weights: Array, start: Array) -> tuple[Array, float]:
    """(k, 2) points, from `start` on, whose distances come near to (k, k) `distances`, and the stress that is left.

    `weights` (k,) are how many each point stands for. The stress is Kruskal's (1964) first: the root of the weighted
    mean square of what is missed over that of the distances.
    """
    pairs = np.outer(weights, weights)
    total = float((pairs * distances**2).sum())
    points, stress = start, np.inf
    if total == 0:
        return points, 0.0
    for _ in range(ROUNDS):
        steps = points[:, None, :] - points[None, :, :]
        on_map = np.hypot(steps[..., 0], steps[..., 1])
        before, stress = stress, float(np.sqrt((pairs * (on_map - distances) ** 2).sum() / total))
        if before - stress < SETTLED * stress:
            break
        # Points in one place push nobody apart: they have no direction.
        pull = weights * np.divide(distances, on_map, out=np.zeros_like(distances), where=on_map > 0)
        points = np.einsum("ij,ijc->ic", pull, steps) / weights.sum()
    return points, stress


def half_outline(points: Array) -> Outline:
    """The ellipse that holds half of (k, 2) points: that of their covariance, as large as it must be."""
    centre = points.mean(axis=0)
    around = points - centre
    variances, directions = np.linalg.eigh(around.T @ around / len(points))
    variances = np.maximum(variances, 0.0)
    # The floor gives points on one line, or all in one point, an outline too.
    far = np.sqrt(((around @ directions) ** 2 / np.maximum(variances, NOTHING)).sum(axis=1))
    size = np.sort(far)[(len(far) - 1) // 2]
    short, long = size * np.sqrt(variances)
    turn = np.arctan2(directions[1, 1], directions[0, 1])
    return Outline(*(_rounded(value) for value in (*centre, long, short, turn)))


def _by_prompt(groups: Groups) -> dict[str, dict[str, Group]]:
    """Prompt id -> arm -> its completions, where they are embedded."""
    by_prompt: dict[str, dict[str, Group]] = {}
    for arm, of_arm in groups.items():
        for group in of_arm:
            if group.embeddings is not None and group.completions:
                by_prompt.setdefault(group.prompt.id, {})[arm] = group
    return by_prompt


def _step(prompts: Iterable[Mapping[str, Group]]) -> int:
    """The least step from completion to completion with which points are few enough, of all prompts and of each."""
    texts = [[group.texts for group in by_arm.values()] for by_arm in prompts]
    longest = max(len(of_group) for of_prompt in texts for of_group in of_prompt)
    step = 1
    while step < longest and _are_too_many([_points(of_prompt, step) for of_prompt in texts]):
        step += 1
    return step


def _points(texts: Sequence[Sequence[str]], step: int) -> int:
    return sum(len(set(of_group[::step])) for of_group in texts)


def _are_too_many(points: Sequence[int]) -> bool:
    return sum(points) > MOST_POINTS or max(points) > MOST_OF_A_PROMPT


def _displacements(by_prompt: Mapping[str, Mapping[str, Group]]) -> dict[str, Array]:
    """Arm -> (d,) how far its means lie from the means of all arms, on average over prompts."""
    displaced: dict[str, list[Array]] = {}
    for by_arm in by_prompt.values():
        means = {arm: _rows(group).mean(axis=0) for arm, group in by_arm.items()}
        middle = np.mean(list(means.values()), axis=0)
        for arm, mean in means.items():
            displaced.setdefault(arm, []).append(mean - middle)
    return {arm: np.mean(rows, axis=0) for arm, rows in displaced.items()}


def _around(group: Group, displaced: Array) -> Array:
    """(k, d) completions without what is particular to their prompt."""
    rows = _rows(group)
    return np.asarray(rows - rows.mean(axis=0) + displaced)


def _rows(group: Group) -> Array:
    """(k, d) float64."""
    assert group.embeddings is not None
    return group.embeddings.astype(np.float64)


def _prompt_map(prompt: str, by_arm: Mapping[str, Group], around: Mapping[str, Array], step: int) -> PromptMap:
    shown = {arm: Counter(group.texts[::step]) for arm, group in by_arm.items()}
    rows = dict(
        pair for group in by_arm.values() for pair in zip(group.texts[::step], _rows(group)[::step], strict=True)
    )
    weights = sum(shown.values(), Counter[str]())
    points, stress = _scaled(
        np.array(list(rows.values())), np.array([weights[text] for text in rows], dtype=np.float64)
    )
    point = dict(zip(rows, points, strict=True))
    arms = [
        _mapped_texts(arm, group, shown[arm], np.array([point[text] for text in shown[arm]]), around[arm])
        for arm, group in by_arm.items()
    ]
    return PromptMap(prompt, _rounded(stress), tuple(arms))


def _scaled(rows: Array, weights: Array) -> tuple[Array, float]:
    """(k, 2) points of (k, d) rows, and the stress; the weighted mean lies at 0."""
    start = find_plane(np.repeat(rows, weights.astype(int), axis=0)).project(rows)
    squares = (rows**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * rows @ rows.T, 0.0))
    np.fill_diagonal(distances, 0.0)
    return scale(distances, weights, start)


def _mapped_texts(arm: str, group: Group, shown: Counter[str], points: Array, around: Array) -> MappedTexts:
    rows = _rows(group)
    rank = {text: number for number, (text, _) in enumerate(Counter(group.texts).most_common())}
    first = [group.texts.index(text) for text in shown]
    each = np.repeat(points, list(shown.values()), axis=0)
    return MappedTexts(
        arm=arm,
        texts=tuple(rank[text] for text in shown),
        counts=tuple(shown.values()),
        x=_numbers(points[:, 0]),
        y=_numbers(points[:, 1]),
        around_x=_numbers(around[first, 0]),
        around_y=_numbers(around[first, 1]),
        outline=half_outline(each),
        drawn=len(group.texts),
        different=len(rank),
        distance=_width(rows),
        distance_shown=_width(each),
    )


def _mapped_arm(arm: str, around: Sequence[Array]) -> MappedArm:
    every = np.concatenate(around)
    return MappedArm(arm, half_outline(every), _width(every))


def _width(rows: Array) -> float:
    """Mean distance from the mean."""
    return _rounded(np.linalg.norm(rows - rows.mean(axis=0), axis=1).mean())


def _numbers(values: Array) -> tuple[float, ...]:
    return tuple(map(_rounded, values))


def _rounded(value: float) -> float:
    """Three digits, and none beyond the fourth decimal: less than a pixel on a map of embeddings of length 1."""
    return float(f"{round(float(value), 4):.3g}") + 0.0
