"""An arm's mixture of voices, with an interval that holds all chance: that of prompts and of the classifier's mistakes.

Intervals over prompts alone take the classifier's confusion matrix as known. It rests on a few examples, so here both
are drawn anew: prompts by the bootstrap, the matrix from its posterior (Dirichlet, with the prior weight of one example
spread evenly), and the correction is made again each time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.diversity.voice_classifier import VoiceClassifier, invert
from evalkit.records import CONFIDENCE

Floats = NDArray[np.float64]
RESAMPLES = 4000
SPLITS = 1000


@dataclass(frozen=True, slots=True)
class Share:
    """One voice's share of what an arm says."""

    voice: str
    heard: float
    """As counted, mistakes included."""
    spoken: float
    """Corrected."""
    low: float
    high: float


def mixture(classifier: VoiceClassifier, heard: Floats, seed: int = 0) -> list[Share]:
    """One share a voice from (P, V) shares heard on each prompt (rows of NaN are left out), with 95 % intervals.

    Percentiles of the resamples, cut to [0, 1]. NaN where the classifier is no better than chance, or nothing is heard.
    """
    rows = heard[~np.isnan(heard).any(axis=1)]
    if not len(rows):
        return [Share(name, *[float("nan")] * 4) for name in classifier.names]
    generator = np.random.default_rng([seed, len(rows)])
    drawn = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=RESAMPLES) / len(rows)
    corrected = np.einsum("bij,bj->bi", _corrections(classifier, generator), drawn @ rows)
    ends = np.clip(np.nanquantile(corrected, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0), 0, 1)
    mean = rows.mean(axis=0)
    best = classifier.correction @ mean
    if not classifier.above_chance:
        best, ends = np.full_like(mean, np.nan), np.full_like(ends, np.nan)
    return [
        Share(name, float(mean[place]), float(best[place]), float(ends[0, place]), float(ends[1, place]))
        for place, name in enumerate(classifier.names)
    ]


@dataclass(frozen=True, slots=True)
class Shift:
    """Total variation between two arms' mixtures over all prompts."""

    value: float
    """Free of the bias upwards that plain total variation has; about 0 where nothing moved."""
    low: float
    high: float


def shift(correction: Floats, heard: Floats, baseline: Floats, seed: int = 0) -> Shift:
    """How far a mixture has moved from the baseline's, from (P, V) shares heard on the same prompts, with interval.

    The value adds what voices gained and lost on one half of the prompts with the signs that the other half shows,
    averaged over random halves. The interval holds, because by the triangle inequality the plain total variation errs
    by no more than that between the gains seen and the true ones, whose distribution the bootstrap over prompts gives;
    it is on the wide side, and takes the correction as known.
    """
    gains = (heard - baseline) @ correction.T
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


def _corrections(classifier: VoiceClassifier, generator: np.random.Generator) -> Floats:
    """(RESAMPLES, V, V) corrections that the examples leave possible."""
    prior = 1 / len(classifier.names)
    rows = [generator.dirichlet(counts + prior, size=RESAMPLES) for counts in classifier.confusion]
    return invert(np.stack(rows, axis=1))
