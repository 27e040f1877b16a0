"""Policies are typed: a mistake names file, line, key and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.errors import SuiteError
from evalkit.records import Margin
from evalkit.suite.gate_policy import DEFAULT, read_policy
from evalkit.suite.schema import load_suite, overrides

POLICY = """\
confidence: 0.9
inconclusive: fail
rules:
  - metrics: diversity
    allow: {relative: 0.05}
    trade: {metric: reward, gain: 0.3, allow: {relative: 0.1}}
  - metrics: [accuracy]
    allow: {absolute: 0.02}
"""


def test_a_policy_is_read_from_its_own_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY, encoding="utf-8")
    policy = read_policy(path)
    assert policy.alpha == pytest.approx(0.1)
    first, second = policy.rules
    assert first.metrics == ("diversity",)
    assert first.trade is not None
    assert first.trade.allow.margin == Margin("relative", 0.1)
    assert second.allow.margin == Margin("absolute", 0.02)


def test_a_policy_may_stand_in_the_suite(write_suite: Callable[..., Path]) -> None:
    gate = "gate: {rules: [{metrics: distinct_n, allow: {relative: 0.1}}]}\nprompts:"
    suite = load_suite(write_suite(("prompts:", gate)), overrides({}, 8, None, None))
    assert suite.gate is not None
    assert suite.gate.rules[0].allow.relative == 0.1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "relative: 0.05",
            "relativ: 0.05",
            "policy.yaml:5: unknown key 'rules[0].allow.relativ' (did you mean 'relative'?)",
        ),
        (
            "relative: 0.05",
            "relative: 1.5",
            "policy.yaml:5: rules[0].allow.relative: found 1.5; it must be less than 1",
        ),
        (
            "relative: 0.05",
            "relative: -0.1",
            "policy.yaml:5: rules[0].allow.relative: found -0.1; it must be greater than or equal to 0",
        ),
        ("absolute: 0.02", "absolute: 0.02, relative: 0.1", "policy.yaml:8: rules[1].allow: give exactly one of"),
        ("absolute: 0.02", "absolute: .nan", "policy.yaml:8: rules[1].allow.absolute: found .nan"),
        ("confidence: 0.9", "confidence: 95", "policy.yaml:1: confidence: found 95; it must be less than 1"),
        ("[accuracy]", "diversity", "'diversity' stands in two rules; keep one"),
        (
            "inconclusive: fail",
            "inconclusive: maybe",
            "policy.yaml:2: inconclusive: found maybe; it must be 'report', 'pass' or 'fail'",
        ),
    ],
)
def test_a_mistake_names_file_line_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "policy.yaml"
    assert old in POLICY
    path.write_text(POLICY.replace(old, new), encoding="utf-8")
    with pytest.raises(SuiteError) as error:
        read_policy(path)
    assert message in str(error.value)


def test_without_a_policy_diversity_may_lose_a_twentieth() -> None:
    assert DEFAULT.rules[0].allow.margin == Margin("relative", 0.05)
    assert DEFAULT.inconclusive == "report"
