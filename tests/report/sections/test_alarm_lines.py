"""Equal alarms of many arms are one line, and none says of an arm what is not so."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.summary import Alarm, Summary
from evalkit.report.sections.alarm_lines import AlarmLine, alarm_lines
from tests.report.example import arm


def summary(*alarms: Alarm, baselines: dict[str, str] | None = None) -> Summary:
    beside = baselines or {}
    names = list(dict.fromkeys(alarm.arm for alarm in alarms))
    return Summary("s", (), tuple(arm(name, name, baseline=beside.get(name, name)) for name in names), (), (), alarms)


def cut(name: str, share: int) -> Alarm:
    return Alarm(name, "truncated", f"{share}% of the completions were cut at max_tokens: raise it.")


def test_alarms_that_differ_in_their_numbers_are_one_line_with_the_range() -> None:
    found = alarm_lines(summary(cut("base@T=0.5", 70), cut("base@T=1", 9), cut("tuned", 12)))
    assert found == [
        AlarmLine(
            "Answers cut off",
            "base@T=0.5, base@T=1 and tuned",
            "9 to 70% of the completions were cut at max_tokens: raise it.",
        )
    ]


def test_an_alarm_of_one_arm_is_as_it_was() -> None:
    [line] = alarm_lines(summary(cut("tuned", 12)))
    assert (line.arms, line.message) == ("tuned", "12% of the completions were cut at max_tokens: raise it.")


def test_each_arm_is_held_against_its_own_baseline() -> None:
    alarms = [
        Alarm("hot", "length", "completions have 10.2 words on average, those of base 1 3.8: mind."),
        Alarm("cold", "length", "completions have 29.0 words on average, those of base 2 14.0: mind."),
    ]
    [line] = alarm_lines(summary(*alarms, baselines={"hot": "base 1", "cold": "base 2"}))
    assert line.message == (
        "completions have 10.2 to 29.0 words on average, those of their baselines 3.8 to 14.0: mind."
    )
    [line] = alarm_lines(summary(
        *(dataclasses.replace(alarm, message=alarm.message.replace("base 2", "base 1")) for alarm in alarms),
        baselines={"hot": "base 1", "cold": "base 1"},
    ))  # fmt: skip
    assert "those of base 1 3.8 to 14.0" in line.message


def test_alarms_that_say_different_things_are_lines_of_their_own() -> None:
    alarms = [
        Alarm("a", "same answer", "30% of the completions are among 2 texts, such as “I have 3 cats”."),
        Alarm("b", "same answer", "40% of the completions are among 2 texts, such as “I have 5 cats”."),
        Alarm("c", "ceiling", "distinct_k is 8 of at most 8."),
        Alarm("d", "ceiling", "vendi is 8 of at most 8."),
    ]
    assert [line.arms for line in alarm_lines(summary(*alarms))] == ["a", "b", "c", "d"]


@given(st.lists(st.tuples(st.text("ab 7%.,“”", max_size=12), st.sampled_from(["x", "y"])), max_size=5))
def test_every_alarm_is_on_exactly_one_line(said: list[tuple[str, str]]) -> None:
    alarms = [Alarm(f"arm{place}", kind, message) for place, (message, kind) in enumerate(said)]
    named = [name for line in alarm_lines(summary(*alarms)) for name in line.arms.replace(" and ", ", ").split(", ")]
    assert sorted(named) == sorted(alarm.arm for alarm in alarms)
