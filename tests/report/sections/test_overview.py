"""The first screen shows what is known, and says why the rest is not there."""

from __future__ import annotations

import dataclasses

from evalkit.metrics.summary import Summary
from evalkit.records import Better
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.sections.overview import drawn, overview, said
from tests.report.example import arm, estimate

BETTERS: dict[str, Better] = {"reward": "higher", "distinct_k": "higher", "tv_to_target": "lower"}
VALUES: list[float | None] = [1.0, 2.0, 3.0]
NOTHING: list[float | None] = [None, None, None]


def summary(*measures: str, undefined: tuple[tuple[str, str], ...] = ()) -> Summary:
    """Of base and tuned; `undefined`: (measure, arm) without a number."""
    made = []
    for measure in measures:
        for name in ("base", "tuned"):
            one = estimate(measure, name, VALUES, BETTERS[measure])
            if (measure, name) in undefined:
                one = dataclasses.replace(one, value=None, low=None, high=None, values=tuple(NOTHING), prompts=0)
            made.append(one)
    return Summary("s", ("1", "2", "3"), (arm("base", "base"), arm("tuned")), tuple(made), ())


def axes(of: Summary) -> tuple[str, str]:
    figure = drawn(of)[0][0]  # type: ignore[index]
    layout = figure["layout"]  # type: ignore[index]
    return layout["xaxis"]["title"]["text"], layout["yaxis"].get("title", {}).get("text", "")  # type: ignore[index,union-attr]


def test_quality_stands_against_diversity() -> None:
    found = overview(ReportContent("t", summary("reward", "distinct_k", "tv_to_target")))
    assert (found.title, found.upward, found.missing) == ("Quality against diversity", "Quality", ())
    assert axes(summary("reward", "distinct_k")) == ("distinct_k (more diverse →)", "reward (better →)")


def test_without_quality_agreement_stands_against_diversity() -> None:
    of = summary("distinct_k", "tv_to_target")
    found = overview(ReportContent("t", of))
    assert (found.title, found.upward, found.better) == ("Agreement against diversity", "Agreement", "nearer")
    assert axes(of) == ("distinct_k (more diverse →)", "tv_to_target (nearer →)")
    assert "better and more diverse" not in str(drawn(of))


def test_a_score_that_nobody_has_gives_way_and_is_named() -> None:
    of = summary("reward", "distinct_k", undefined=(("reward", "base"), ("reward", "tuned")))
    [missing] = overview(ReportContent("t", of)).missing
    assert missing.startswith("Quality is not shown: reward is not defined for any arm")
    assert axes(of)[0] == "distinct_k (more diverse →)"
    assert "Quality is not shown" in build_report(ReportContent("t", of))


def test_where_no_quality_was_asked_for_the_page_says_so() -> None:
    [missing] = overview(ReportContent("t", summary("distinct_k"))).missing
    assert "no measure of it was asked for" in missing


def test_arms_that_are_not_on_a_chart_are_named_above_it() -> None:
    of = summary("reward", "distinct_k", undefined=(("reward", "tuned"),))
    assert said(of) == [[["Not on this chart: tuned (reward is not defined)."]]]
    neither = summary("reward", "distinct_k", undefined=(("reward", "tuned"), ("distinct_k", "tuned")))
    assert said(neither) == [[["Not on this chart: tuned (reward and distinct_k are not defined)."]]]
    assert said(summary("reward", "distinct_k")) == [[[]]]
    assert 'id="overview-sentences"' in build_report(ReportContent("t", of))


def test_every_chart_has_its_sentences() -> None:
    for of in (summary("reward"), summary("distinct_k"), summary("reward", "distinct_k"), summary("tv_to_target")):
        assert [len(row) for row in drawn(of)] == [len(row) for row in said(of)]  # type: ignore[union-attr,arg-type]
