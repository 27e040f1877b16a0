"""The gate's simulation, on a smaller scale: errors, power and savings are what docs/gate.md says."""

from __future__ import annotations

import math

import pytest

from bench.gate import EDGE, MEASURES, PLANTED, POLICY, World, at_once, build, in_blocks, named_size, picker

TRIALS = 100
ERRORS = 0.05 + 3 * math.sqrt(0.05 * 0.95 / TRIALS)
"""Three standard errors above the level."""


@pytest.fixture(scope="module")
def world() -> World:
    return build(groups=4)


@pytest.mark.slow
def test_nothing_lost_is_seldom_called_a_regression(world: World) -> None:
    size = named_size(world, len(MEASURES))
    pick = picker(world.base, world.base, size)
    assert at_once(pick, EDGE, TRIALS).regression <= ERRORS
    assert at_once(pick, POLICY, TRIALS).regression == 0
    assert in_blocks(pick, EDGE, TRIALS, size).regression <= ERRORS


@pytest.mark.slow
def test_a_tenth_lost_is_found_at_the_size_that_is_named_and_in_blocks_with_fewer_tokens(world: World) -> None:
    size = named_size(world, len(MEASURES))
    lossy, same = picker(world.lossy, world.base, size), picker(world.base, world.base, size)
    assert at_once(lossy, POLICY, TRIALS).planted >= 0.9
    used = [in_blocks(pick, POLICY, TRIALS, size).used for pick in (lossy, same)]
    assert sum(used) / 2 <= 0.6


def test_the_planted_metric_is_one_of_those_judged() -> None:
    assert PLANTED in map(str, MEASURES)
