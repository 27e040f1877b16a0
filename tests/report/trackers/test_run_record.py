"""A run's numbers as trackers see them: every estimate and difference, a row a prompt and arm, no completion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.errors import RecordsError
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.trackers import scored_record
from evalkit.report.trackers.run_record import prompt_table, read_page, scalars


def test_every_estimate_and_difference_is_told_with_its_interval(two_arms: ReportContent) -> None:
    summary, told = two_arms.summary, scalars(two_arms.summary)
    known = [e for e in summary.estimates if e.value is not None and e.metric == "self_bleu"]
    assert len(known) == 2
    for estimate in known:
        name = f"estimate/{estimate.arm}/self_bleu"
        assert (told[name], told[f"{name}/low"], told[f"{name}/high"]) == (estimate.value, estimate.low, estimate.high)
    [found] = [d for d in summary.differences if d.metric == "self_bleu"]
    assert told["difference/tuned/self_bleu"] == found.value
    assert told["difference/tuned/self_bleu/p_adjusted"] == found.p_adjusted
    values = [v for e in (*summary.estimates, *summary.differences) for v in (e.value, e.low, e.high) if v is not None]
    assert len(told) == len(values) + sum(d.p_adjusted is not None for d in summary.differences)


def test_what_is_undefined_is_not_told(two_arms: ReportContent) -> None:
    summary = two_arms.summary
    first = replace(summary.estimates[0], value=None, low=None, high=None)
    told = scalars(replace(summary, estimates=(first,), differences=()))
    assert told == {}


def test_the_table_has_a_row_a_prompt_and_arm_with_their_values(two_arms: ReportContent) -> None:
    summary = two_arms.summary
    table = prompt_table(summary)
    assert len(table.rows) == len(summary.prompts) * len(summary.arms)
    column = table.columns.index("self_bleu")
    for estimate in summary.estimates:
        if estimate.metric == "self_bleu":
            assert tuple(row[column] for row in table.rows if row[1] == estimate.arm) == estimate.values
    assert [row[0] for row in table.rows[::2]] == list(summary.prompts)


def test_completions_are_told_on_the_page_alone(two_arms: ReportContent) -> None:
    record = scored_record(two_arms.summary, build_report(two_arms).encode(), {"file": "texts.jsonl"})
    texts = [c.text for groups in two_arms.groups.values() for group in groups for c in group.completions]
    told = repr((record.config, record.headline, record.scalars, record.table, record.tags, record.curves))
    assert max(map(len, texts)) > 10
    assert [text for text in texts if len(text) > 10 and text in told] == []


def test_a_run_without_its_page_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match=f"no report.html; make it again with: evalkit report {tmp_path}"):
        read_page(tmp_path / "report.html")
