"""Where a path of means meets zero, with the settings at which that cannot be excluded.

A path is a row of values a prompt at each setting tried; between two neighbouring settings every prompt's value moves
in a straight line, and nothing is said outside of them. A path need not rise or fall all along: it may meet zero
several times. The settings at which the interval of the mean holds zero are those that a test would not reject, so that
a true crossing is among them as often as such intervals hold a mean; nothing is resampled, and a path that only nearly
reaches zero says so by settings without a crossing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.intervals import mean_intervals
from evalkit.plumbing.arrays import Array
from evalkit.records import CONFIDENCE

STEPS = 32
"""Parts of the way between two settings at which the interval is looked at; between those its ends are straight."""
Ends = tuple[float, float]


@dataclass(frozen=True)
class Zeros:
    """What is found on one path."""

    points: tuple[float, ...]
    """Settings at which the mean is zero, rising."""
    spans: tuple[Ends, ...]
    """From, to: all settings at which zero is in the mean's interval, rising; an end of the path may be one of them."""


def zeros(settings: Sequence[float], values: Array, confidence: float = CONFIDENCE) -> Zeros:
    """Where the mean over units is zero.

    `settings`: (S,) rising, two or more. `values`: (S, C), a column a unit of resampling, without NaN; below two units
    there are no spans but the points.
    """
    means = values.mean(axis=1)
    points = tuple(_crossed(settings, means))
    spans = _joined(
        [span for left in range(len(settings) - 1) for span in _between(settings, values, left, confidence)]
    )
    alone = [(point, point) for point in points if not any(low <= point <= high for low, high in spans)]
    return Zeros(points, tuple(sorted([*spans, *alone])))


def _crossed(settings: Sequence[float], means: Array) -> Iterator[float]:
    for left in range(len(settings) - 1):
        start, end = means[left], means[left + 1]
        if start == 0:
            yield float(settings[left])
        elif start * end < 0:
            yield float(settings[left] + start / (start - end) * (settings[left + 1] - settings[left]))
    if means[-1] == 0:
        yield float(settings[-1])


def _between(settings: Sequence[float], values: Array, left: int, confidence: float) -> list[Ends]:
    """The spans between one setting and the next."""
    share = np.linspace(0, 1, STEPS + 1)
    rows = values[left] + share[:, None] * (values[left + 1] - values[left])
    places = settings[left] + share * (settings[left + 1] - settings[left])
    found = mean_intervals(rows, confidence)
    lows, highs = np.array([mean.low for mean in found]), np.array([mean.high for mean in found])
    if np.isnan(lows).any():
        return []
    spans: list[Ends] = []
    for step in range(STEPS):
        here = _held(places[step : step + 2], lows[step : step + 2], highs[step : step + 2])
        if here is not None:
            spans.append(here)
    return _joined(spans)


def _held(places: Array, lows: Array, highs: Array) -> Ends | None:
    """The part of a step on which the low end is at most and the high end at least zero, both straight."""
    start, end = 0.0, 1.0
    for above in (-lows, highs):
        if above[0] < 0 and above[1] < 0:
            return None
        if above[0] < 0:
            start = max(start, float(above[0] / (above[0] - above[1])))
        elif above[1] < 0:
            end = min(end, float(above[0] / (above[0] - above[1])))
    width = float(places[1] - places[0])
    return (float(places[0]) + start * width, float(places[0]) + end * width) if start <= end else None


def _joined(spans: Sequence[Ends]) -> list[Ends]:
    joined: list[Ends] = []
    for low, high in spans:
        if joined and low <= joined[-1][1] + 1e-12 * max(1.0, abs(low)):
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined
