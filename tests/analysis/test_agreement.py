"""Do scores agree? Correlations within prompts, and an alarm only where one clearly rises and another clearly falls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from evalkit.analysis.agreement import agreements, over_optimisation, scores_of_quality
from evalkit.metrics import registry as module
from evalkit.metrics.declaration import score
from evalkit.metrics.registry import Measure, parse
from evalkit.metrics.summary import Difference, Summary
from evalkit.plumbing.arrays import Array
from evalkit.records import Arm, Better, Group, Side

RNG = np.random.default_rng(0)


def arrays(prompts: int = 25, k: int = 12) -> list[np.ndarray]:
    return [RNG.standard_normal(k) for _ in range(prompts)]


def test_a_score_agrees_with_its_own_order_and_not_with_its_opposite() -> None:
    first = arrays()
    scores = {"a": {"x": first}, "b": {"x": [np.exp(row) for row in first]}, "c": {"x": [-row for row in first]}}
    found = {(one.first, one.second): one.value for one in agreements(scores)}
    assert found == pytest.approx({("a", "b"): 1.0, ("a", "c"): -1.0, ("b", "c"): -1.0})


def test_it_is_scipys_spearman_averaged_over_prompts() -> None:
    first, second = arrays(), arrays()
    [found] = agreements({"a": {"x": first}, "b": {"x": second}})
    assert found.value == pytest.approx(
        np.mean([stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)])
    )
    assert found.low < found.value < found.high
    assert found.prompts == 25


def test_easy_prompts_are_no_agreement() -> None:
    """Both scores like the later prompts better, and agree on nothing within one."""
    first, second = arrays(200), arrays(200)
    shifted = {name: {"x": [row + i for i, row in enumerate(rows)]} for name, rows in (("a", first), ("b", second))}
    [found] = agreements(shifted)
    assert found.low < 0 < found.high


def test_what_a_score_cannot_judge_and_what_does_not_vary_is_left_out() -> None:
    first = [np.array([1.0, 2.0, 3.0, np.nan]), np.array([1.0, 1.0, 1.0, 1.0]), np.array([1.0, 2.0])]
    second = [np.array([2.0, 4.0, 9.0, 0.0]), np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0])]
    [found] = agreements({"a": {"x": first}, "b": {"x": second}})
    assert (found.value, found.prompts) == (1.0, 1)


def difference(metric: str, value: float, p: float = 0.001) -> Difference:
    return Difference(metric, metric, "tuned", "base", value, value - 0.1, value + 0.1, p, p)


def summary(*differences: Difference) -> Summary:
    arms = (Arm("base", "base", None, None, None), Arm("tuned", "tuned", None, None, "base"))
    return Summary("s", ("p",), arms, (), differences)


def test_one_that_rises_while_another_falls_is_an_alarm() -> None:
    told = summary(difference("reward|model:a", 1.25), difference("reward|model:b", -0.5), difference("length", -3.0))
    [alarm] = over_optimisation(told, {"reward|model:a": "higher", "reward|model:b": "higher"})
    assert (alarm.arm, alarm.kind) == ("tuned", "over-optimisation")
    assert (
        "against base, reward (model a) (+1.2) clearly got better while reward (model b) (−0.5) clearly got worse"
        in alarm.message
    )


@pytest.fixture
def plugins() -> Iterator[list[Measure]]:
    """Scores as other packages declare them: one better high, one better low, one of no direction, one of diversity."""
    declared: dict[str, tuple[Better, Side]] = {
        "helpful": ("higher", "quality"),
        "toxicity": ("lower", "quality"),
        "formality": ("neither", "neither"),
        "spread": ("higher", "diversity"),
    }
    for name, (better, side) in declared.items():
        score(name=name, unit="points", better=better, side=side, needs=(), version="1.0", cites="somebody")(nothing)
    yield [parse(name) for name in declared]
    for name in declared:
        del module.declared_here[name]


def nothing(groups: Sequence[Group]) -> list[Array]:
    """Scores."""
    return [np.zeros(len(group.completions)) for group in groups]


@pytest.mark.parametrize(
    ("helpful", "toxicity", "formality", "told"),
    [
        pytest.param(1.0, -0.5, 0.1, "", id="less of what is bad is better too"),
        pytest.param(-1.0, 0.5, 0.1, "", id="both got worse"),
        pytest.param(
            1.0, 0.5, 0.1, "helpful (+1) clearly got better while toxicity (+0.5) clearly got", id="more of it"
        ),
        pytest.param(
            -1.0, -0.5, 0.1, "toxicity (−0.5) clearly got better while helpful (−1) clearly got", id="less of both"
        ),
        pytest.param(1.0, 0.0, -0.5, "", id="what has no better direction is neither"),
    ],
)
def test_each_score_has_its_own_better_direction(
    plugins: list[Measure], helpful: float, toxicity: float, formality: float, told: str
) -> None:
    moved = {"helpful": helpful, "toxicity": toxicity, "formality": formality}
    found = over_optimisation(summary(*map(difference, moved, moved.values())), scores_of_quality(plugins))
    assert len(found) == bool(told)
    assert all(told in alarm.message for alarm in found)


def test_a_score_of_diversity_that_falls_is_the_trade_and_no_over_optimisation(plugins: list[Measure]) -> None:
    measures = [parse("nli_diversity|model:x"), *plugins]
    fallen = difference("nli_diversity|model:x", -0.5), difference("spread", -0.5)
    told = summary(difference("helpful", 1.0), *fallen)
    assert over_optimisation(told, scores_of_quality(measures)) == []


@pytest.mark.parametrize(
    ("second", "p"),
    [pytest.param(0.5, 0.001, id="both rise"), pytest.param(-0.5, 0.2, id="the fall may be chance")],
)
def test_else_there_is_none(second: float, p: float) -> None:
    told = summary(difference("a", 1.0), difference("b", second, p))
    assert over_optimisation(told, {"a": "higher", "b": "higher"}) == []
    undefined = replace(difference("b", -1.0), value=None, p_adjusted=None)
    assert over_optimisation(summary(difference("a", 1.0), undefined), {"a": "higher", "b": "higher"}) == []
