"""Where it changed, on the page: the chart is the table, links lead to prompts, names of strangers stay text."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from evalkit.analysis.where_changed import with_where_changed
from evalkit.records import Prompt
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.sections.where_changed import ROWS, ArmView, Told, _together, where_figures, where_view
from evalkit.report.verdicts.joint import forms_for_all
from tests.report.example import synthetic

HOSTILE = "<script>alert(1)</script>/a b?#"


def told(content: ReportContent, prompts: list[Prompt]) -> ReportContent:
    summary = with_where_changed(content.summary, prompts, forms_for_all(content.summary))
    return dataclasses.replace(content, summary=summary)


def prompts_of(content: ReportContent) -> list[Prompt]:
    return [group.prompt for group in next(iter(content.groups.values()))]


@pytest.fixture(scope="module")
def shifted() -> ReportContent:
    """The first twelve prompts, which are tagged with a stranger's name, lost much more than the others."""
    content = synthetic([("base", "base", 1.0), ("tuned", "tuned", 1.0)])
    prompts = [
        dataclasses.replace(prompt, tags=(HOSTILE,) if row < 12 else ("other",) if row < 40 else ())
        for row, prompt in enumerate(prompts_of(content))
    ]
    estimates = []
    for estimate in content.summary.estimates:
        values = np.array(estimate.values, dtype=float)
        if estimate.metric == "distinct_n|n:2" and estimate.arm == "tuned":
            values[:12] -= 0.4
        estimates.append(dataclasses.replace(estimate, values=tuple(values), errors=(0.02,) * len(values)))
    summary = dataclasses.replace(content.summary, estimates=tuple(estimates))
    return told(dataclasses.replace(content, summary=summary), prompts)


def test_what_lost_more_is_told_with_links_to_its_prompts(shifted: ReportContent) -> None:
    view = where_view(shifted)
    assert view is not None
    [arm] = view.arms
    assert arm.told[0].text.startswith(f"On the 12 prompts tagged “{HOSTILE}” tuned lost 0.")
    assert len(arm.told[0].links) == 12
    assert {link.prompt for link in arm.told[0].links} == set(shifted.summary.prompts[:12])
    values = [float(link.value.replace("−", "-")) for link in arm.told[0].links]
    assert values == sorted(values)
    assert all(re.fullmatch("#prompt-line-[0-9]{2}", link.address) for link in arm.told[0].links)


def test_arms_without_anything_to_tell_stand_together() -> None:
    told, nothing = Told("", (), 0), "In length nothing stands out."
    silent = [ArmView((name,), "base", (), nothing) for name in ("a", "b", "c")]
    telling = ArmView(("d",), "base", (told,), nothing)
    beside_another = ArmView(("e",), "other", (), nothing)
    assert _together([silent[0], telling, *silent[1:], telling, beside_another]) == (
        ArmView(("a", "b", "c"), "base", (), nothing),
        telling,
        telling,
        beside_another,
    )


def test_the_chart_is_the_table(shifted: ReportContent) -> None:
    from plotly.graph_objects import Figure

    view, figures = where_view(shifted), where_figures(shifted.summary)
    assert view is not None
    assert isinstance(figures, dict)
    drawn = figures["prompts"]
    assert isinstance(drawn, list)
    assert len(drawn) == len(view.options)
    for metric, one in zip(view.options, drawn, strict=True):
        [trace] = Figure(one["figure"]).data  # type: ignore[index, call-overload]
        rows = [row for row in view.rows if row.metric == metric]
        table = sorted(float(row.value.replace("−", "-")) for row in rows)
        assert sorted(trace.x[1:]) == pytest.approx(table, abs=0.06)
        assert trace.marker.symbol.count("square") - 1 == sum(row.stands_out for row in rows)


def test_names_of_strangers_stay_text(shifted: ReportContent) -> None:
    page = build_report(shifted)
    assert "Where it changed" in page
    assert "<script>alert" not in page


def test_more_tags_than_there_is_room_for_are_in_the_table(two_arms: ReportContent) -> None:
    prompts = prompts_of(two_arms)
    many = [
        dataclasses.replace(prompt, tags=tuple(f"t{(row + shift) % 30}" for shift in range(12)))
        for row, prompt in enumerate(prompts)
    ]
    content = told(two_arms, many)
    view, figures = where_view(content), where_figures(content.summary)
    assert view is not None
    assert view.left_out == 30 - ROWS
    assert len({row.part for row in view.rows}) == 30
    assert isinstance(figures, dict)
    assert len(figures["prompts"][0]["figure"]["layout"]["yaxis"]["ticktext"]) == ROWS + 1  # type: ignore[index, call-overload]


def test_without_a_comparison_or_a_test_there_is_no_section(two_arms: ReportContent) -> None:
    assert where_view(two_arms) is None
    bare = told(two_arms, [dataclasses.replace(prompt, tags=()) for prompt in prompts_of(two_arms)][:60])
    one = dataclasses.replace(bare, summary=dataclasses.replace(bare.summary, where_changed=None))
    assert where_view(one) is None
    assert where_figures(one.summary) is None
    assert 'id="where-changed"' not in build_report(one)
