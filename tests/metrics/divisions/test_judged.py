"""Classes by a judge: YES in both orders, kept, and what is neither YES nor NO."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.analysis.measure import measure_groups
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.errors import MetricError
from evalkit.metrics.divisions.judged import read_verdict
from evalkit.metrics.registry import parse
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Completion, Group, Prompt
from evalkit.runs.folder import open_store
from tests.metrics.quality.test_judge import Server, answers, said, server

__all__ = ["server"]  # the fixture
LONG = "is what is said here in six words"
MEASURE = {"judge/distinct_k": {"model": "m"}}


def by(rule: Callable[[str, str], str | None]) -> Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]:
    return lambda request: said(rule(*(text[0] for text in answers(request))))


def texts(names: str, prompt: str = "p") -> Group:
    made = (Completion(prompt, slot, f"{name} {LONG}", (), (), "stop") for slot, name in enumerate(names))
    return Group(Prompt(prompt, f"What is {prompt}?"), tuple(made))


def measured(*groups: Group) -> tuple[list[float], list[str]]:
    sampled = SampledArms([Arm("a", "a", None, None, None)], {"a": list(groups)}, len(groups[0].completions))
    found = measure_groups([parse(MEASURE)], sampled, Quiet())
    return list(found.measured[0].values["a"]), [alarm.message for alarm in found.alarms]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[None]:
    with open_store(tmp_path / "run", pytest.fail):
        yield


def test_it_counts_what_the_judge_holds_for_different(server: Server, kept: None) -> None:
    server.reply = by(lambda a, b: "yes." if a.lower() == b.lower() else "NO")
    values, alarms = measured(texts("abAB"), texts("aaaa", "q"), texts("abcd", "r"))
    assert values == [2, 1, 4]
    assert alarms == []
    first = server.requests[0]["messages"][1]["content"]
    assert "What is p?" in first
    assert "Reply with one word" in server.requests[0]["messages"][0]["content"]


def test_yes_must_be_said_in_both_orders(server: Server, kept: None) -> None:
    server.reply = by(lambda a, b: "YES" if a < b else "NO")
    assert measured(texts("ab"))[0] == [2]
    assert [answers(request)[0][0] for request in server.requests] == ["a", "b"]
    server.requests.clear()
    assert measured(texts("ba", "q"))[0] == [2]
    assert len(server.requests) == 1  # after a NO nothing more is asked


def test_no_pair_is_asked_about_twice_in_a_run(server: Server, kept: None) -> None:
    server.reply = by(lambda a, b: "NO")
    assert measured(texts("abcb"))[0] == measured(texts("abcb"))[0] == [3]
    assert len(server.requests) == 3


@pytest.mark.parametrize("garbage", ["They are alike.", "YES and NO", "", None])
def test_garbage_is_no_answer_and_is_told(server: Server, kept: None, garbage: str | None) -> None:
    server.reply = by(lambda a, b: garbage if a + b in ("ax", "yz") else "NO")
    values, alarms = measured(texts("abcdx"), texts("yzyzy", "q"))
    assert values[0] == 5  # one of ten pairs is unknown, and counts as different
    assert math.isnan(values[1])  # the only one is
    [alarm] = alarms
    assert "judge m: 2 of 11 pairs of answers got something else than YES or NO" in alarm
    assert "1 of 2 prompts, where they are too many, have no value" in alarm


def test_a_verdict_is_one_of_two_words() -> None:
    assert [read_verdict(reply) for reply in ("YES", " no.\n", "**Yes**")] == [1, 0, 1]
    assert all(math.isnan(read_verdict(reply)) for reply in (None, "", "Y", "yes, they do", "NO YES"))


def test_without_a_server_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVALKIT_JUDGE_URL", raising=False)
    with pytest.raises(MetricError, match="set EVALKIT_JUDGE_URL"):
        parse(MEASURE).identify()
