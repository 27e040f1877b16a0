"""What became of quality and diversity along a ladder, in two sentences: the claim, and the numbers it rests on.

"The further, the better" is said only where every step between neighbouring arms is a clear gain of the measure that
is named (p after Holm over the steps) and no other measure of that side clearly steps the other way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from evalkit.analysis import effects
from evalkit.analysis.intervals import holm, mean_p_values
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.arrays import is_number, nan_for_none
from evalkit.plumbing.prose import capital, listed
from evalkit.records import Side
from evalkit.report.verdicts.findings import Finding, Findings, most_telling, telling
from evalkit.report.verdicts.headline import but_chance
from evalkit.report.verdicts.joint import Joint, Joints
from evalkit.report.verdicts.ladders import Ladder
from evalkit.report.verdicts.side_words import words_for
from evalkit.report.wording import value_text, with_level

State = Literal["gained", "lost", "mixed", "unclear"]


@dataclass(frozen=True, slots=True)
class _Words:
    """One side of the trade and the words for it."""

    side: Side
    subject: str
    further: dict[State, str]
    ever: dict[State, str]
    states: dict[State, str]

    def leading(self) -> _Words:
        """The same where no clause before says whose range it is."""

        def named(words: str) -> str:
            return words.replace("their range", "the range of answers").replace("they ", "answers ")

        further, ever = ({state: named(words) for state, words in by.items()} for by in (self.further, self.ever))
        return replace(self, subject=named(self.subject), further=further, ever=ever)


_SIDES = (
    _Words(
        "quality",
        "answers are",
        {"gained": "the better the answers", "lost": "the worse the answers"},
        {"gained": "answers get better at every step", "lost": "answers get worse at every step"},
        {
            "gained": "better",
            "lost": "worse",
            "mixed": "better by some families of measures and worse by others",
            "unclear": "neither clearly better nor clearly worse",
        },
    ),
    _Words(
        "diversity",
        "their range is",
        {"gained": "the wider their range", "lost": "the narrower their range"},
        {"gained": "their range gets wider at every step", "lost": "their range gets narrower at every step"},
        {
            "gained": "wider",
            "lost": "narrower",
            "mixed": "wider by some families of measures and narrower by others",
            "unclear": "neither clearly wider nor clearly narrower",
        },
    ),
    _Words(
        "match",
        "they are",
        {"gained": "the nearer they come to what was stated", "lost": "the further they are from what was stated"},
        {
            "gained": "they come nearer to what was stated at every step",
            "lost": "they move further from what was stated at every step",
        },
        {
            "gained": "nearer to what was stated",
            "lost": "further from what was stated",
            "mixed": "nearer to what was stated by some families of measures and further by others",
            "unclear": "neither clearly nearer to what was stated nor clearly further from it",
        },
    ),
)


def ladder_headline(ladder: Ladder, findings: Findings, summary: Summary, joints: Joints) -> tuple[str, str]:
    """Claim and numbers, a sentence each; empty where neither side has a number in every arm."""
    sides = [side for side in _SIDES if all(_of(side, findings[arm]) for arm in ladder.arms)]
    if not sides:
        return "", ""
    states = {side.side: [_state(joints.get((arm, side.side))) for arm in ladder.arms] for side in sides}
    graded = [side for side in sides if _is_graded(side, ladder, findings, states[side.side], summary)]
    lead, *others = [*graded, *(side for side in sides if side not in graded)]
    told = [lead.leading(), *others]
    graded, rest = told[: len(graded)], told[len(graded) :]
    against = "; ".join(_rest(side, ladder, _told(side, ladder, findings, summary, joints)) for side in rest)
    against = f"against {ladder.baseline}, {against}" if rest else ""
    claim = "; ".join(filter(None, [_graded(graded, ladder, states), against]))
    shown = [pair for side in sides for pair in _ends(side, ladder, findings)]
    return f"{capital(claim)}.", f"{capital(_numbers(shown, ladder, summary))}."


def _of(side: _Words, findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.traits.side == side.side and is_number(finding.difference.value)]


def _state(joint: Joint | None) -> State:
    if joint is None:
        return "unclear"
    return "mixed" if joint.disagree else joint.outcome


def _is_graded(side: _Words, ladder: Ladder, findings: Findings, states: Sequence[State], summary: Summary) -> bool:
    if set(states) not in ({"gained"}, {"lost"}):
        return False
    betters, estimates = effects.betters(summary), effects.estimates(summary)
    metrics = [finding.difference.metric for finding in _of(side, findings[ladder.arms[-1]])]
    decisive = _decisive(_of(side, findings[ladder.arms[-1]]))
    if not decisive:
        return False
    shown = telling(decisive).difference.metric
    towards = 1 if states[0] == "gained" else -1
    steps = {
        metric: _steps(ladder, metric, estimates, towards * (-1 if betters[metric] == "lower" else 1), summary.clusters)
        for metric in metrics
    }
    return steps[shown] == {1} and not any(-1 in clear for clear in steps.values())


def _steps(
    ladder: Ladder, metric: str, estimates: Mapping[tuple[str, str], Estimate], sign: int, clusters: Sequence[str]
) -> set[int]:
    """Which ways the steps between neighbouring arms go: 1 as told, -1 against it, 0 not clear."""
    values = [_values(estimates.get((metric, arm))) for arm in ladder.arms]
    if len({len(row) for row in values}) != 1:
        return {0}
    steps = np.array([sign * (far - near) for near, far in pairwise(values)])
    clear = holm(mean_p_values(steps, clusters)) < effects.ALPHA
    return {int(np.sign(np.nansum(step))) if is_clear else 0 for step, is_clear in zip(steps, clear, strict=True)}


def _values(estimate: Estimate | None) -> np.ndarray:
    return nan_for_none(estimate.values if estimate else ())


def _graded(sides: Sequence[_Words], ladder: Ladder, states: Mapping[Side, Sequence[State]]) -> str:
    if not sides:
        return ""
    if ladder.by_distance:
        clauses = [side.further[states[side.side][0]] for side in sides]
        return f"the further tuning moved from {ladder.baseline}, {listed(clauses)}"
    clauses = [side.ever[states[side.side][0]] for side in sides]
    return f"from {ladder.baseline} over {ladder.arms[0]} to {ladder.arms[-1]} {listed(clauses)}"


def _told(side: _Words, ladder: Ladder, findings: Findings, summary: Summary, joints: Joints) -> list[tuple[str, str]]:
    """What became of the side, arm by arm; where nothing is clear as a whole, also what is and what holds it back."""
    told = []
    for arm in ladder.arms:
        joint = joints.get((arm, side.side))
        state = _state(joint)
        why = _held_back(joint, _of(side, findings[arm]), summary) if joint and state == "unclear" else ""
        told.append((side.states[state], f" ({why})" if why else ""))
    return told


def _held_back(joint: Joint, findings: Sequence[Finding], summary: Summary) -> str:
    words = words_for(joint)
    shown = most_telling(findings)
    alone = [
        f"{words.wider if finding.outcome == 'gained' else words.narrower} by {finding.name} alone"
        for finding in _decisive(shown)
    ]
    return words.held_back(joint) or listed(alone or [but_chance(joint, shown, summary)])


def _rest(side: _Words, ladder: Ladder, told: Sequence[tuple[str, str]]) -> str:
    if len(set(told)) == 1:
        words, why = told[0]
        return f"{side.subject} {words} in every arm from {ladder.arms[0]} to {ladder.arms[-1]}{why}"
    parts = [f"{words} in {listed(_with((words, why), ladder, told))}{why}" for words, why in dict.fromkeys(told)]
    return f"{side.subject} {', '.join(parts)}"


def _with(of_some: tuple[str, str], ladder: Ladder, told: Sequence[tuple[str, str]]) -> list[str]:
    return [arm for arm, of_arm in zip(ladder.arms, told, strict=True) if of_arm == of_some]


def _ends(side: _Words, ladder: Ladder, findings: Findings) -> list[tuple[Finding | None, Finding]]:
    """Of each measure that tells the side its finding in the nearest and in the furthest arm."""
    near, far = (_of(side, findings[arm]) for arm in (ladder.arms[0], ladder.arms[-1]))
    shown = most_telling(far)
    by_metric = {finding.difference.metric: finding for finding in near}
    return [(by_metric.get(last.difference.metric), last) for last in shown]


def _numbers(shown: Sequence[tuple[Finding | None, Finding]], ladder: Ladder, summary: Summary) -> str:
    """`reward moved from −0.71 in base by +1.16 (95 % interval 1.06 to 1.26) in ppo-1 and +2.31 (2.17 to 2.45) in
    ppo-0.1`, then the other measures, for which neither arms nor intervals need be named again.
    """
    homes = effects.estimates(summary)
    is_whole = all(near for near, _ in shown)
    return "; ".join(
        _line(ends, ladder, homes.get((ends[1].difference.metric, ladder.baseline)), ends is shown[0], is_whole)
        for ends in shown
    )


def _line(
    ends: tuple[Finding | None, Finding], ladder: Ladder, home: Estimate | None, is_first: bool, is_whole: bool
) -> str:
    arms = zip((ladder.arms[0], ladder.arms[-1]), ends, strict=True)
    known = [(arm, finding) for arm, finding in arms if finding]
    parts = [
        finding.value
        + (f" ({with_level(finding.interval, is_first and finding is known[0][1])})" if finding.interval else "")
        + (f" in {arm}" if is_first or not is_whole else "")
        for arm, finding in known
    ]
    start = f" from {value_text(home)}{f' in {ladder.baseline}' if is_first else ''}" if home else ""
    return f"{ends[1].plain}{' moved' if is_first else ''}{start} by {listed(parts)}"


def _decisive(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.outcome in ("gained", "lost")]
