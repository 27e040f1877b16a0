"""What two groups' disagreement is made of is what it was made of."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.preferences.agreement.disagreement import disagreement

ONES, OTHERS = np.arange(5), np.arange(5, 10)


def answered(probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """0 with the probability [R, I], else 1."""
    return (rng.random(probability.shape) > probability).astype(np.int8)


def test_raters_who_never_waver_have_no_noise() -> None:
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, (1, 300)).astype(np.int8)
    answers = np.concatenate([np.repeat(side, 5, axis=0), np.repeat(1 - side, 5, axis=0)])
    found = disagreement(answers, answers, ONES, OTHERS, 3)
    assert (found.total.value, found.noise.value, found.persons.value, found.values.value) == (1, 0, 0, 1)


def test_coins_have_nothing_but_noise() -> None:
    rng = np.random.default_rng(1)
    coins = np.full((10, 2000), 0.5)
    found = disagreement(answered(coins, rng), answered(coins, rng), ONES, OTHERS, 3)
    assert found.noise.value == pytest.approx(0.5, abs=0.02)
    for part in (found.persons, found.values):
        assert part.low < 0 < part.high
        assert part.value == pytest.approx(0, abs=0.02)
    assert found.noise_share.low < 1 < found.noise_share.high


def test_parts_are_those_of_the_probabilities_and_add_up() -> None:
    """Two groups of opposite values, whose raters differ in how sharply they see."""
    rng = np.random.default_rng(2)
    gap, sharp = rng.normal(0, 2, 4000), np.array([0.2, 0.5, 1, 2, 4])[:, None]
    p = 1 / (1 + np.exp(-np.concatenate([sharp * gap, -sharp * gap])))
    found = disagreement(answered(p, rng), answered(p, rng), ONES, OTHERS, 3)
    noise = (2 * p * (1 - p)).mean()
    first, second = p[:5], p[5:]
    differ = [one * (1 - other) + other * (1 - one) for one in first for other in second]
    inside = [one * (1 - other) + other * (1 - one) for i, one in enumerate(first) for other in first[:i]]
    assert found.noise.value == pytest.approx(noise, abs=0.01)
    assert found.persons.value == pytest.approx(np.mean(inside) - noise, abs=0.01)
    assert found.values.value == pytest.approx(np.mean(differ) - np.mean(inside), abs=0.01)
    parts = (found.noise, found.persons, found.values)
    assert sum(part.value for part in parts) == pytest.approx(found.total.value)
    assert found.noise_share.value == pytest.approx(found.noise.value / found.total.value)


def test_without_repeats_the_values_are_told_and_the_noise_is_not() -> None:
    rng = np.random.default_rng(3)
    answers = answered(np.full((10, 100), 0.7), rng)
    found = disagreement(answers, np.full_like(answers, -1), ONES, OTHERS, 3)
    assert np.isnan([found.noise.value, found.persons.value, found.noise_share.value]).all()
    assert found.values.low < 0 < found.values.high
