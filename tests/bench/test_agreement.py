"""Intervals of agreement keep their word: the simulation of docs/agreement.md, smaller."""

from __future__ import annotations

import pytest

from bench.agreement import World, coverage

TRIALS = 150
ERROR = 2.5 * (0.95 * 0.05 / TRIALS) ** 0.5


@pytest.mark.parametrize("world", [World(0.25, 8, 100, 3)], ids=lambda world: world.name)
def test_intervals_hold_the_truth_about_as_often_as_they_say(world: World) -> None:
    for name, held in coverage(world, TRIALS).items():
        assert held >= 0.93 - ERROR, name
