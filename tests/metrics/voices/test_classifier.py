"""The classifier of voices: its mistakes are counted on texts it has not seen, and taken out of what it predicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evalkit.metrics.voices.classifier import VoiceClassifier, invert, train

WIDTH = 16


def voices(count: int, each: int, spread: float, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """(count * each, WIDTH) rows of length 1 around one direction a voice, and their labels."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(np.eye(count, WIDTH), each, axis=0)
    rows = centres + spread * rng.standard_normal(centres.shape)
    labels = [f"v{index}" for index in range(count) for _ in range(each)]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def classifier(confusion: list[list[int]]) -> VoiceClassifier:
    names = tuple(f"v{index}" for index in range(len(confusion)))
    return VoiceClassifier(names, np.array(confusion), np.zeros((WIDTH, len(names))), np.zeros(len(names)))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_voices_that_differ_are_told_apart(count: int) -> None:
    found = train(*voices(count, 10, 0.05))
    assert found.accuracy == 1
    assert (found.confusion == 10 * np.eye(count)).all()
    rows, labels = voices(count, 50, 0.05, seed=1)
    assert [found.names[index] for index in found.predict(rows)] == labels


@pytest.mark.parametrize("count", [2, 3])
def test_it_predicts_what_scikit_learn_does(count: int) -> None:
    from sklearn.linear_model import LogisticRegression

    rows, labels = voices(count, 12, 0.5)
    others, _ = voices(count, 50, 0.5, seed=1)
    found = train(rows, labels)
    peer = LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000).fit(rows, labels)
    assert [found.names[index] for index in found.predict(others)] == list(peer.predict(others))


def test_training_twice_is_the_same() -> None:
    rows, labels = voices(3, 12, 0.5)
    assert (train(rows, labels).confusion == train(rows, labels).confusion).all()


def test_voices_that_do_not_differ_are_not_above_chance() -> None:
    """At a level of 1 % no more than 2 of 20 classifiers of noise may pass: 3 would, by chance, in 1 of 1 000 tests."""
    passed = 0
    for seed in range(20):
        rows = np.random.default_rng(seed).standard_normal((24, WIDTH)).astype(np.float32)
        passed += train(rows, ["a", "b"] * 12).above_chance
    assert passed <= 2


def test_the_largest_voice_named_always_is_not_above_chance() -> None:
    assert not classifier([[90, 0], [10, 0]]).above_chance
    assert classifier([[90, 0], [2, 8]]).above_chance


def forman(confusion: list[list[int]]) -> np.ndarray:
    counts = np.array(confusion)
    return invert(counts / counts.sum(axis=1, keepdims=True))


@given(arrays(np.int64, (3, 3), elements=st.integers(1, 40)), arrays(np.float64, 3, elements=st.floats(0.01, 1)))
def test_true_shares_come_back_from_predicted_ones(mistakes: np.ndarray, weights: np.ndarray) -> None:
    mistakes = mistakes + 60 * np.eye(3, dtype=np.int64)
    true = weights / weights.sum()
    predicted = (mistakes / mistakes.sum(axis=1, keepdims=True)).T @ true
    assert forman(mistakes.tolist()) @ predicted == pytest.approx(true, abs=1e-9)


def test_two_voices_give_formans_adjusted_count() -> None:
    """Forman 2008: p = (predicted - fpr) / (tpr - fpr)."""
    predicted = 0.55
    corrected = forman([[18, 2], [6, 14]]) @ [predicted, 1 - predicted]
    assert corrected[0] == pytest.approx((predicted - 6 / 20) / (18 / 20 - 6 / 20))


def test_mistakes_that_cannot_be_undone_leave_nothing() -> None:
    assert np.isnan(invert(np.array([[0.5, 0.5], [0.5, 0.5]]))).all()
