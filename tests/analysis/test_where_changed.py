"""Where it changed: what changed is found, what did not is not named, and the corrections are their definitions."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.where_changed import KINDS, WORLDS, of_prompts, of_tags
from evalkit.analysis.where_changed import adjusted_p_values, headline_measures, where_changed, with_where_changed
from evalkit.metrics.declaration import Traits
from evalkit.metrics.summary import Estimate, MeasureChange, Part, Summary, WhereChanged
from evalkit.plumbing.arrays import Array, finite_or_none
from evalkit.records import Arm, Prompt

PROMPTS = 60
NAMES = tuple(f"p{row}" for row in range(PROMPTS))
TAGS = {"a": (0, 10), "b": (10, 30), "c": (30, 60)}
PARTS = tuple(Part("tag", tag, NAMES[start:end]) for tag, (start, end) in TAGS.items())


def estimate(
    values: Array, arm: str = "tuned", metric: str = "m", errors: Array | None = None, samples: int = 16,
    traits: Traits | None = None,
) -> Estimate:  # fmt: skip
    return Estimate(
        metric, f"{metric}|v:1", arm, 0.0, None, None, 0.95, len(values), samples, "higher",
        tuple(map(finite_or_none, values)), traits or Traits("diversity", "words"),
        () if errors is None else tuple(map(finite_or_none, errors)),
    )  # fmt: skip


def changed(gaps: Array, parts: tuple[Part, ...] = PARTS, clusters: tuple[str, ...] = ()) -> MeasureChange:
    names = tuple(f"p{row}" for row in range(len(gaps)))
    found = where_changed([(estimate(gaps), estimate(np.zeros(len(gaps)), "base"))], names, parts, clusters)
    return found.changes[0]


def standing_out(change: MeasureChange) -> list[str]:
    return [part.name for part in change.parts if part.stands_out]


def test_adjusted_p_values_are_those_of_a_hand_made_table_and_of_scipy() -> None:
    # Benjamini & Hochberg (1995), p. 294: 15 tests, of which their procedure rejects four at 0.05.
    table = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528,
             0.759, 1.0]  # fmt: skip
    adjusted = adjusted_p_values(np.array(table), "bh")
    assert np.count_nonzero(adjusted <= 0.05) == 4
    by_hand = [min(min(15 * p / rank, 1.0) for rank, p in list(enumerate(table, 1))[row:]) for row in range(15)]
    assert adjusted == pytest.approx(by_hand)
    harmonic = sum(1 / rank for rank in range(1, 16))
    assert adjusted_p_values(np.array(table), "by") == pytest.approx([min(1.0, harmonic * p) for p in by_hand])
    with_holes = np.array([[0.01, np.nan], [0.02, 0.9]])
    assert adjusted_p_values(with_holes, "bh")[with_holes > 0] == pytest.approx(
        scipy_stats.false_discovery_control([0.01, 0.02, 0.9])
    )
    assert math.isnan(adjusted_p_values(with_holes, "by")[0, 1])


def test_a_shifted_tag_is_found_with_its_numbers_and_no_other() -> None:
    gaps = np.random.default_rng(0).normal(-0.1, 0.05, PROMPTS)
    gaps[:10] -= 0.3
    change = changed(gaps)
    assert standing_out(change) == ["a"]
    part = change.parts[0]
    assert (part.value, part.rest) == pytest.approx((gaps[:10].mean(), gaps[10:].mean()))
    assert part.low is not None
    assert part.high is not None
    assert part.low < -0.4 < part.high
    assert change.value == pytest.approx(gaps.mean())


def test_what_changed_everywhere_alike_is_nowhere_more() -> None:
    assert standing_out(changed(np.random.default_rng(1).normal(-5.0, 0.1, PROMPTS))) == []


def test_a_tag_inside_another_that_explains_it_takes_its_place() -> None:
    gaps = np.random.default_rng(2).normal(0, 0.05, PROMPTS)
    gaps[:10] -= 1.0
    wide = Part("tag", "wide", NAMES[:22])
    assert standing_out(changed(gaps, (wide, *PARTS[:1]))) == ["a"]
    gaps[10:22] -= 0.6
    assert standing_out(changed(gaps, (wide,))) == ["wide"]


def test_a_part_and_its_complement_are_one_question() -> None:
    gaps = np.random.default_rng(3).normal(0, 0.05, PROMPTS)
    gaps[:30] -= 0.5
    halves = (Part("tag", "first", NAMES[:30]), Part("tag", "second", NAMES[30:]))
    found = where_changed([(estimate(gaps), estimate(np.zeros(PROMPTS), "base"))], NAMES, halves)
    assert found.part_tests == 1
    assert standing_out(found.changes[0]) == ["first"]
    assert found.changes[0].parts[0].p == found.changes[0].parts[1].p


def test_parts_of_few_of_these_prompts_are_left_out_and_undefined_ones_untested() -> None:
    gaps = np.random.default_rng(4).normal(0, 1, PROMPTS)
    gaps[:7] = np.nan
    change = changed(gaps, (*PARTS, Part("tag", "elsewhere", ("x1", "x2", "x3", "x4", "x5", *NAMES[:3]))))
    assert [part.name for part in change.parts] == ["a", "b", "c"]
    assert (change.parts[0].p, change.parts[0].prompts) == (None, 3)
    assert change.parts[1].p is not None


def test_prompts_that_belong_together_are_one() -> None:
    rng = np.random.default_rng(5)
    gaps = np.repeat(rng.normal(0, 1, 12), 5)
    gaps[:30] -= 0.7
    clusters = tuple(f"q{row // 5}" for row in range(PROMPTS))
    parts = (Part("tag", "first", NAMES[:30]),)
    assert standing_out(changed(gaps, parts)) == ["first"]
    assert standing_out(changed(gaps, parts, clusters)) == []


def test_a_prompt_that_changed_is_named_with_an_interval_that_is_wide_enough() -> None:
    rng = np.random.default_rng(6)
    errors = np.full(PROMPTS, 0.05)
    here, there = rng.normal(0.5, 0.05, PROMPTS), rng.normal(0.5, 0.05, PROMPTS)
    here[:2] += (-0.6, 0.8)
    found = where_changed([(estimate(here, errors=errors), estimate(there, "base", errors=errors))], NAMES, ())
    assert [(each.prompt, each.value > 0) for each in found.changes[0].prompts] == [("p1", True), ("p0", False)]
    assert (found.prompt_tests, found.changes[0].tested) == (PROMPTS, PROMPTS)
    first = found.changes[0].prompts[0]
    # At 1 - 0.05 * 2 / 60, for two of 60 are named.
    reach = float(scipy_stats.t.isf(0.05 * 2 / 60 / 2, 30)) * 0.05 * math.sqrt(2)
    assert (first.low, first.high) == pytest.approx((first.value - reach, first.value + reach))


def test_a_suite_of_one_prompt_is_tested_by_its_completions_alone() -> None:
    pair = (
        estimate(np.array([0.1]), errors=np.array([0.02])),
        estimate(np.array([0.9]), "base", errors=np.array([0.02])),
    )
    found = where_changed([pair], ("p0",), ())
    assert [each.prompt for each in found.changes[0].prompts] == ["p0"]
    assert found.part_tests == 0
    without = where_changed([(estimate(np.array([0.1])), estimate(np.array([0.9]), "base"))], ("p0",), ())
    assert (without.prompt_tests, without.changes[0].prompts) == (0, ())


def test_headline_measures_are_one_of_a_family_and_those_that_are_tested_by_prompt_first() -> None:
    values, errors = np.arange(3.0), np.ones(3)
    words, meaning = Traits("diversity", "words", picture=4), Traits("diversity", "meaning", picture=1)
    known = [
        estimate(values, metric="vendi", traits=dataclasses.replace(meaning, picture=2)),
        estimate(values, metric="distinct_k", traits=meaning),
        estimate(values, metric="distance", traits=dataclasses.replace(meaning, picture=3), errors=errors),
        estimate(values, metric="distinct_n", traits=words, errors=errors),
        estimate(values, metric="entropy", traits=Traits("diversity", "probability")),
        estimate(values, metric="reward", traits=Traits("quality", "reward"), errors=errors),
        estimate(values, metric="length", traits=Traits()),
        estimate(values * np.nan, metric="empty", traits=Traits("quality", "empty")),
    ]  # fmt: skip
    forms = {each.metric: each.metric for each in known}
    assert headline_measures(known, forms) == ["distance", "distinct_n", "reward"]
    assert headline_measures(known, forms | {"distance": "matched/distance"}) == ["distinct_n", "distinct_k", "reward"]
    assert headline_measures(known, {"reward": "reward"}) == ["reward"]


def test_a_summary_without_compared_arms_has_its_tags_and_nothing_that_changed() -> None:
    prompts = [Prompt(name, f"Question {name}?", ("a",) if row < 10 else ("b",)) for row, name in enumerate(NAMES)]
    alone = Summary("s", NAMES, (Arm("tuned", "t", None, None, None),), (estimate(np.zeros(PROMPTS)),), ())
    found = with_where_changed(alone, prompts, {"m": "m"})
    assert [part.name for part in found.parts] == ["a", "b"]
    assert found.where_changed is None
    arms = (Arm("base", "b", None, None, None), Arm("tuned", "t", None, None, "base"))
    both = dataclasses.replace(
        alone, arms=arms, estimates=(estimate(np.zeros(PROMPTS), "base"), estimate(np.ones(PROMPTS)))
    )
    there = with_where_changed(both, prompts, {"m": "m"}).where_changed
    assert isinstance(there, WhereChanged)
    assert [(change.arm, change.baseline) for change in there.changes] == [("tuned", "base")]


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_where_no_tag_differs_hardly_ever_is_one_named(world: object) -> None:
    assert of_tags(world, 0.0, 60).anything <= 0.05  # type: ignore[arg-type]


def test_one_shifted_tag_is_found_and_no_other() -> None:
    found = of_tags(WORLDS[0], 2.5, 60)
    assert found.found > 0.95
    assert found.wrong < 0.03
    assert found.held > 0.93


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_where_no_prompt_changed_hardly_ever_is_one_named(kind: object) -> None:
    assert of_prompts(kind, 0, 40).anything <= 0.1  # type: ignore[arg-type]


def test_prompts_that_changed_are_found_and_few_others() -> None:
    found = of_prompts(KINDS[2], 12, 10)
    assert found.found > 0.95
    assert found.wrong < 0.02
