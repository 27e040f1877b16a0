"""An arm's mixture of voices, with an interval that holds all chance: that of prompts and of the classifier's mistakes.

How often each voice is mistaken for another rests on a few examples. So many confusion matrices are drawn from what the
examples leave possible (Dirichlet, with the prior weight of one example spread evenly), and those are kept that the
predictions leave possible too: a matrix by which some arm would have a negative share of a voice is refuted. The mean
of their inverses corrects every share; their spread, with the bootstrap over prompts, makes the intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics.voices.classifier import VoiceClassifier, invert
from evalkit.records import CONFIDENCE

Floats = NDArray[np.float64]
DRAWS = 50_000
KEPT = 1000
"""Where fewer matrices are not refuted, the least refuted make up the number."""
RESAMPLES = 4000
SPLITS = 1000


@dataclass(frozen=True, slots=True)
class Share:
    """One voice's share of what an arm says."""

    voice: str
    predicted: float
    """As counted, mistakes included; in [0, 1]."""
    corrected: float
    """The estimate of the true share, in [0, 1]."""
    low: float
    high: float
    """Ends of the 95 % interval of the true share."""


def corrections(classifier: VoiceClassifier, predicted: Sequence[Floats], seed: int = 0) -> Floats:
    """(R, V, V) matrices that take predicted shares to true ones, each possible by examples and by predictions.

    `predicted`: the (P, V) predicted shares of every arm, which all suffer the same mistakes. NaN where the classifier
    is no better than chance.
    """
    count = len(classifier.names)
    if not classifier.above_chance:
        return np.full((1, count, count), np.nan)
    generator = np.random.default_rng([seed, count])
    rows = [generator.dirichlet(counts + 1 / count, size=DRAWS) for counts in classifier.confusion]
    drawn = invert(np.stack(rows, axis=1))
    refuted = np.zeros(DRAWS)
    for of_arm in predicted:
        shares = _defined(of_arm)
        if len(shares):
            # As far below 0 as chance alone takes a share is no contradiction.
            noise = shares.std(axis=0) / np.sqrt(len(shares))
            refuted += np.maximum(-(drawn @ shares.mean(axis=0)) - noise, 0).sum(axis=1)
    refuted[np.isnan(refuted)] = np.inf
    order = np.argsort(refuted, kind="stable")
    return drawn[order[: max(KEPT, int(np.count_nonzero(refuted == 0)))]]


def mixture(names: Sequence[str], possible: Floats, predicted: Floats, seed: int = 0) -> list[Share]:
    """One share a voice from (P, V) predicted shares of each prompt: mean and 95 % interval (percentiles) of the draws.

    `possible`: of `corrections`. NaN where they are, or nothing is predicted; prompts without completions are left out.
    """
    rows = _defined(predicted)
    if not len(rows) or np.isnan(possible).any():
        counted = rows.mean(axis=0) if len(rows) else np.full(len(names), np.nan)
        return [Share(name, float(share), *[float("nan")] * 3) for name, share in zip(names, counted, strict=True)]
    generator = np.random.default_rng([seed, len(rows)])
    drawn = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=RESAMPLES) / len(rows)
    chosen = possible[generator.integers(len(possible), size=RESAMPLES)]
    counted = drawn @ rows
    corrected = np.einsum("bij,bj->bi", chosen, counted)
    # All that a negative share tells is that the true one lies between none and the predicted one.
    corrected = np.clip(np.where(corrected < 0, generator.random(corrected.shape) * counted, corrected), 0, 1)
    ends = np.quantile(corrected, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    mean = rows.mean(axis=0)
    best = corrected.mean(axis=0)
    columns = zip(names, mean, best, *ends, strict=True)
    return [Share(name, *map(float, numbers)) for name, *numbers in columns]


def _defined(shares: Floats) -> Floats:
    """The rows without NaN."""
    defined: Floats = shares[~np.isnan(shares).any(axis=1)]
    return defined


@dataclass(frozen=True, slots=True)
class Shift:
    """Total variation between two arms' mixtures over all prompts."""

    value: float
    """Free of the bias upwards that plain total variation has; about 0 where nothing moved."""
    low: float
    high: float


def shift(correction: Floats, predicted: Floats, baseline: Floats, seed: int = 0) -> Shift:
    """How far a mixture has moved from the baseline's, with its interval.

    `predicted`, `baseline`: (P, V) predicted shares on the same prompts.

    The value adds what voices gained and lost on one half of the prompts with the signs that the other half shows,
    averaged over random halves. The interval holds, because by the triangle inequality the plain total variation errs
    by no more than that between the gains seen and the true ones, whose distribution the bootstrap over prompts gives;
    it is on the wide side, and takes the correction as known.
    """
    gains = (predicted - baseline) @ correction.T
    gains = gains[~np.isnan(gains).any(axis=1)]
    count = len(gains)
    if count < 2:
        return Shift(float("nan"), float("nan"), float("nan"))
    generator = np.random.default_rng([seed, count])
    halves = generator.permuted(np.tile(np.arange(count) < count // 2, (SPLITS, 1)), axis=1)
    first = halves @ gains / halves.sum(axis=1, keepdims=True)
    second = ~halves @ gains / (~halves).sum(axis=1, keepdims=True)
    value = float((np.sign(first) * second + np.sign(second) * first).sum(axis=1).mean()) / 4
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
    mean = gains.mean(axis=0)
    reach = float(np.quantile(np.abs(drawn @ gains - mean).sum(axis=1) / 2, CONFIDENCE))
    plain = float(np.abs(mean).sum()) / 2
    return Shift(value, max(0.0, plain - reach), min(1.0, plain + reach))
