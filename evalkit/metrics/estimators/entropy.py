"""Shannon entropy of a distribution from counts of draws, in nats: the plug-in value, and two that correct its bias."""

from __future__ import annotations

import math

import numpy as np

from evalkit.metrics.estimators.ngrams import Ints

_CANCELS = 8.0
"""There e^8 rounding errors still leave 1e-12."""


def _plug_in(counts: Ints) -> float:
    total = counts.sum()
    return float(np.log(total) - counts @ np.log(counts) / total)


def _miller_madow(counts: Ints) -> float:
    return _plug_in(counts) + (len(counts) - 1) / (2 * int(counts.sum()))


def _chao_wang_jost(counts: Ints) -> float:
    """Equation 7 of Chao, Wang & Jost 2013: the part of what was seen, and the tail by singles and doubles."""
    total = int(counts.sum())
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, total))])
    seen = float(counts @ (harmonic[-1] - harmonic[counts - 1])) / total
    singles, doubles = int((counts == 1).sum()), int((counts == 2).sum())
    if not singles:
        return seen
    a = 2 * doubles / ((total - 1) * singles + 2 * doubles) if doubles else 2 / ((total - 1) * (singles - 1) + 2)
    return seen + singles / total * _tail(a, total)


def _tail(a: float, total: int) -> float:
    """(1 - a)^(1 - total) (-log a - sum over r < total of (1 - a)^r / r).

    The same is the sum over j > 0 of (1 - a)^j / (total + j - 1), which converges fast where the first form cancels.
    """
    if a == 1:
        return 0.0
    decay = math.log1p(-a)
    if total * a < _CANCELS:
        r = np.arange(1, total)
        return math.exp((1 - total) * decay) * (-math.log(a) - float((np.exp(r * decay) / r).sum()))
    j = np.arange(1, math.ceil(40 / a))
    return float((np.exp(j * decay) / (total + j - 1)).sum())


ENTROPIES = {"chao-wang-jost": _chao_wang_jost, "miller-madow": _miller_madow, "none": _plug_in}
"""Correction -> estimator of a (kinds,) array of counts, each 1 or more."""
