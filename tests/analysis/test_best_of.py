"""Best-of-n: what is chosen, its distribution against the exact one, and an arm of it in a run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.analysis.best_of import choose
from evalkit.records import Completion, Group, Prompt


def group(texts: list[str]) -> Group:
    made = tuple(Completion("p", slot, text, (), (), "stop") for slot, text in enumerate(texts))
    return Group(Prompt("p", "Say a letter."), made)


def test_the_best_of_every_n_is_kept_in_order_and_numbered_anew() -> None:
    kept = choose(group(list("abcdef")), 3, np.array([1.0, 3.0, 2.0, 0.0, 0.0, math.nan]))
    assert [(c.text, c.sample_index) for c in kept.completions] == [("b", 0), ("d", 1)]


def test_an_unreadable_completion_is_kept_only_where_all_are() -> None:
    kept = choose(group(list("abcd")), 2, np.array([math.nan, -9.0, math.nan, math.nan]))
    assert [c.text for c in kept.completions] == ["b", "c"]


@pytest.mark.parametrize("n", [2, 4])
def test_the_law_is_that_of_the_maximum_and_its_kl_below_the_bound(n: int) -> None:
    """pmf(y) = F(y)^n - F(y-)^n for distinct rewards (exact)."""
    distribution = np.array([0.4, 0.3, 0.2, 0.1])
    draws = np.random.default_rng(0).choice(4, size=40_000 * n, p=distribution)
    kept = choose(group([str(d) for d in draws]), n, draws.astype(float))
    found = np.bincount([int(c.text) for c in kept.completions], minlength=4) / len(kept.completions)
    below = np.concatenate([[0.0], distribution.cumsum()])
    exact = below[1:] ** n - below[:-1] ** n
    assert np.abs(found - exact).max() < 4 * math.sqrt(0.25 / 40_000)
    kl = float((exact * np.log(exact / distribution)).sum())
    assert kl < math.log(n) - (n - 1) / n
