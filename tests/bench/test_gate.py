"""The gate's simulation, on a smaller scale: errors, power and savings are what docs/gate.md says."""

from __future__ import annotations

import math

import pytest

from bench.gate import (
    EDGE,
    LOSS,
    MEASURES,
    PLANTED,
    POLICY,
    World,
    at_once,
    blockwise,
    build,
    lost,
    named_sizes,
    picker,
)

TRIALS = 100
ERRORS = 0.05 + 3 * math.sqrt(0.05 * 0.95 / TRIALS)
"""Three standard errors above the level."""


@pytest.fixture(scope="module")
def world() -> World:
    return build(groups=2, every=2)


@pytest.mark.slow
def test_the_planted_loss_is_a_tenth(world: World) -> None:
    assert lost(world) == pytest.approx(LOSS, abs=0.015)


@pytest.mark.slow
def test_nothing_lost_is_seldom_called_a_regression(world: World) -> None:
    sizes = named_sizes(world, len(MEASURES))
    whole, blocks = (picker(world.base, world.base, size) for size in (sizes.at_once, sizes.in_blocks))
    assert at_once(whole, EDGE, TRIALS).regression <= ERRORS
    assert at_once(whole, POLICY, TRIALS).regression == 0
    assert blockwise(blocks, EDGE, TRIALS, sizes.in_blocks).regression <= ERRORS


@pytest.mark.slow
def test_a_tenth_lost_is_found_at_the_size_that_is_named_and_in_blocks_with_fewer_tokens(world: World) -> None:
    sizes = named_sizes(world, len(MEASURES))
    assert at_once(picker(world.lossy, world.base, sizes.at_once), POLICY, TRIALS).planted >= 0.9
    pairs = [picker(new, world.base, sizes.in_blocks) for new in (world.lossy, world.base)]
    found, same = (blockwise(pick, POLICY, TRIALS, sizes.in_blocks) for pick in pairs)
    assert found.regression >= 0.9
    assert (found.used + same.used) / 2 * sizes.in_blocks <= 0.6 * sizes.at_once


def test_the_planted_metric_is_one_of_those_judged() -> None:
    assert PLANTED in map(str, MEASURES)
