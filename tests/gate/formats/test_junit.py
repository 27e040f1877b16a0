"""JUnit that CI systems read: valid by the common schema, whatever the names are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from evalkit.gate.decide import GateDecision
from evalkit.gate.formats.failure import Failure
from evalkit.gate.formats.junit import failure_to_junit, to_junit
from evalkit.suite.gate_policy import Inconclusive
from tests.gate.formats.verdicts import ATTACK, HOSTILE, MIXED, judgement, verdict

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).with_name("junit.xsd")))
AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def read(told: GateDecision, inconclusive: Inconclusive = "report") -> Any:
    tree = etree.fromstring(to_junit(told, inconclusive, AT))
    SCHEMA.assertValid(tree)
    return tree[0]


@pytest.mark.parametrize("inconclusive", ["report", "pass", "fail"])
@pytest.mark.parametrize("told", [MIXED, ATTACK, verdict(judgement(outcome="pass"))])
def test_it_is_valid(told: GateDecision, inconclusive: Inconclusive) -> None:
    assert len(read(told, inconclusive).findall("testcase")) == len(told.judgements)


def test_a_failure_is_a_valid_file_with_one_error() -> None:
    tree = etree.fromstring(failure_to_junit(Failure((HOSTILE, "prompts: other ones"), 2, "tiny"), AT))
    SCHEMA.assertValid(tree)
    assert (tree[0].get("tests"), tree[0].get("errors"), tree[0].get("failures")) == ("1", "1", "0")
    [error] = tree[0].findall("testcase/error")
    assert error.text.endswith("\nprompts: other ones")


def test_the_schema_bites() -> None:
    broken = to_junit(MIXED, "report", AT).replace(b'tests="4"', b'tests="four"')
    assert not SCHEMA.validate(etree.fromstring(broken))


def test_a_regression_is_a_failure_that_says_how_much() -> None:
    suite = read(MIXED)
    [failure] = suite.findall("testcase/failure")
    assert failure.get("type") == "regression"
    assert "vendi, tuned: −12.3 % (−14.0 to −10.5), −5 % allowed" in failure.text
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "1")


@pytest.mark.parametrize(("inconclusive", "tag"), [("report", "error"), ("fail", "failure"), ("pass", "skipped")])
def test_what_cannot_be_told_counts_as_it_does_for_the_exit_code(inconclusive: Inconclusive, tag: str) -> None:
    suite = read(verdict(judgement(outcome="inconclusive")), inconclusive)
    assert [element.tag for element in suite.find("testcase")] == [tag]
