"""Several runs in one report: paired anew by prompt, compared only where signatures are the same, nothing listed twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import Incomparable
from evalkit.metrics.summary import Curve, Estimate, Summary
from evalkit.report.content.content import ReportContent
from evalkit.report.content.merge import merge
from evalkit.report.content.read import read_content
from evalkit.report.page import build_report
from evalkit.report.sections.tables import tables
from tests.finished import PROMPTS, finished_run

Open = Callable[[str], ReportContent]
FOLDERS = [Path("/runs/one"), Path("/runs/two")]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Runs by name: one; two with the same base; other with a base that draws differently; short with fewer prompts."""
    folder = tmp_path_factory.mktemp("merging")
    changed = {"id": "p4", "text": "Write two lines.", "answer": "door"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        finished_run(folder / "one", {"base": 8, "tuned": 2})
        finished_run(folder / "two", {"base": 8, "new": 3})
        finished_run(folder / "other", {"base": 7, "new": 3})
        finished_run(folder / "short", {"base": 8, "new": 3}, [*PROMPTS[:4], changed])
    return lambda name: read_content(folder / name)


def merged(*contents: ReportContent) -> ReportContent:
    return merge(FOLDERS[: len(contents)], contents)


def values(summary: Summary, metric: str, arm: str) -> list[float | None]:
    [found] = [e for e in summary.estimates if (e.metric, e.arm) == (metric, arm)]
    return list(found.values)


def with_estimates(content: ReportContent, change: Callable[[Estimate], Estimate]) -> ReportContent:
    estimates = tuple(change(e) for e in content.summary.estimates)
    return dataclasses.replace(content, summary=dataclasses.replace(content.summary, estimates=estimates))


def test_arms_are_called_by_their_run_and_compared_with_the_first_run_s_baseline(opened: Open) -> None:
    summary = merged(opened("one"), opened("two")).summary
    assert {arm.name: arm.baseline for arm in summary.arms} == {
        "one/base": None, "one/tuned": "one/base", "two/new": "one/base"
    }  # fmt: skip
    assert {arm.checkpoint for arm in summary.arms} == {"one/base", "one/tuned", "two/new"}
    [found] = [d for d in summary.differences if (d.metric, d.arm) == ("distinct_n|n:1", "two/new")]
    new = values(opened("two").summary, "distinct_n|n:1", "new")
    base = values(opened("one").summary, "distinct_n|n:1", "base")
    assert found.value == pytest.approx(np.mean(np.subtract(new, base)))  # type: ignore[arg-type]


def test_p_values_are_corrected_over_all_runs(opened: Open) -> None:
    alone, both = opened("one").summary, merged(opened("one"), opened("two")).summary
    [before] = [d for d in alone.differences if (d.metric, d.arm) == ("distinct_n|n:1", "tuned")]
    [after] = [d for d in both.differences if (d.metric, d.arm) == ("distinct_n|n:1", "one/tuned")]
    assert (after.value, after.p) == (before.value, before.p)
    assert after.p_adjusted is not None
    assert before.p_adjusted is not None
    assert after.p_adjusted > before.p_adjusted


def test_the_same_completions_stand_there_once(opened: Open) -> None:
    content = merged(opened("one"), opened("two"))
    assert set(content.groups) == {"one/base", "one/tuned", "two/new"}
    assert content.notes[0] == (
        "base of two has the very completions of one/base, from the same weights, and stands here once."
    )


def test_another_draw_of_the_same_weights_is_an_arm_of_its_own(opened: Open) -> None:
    summary = merged(opened("one"), opened("other")).summary
    assert {arm.name: arm.baseline for arm in summary.arms}["two/base"] == "one/base"
    assert "two/base" in {d.arm for d in summary.differences}


def test_only_prompts_asked_in_the_same_words_are_paired(opened: Open) -> None:
    content = merged(opened("one"), opened("short"))
    assert content.summary.prompts == ("p0", "p1", "p2", "p3")
    assert "the 4 prompts that all runs asked in the same words; left out: 4 of one and 1 of two." in content.notes[-3]
    assert values(content.summary, "length", "one/tuned") == values(opened("one").summary, "length", "tuned")[:4]
    assert [group.prompt.id for group in content.groups["two/new"]] == ["p0", "p1", "p2", "p3"]
    assert [len(rows) for rows in content.scores["accuracy"].values()] == [4, 4, 4, 4]
    assert not [e for e in content.summary.estimates if e.metric.startswith("pooled/")]
    assert not content.summary.curves
    assert "of all the prompts of a run at once: pooled distinct_n (n 1) of one and two" in content.notes[-2]


def test_runs_without_a_common_prompt_are_refused(opened: Open) -> None:
    one = opened("one")
    groups = {
        arm: [dataclasses.replace(g, prompt=dataclasses.replace(g.prompt, text="?")) for g in own]
        for arm, own in opened("two").groups.items()
    }
    with pytest.raises(Incomparable, match="prompts: one and two share none"):
        merged(one, dataclasses.replace(opened("two"), groups=groups))


def test_another_signature_is_shown_but_not_compared_and_the_page_says_why(opened: Open) -> None:
    def newer(e: Estimate) -> Estimate:
        return dataclasses.replace(e, signature=e.signature.replace("v:1.0", "v:1.1")) if e.metric == "length" else e

    content = merged(opened("one"), with_estimates(opened("other"), newer))
    compared = {(d.metric, d.arm) for d in content.summary.differences}
    assert ("distinct_n|n:1", "two/new") in compared
    assert ("length", "one/tuned") in compared
    assert ("length", "two/new") not in compared
    assert content.notes[-1] == (
        "Shown, but not compared, because they were measured in another way: length of two/base and two/new "
        "(v:1.1 versus v:1.0)."
    )
    [table] = [table for table in tables(content.summary, {}) if table.metric == "length"]
    assert table.unlike == ("two/base and two/new (v:1.1 versus v:1.0)",)
    assert [row.arm for row in table.rows if row.difference] == ["one/tuned"]


def test_curves_of_a_kind_share_their_k(opened: Open) -> None:
    def with_curve(content: ReportContent, arm: str, ks: tuple[int, ...]) -> ReportContent:
        numbers = tuple(float(k) for k in ks)
        curve = Curve("branching", "position", "", "s", arm, ks, numbers, numbers, numbers, 0.95, 8)
        return dataclasses.replace(content, summary=dataclasses.replace(content.summary, curves=(curve,)))

    content = merged(with_curve(opened("one"), "tuned", (1, 2, 3)), with_curve(opened("two"), "new", (1, 3, 5)))
    assert {curve.arm: (curve.ks, curve.values) for curve in content.summary.curves} == {
        "one/tuned": ((1, 3), (1.0, 3.0)), "two/new": ((1, 3), (1.0, 3.0))
    }  # fmt: skip


def test_the_page_names_its_runs_and_strangers_names_are_text(opened: Open) -> None:
    folders = [Path("/runs/<img src=x>"), Path("/runs/two")]
    page = build_report(merge(folders, [opened("one"), opened("two")]))
    assert "<img" not in page
    assert "2 runs in one report" in page
    assert "The whole manifest of <bdi>two</bdi>" in page
