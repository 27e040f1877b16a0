"""Shares of a total: Fieller's closed form, the test that the interval turns round, and when there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evalkit.analysis.intervals import mean_p_values
from evalkit.analysis.ratios import ratio_intervals


def fieller(part: np.ndarray, total: np.ndarray, alpha: float = 0.05) -> tuple[float, float]:
    """The roots of (q - r t)^2 = c^2 var(q - r t), with Student's c (Fieller 1954)."""
    n, q, t = len(part), part.mean(), total.mean()
    (vqq, vqt), (_, vtt) = np.cov(part, total) / n
    c2 = stats.t.isf(alpha / 2, n - 1) ** 2
    low, high = np.sort(np.roots([t * t - c2 * vtt, -2 * (q * t - c2 * vqt), q * q - c2 * vqq]).real)
    return float(low), float(high)


@pytest.mark.parametrize("seed", range(5))
def test_without_skewness_the_ends_are_fieller_s(seed: int) -> None:
    """Each prompt has its mirror image, so that no combination of both columns is skewed."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(12, 2)) * [0.5, 0.6]
    values = np.array([0.5, 1.0]) + np.concatenate([rows, -rows])
    [mean] = ratio_intervals(values[None, :, 0], values[None, :, 1], 0.95)
    assert mean.value == pytest.approx(values[:, 0].mean() / values[:, 1].mean())
    assert (mean.low, mean.high) == pytest.approx(fieller(values[:, 0], values[:, 1]), abs=1e-9)


def test_a_share_is_inside_exactly_where_the_test_of_it_does_not_reject() -> None:
    rng = np.random.default_rng(4)
    total = rng.gamma(2, 0.5, size=(6, 25))
    part = 0.4 * total + rng.gamma(0.5, 0.3, size=(6, 25))
    part[2, :5] = total[2, :5] = np.nan
    for row, mean in enumerate(ratio_intervals(part, total, 0.95)):
        assert mean.count == (20 if row == 2 else 25)
        assert mean.low < mean.value < mean.high
        for end, outwards in ((mean.low, -1e-6), (mean.high, 1e-6)):
            tested = [part[row] - (end + way * outwards) * total[row] for way in (-1, 1)]
            inside, outside = mean_p_values(np.stack(tested))
            assert outside < 0.05 <= inside


def test_a_total_that_may_be_zero_has_no_share() -> None:
    rng = np.random.default_rng(8)
    total = rng.normal(0.05, 1, size=(1, 30))
    [mean] = ratio_intervals(total / 2, total, 0.95)
    assert np.isnan([mean.low, mean.high]).all()
    [nothing] = ratio_intervals(np.zeros((1, 5)), np.zeros((1, 5)), 0.95)
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_prompts_of_one_cluster_are_one_draw() -> None:
    rng = np.random.default_rng(2)
    total = rng.normal(1, 0.5, size=(1, 15))
    part = total / 2 + rng.normal(0, 0.2, size=(1, 15))
    [once] = ratio_intervals(part, total, 0.95)
    parts, totals = (np.repeat(rows, 2, axis=1) for rows in (part, total))
    [clustered] = ratio_intervals(parts, totals, 0.95, [str(place // 2) for place in range(30)])
    assert (clustered.low, clustered.high) == pytest.approx((once.low, once.high), abs=1e-9)
    [single] = ratio_intervals(parts, totals, 0.95)
    assert single.high - single.low < once.high - once.low
