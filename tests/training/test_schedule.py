"""The learning rate rises shortly and falls to zero."""

from __future__ import annotations

import pytest

from evalkit.training.schedule import annealing


def test_the_learning_rate_rises_shortly_and_falls_to_zero() -> None:
    rates = [annealing(step, 100, 5) for step in range(100)]
    top = rates.index(max(rates))
    assert top == 4
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(0.01)
    assert annealing(0, 1, 1) == 1
