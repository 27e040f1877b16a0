"""A prediction of who wins a pair, from what is known of both completions; all functions take many runs at once.

Ridge logistic regression of votes on differences between the two (reward, length, words): useless differences are drawn
to nothing, so that a bad prediction costs little. A tie is half a vote for either.
"""

from __future__ import annotations

import numpy as np

from evalkit.plumbing.arrays import Array

PENALTY = 4.0
"""Of a squared coefficient, in votes: of a difference in units of its own spread over all pairs."""
STEPS = 8
"""Newton steps: the penalised likelihood is concave and its slopes small, so that five give eight digits."""
_FARTHEST = 30.0


def fitted(differences: Array, wins: Array, counted: Array) -> Array:
    """(..., d) coefficients from (..., V, d) differences between the two completions and (..., V) votes in [0, 1].

    `counted`: (..., V), 1 of a vote that counts, 0 of one that does not.
    """
    size = differences.shape[-1]
    coefficients = np.zeros((*np.broadcast_shapes(differences.shape[:-2], counted.shape[:-1]), size))
    for _ in range(STEPS):
        chance = predicted(differences, coefficients)
        residual = (counted * (wins - chance))[..., None, :]
        slope = (residual @ differences)[..., 0, :] - PENALTY * coefficients
        weighted = differences * (counted * chance * (1 - chance))[..., None]
        curvature = np.swapaxes(weighted, -1, -2) @ differences + PENALTY * np.eye(size)
        coefficients = coefficients + np.linalg.solve(curvature, slope[..., None])[..., 0]
    return coefficients


def predicted(differences: Array, coefficients: Array) -> Array:
    """(..., V) chances that the first of the two wins, a tie counted half."""
    logits = (differences @ coefficients[..., None])[..., 0]
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -_FARTHEST, _FARTHEST))))
