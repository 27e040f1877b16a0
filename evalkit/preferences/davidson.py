"""Several arms on one scale, from comparisons of any two: Bradley-Terry with ties (Davidson 1970).

An arm with score s beats one with score t with a chance in proportion to exp((s - t) / 2), loses with exp((t - s) / 2)
and ties with nu. Scores are logits: two arms whose scores differ by 1 win and lose as 2.7 to 1. The baseline stands
at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.plumbing.arrays import Array
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.ballots import shares_of
from evalkit.preferences.crossed import Crossed, codes_of, crossed_intervals

_STEPS = 60
_ENOUGH = 1e-10
_RIDGE = 0.001
"""Of a squared parameter, in votes: keeps the score of an arm finite that won or lost every time."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an arm stands, on the scale of logits on which the baseline is 0."""

    arm: str
    score: Crossed


@dataclass(frozen=True, slots=True)
class Standings:
    """Of all arms that comparisons join to the baseline."""

    baseline: str
    arms: tuple[Standing, ...]
    """Without the baseline, best first."""
    nu: float
    """How likely ties are: between equal arms nu / (2 + nu) of all votes."""


def standings(votes: Sequence[Annotation], baseline: str) -> Standings | None:
    """Of votes on any two arms, each counted inversely to its pair's chance; prompts and raters are units.

    None where fewer than two arms are joined to the baseline by comparisons: then the win rate says all.
    """
    arms = _joined(votes, baseline)
    used = [vote for vote in votes if vote.comparison.arms and arms.issuperset(vote.comparison.arms)]
    names = sorted(arms - {baseline})
    if len(names) < 2:
        return None
    known = np.array([[_sign(vote, name) for name in names] for vote in used], dtype=np.float64)
    targets = np.array([vote.target for vote in used], dtype=np.float64)
    weights = shares_of(used) / [vote.comparison.probability for vote in used]
    values, moves = _fitted(known, targets, weights / weights.sum())
    prompts = codes_of([vote.comparison.pair.prompt_id for vote in used])
    raters = codes_of([(vote.group, vote.rater) for vote in used])
    scores = crossed_intervals(values, moves - moves.mean(axis=0), prompts, raters)
    told = [Standing(name, score) for name, score in zip(names, scores, strict=False)]
    ordered = sorted(told, key=lambda standing: -standing.score.value)
    return Standings(baseline, tuple(ordered), float(np.exp(values[-1])))


def _fitted(known: Array, targets: Array, weights: Array) -> tuple[Array, Array]:
    """(d + 1,) scores and log nu of greatest weighted likelihood, and (V, d + 1) how far each vote moves them.

    Fisher scoring; a step that would leave the scale is cut. `known`: (V, d), +1 for the arm that is `a`, -1 for `b`.
    """
    values = np.zeros(known.shape[1] + 1)
    is_tie = targets == 0.5
    penalty = _RIDGE / len(targets) * np.eye(len(values))
    for _ in range(_STEPS):
        logits = np.clip(known @ values[:-1], -30, 30)
        half, nu = np.exp(logits / 2), np.exp(values[-1])
        total = half + nu + 1 / half
        win, tie = half / total, nu / total
        mean = win + tie / 2
        slopes = np.concatenate([known * (targets - mean)[:, None], (is_tie - tie)[:, None]], axis=1)
        curvature = _information(known, win + tie / 4 - mean**2, tie * (0.5 - mean), tie * (1 - tie), weights) + penalty
        step = np.linalg.solve(curvature, weights @ slopes - penalty @ values)
        values = values + np.clip(step, -2, 2)
        if np.abs(step).max() < _ENOUGH:
            break
    return values, (weights[:, None] * slopes) @ np.linalg.inv(curvature)


def _information(known: Array, of_win: Array, of_both: Array, of_tie: Array, weights: Array) -> Array:
    """(d + 1, d + 1) expected: variance of a vote, its covariance with a tie, variance of a tie."""
    across = known.T @ (weights * of_both)
    return np.block([
        [known.T @ (known * (weights * of_win)[:, None]), across[:, None]],
        [across[None, :], np.array([[weights @ of_tie]])],
    ])  # fmt: skip


def _sign(vote: Annotation, name: str) -> float:
    a, b = vote.comparison.arms or ("", "")
    return float(name == a) - float(name == b)


def _joined(votes: Sequence[Annotation], baseline: str) -> set[str]:
    """The baseline, and whatever was compared with it, or with what was."""
    pairs = {vote.comparison.arms for vote in votes if vote.comparison.arms and len(set(vote.comparison.arms)) == 2}
    joined, size = {baseline}, 0
    while len(joined) > size:
        size = len(joined)
        joined |= {arm for pair in pairs if joined.intersection(pair) for arm in pair}
    return joined
