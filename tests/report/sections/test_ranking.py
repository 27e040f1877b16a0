"""Which arm is right for which use: exact on small cases, and no lead is called clear that chance could make."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from evalkit.analysis.effects import LARGE
from evalkit.metrics.summary import Difference, Summary
from evalkit.records import Better
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.sections.ranking import STEPS, best_of_all, parts, ranked, ranking
from evalkit.report.sections.ranking_view import number, ranking_view, sentence, slider
from evalkit.report.verdicts.side_words import MANY
from tests.report.example import arm, difference, estimate

SPREAD = [0.0, 2.0]
"""Values of the baseline: their standard deviation is the square root of 2."""
BETTERS: dict[str, Better] = {
    "reward": "higher", "accuracy": "higher", "vendi": "higher", "self_bleu": "lower", "length": "neither", "pass_at_k|k:4": "higher",
    "task_checks": "higher", "tv_to_target": "lower",
}  # fmt: skip


def summary(values: dict[str, dict[str, list[float | None]]]) -> Summary:
    """`values`: measure -> arm -> one a prompt; the baseline is "base"."""
    names = list(dict.fromkeys(name for by_arm in values.values() for name in by_arm))
    estimates = [
        estimate(measure, name, own, BETTERS[measure])
        for measure, by_arm in values.items()
        for name, own in by_arm.items()
    ]
    prompts = tuple(str(place) for place in range(len(estimates[0].values)))
    return Summary("suite", prompts, tuple(arm(name, name) for name in names), tuple(estimates), ())


def moved(by: float) -> list[float | None]:
    return [value + by for value in SPREAD]


def content(of: Summary, **scores: dict[str, list[list[float | None]]]) -> ReportContent:
    return ReportContent("t", of, scores=scores)


def test_parts_are_means_over_measures_turned_towards_better_in_units_of_the_largest_move() -> None:
    found = parts(
        summary({
            "reward": {"base": moved(0), "near": moved(5), "far": moved(10)},
            "vendi": {"base": moved(0), "near": moved(-4), "far": moved(-8)},
            "self_bleu": {"base": moved(0), "near": moved(20), "far": moved(20)},
        }),
        "base",
    )  # fmt: skip
    assert found is not None
    assert {name: own.mean() for name, own in found.quality.values.items()} == {"base": 0, "near": 0.5, "far": 1}
    assert {name: own.mean() for name, own in found.diversity.values.items()} == {"base": 0, "near": -0.75, "far": -1}
    assert [scale.unit for scale in found.quality.scales] == [10]


def test_a_measure_on_which_nobody_moved_far_counts_little() -> None:
    values = {"base": moved(0), "tuned": moved(0.1)}
    found = parts(summary({"reward": values, "vendi": values}), "base")
    assert found is not None
    assert found.quality.scales[0].counted["tuned"] == pytest.approx(0.1 / (LARGE * np.sqrt(2)))


def test_a_baseline_that_is_always_right_still_counts() -> None:
    right = {"base": [1.0, 1.0], "tuned": [1.0, 0.0]}
    found = parts(summary({"accuracy": right, "vendi": {"base": moved(0), "tuned": moved(1)}}), "base")
    assert found is not None
    assert found.quality.scales[0].counted["tuned"] < -0.5


def test_checks_that_nearly_all_pass_do_not_weigh_beside_a_reward() -> None:
    rng = np.random.default_rng(0)
    reward = rng.normal(size=64)
    once = [1.0] * 63 + [31 / 32]
    values: dict[str, dict[str, list[float | None]]] = {
        "reward": {"base": list(reward), "near": list(reward + 1), "far": list(reward + 2)},
        "task_checks": {"base": [1.0] * 64, "near": list(once), "far": [1.0] * 64},
        "vendi": {arm: list(rng.normal(size=64)) for arm in ("base", "near", "far")},
    }
    found = parts(summary(values), "base")
    assert found is not None
    assert [scale.measure for scale in found.quality.scales] == ["reward"]
    assert "task_checks" in found.left_out
    alone = parts(summary({measure: values[measure] for measure in ("task_checks", "vendi")}), "base")
    assert alone is not None
    assert [scale.measure for scale in alone.quality.scales] == ["task_checks"]
    failing = values | {"task_checks": values["task_checks"] | {"far": [0.5] * 64}}
    both = parts(summary(failing), "base")
    assert both is not None
    assert len(both.quality.scales) == 2


def test_a_check_that_fell_alike_on_every_prompt_counts_in_full() -> None:
    values: dict[str, dict[str, list[float | None]]] = {
        "reward": {"base": moved(0), "tuned": moved(5)},
        "task_checks": {"base": [1.0, 1.0], "tuned": [0.375, 0.375]},
        "vendi": {"base": moved(0), "tuned": moved(1)},
    }
    found = parts(summary(values), "base")
    assert found is not None
    assert {scale.measure: scale.counted["tuned"] for scale in found.quality.scales} == {"reward": 1, "task_checks": -1}
    assert found.quality.values["tuned"] == pytest.approx([0, 0])
    assert found.left_out == ()
    equal = values | {"accuracy": {"base": [0.5, 0.5], "tuned": [0.5, 0.5]}}
    found = parts(summary(equal), "base")
    assert found is not None
    assert found.left_out == ("accuracy",)


def test_three_of_a_hundred_checks_do_not_weigh_as_much_as_a_reward() -> None:
    found = parts(
        summary({
            "reward": {"base": moved(0), "tuned": moved(5)},
            "task_checks": {"base": [1.0, 1.0], "tuned": [0.96, 0.98]},
            "vendi": {"base": moved(0), "tuned": moved(1)},
        }),
        "base",
    )  # fmt: skip
    assert found is not None
    of_checks = found.quality.scales[1]
    assert (of_checks.measure, of_checks.unit) == ("task_checks", MANY)
    assert of_checks.counted["tuned"] == pytest.approx(-0.03 / MANY)


def test_a_prompt_without_a_value_leaves_the_mean_of_the_others() -> None:
    found = parts(
        summary({
            "reward": {"base": [0.0, 2.0, 1.0], "tuned": [3.0, 3.0, None]},
            "vendi": {"base": [0.0, 2.0, 1.0], "tuned": [1.0, 3.0, 2.0]},
        }),
        "base",
    )  # fmt: skip
    assert found is not None
    assert found.quality.scales[0].unit == 2
    assert found.quality.values["tuned"].mean() == pytest.approx(1)
    # Twice the standard error that all three values at this spread would have, in variance 3/2.
    assert found.quality.values["tuned"] == pytest.approx([1 + 0.5 * 1.5, 1 - 0.5 * 1.5, 1])


def test_measures_of_several_samples_and_those_that_an_arm_lacks_are_left_out() -> None:
    both = {"base": moved(0), "tuned": moved(1)}
    found = parts(
        summary({
            "reward": both, "vendi": both, "length": both, "pass_at_k|k:4": both, "accuracy": {"base": moved(0)},
        }),
        "base",
    )  # fmt: skip
    assert found is not None
    assert found.left_out == ("pass_at_k|k:4", "accuracy")


@pytest.mark.parametrize("measures", [("reward",), ("vendi",), ("reward", "length")])
def test_without_both_sides_there_is_no_use(measures: tuple[str, ...]) -> None:
    made = summary({measure: {"base": moved(0), "tuned": moved(1)} for measure in measures})
    assert parts(made, "base") is None
    assert ranking_view(content(made), "base") is None
    assert slider(content(made), "base") == []


def test_numbers_measured_differently_are_not_weighed() -> None:
    made = summary({measure: {"base": moved(0), "tuned": moved(1)} for measure in ("reward", "vendi")})
    other = dataclasses.replace(made.estimates[1], signature="another")
    assert parts(dataclasses.replace(made, estimates=(made.estimates[0], other, *made.estimates[2:])), "base") is None


def trade(prompts: int = 40) -> Summary:
    """`strong` gains all quality for all diversity, `mild` a tenth of both, `twin` is `strong` up to chance."""
    rng = np.random.default_rng(3)
    base = rng.normal(0, 1, prompts)
    arms = {"base": 0.0, "mild": 0.1, "strong": 1.0, "twin": 1.0}
    return summary({
        measure: {
            name: [float(v) for v in base + sign * 10 * by + rng.normal(0, 0.5, prompts) * (name != "base")]
            for name, by in arms.items()
        }
        for measure, sign in (("reward", 1), ("vendi", -1))
    })  # fmt: skip


def test_weights_decide_and_equals_are_tied() -> None:
    found = parts(trade(), "base")
    assert found is not None
    reliable = ranking(found, 0.8)
    assert {place.arm for place in reliable[:2]} == {"strong", "twin"}
    assert [place.is_tied for place in reliable] == [False, True, False, False]
    assert [place.arm for place in ranking(found, 0.2)][:2] == ["base", "mild"]
    assert reliable[0].score == pytest.approx(0.6, abs=0.02)


def test_an_arm_alone_leads_nobody() -> None:
    [place] = ranked({"base": np.array([1.0, 2.0])})
    assert (place.score, place.behind, place.is_tied) == (1.5, None, False)
    assert sentence([place]) == "base stands alone."


@pytest.mark.parametrize(("prompts", "is_tied"), [(3, True), (30, False)])
def test_few_equal_leads_are_no_clear_one(prompts: int, is_tied: bool) -> None:
    _, second = ranked({"a": np.ones(prompts), "b": np.zeros(prompts)})
    assert second.is_tied == is_tied


def test_intervals_of_a_ranking_widen_with_its_arms() -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(level, 1, 50) for name, level in (("a", 3), ("b", 2), ("c", 1), ("d", 0))}
    few, many = ranked({name: scores[name] for name in "ab"})[1].behind, ranked(scores)[1].behind
    assert few is not None
    assert many is not None
    assert many.low < few.low < few.value < few.high < many.high


def test_many_samples_are_the_best_of_all_and_undefined_ones_are_none() -> None:
    made = summary({measure: {"base": moved(0), "tuned": moved(1)} for measure in ("reward", "vendi")})
    rows: dict[str, list[list[float | None]]] = {
        "base": [[0.0, 1.0], [2.0, 3.0]], "tuned": [[5.0, 0.0], [0.0, 7.0]],
    }  # fmt: skip
    found = best_of_all(content(made, reward=rows), "base")
    assert found is not None
    assert (found.k, found.part.scales[0].counted["tuned"]) == (2, 1)
    assert found.part.scales[0].unit == 4
    assert best_of_all(content(made, reward=rows | {"tuned": [[5.0, None], [0.0, 7.0]]}), "base") is None
    assert best_of_all(content(made, reward=rows | {"tuned": [[5.0], [0.0, 7.0]]}), "base") is None
    assert best_of_all(content(made, length=rows), "base") is None


def test_the_page_states_weights_parts_and_every_step_of_the_slider() -> None:
    made = content(trade())
    view, steps = ranking_view(made, "base"), slider(made, "base")
    assert view is not None
    assert isinstance(steps, list)
    assert [card.weights for card in view.cards] == ["quality 0.8, diversity 0.2", "quality 0.3, diversity 0.7"]
    assert view.cards[1].best == "base"
    assert view.cards[1].sentence.startswith("base leads mild by ")
    assert view.cards[1].sentence.endswith(", clearly.")
    assert view.cards[0].sentence.startswith("Tied: ")
    assert len(steps) == STEPS + 1
    compared = dataclasses.replace(made.summary, differences=_compared(made.summary))
    page = build_report(dataclasses.replace(made, summary=compared))
    for said in ("For which use", 'id="weight"', "quality 0.8, diversity 0.2", "How it is computed"):
        assert said in page


def test_zero_has_no_sign() -> None:
    assert [number(value) for value in (-0.001, 0.004, -0.25)] == ["0.00", "0.00", "−0.25"]


def _compared(of: Summary) -> tuple[Difference, ...]:
    home = {e.metric: e for e in of.estimates if e.arm == "base"}
    return tuple(difference(e, home[e.metric], 1) for e in of.estimates if e.arm != "base")


def test_where_the_chances_are_stated_nothing_else_is_recommended() -> None:
    values: dict[str, list[float | None]] = {"base": moved(0), "tuned": moved(3)}
    of = {"reward": values, "vendi": {"base": moved(0), "tuned": moved(-2)}}
    assert parts(summary(of), "base") is not None
    assert parts(summary(of | {"tv_to_target": values}), "base") is None


def test_where_form_alone_is_known_no_arm_is_called_reliable() -> None:
    values: dict[str, list[float | None]] = {"base": moved(0), "tuned": moved(3)}
    of = summary({"task_checks": values, "vendi": {"base": moved(0), "tuned": moved(-2)}})
    view = ranking_view(content(of), "base")
    assert view is not None
    assert view.heads[:2] == ("answers in the form that was asked for", "different answers")
    assert view.is_form_alone
    both = ranking_view(content(summary({"task_checks": values, "reward": values, "vendi": values})), "base")
    assert both is not None
    assert both.heads[:2] == ("reliable answers", "creative range")
