"""What is foretold of answers: what their steps cost, and how long they get."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from evalkit.inference.engines.pace import Costs, Lifetimes, Pace, steps_and_tokens
from evalkit.records import Sampling
from tests.inference.engines.test_growing import OF_A


def test_what_prompts_cost_is_told_apart_from_what_answers_do_while_they_are_read() -> None:
    costs, of_each = Costs("cpu"), np.array(OF_A["cpu"])
    for begun in (36, 72, 108, 144):
        look = (1, begun, 36 * 57)
        costs.add(*look, float(of_each @ look))
    to_come = (150, 10_000, 20_000)
    assert costs.seconds(*to_come) == pytest.approx(of_each @ to_come, rel=0.2)


def test_answers_with_more_room_are_guessed_by_those_with_less() -> None:
    pace, lines = Pace("cpu"), Sampling(8, 1.0, 1.0, 0.0, 64, ("\n",), seed=1)
    stories = dataclasses.replace(lines, max_tokens=256, stop=("\n\n",))
    of_lines = pace.lifetimes(lines)
    for age in (0, 8, 16, 24):
        of_lines.add([age] * 500, ended=age == 24)
    assert pace.lifetimes(dataclasses.replace(lines, n=16, seed=2)) is of_lines
    assert mean_tokens(of_lines, 64) == pytest.approx(28, rel=0.05)
    assert mean_tokens(pace.lifetimes(stories), 256) == pytest.approx(2 * 28, rel=0.1)


def mean_tokens(lifetimes: Lifetimes, most: int) -> float:
    return steps_and_tokens(np.zeros(1), lifetimes.survival(most))[1]
