"""valid_yield, valid_coverage and evenness: against all subsets by hand, and against laws that are known."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.analysis.intervals import mean_intervals, mean_p_values
from evalkit.errors import MetricError
from evalkit.metrics.diversity.valid import evenness, valid_coverage, valid_yield
from evalkit.metrics.quality.valid import valid_share
from evalkit.records import CONFIDENCE, Completion, Group, Prompt

VALID = ("A|Alpha", "B", "C", "D")


def group(texts: list[str], valid: tuple[str, ...] | str = VALID) -> Group:
    return Group(
        Prompt("p", "?", valid=valid), tuple(Completion("p", i, text, (), (), "stop") for i, text in enumerate(texts))
    )


@given(st.lists(st.sampled_from(["A", "alpha.", "B", "x", "yes", "D"]), min_size=1, max_size=7), st.data())
def test_it_is_the_mean_over_all_subsets(texts: list[str], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(texts)))
    names = {"A": "A", "alpha.": "A", "B": "B", "D": "D"}
    subsets = [{names[text] for text in chosen if text in names} for chosen in combinations(texts, k)]
    exact = sum(map(len, subsets)) / len(subsets)
    assert valid_yield(group(texts), k=k) == pytest.approx(exact, abs=1e-12)
    assert valid_coverage(group(texts), k=k) == pytest.approx(exact / 4, abs=1e-12)


def test_one_draw_yields_the_share_of_valid_ones_and_all_draws_their_number() -> None:
    drawn = group(["A", "alpha", "B", "nothing", "nor this", "B"])
    assert valid_yield(drawn, k=1) == pytest.approx(valid_share([drawn])[0].mean())
    assert valid_yield(drawn) == 2
    assert valid_coverage(drawn) == 0.5


def test_what_is_undefined_and_what_is_refused() -> None:
    assert math.isnan(valid_yield(group(["A"], ())))
    assert math.isnan(valid_yield(group([])))
    assert math.isnan(valid_coverage(group(["7"], "prime")))
    assert valid_yield(group(["7", "11", "12", "7"], "prime")) == 2
    assert valid_yield(group(["x", "y"])) == 0
    with pytest.raises(MetricError, match="k is 3; of 2 completions"):
        valid_yield(group(["A", "B"]), k=3)


@pytest.mark.parametrize(
    ("chances", "exact"),
    [
        ((0.1, 0.1, 0.1, 0.1), 1.0),
        ((0.4, 0.0, 0.0, 0.0), 0.0),
        ((0.2, 0.2, 0.0, 0.0), 0.5),
        ((0.6, 0.2), (math.log(4) - 0.75 * math.log(3)) / math.log(2)),
    ],
)
def test_evenness_is_entropy_over_its_most(chances: tuple[float, ...], exact: float) -> None:
    assert evenness(having(chances)) == pytest.approx(exact, abs=1e-12)


def test_evenness_needs_two_answers_and_a_chance() -> None:
    assert math.isnan(evenness(having((0.5,))))
    assert math.isnan(evenness(having((0.0, 0.0))))
    assert math.isnan(evenness(Group(Prompt("p", "?"), ())))


def having(chances: tuple[float, ...]) -> Group:
    logprobs = {str(i): math.log(p) if p else -math.inf for i, p in enumerate(chances)}
    return Group(Prompt("p", "?"), (), valid_logprobs=logprobs)


PROMPTS, DRAWS, K, TRIALS, POOL = 40, 16, 8, 1_000, 60


def test_over_laws_that_are_known_it_has_no_bias_and_its_intervals_cover() -> None:
    """Truth of a law: sum over the valid answers of 1 - (1 - p)^k. 40 of many prompts, two laws, 1 000 trials."""
    rng = np.random.default_rng(0)
    base, tuned = rng.dirichlet(np.ones(7), POOL), rng.dirichlet(np.full(7, 0.3), POOL)
    values = {law: np.array([drawn(rng, row) for row in rows]) for law, rows in (("base", base), ("tuned", tuned))}
    truths = {law: yields(rows) for law, rows in (("base", base), ("tuned", tuned))}
    for law, of_law in values.items():
        error = of_law.mean() - truths[law].mean()
        assert abs(error) < 4 * of_law.std(axis=1).mean() / math.sqrt(of_law.size), f"{law}: bias {error:.4f}"
    chosen = rng.integers(POOL, size=(TRIALS, PROMPTS))
    hands = rng.integers(values["base"].shape[1], size=(3, TRIALS, PROMPTS))
    first, again = (values["base"][chosen, hand] for hand in hands[:2])
    other = values["tuned"][chosen, hands[2]]
    assert 0.92 < covered(first, values["base"].mean()) < 0.98
    assert 0.92 < covered(other - first, values["tuned"].mean() - values["base"].mean()) < 0.98
    assert np.mean(mean_p_values(again - first) < 0.05) < 0.07


def drawn(rng: np.random.Generator, law: np.ndarray) -> list[float]:
    """`valid_yield` of twelve groups of draws from a law over four valid answers and three that are not."""
    answers = np.array([*"ABCD", "x", "y", "z"])
    return [valid_yield(group(rng.choice(answers, DRAWS, p=law).tolist()), k=K) for _ in range(12)]


def yields(laws: np.ndarray) -> np.ndarray:
    return np.asarray((1 - (1 - laws[:, :4]) ** K).sum(axis=1))


def covered(rows: np.ndarray, truth: float) -> float:
    return float(np.mean([mean.low <= truth <= mean.high for mean in mean_intervals(rows, CONFIDENCE)]))
