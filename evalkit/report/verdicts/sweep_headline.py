"""What became of each side over a sweep of settings, in two sentences: the claim, and the numbers it rests on.

No setting stands for the others: each is told with its own claim, and those with the same claim together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Reading, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import capital, listed
from evalkit.report.sections.temperature_sweeps import sentence_of
from evalkit.report.verdicts.findings import Finding, Findings, telling
from evalkit.report.verdicts.findings import findings as findings_of
from evalkit.report.verdicts.headline import caveats, is_wider, unknown_sides
from evalkit.report.verdicts.joint import Joint, Joints
from evalkit.report.verdicts.side_words import SIDES, SideWords, size_word, words_for
from evalkit.report.verdicts.sweeps import Step, Sweep
from evalkit.report.wording import with_level

MOST = 4
"""Settings whose numbers are all given; of more the first and the last."""
NAMED = 6
"""Settings that are all named where the same holds with them; of more their number."""


def sweep_headline(sweep: Sweep, findings: Findings, summary: Summary, joints: Joints) -> tuple[str, str]:
    """Claim and numbers; empty where no side can be told of with every setting."""
    sides = [words for words in SIDES if all((step.arm, words.side) in joints for step in sweep.steps)]
    if not sides:
        return "", ""
    clauses = [_clause(words, sweep, joints) for words in sides]
    claim = f"{_against(sweep)} {sweep.checkpoint} {'; it '.join(clauses)}."
    by_side = {words.side: _standing_findings(words, sweep, summary, joints) for words in sides}
    shown = [_numbers(sweep, of_side, is_first=index == 0) for index, of_side in enumerate(by_side.values())]
    numbers = f"{capital('; '.join(filter(None, shown)))}."
    equal = _readings(sweep, summary, by_side.get("diversity"))
    return claim, " ".join([numbers, *equal, *_rest(sweep, findings, summary, joints)])


def _standing_findings(words: SideWords, sweep: Sweep, summary: Summary, joints: Joints) -> Findings:
    """Arm -> what the side's measures say of it, each in the form that may speak there."""
    return {
        step.arm: findings_of(step.arm, step.baseline, summary, joints[step.arm, words.side].together.measures)
        for step in sweep.steps
    }


def _against(sweep: Sweep) -> str:
    if sweep.is_like_with_like:
        return f"Against {sweep.baseline} at the same {sweep.noun},"
    return f"Against {listed(sweep.baselines)},"


def _clause(words: SideWords, sweep: Sweep, joints: Joints) -> str:
    """`draws from a narrower range (T = 0.5 and 0.8) and draws from a wider range (T = 1.1)`."""
    steps = [(step, joints[step.arm, words.side]) for step in sweep.steps]
    words = words_for(steps[0][1])
    clear: dict[str, list[tuple[Step, Joint]]] = {}
    for step, joint in steps:
        clear.setdefault(_state(joint), []).append((step, joint))
    unclear = clear.pop("unclear", [])
    everywhere = _everywhere(sweep)
    if not clear:
        return f"{words.unclear.format(than='', aims=_aims(steps))} {everywhere}"
    if len(clear) == 1 and not unclear:
        return f"{_said(words, steps)} {everywhere}"
    besides = f"; no clear difference at {_labels(sweep, unclear)}" if unclear else ""
    parts = [f"{_said(words, members)} ({_labels(sweep, members, sweep.sign)}" for members in clear.values()]
    return (
        f"{listed(f'{part})' for part in parts[:-1])} and {parts[-1]}{besides})"
        if parts[1:]
        else f"{parts[0]}{besides})"
    )


def _everywhere(sweep: Sweep) -> str:
    if len(sweep.steps) > NAMED:
        return f"at all {len(sweep.steps)} {sweep.noun}s tried"
    return f"at every {sweep.noun} ({listed(map(sweep.label, sweep.steps))})"


