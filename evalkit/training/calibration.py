"""How well a reward model judges pairs that it has not seen: accuracy, log loss and calibration, from its margins.

A margin is r(chosen) - r(rejected), in log-odds: by the Bradley-Terry model the chosen completion is preferred with
probability sigmoid(margin). Whether that is so is what calibration asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from evalkit.records import CONFIDENCE

Array = NDArray[np.float64]
BINS = 10


@dataclass(frozen=True, slots=True)
class Share:
    """How often the chosen completion got the higher reward, with its Wilson interval at `CONFIDENCE`.

    The interval takes pairs as independent; many pairs of few prompts are not quite.
    """

    pairs: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bin:
    """The pairs whose confidence is in [low, high) - in the last bin also 1."""

    low: float
    high: float
    pairs: int
    confidence: float | None
    """Mean confidence: the accuracy that a calibrated model has here; None in an empty bin."""
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a reward model's margins on held-out pairs say of it."""

    share: Share
    expected: float
    """Mean confidence: the accuracy that the model itself expects."""
    log_loss: float
    """Mean -log sigmoid(margin), nats a pair; always saying 1/2 costs log 2 = 0.693."""
    ece: float
    """Expected calibration error in [0, 1]; see `calibration_error`."""
    bins: tuple[Bin, ...]
    """The reliability table."""


def judge(margins: Array) -> Judgement:
    """All figures of margins [n], n > 0. A tie counts as half right."""
    bins = reliability(margins)
    return Judgement(
        share=accuracy(margins),
        expected=float(confidences(margins).mean()),
        log_loss=float(np.logaddexp(0.0, -margins).mean()),
        ece=calibration_error(bins),
        bins=bins,
    )


def accuracy(margins: Array) -> Share:
    """Share of margins [n], n > 0, that are above 0, with its interval."""
    right = float(wins(margins).sum())
    return Share(len(margins), right / len(margins), *wilson(right, len(margins)))


def wins(margins: Array) -> Array:
    """[n] 1 where the chosen completion got the higher reward, 1/2 where both got the same, else 0."""
    return (np.sign(margins) + 1) / 2


def confidences(margins: Array) -> Array:
    """[n] in [1/2, 1]: the probability that the model gives to the completion that it holds to be the better one."""
    return np.asarray(1 / (1 + np.exp(-np.abs(margins))), np.float64)


def reliability(margins: Array) -> tuple[Bin, ...]:
    """Ten bins of equal width over the confidences' range, 1/2 to 1, with mean confidence and accuracy in each."""
    sure, right = confidences(margins), wins(margins)
    edges = np.linspace(0.5, 1.0, BINS + 1)
    bin_of = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, BINS - 1)
    bins = []
    for index in range(BINS):
        here = bin_of == index
        means = (float(sure[here].mean()), float(right[here].mean())) if here.any() else (None, None)
        bins.append(Bin(round(float(edges[index]), 2), round(float(edges[index + 1]), 2), int(here.sum()), *means))
    return tuple(bins)


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Expected calibration error (Guo et al. 2017): the sum over bins of n_b / n |accuracy - mean confidence|.

    Few pairs raise it by chance alone: by about 0.8 sqrt(accuracy (1 - accuracy) / n_b) in each bin.
    """
    total = sum(row.pairs for row in bins)
    return sum(
        row.pairs / total * abs(row.accuracy - row.confidence)
        for row in bins
        if row.accuracy is not None and row.confidence is not None
    )


def wilson(right: float, trials: int) -> tuple[float, float]:
    """Wilson's (1927) score interval of a share, at `CONFIDENCE`; never leaves [0, 1]."""
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    share = right / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = z / (1 + z**2 / trials) * (share * (1 - share) / trials + z**2 / (4 * trials**2)) ** 0.5
    return max(0.0, centre - reach), min(1.0, centre + reach)
