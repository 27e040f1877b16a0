"""What each side's measures say together, as rows of a table: the numbers behind the headline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evalkit.plumbing.prose import listed
from evalkit.report.sections.tables import MARKS, UNCLEAR
from evalkit.report.verdicts.joint import Joint, JointDifference, Outcome
from evalkit.report.verdicts.verdict import Verdict
from evalkit.report.wording import deviations, label


@dataclass(frozen=True, slots=True)
class JointRow:
    """A side as a whole, or one of its families."""

    arm: str
    baseline: str
    subject: str
    value: str
    interval: str
    outcome: Outcome
    mark: str
    measures: str


def joint_rows(conclusion: Verdict) -> list[JointRow]:
    """Of every compared arm each side, then its families where there are several, then what has no say."""
    return [row for arm in conclusion.arms for joint in arm.joints for row in _rows(joint)]


def _rows(joint: Joint) -> Iterator[JointRow]:
    if not joint.is_apart:
        yield _row(joint, joint.together, joint.side)
    if len(joint.families) > 1:
        yield from (_row(joint, part, f"{joint.side}: {part.family}") for part in joint.families)
    for aside, why in ((joint.by_length, "lengths differ"), (joint.by_tokenizer, "tokenizers differ")):
        if aside:
            names = listed(map(label, aside))
            yield JointRow(joint.arm, joint.baseline, f"{joint.side}: no say", "", "", "unclear", why, names)


def _row(joint: Joint, part: JointDifference, subject: str) -> JointRow:
    value, interval = deviations(part.value, part.low, part.high)
    mark = MARKS.get((joint.side, part.outcome), UNCLEAR)
    measures = listed(map(label, part.measures))
    return JointRow(joint.arm, joint.baseline, subject, value, interval, part.outcome, mark, measures)
