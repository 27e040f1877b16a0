"""Alarms as a reader sees them: several arms' that say the same are one line with the range of their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.metrics.summary import Alarm, Summary
from evalkit.plumbing.prose import listed
from evalkit.report.verdicts.plain_names import alarm_words

_QUOTED = "“[^”]*”"
"""Model output, whose numbers are its own."""
_BASELINE = "\0"
"""Stands for the arm's own baseline in what alarms have in common."""


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """One finding, of one arm or of several."""

    heading: str
    arms: str
    message: str


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A message cut into what is the same for all arms and what is each arm's own."""

    alarm: Alarm
    common: tuple[str, ...]
    varying: tuple[str, ...]
    """Numbers and names of baselines, in the places of `common` that are empty or `_BASELINE`."""


def alarm_lines(summary: Summary) -> list[AlarmLine]:
    """In the order of the summary's alarms; a line stands where the first of its alarms does."""
    baselines = {arm.name: arm.baseline or "" for arm in summary.arms}
    lines: dict[tuple[str, tuple[str, ...]], list[_Parsed]] = {}
    for alarm in summary.alarms:
        parsed = _parsed(alarm, baselines.get(alarm.arm, ""))
        lines.setdefault((alarm.kind, parsed.common), []).append(parsed)
    return [_line(members) for members in lines.values()]


def _parsed(alarm: Alarm, baseline: str) -> _Parsed:
    name = rf"(?<![\w@=.-]){re.escape(baseline)}(?![\w@=-])|" if baseline else ""
    parts = re.split(rf"({_QUOTED}|{name}(?<![\w@=.-])\d[\d,]*(?:\.\d+)?)", alarm.message)
    common = [_common(part, baseline) if index % 2 else part for index, part in enumerate(parts)]
    return _Parsed(alarm, tuple(common), tuple(parts[1::2]))


def _common(part: str, baseline: str) -> str:
    """What stands for a number, a baseline's name or a quotation in what alarms have in common."""
    if part.startswith("“"):
        return part
    return _BASELINE if part == baseline else ""


def _line(members: Sequence[_Parsed]) -> AlarmLine:
    first = members[0]
    words = list(first.common)
    for index, values in enumerate(zip(*(member.varying for member in members), strict=True)):
        if words[2 * index + 1] == _BASELINE:
            words[2 * index + 1] = _names(values)
        elif not words[2 * index + 1]:
            words[2 * index + 1] = _range(values)
    arms = listed(dict.fromkeys(member.alarm.arm for member in members))
    return AlarmLine(alarm_words(first.alarm.kind), arms, "".join(words))


def _names(values: Iterable[str]) -> str:
    different = list(dict.fromkeys(values))
    return different[0] if len(different) == 1 else "their baselines"


def _range(values: Iterable[str]) -> str:
    ordered = sorted(dict.fromkeys(values), key=lambda text: float(text.replace(",", "")))
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"
