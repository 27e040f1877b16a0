"""What the gate and a comparison give to Python: truth, rows, the command's own words, and nothing that runs in HTML."""

from __future__ import annotations

import json

import numpy as np
import pytest
from lxml import html

from evalkit.gate.compare import NamedSide, compare_sides
from evalkit.gate.results import COMPARED, JUDGEMENTS, CompareResult, GateResult
from evalkit.gate.ruling import judge_sides
from evalkit.suite.gate_policy import Inconclusive
from tests.sides import allowing, law, side

HOSTILE = '"><img src=x onerror="alert(1)"><script>alert(2)</script>'


def gated(shift: float, arm: str = "tuned", inconclusive: Inconclusive | None = None) -> GateResult:
    """An arm whose `vendi` lies so far above its earlier self's."""
    new, old = law(1)
    sides = side({"vendi": new + shift}, "new", arm), side({"vendi": old}, "old", arm)
    return GateResult(judge_sides(*sides, allowing(relative=0.1), "policy.yaml", [(arm, arm)], inconclusive))


def compared(arm: str = "tuned") -> CompareResult:
    new, old = law(1)
    a, b = side({"vendi": old}, "old", arm), side({"vendi": new + 1}, "new", arm)
    return CompareResult(compare_sides(NamedSide(a, arm), NamedSide(b, arm)))


def test_a_result_is_true_where_the_gate_passes() -> None:
    good, bad = gated(0), gated(-8)
    assert good
    assert (good.outcome, good.exit_code, good.passed) == ("pass", 0, True)
    assert not bad
    assert (bad.outcome, bad.exit_code, bad.passed) == ("regression", 1, False)


@pytest.mark.parametrize(("inconclusive", "code"), [(None, 3), ("pass", 0), ("fail", 1)])
def test_what_cannot_be_told_is_what_was_asked_to_be_made_of_it(inconclusive: Inconclusive | None, code: int) -> None:
    found = gated(-1, inconclusive=inconclusive)  # the very loss that is allowed
    assert found.outcome == "inconclusive"
    assert found.exit_code == code
    assert bool(found) == (code == 0)


def test_rows_hold_each_judgement_with_stated_dtypes() -> None:
    rows = gated(-8).rows
    assert {column: str(dtype) for column, dtype in rows.dtypes.items()} == dict(JUDGEMENTS)
    [row] = rows.to_dict("records")
    assert (row["metric"], row["arm"], row["against"], row["outcome"]) == ("vendi", "tuned", "tuned", "regression")
    assert row["low"] < row["change"] < row["high"] < 0


def test_a_comparison_holds_b_minus_a() -> None:
    rows = compared().rows
    assert {column: str(dtype) for column, dtype in rows.dtypes.items()} == dict(COMPARED)
    [row] = rows.to_dict("records")
    new, old = law(1)
    assert row["difference"] == pytest.approx(float(np.mean(new + 1 - old)))
    assert row["p"] <= row["p_adjusted"] <= 1


def test_json_is_what_the_commands_print() -> None:
    assert json.loads(gated(-8).to_json())["exit_code"] == 1
    assert json.loads(compared().to_json())["a"] == "old"
    assert gated(-8).headline in gated(-8).to_markdown()


def test_names_stay_text_in_a_notebook() -> None:
    for shown in (gated(-8, HOSTILE)._repr_html_(), compared(HOSTILE)._repr_html_()):
        page = html.fromstring(shown)
        assert not page.findall(".//script") + page.findall(".//img")
        assert "<script>" in page.text_content()


def test_the_verdict_is_shown_in_words_and_not_by_colour_alone() -> None:
    found = gated(-8)
    assert found.headline in html.fromstring(found._repr_html_()).text_content()
    assert found.headline in repr(found)
