"""Calibration to a target distribution, against values by hand and what must hold at any distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.diversity.target_choices import kl_to_target, off_choices, top_share, tv_to_target
from evalkit.records import Group, Prompt

WEIGHTS = st.lists(st.floats(0.01, 1), min_size=2, max_size=6)


def answered(target: list[float], given: list[float]) -> Group:
    """A group whose prompt has these stated chances, and whose model gives the choices with those chances."""
    names = [f"c{place}" for place in range(len(target))]
    logprobs = {name: math.log(p) if p else -math.inf for name, p in zip(names, given, strict=True)}
    prompt = Prompt("p", "?", choices=dict(zip(names, target, strict=True)))
    return Group(prompt, (), choice_logprobs=logprobs)


def test_fifty_one_to_forty_nine_that_became_a_hundred_to_none() -> None:
    group = answered([0.51, 0.49], [1.0, 0.0])
    assert tv_to_target(group) == pytest.approx(0.49)
    assert kl_to_target(group) == pytest.approx(-math.log(0.51))
    assert top_share(group) == 1
    assert off_choices(group) == 0


def test_what_is_on_no_choice_is_told_apart_and_the_rest_normalised() -> None:
    group = answered([0.5, 0.5], [0.3, 0.1])
    assert off_choices(group) == pytest.approx(0.6)
    assert top_share(group) == pytest.approx(0.75)
    assert tv_to_target(group) == pytest.approx(0.25)
    assert kl_to_target(group) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))


def test_chances_too_small_for_a_float_are_still_normalised() -> None:
    group = answered([0.5, 0.5], [1.0, 1.0])
    tiny = Group(group.prompt, (), choice_logprobs={"c0": -2000.0, "c1": -2000.0 + math.log(3)})
    assert top_share(tiny) == pytest.approx(0.75)
    assert off_choices(tiny) == 1


@given(WEIGHTS)
def test_a_kept_law_has_distance_0_and_any_other_obeys_pinsker(weights: list[float]) -> None:
    target = [w / sum(weights) for w in weights]
    kept = answered(target, target)
    assert tv_to_target(kept) == pytest.approx(0, abs=1e-12)
    assert kl_to_target(kept) == pytest.approx(0, abs=1e-12)
    assert top_share(kept) == pytest.approx(max(target))
    turned = answered(target, [*target[1:], target[0]])
    assert 2 * tv_to_target(turned) ** 2 <= kl_to_target(turned) + 1e-12
    assert 0 <= tv_to_target(turned) <= 1
    assert kl_to_target(turned) <= -math.log(min(target)) + 1e-12


def test_a_choice_that_the_law_rules_out_leaves_the_kl_undefined() -> None:
    assert math.isnan(kl_to_target(answered([1.0, 0.0], [0.9, 0.1])))
    assert tv_to_target(answered([1.0, 0.0], [0.9, 0.1])) == pytest.approx(0.1)
    assert kl_to_target(answered([1.0, 0.0], [0.9, 0.0])) == 0


@pytest.mark.parametrize("metric", [tv_to_target, kl_to_target, top_share])
def test_without_a_chance_of_any_choice_there_is_no_law(metric: object) -> None:
    assert math.isnan(metric(Group(Prompt("p", "?"), ())))  # type: ignore[operator]
    assert math.isnan(metric(answered([0.5, 0.5], [0.0, 0.0])))  # type: ignore[operator]


def test_an_answer_that_is_never_a_choice_is_off_all_of_them() -> None:
    assert off_choices(answered([0.5, 0.5], [0.0, 0.0])) == 1
    assert math.isnan(off_choices(Group(Prompt("p", "?"), ())))


def test_a_stated_law_that_is_off_by_its_decimals_is_normalised() -> None:
    group = answered([0.1666667] * 6, [1 / 6] * 6)
    assert tv_to_target(group) == pytest.approx(0, abs=1e-12)
    assert np.isfinite(kl_to_target(group))
