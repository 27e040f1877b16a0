"""An arm's mixture of voices: shares with intervals that hold, and a shift that is none where nothing moved."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.analysis.voice_mixture import corrections, mixture, shift
from evalkit.metrics.voices.classifier import invert
from tests.metrics.voices.test_classifier import classifier


def test_intervals_of_a_mixture_hold_the_truth_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples, completions and prompts are drawn anew 200 times; 95 % nominal, 4 standard errors of allowance."""
    rng = np.random.default_rng(0)
    mistakes = np.array([[0.9, 0.1], [0.2, 0.8]])
    monkeypatch.setattr("evalkit.analysis.voice_mixture.DRAWS", 2000)  # enough where nothing is refuted, and fast
    covered = 0
    for _ in range(200):
        found = classifier([rng.multinomial(30, row).tolist() for row in mistakes])
        own = rng.beta(3, 7, size=40)
        predicted = [rng.binomial(32, p * mistakes[0, 0] + (1 - p) * mistakes[1, 0]) / 32 for p in own]
        shares = np.column_stack([predicted, 1 - np.array(predicted)])
        [share, _] = mixture(found.names, corrections(found, [shares]), shares)
        covered += share.low <= 0.3 <= share.high
    assert covered / 200 >= 0.95 - 4 * (0.95 * 0.05 / 200) ** 0.5


def test_a_mixture_shows_the_raw_share_beside_the_corrected_one() -> None:
    predicted = np.array([[0.5, 0.5], [0.7, 0.3], [np.nan, np.nan]])
    found = classifier([[450, 50], [100, 400]])
    [first, second] = mixture(found.names, corrections(found, [predicted]), predicted)
    assert first.predicted == pytest.approx(0.6)
    assert first.corrected == pytest.approx((0.6 - 0.2) / 0.7, abs=0.01)  # 500 examples leave a percent or so open
    assert first.corrected + second.corrected == pytest.approx(1)
    assert 0 <= first.low < first.corrected < first.high <= 1


def test_predictions_refute_mistakes_that_the_examples_showed() -> None:
    """By its 10 examples a fifth of the professor is predicted as rude; in 2 000 texts of one arm, none was."""
    found = classifier([[8, 2], [0, 10]])
    predicted = np.tile([1.0, 0.0], (50, 1))
    [_, rude] = mixture(found.names, corrections(found, [predicted]), predicted)
    assert invert(np.array([[0.8, 0.2], [0, 1.0]])) @ [1.0, 0.0] == pytest.approx([1.25, -0.25])
    assert rude.corrected == pytest.approx(0, abs=0.05)


def test_what_cannot_be_known_is_nan() -> None:
    predicted = np.array([[0.5, 0.5], [np.nan, np.nan]])
    blind, clear = classifier([[5, 5], [5, 5]]), classifier([[90, 10], [10, 90]])
    assert np.isnan(mixture(blind.names, corrections(blind, [predicted]), predicted)[0].corrected)
    assert np.isnan(mixture(clear.names, corrections(clear, [predicted[1:]]), predicted[1:])[0].predicted)


def test_a_shift_is_the_total_variation_between_mixtures() -> None:
    before = np.tile([0.5, 0.3, 0.2], (10, 1))
    after = np.tile([0.1, 0.4, 0.5], (10, 1))
    found = shift(np.eye(3), after, before)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.4, 0.4))


def test_a_shift_by_noise_is_zero_on_average_and_its_interval_holds_zero() -> None:
    """200 times 30 prompts whose gains and losses of three voices cancel out but for chance; nominal 95 %."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        distribution = rng.dirichlet([2, 2, 2], size=(2, 30))
        found.append(shift(np.eye(3), distribution[0], distribution[1]))
    values = [one.value for one in found]
    assert np.mean(values) == pytest.approx(0, abs=4 * np.std(values) / 200**0.5)
    assert np.mean([one.low == 0 for one in found]) >= 0.95 - 4 * (0.95 * 0.05 / 200) ** 0.5


def test_a_shift_needs_two_prompts() -> None:
    assert np.isnan(shift(np.eye(2), np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])).value)
