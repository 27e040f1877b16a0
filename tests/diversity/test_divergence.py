"""KL from the baseline: the mean of what is known of each completion, exact in expectation, undefined where unknown."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.diversity.divergence import kl_reverse
from evalkit.measure import parse
from evalkit.records import Group

from .groups import surprised

LAWS = st.lists(st.floats(0.01, 1), min_size=2, max_size=6).map(lambda weights: np.array(weights) / sum(weights))


def crossed(group: Group, *logprobs: float) -> Group:
    return dataclasses.replace(group, baseline_logprobs=np.array(logprobs))


def test_a_value_by_hand() -> None:
    # log-ratios 1 and 3 of completions of two tokens and of one.
    assert kl_reverse(crossed(surprised([-1.0, -1.0], [-0.5]), -3.0, -3.5)) == pytest.approx(2.0)


@given(LAWS, st.data())
def test_its_expectation_is_the_divergence_at_any_law(arm: np.ndarray, data: st.DataObject) -> None:
    home = data.draw(st.permutations(list(arm)).map(np.array))
    expected = sum(
        p * kl_reverse(crossed(surprised([math.log(p)]), math.log(q))) for p, q in zip(arm, home, strict=True)
    )
    assert expected == pytest.approx(float((arm * np.log(arm / home)).sum()), abs=1e-12)
    assert expected >= -1e-12


def test_it_is_undefined_where_either_side_is_unknown() -> None:
    assert math.isnan(kl_reverse(surprised([-1.0])))
    assert math.isnan(kl_reverse(crossed(surprised([-1.0], []), -1.0, -1.0)))
    assert math.isnan(kl_reverse(crossed(surprised())))


def test_its_signature_names_the_baseline() -> None:
    assert parse("kl_reverse").signature(8, "enc", "0123456789abcdef") == "kl_reverse|baseline:0123456789ab|k:8|v:1.0"
    assert "baseline" not in parse("sequence_entropy").signature(8, "enc", "0123456789abcdef")
