"""How often people prefer an arm's answer to the baseline's: from votes to a win rate with its interval.

The win rate is the mean over prompts of the chance that a completion of the arm beats one of the baseline's to the same
prompt, in the eyes of a rater of the group; both kinds of tie count half, pairs of the same text are not compared.
Prompts and raters are both units (`crossed`). Every prompt must have been as likely to come up as any other, and each
vote counts inversely to the chance with which its pair was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.plumbing.arrays import Array
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.ballots import Ballots, arm_votes, ballots
from evalkit.preferences.crossed import Crossed, codes_of, crossed_intervals
from evalkit.preferences.known_pairs import KnownPairs
from evalkit.preferences.predicted_ballots import predicted_ballots

SHARE = (0.0, 1.0)
_STEPS = 25
_RIDGE = 0.01
"""Of a squared coefficient, in shares of one vote: keeps them finite where all votes are alike."""


@dataclass(frozen=True, slots=True)
class WinRate:
    """An arm against its baseline, by the raters of one group or by all."""

    arm: str
    baseline: str
    group: str | None
    """None: raters of all groups, each as often as pairs were drawn for it."""
    rate: Crossed
    labels: int
    pairs: int
    prompts: int
    raters: int
    ties: float
    """Share of votes for neither."""
    at_equal_length: Crossed | None = None
    """The same where both answers have equally many words; None where not asked for, or where lengths do not vary."""

    @property
    def is_clear(self) -> bool:
        return self.rate.low > 0.5 or self.rate.high < 0.5


def win_rates(
    votes: Sequence[Annotation], baselines: dict[str, str], pairs: KnownPairs | None = None, with_length: bool = False
) -> list[WinRate]:
    """Of every arm that was compared with its baseline: by all raters and, where there are several groups, by each.

    `baselines`: arm -> its baseline. `pairs`: all that could have been drawn, where the run is known: then the estimate
    is helped by a prediction of votes. `with_length`: also at equal length.
    """
    groups = sorted({vote.group for vote in votes})
    asked = [None, *groups] if len(groups) > 1 else groups
    rates = []
    for arm, baseline in baselines.items():
        for group in asked:
            chosen = [vote for vote in arm_votes(votes, arm, baseline) if group in (None, vote.group)]
            if chosen:
                rates.append(_win_rate(chosen, arm, baseline, group, pairs, with_length))
    return rates


def estimate(cast: Ballots) -> Crossed:
    """The win rate of votes on one arm against one other."""
    terms = cast.terms
    rate = cast.shares @ terms
    moves = (cast.shares * (terms - rate))[:, None]
    [crossed] = crossed_intervals(np.array([rate]), moves, cast.prompts, cast.raters, SHARE)
    # A prediction that was wrong may carry the sum beyond what a share can be.
    return replace(crossed, value=min(max(crossed.value, 0.0), 1.0))


def at_equal_length(cast: Ballots, longer: Array) -> Crossed | None:
    """The win rate at equal length, by weighted logistic regression of votes on `longer`.

    `longer`: (V,) log of the arm's words over the baseline's. The win rate is the regression's at 0. None where lengths
    do not vary.
    """
    if np.ptp(longer) == 0:
        return None
    weights = cast.shares * cast.weights
    known = np.stack([np.ones_like(longer), longer], axis=1)
    coefficients, penalty = np.zeros(2), _RIDGE / len(longer) * np.eye(2)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(known @ coefficients, -30, 30)))
        slopes = weights[:, None] * (cast.wins - chance)[:, None] * known
        curvature = (known * (weights * chance * (1 - chance))[:, None]).T @ known + penalty
        coefficients = coefficients + np.linalg.solve(curvature, slopes.sum(axis=0) - penalty @ coefficients)
    moves = slopes @ np.linalg.inv(curvature)
    moves = moves - moves.mean(axis=0)
    [level, _] = crossed_intervals(coefficients, moves, cast.prompts, cast.raters)
    low, value, high = (1 / (1 + np.exp(-np.array([level.low, level.value, level.high])))).tolist()
    return Crossed(value, low, high, level.of_these_raters)


def _win_rate(
    votes: Sequence[Annotation], arm: str, baseline: str, group: str | None, pairs: KnownPairs | None, with_length: bool
) -> WinRate:
    plain = ballots(votes, arm)
    cast = predicted_ballots(plain, votes, arm, pairs) if pairs and pairs.have(votes) else plain
    return WinRate(
        arm,
        baseline,
        group,
        estimate(cast),
        labels=len(votes),
        pairs=len(set(codes_of([vote.comparison.id for vote in votes]).tolist())),
        prompts=int(plain.prompts.max()) + 1,
        raters=int(plain.raters.max()) + 1,
        ties=float((plain.wins == 0.5).mean()),
        at_equal_length=at_equal_length(plain, _longer(votes, arm)) if with_length else None,
    )


def _longer(votes: Sequence[Annotation], arm: str) -> Array:
    """(V,) log of the arm's words over the other's, one more of each: an empty answer has none."""
    words = np.array([[len(vote.comparison.pair.a.split()), len(vote.comparison.pair.b.split())] for vote in votes])
    logs = np.log1p(words)
    is_first = np.array([(vote.comparison.arms or ("",))[0] == arm for vote in votes])
    return np.asarray(np.where(is_first, logs[:, 0] - logs[:, 1], logs[:, 1] - logs[:, 0]))
