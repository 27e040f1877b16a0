"""Measures of voices: corrected shares, entropy and shift, against exact values and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import MetricError
from evalkit.metrics.diversity.voices import voice_entropy, voice_heard, voice_share, voice_shift
from evalkit.metrics.registry import parse
from evalkit.metrics.voices.classifier import invert
from evalkit.records import Group, Prompt, Voices

NAMES = ("professor", "rude")
MISTAKES = np.array([[0.9, 0.1], [0.2, 0.8]])


def group(
    predicted: list[int],
    correction: np.ndarray | None = None,
    baseline: list[int] | None = None,
    names: tuple[str, ...] = NAMES,
) -> Group:
    correction = np.eye(len(names)) if correction is None else correction
    home = None if baseline is None else np.array(baseline, dtype=np.int64)
    voices = Voices(names, np.array(predicted, dtype=np.int64), correction, home, "c1a551f1e2")
    return Group(Prompt("p", "?"), (), voices=voices)


def test_shares_are_counts_where_nothing_is_mistaken() -> None:
    assert voice_share(group([0, 0, 0, 1]), voice="professor") == 0.75
    assert voice_heard(group([0, 0, 0, 1]), voice="rude") == 0.25


def test_a_correction_takes_out_the_mistakes() -> None:
    """All were the professor; a tenth was predicted as rude."""
    found = group([0] * 9 + [1], invert(MISTAKES))
    assert voice_share(found, voice="professor") == pytest.approx(1)
    assert voice_share(found, voice="rude") == pytest.approx(0)
    assert voice_heard(found, voice="rude") == 0.1


@given(st.lists(st.integers(0, 2), min_size=1, max_size=40))
def test_corrected_shares_add_up_to_one(predicted: list[int]) -> None:
    mistakes = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.3, 0.7]])
    found = group(predicted, invert(mistakes), names=("a", "b", "c"))
    assert sum(voice_share(found, voice=name) for name in "abc") == pytest.approx(1)


def test_corrected_shares_are_free_of_bias() -> None:
    """Mean over 4 000 prompts of 8 completions, 30 % of them rude; five standard errors of allowance."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(4000):
        is_rude = rng.random(8) < 0.3
        predicted = (rng.random(8) < np.where(is_rude, MISTAKES[1, 1], MISTAKES[0, 1])).astype(int)
        values.append(voice_share(group(predicted.tolist(), invert(MISTAKES)), voice="rude"))
    assert np.mean(values) == pytest.approx(0.3, abs=5 * np.std(values) / 4000**0.5)


def test_entropy_is_that_of_the_voices() -> None:
    assert voice_entropy(group([0] * 20)) == 0
    many = voice_entropy(group([0, 1] * 5000))
    assert many == pytest.approx(math.log(2), abs=1e-3)
    assert voice_entropy(group([0] * 9 + [1] + [0] * 10, invert(MISTAKES))) == 0  # what is predicted are mistakes


def test_entropy_does_not_depend_on_the_number_of_completions() -> None:
    """Four even voices: at k = 16 the plug-in entropy is low by 0.1 nats, Miller's by less than 0.02."""
    rng = np.random.default_rng(0)
    names = ("a", "b", "c", "d")
    values = [voice_entropy(group(rng.integers(0, 4, 16).tolist(), names=names)) for _ in range(3000)]
    assert np.mean(values) == pytest.approx(math.log(4), abs=0.02)


def test_a_shift_is_half_of_what_was_gained_and_lost() -> None:
    """The professor from 40 % to 80 %: four in ten completions changed their speaker."""
    found = group([0, 0] * 8 + [1, 1] * 2, baseline=[0, 0] * 4 + [1, 1] * 6)
    assert voice_shift(found) == pytest.approx(0.4)
    assert voice_shift(group([0, 1])) == 0  # the baseline itself


def test_a_shift_is_zero_on_average_where_nothing_moved() -> None:
    """Two draws of 8 from one law, 4 000 times; plain total variation is 0.13 then. Four standard errors."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 3, (4000, 2, 8))
    values = [voice_shift(group(own.tolist(), None, home.tolist(), ("a", "b", "c"))) for own, home in drawn]
    assert np.mean(values) == pytest.approx(0, abs=4 * np.std(values) / 4000**0.5)


def test_what_is_not_defined_is_nan() -> None:
    blind = group([0, 1], np.full((2, 2), np.nan), [0, 1])
    assert all(map(math.isnan, [voice_share(blind, voice="rude"), voice_entropy(blind), voice_shift(blind)]))
    empty = group([], None, [0, 1])
    assert all(map(math.isnan, [voice_share(empty, voice="rude"), voice_heard(empty, voice="rude")]))
    assert all(map(math.isnan, [voice_entropy(empty), voice_shift(empty)]))


def test_a_voice_that_the_suite_does_not_have_is_named() -> None:
    with pytest.raises(MetricError, match="no voice 'poet'; its voices: professor, rude"):
        voice_share(group([0]), voice="poet")


def test_the_signature_names_the_classifier() -> None:
    signature = parse("voice_share|voice:rude").signature(8, "e", "", ["voices:c1a551f1e2"])
    assert signature == "voice_share|voice:rude|voices:c1a551f1e2|k:8|v:1.0"