def _state(joint: Joint) -> str:
    """Those of one state are told together: families that disagree by what they say, the rest by the whole."""
    return words_for(joint).clause(joint, "") if joint.disagree else joint.outcome


def _said(words: SideWords, steps: Sequence[tuple[Step, Joint]]) -> str:
    """What became of the side with these settings, with how much where that is the same with all of them."""
    _, first = steps[0]
    if first.disagree:
        return words.clause(first, "")
    sizes = {size_word(joint) for _, joint in steps}
    return words.change(first.outcome, sizes.pop() if len(sizes) == 1 else "", "", _aims(steps))


def _aims(steps: Sequence[tuple[Step, Joint]]) -> str:
    return listed(dict.fromkeys(part.family for _, joint in steps for part in joint.families))


def _labels(sweep: Sweep, steps: Sequence[tuple[Step, Joint]], sign: str = "") -> str:
    """`T = 0.5 and 0.8`; of many their number."""
    if len(steps) > NAMED:
        return f"{len(steps)} of {len(sweep.steps)} {sweep.noun}s"
    return f"{sign}{listed(sweep.label(step) for step, _ in steps)}"


def _numbers(sweep: Sweep, by_arm: Findings, is_first: bool) -> str:
    """The side's measure that is easiest to picture, setting by setting."""
    shown = _shown(by_arm)
    if shown is None:
        return ""
    steps = sweep.steps if len(sweep.steps) <= MOST else (sweep.steps[0], sweep.steps[-1])
    parts = []
    for index, step in enumerate(steps):
        finding = _finding(shown.difference.metric, by_arm[step.arm])
        assert finding is not None, "what is shown has a number with every setting"
        interval = f" ({with_level(finding.interval, is_first and index == 0)})" if finding.interval else ""
        parts.append(f"{finding.value}{interval} at {sweep.sign}{sweep.label(step)}")
    return f"{shown.plain} {listed(parts)}"


def _shown(by_arm: Findings) -> Finding | None:
    """Of the measures with a number with every setting one that is clear somewhere, if any is."""
    everywhere = [
        finding
        for finding in chain.from_iterable(by_arm.values())
        if all(_finding(finding.difference.metric, findings) is not None for findings in by_arm.values())
    ]
    clear = [finding for finding in everywhere if finding.outcome != "unclear"]
    return telling(clear or everywhere) if everywhere else None


def _finding(metric: str, findings: Sequence[Finding]) -> Finding | None:
    """That of the measure, if it has a number."""
    return next((f for f in findings if f.difference.metric == metric and is_number(f.difference.value)), None)


def _readings(sweep: Sweep, summary: Summary, diversity: Findings | None) -> list[str]:
    """What decoding cannot explain: the gap in the range at equal quality, of the measure shown, if known."""
    shown = _shown(diversity) if diversity else None
    if shown is None:
        return []
    metric = split_variant(shown.difference.metric)[1]
    return [sentence_of(reading) for reading in summary.readings if _is_of(reading, sweep) and reading.metric == metric]


def _is_of(reading: Reading, sweep: Sweep) -> bool:
    return (reading.checkpoint, reading.baseline) == (sweep.checkpoint, sweep.baseline) and is_number(reading.low)


def _rest(sweep: Sweep, findings: Findings, summary: Summary, joints: Joints) -> list[str]:
    of_sweep = [joint for (arm, _), joint in joints.items() if arm in sweep.arms]
    is_quality_known = any(joint.side == "quality" for joint in of_sweep)
    noise = "The quality of these answers is not known, and noise is various too."
    unknown = [
        sentence
        for arm in sweep.arms
        for sentence in unknown_sides(
            [(words_for(joint), joint) for joint in of_sweep if joint.arm == arm], findings[arm], summary
        )
    ]
    return [
        *([noise] if any(map(is_wider, of_sweep)) and not is_quality_known else []),
        *dict.fromkeys(unknown),
        *caveats([*sweep.arms, *sweep.baselines], of_sweep, summary),
    ]
