"""Who speaks and whether scores agree, as tables; names of voices and scores are data from strangers."""

from __future__ import annotations

import dataclasses

from evalkit.report.page import build_report
from tests.report.example import synthetic

HOSTILE = "<script>alert(1)</script>"
SHARE = {"voice": HOSTILE, "heard": 0.25, "spoken": 0.2, "low": 0.15, "high": 0.3}
VOICES = {
    "voices": [HOSTILE, "rude"],
    "accuracy": 0.9,
    "above_chance": True,
    "confusion": [[9, 1], [1, 9]],
    "shares": {"base": [SHARE, SHARE | {"voice": "rude", "spoken": None, "low": None, "high": None}]},
    "shift": {"tuned": {"value": -0.01, "low": 0.0, "high": 0.1}},
}
ROW = {"arm": "base", "first": HOSTILE, "second": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6, "prompts": 9}


def page(**provenance: object) -> str:
    content = synthetic([("base", "base", 1.0), ("tuned", "tuned", 1.0)], prompts=3, samples=2)
    return build_report(dataclasses.replace(content, provenance=provenance))


def test_shares_and_the_classifier_are_shown() -> None:
    told = page(voices=VOICES)
    assert "<td>0.25</td><td>0.20</td><td>0.15 to 0.30</td>" in told
    assert "<td>not defined</td><td></td>" in told
    assert "moved from its baseline's by −0.01 (0.00 to 0.10)" in told
    assert "90 % of the examples, cross-validated</summary>" in told
    assert "not above chance" in page(voices=VOICES | {"above_chance": False})


def test_agreement_is_shown() -> None:
    assert "<td>0.50</td><td>0.40 to 0.60</td><td>9</td>" in page(agreement=[ROW])


def test_names_are_text() -> None:
    told = page(voices=VOICES, agreement=[ROW])
    assert HOSTILE not in told
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in told


def test_without_them_there_is_no_section() -> None:
    told = page()
    assert 'id="voices"' not in told
    assert 'id="agreement"' not in told


def test_scores_are_named_as_in_the_rest_of_the_report() -> None:
    told = page(agreement=[ROW | {"first": "reward|model:lab:reward"}])
    assert "<bdi>reward (model lab:reward)</bdi>" in told


def test_tables_that_do_not_break_lines_scroll_on_a_narrow_screen() -> None:
    before_each = page(voices=VOICES, agreement=[ROW]).split('<table class="arms">')[:-1]
    assert len(before_each) >= 4
    assert all(before.rstrip().rpartition("\n")[2].strip().startswith('<div class="scroll"') for before in before_each)


def test_the_navigation_leads_to_them() -> None:
    told = page(voices=VOICES, agreement=[ROW])
    assert '<a href="#voices">' in told
    assert '<a href="#agreement">' in told
