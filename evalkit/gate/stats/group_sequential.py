"""Looking before all data are there, with the error rate kept: group-sequential boundaries; pure.

A test that is repeated whenever data arrive errs far more often than its level says. Here the level is spent bit by
bit: by the fraction t of the data, alpha ln(1 + (e - 1) t) of it may be used up (Lan & DeMets 1983, the spending
function of Pocock's type), whatever the looks were. Each look's boundary follows from the joint distribution of the
statistics, by recursive integration (Armitage, McPherson & Rowe 1969), and is used as a nominal level for Student's t
(Jennison & Turnbull 2000, section 4.4). Pocock's type stops earlier than O'Brien & Fleming's, which is what saves
tokens; it pays with some power at the end: of 90 % at once about 83 % is left. `in_blocks` says how many more prompts
keep it, and what share of them is asked on average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import integrate, optimize
from scipy import stats as scipy_stats

from evalkit.plumbing.arrays import Array

LOOKS = 10
"""More would save little more."""
_GRID = 1201
_REACH = 8.0
"""Standard deviations below which a path is taken never to lie."""


@dataclass(frozen=True, slots=True)
class Look:
    """One of the looks that were planned."""

    fractions: tuple[float, ...]
    """Shares of all prompts at which is looked, rising, the last one 1."""
    index: int
    """Which of them this is, from 0."""

    @property
    def fraction(self) -> float:
        return self.fractions[self.index]

    def level(self, alpha: float) -> float:
        """The p-value at which a test of level `alpha` stops here."""
        return nominal_levels(self.fractions, alpha)[self.index]


def spent(alpha: float, fraction: float) -> float:
    """How much of the level may be used up by this share of the data."""
    return alpha * math.log1p((math.e - 1) * fraction)


@dataclass(frozen=True, slots=True)
class InBlocks:
    """What it takes to look often and lose no power."""

    inflation: float
    """Times the prompts that a single look needs."""
    used: float
    """Mean share of the inflated number that is asked, where the effect is the one that was planned for."""


@lru_cache(maxsize=64)
def in_blocks(fractions: tuple[float, ...], alpha: float, power: float) -> InBlocks:
    """How many more prompts give a test of level `alpha` its power back, when it looks at these fractions.

    Of normal statistics with a known variance (Jennison & Turnbull 2000, table 2.2 has Pocock's own boundaries so).
    """
    bounds = [float(scipy_stats.norm.isf(level)) for level in nominal_levels(fractions, alpha)]
    at_once = float(scipy_stats.norm.isf(alpha) + scipy_stats.norm.ppf(power))

    def shortfall(drift: float) -> float:
        return math.fsum(_crossings(fractions, bounds, drift)) - power

    drift = float(optimize.brentq(shortfall, at_once, 4 * at_once, xtol=1e-9))
    stopped = _crossings(fractions, bounds, drift)
    used = math.fsum(f * p for f, p in zip(fractions, stopped, strict=True)) + 1 - math.fsum(stopped)
    return InBlocks((drift / at_once) ** 2, used)


def _crossings(fractions: Sequence[float], bounds: Sequence[float], drift: float) -> list[float]:
    """The chance to cross first at each look, of Brownian motion with this drift; bounds are those of z-values."""
    crossed: list[float] = []
    grid, density, before = np.zeros(1), np.ones(1), 0.0
    for fraction, bound in zip(fractions, bounds, strict=True):
        step, moved = math.sqrt(fraction - before), drift * (fraction - before)
        height = bound * math.sqrt(fraction)
        crossed.append(_integral(density * scipy_stats.norm.sf((height - moved - grid) / step), grid))
        grid, density = _advanced(grid + moved, density, step, height, fraction)
        before = fraction
    return crossed


@lru_cache(maxsize=64)
def nominal_levels(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """The one-sided p-value that stops at each look, so that all looks together err with probability `alpha`.

    `fractions` rise to 1. Integration is exact to about 1e-6 of the level.
    """
    bounds: list[float] = []
    grid, density = np.zeros(1), np.ones(1)
    before = used = 0.0
    for fraction in fractions:
        step = math.sqrt(fraction - before)
        bound = _bound(grid, density, step, spent(alpha, fraction) - used)
        bounds.append(bound / math.sqrt(fraction))
        grid, density = _advanced(grid, density, step, bound, fraction)
        before, used = fraction, spent(alpha, fraction)
    return tuple(float(scipy_stats.norm.sf(bound)) for bound in bounds)


def look_sizes(prompts: int, looks: int) -> tuple[int, ...]:
    """After how many prompts to look: evenly spread, the last time after all."""
    return tuple(sorted({-(-prompts * look // looks) for look in range(1, looks + 1)}))


def _bound(grid: Array, density: Array, step: float, increment: float) -> float:
    """Where Brownian motion that has not stopped so far crosses with probability `increment` in this step."""

    def excess(bound: float) -> float:
        crossing = density * scipy_stats.norm.sf((bound - grid) / step)
        return _integral(crossing, grid) - increment

    return float(optimize.brentq(excess, -_REACH, 2 * _REACH, xtol=1e-12))


def _advanced(grid: Array, density: Array, step: float, bound: float, fraction: float) -> tuple[Array, Array]:
    """The density of the paths that go on, on a grid of its own."""
    after = np.linspace(-_REACH * math.sqrt(fraction), bound, _GRID)
    moves = np.exp(-0.5 * ((after[:, None] - grid[None, :]) / step) ** 2) / (step * math.sqrt(2 * math.pi))
    if len(grid) == 1:
        return after, np.asarray(moves[:, 0] * density[0])
    return after, np.asarray(integrate.simpson(moves * density[None, :], x=grid, axis=1))


def _integral(values: Array, grid: Array) -> float:
    """Simpson's rule; a grid of one point is the mass that it starts with."""
    return float(values[0]) if len(grid) == 1 else float(integrate.simpson(values, x=grid))


def looks_of(sizes: Sequence[int]) -> tuple[float, ...]:
    """Sizes as shares of the last."""
    return tuple(size / sizes[-1] for size in sizes)
