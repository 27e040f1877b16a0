"""The waterfall of a loss and its table: bars that add up, names from strangers escaped, what is shown first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evalkit.analysis.estimates import Measured
from evalkit.analysis.loss_split import corrected, split_of
from evalkit.metrics.declaration import Traits
from evalkit.metrics.summary import Bar, Difference, Estimate, LossSplit, Summary
from evalkit.records import Arm
from evalkit.report.sections.loss_split import one_by_one, split_view, waterfall

HOSTILE = "<b>tuned</b>"


def splits(arm: str = "tuned", measures: tuple[str, ...] = ("vendi", "distinct_k")) -> list[LossSplit]:
    rng = np.random.default_rng(5)
    means = {
        "vendi": [0.9, 0.6, 0.4, 0.35, 0.5, 0.1],
        "embedding_distance": [0.9, 0.6, 0.4, 0.35, 0.5, 0.1],
        "distinct_k": [0.9, 0.9, 0.9, 0.9, 0.5, 0.5],
    }
    return corrected([
        split_of(rng.normal(means[name], 0.05, (20, 6)), Measured(name, f"{name}|v:1", "higher", {}, 8), (arm, "base"), "")
        for name in measures
    ])  # fmt: skip


def summary(*found: LossSplit) -> Summary:
    arms = tuple(Arm(name, name, None, None, None) for name in ("base", "tuned"))
    bar = Bar("reward", 0.4, "the suite", {})
    return Summary("s", tuple(f"p{place}" for place in range(20)), arms, (), (), bar=bar, splits=found)


def test_the_second_bar_begins_where_the_first_ends_and_both_end_where_the_whole_does() -> None:
    [found] = splits(measures=("vendi",))
    gone, narrower, whole = waterfall([found])["data"]
    assert (gone["base"], whole["base"]) == ([0.0], [0.0])
    assert narrower["base"] == gone["x"] == [found.quality_control.value]
    assert narrower["base"][0] + narrower["x"][0] == pytest.approx(whole["x"][0])
    assert narrower["error_x"]["array"][0] == pytest.approx((found.narrowing.high or 0) - (found.narrowing.value or 0))


def test_a_measure_whose_loss_divides_is_shown_first() -> None:
    """`distinct_k` is the easier one to picture, but lost nothing."""
    shown = one_by_one(summary(*splits()))
    assert isinstance(shown, dict)
    prompts = shown["prompts"]
    assert isinstance(prompts, list)
    assert prompts[shown["first"]]["text"] == "vendi"
    assert "bad answers are gone" in prompts[shown["first"]]["says"][0]


def test_a_loss_that_length_explains_is_told_as_one_and_comes_later() -> None:
    both = summary(*splits(measures=("vendi", "embedding_distance")))
    estimates = tuple(
        Estimate(name, "s", "tuned", 0.8, 0.7, 0.9, 0.95, 20, 8, "higher", (), Traits("diversity", "meaning"))
        for name in ("vendi", "embedding_distance", "matched/vendi")
    )
    difference = Difference("matched/vendi", "s", "tuned", "base", -0.02, -0.05, 0.01, 0.3, 0.3)
    shown = one_by_one(replace(both, estimates=estimates, differences=(difference,)))
    assert isinstance(shown, dict)
    assert isinstance(shown["prompts"], list)
    vendi, distance = (next(p for p in shown["prompts"] if name in p["text"]) for name in ("vendi", "embedding"))
    assert (
        vendi["says"][0]
        .replace("\u00a0", " ")
        .endswith(" Among completions of equal length tuned shows no clear loss (−0.02, 95 % interval −0.05 to 0.01).")
    )
    assert "equal length" not in distance["says"][0]
    assert shown["prompts"][shown["first"]] is distance


def test_the_table_has_every_part_with_its_interval_and_who_takes_part() -> None:
    view = split_view(summary(*splits(measures=("vendi",))))
    assert view is not None
    [row] = view.rows
    assert row.prompts == "20 of 20"
    assert all(interval for _, interval in row.cells)
    assert row.cells[3][0].endswith("%")
    assert " → " in row.bad
    assert "reward of at least 0.4 (the suite)" in view.bar
    assert split_view(summary()) is None
    assert one_by_one(summary()) is None


def test_where_quality_tells_nothing_apart_there_is_no_figure_and_the_reason() -> None:
    [found] = splits(measures=("vendi",))
    shown = one_by_one(summary(replace(found, baseline_bad=0.0, arm_bad=0.0)))
    assert isinstance(shown, dict)
    assert isinstance(shown["prompts"], list)
    [only] = shown["prompts"]
    assert only["figure"] is None
    assert "quality tells nothing apart" in only["says"][0]


def test_names_are_shown_as_they_are() -> None:
    figure = waterfall(splits(HOSTILE, ("vendi",)))
    assert figure["layout"]["yaxis"]["ticktext"] == ["&lt;b&gt;tuned&lt;/b&gt;"]
    assert all(HOSTILE not in text for trace in figure["data"] for text in trace["hovertext"])
