"""Thinking apart: what a model thinks before it answers is taken off its answers when they are read, not when drawn.

So a checkpoint's `thinking:` may be changed without sampling anew. Every way to completions comes through here: runs,
their reports, exports and plans, and texts made elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.errors import RecordsError
from evalkit.metrics.registry import Measure
from evalkit.metrics.summary import Alarm
from evalkit.plumbing.lazily import each, origin
from evalkit.plumbing.prose import counted
from evalkit.records import Arm, Completion, FinishReason, Group, Thinking
from evalkit.runs.stored_groups import StoredGroups

OPENING = "<think>"
"""What completions of many models begin with; with `CLOSING` the marks that are looked for unasked."""
CLOSING = "</think>"
OF_TOKENS = frozenset(
    {"logprobs", "baseline_logprobs", "forward_logprobs", "next_token_distributions", "choices", "references"}
)
"""Needs of measures that read log-probs, which say nothing of an answer after thinking."""


@dataclass(frozen=True)
class Answered:
    """What of the completions is measured."""

    groups: dict[str, Sequence[Group]]
    """Arm -> one group a prompt, the first `samples` answers of each; empty where too few came to an answer."""
    samples: int
    """Answers a prompt, k."""
    alarms: tuple[Alarm, ...]
    """How many of an arm's completions have no answer, and what follows from it."""


def split_text(text: str, finish: FinishReason, marks: Thinking) -> tuple[str, str | None, FinishReason]:
    """(answer, thinking, how it ended) of a text as it was drawn.

    Thinking that does not end counts as cut ("length"), and its answer is empty. The thinking is None where the marks
    have a start and the text neither begins with it nor holds the end.
    """
    thinking, end, answer = text.partition(marks.end)
    opened = bool(marks.start) and text.lstrip().startswith(marks.start)
    if not end and marks.start and not opened:
        return text, None, finish
    if opened:
        thinking = thinking.lstrip().removeprefix(marks.start)
    return answer.lstrip(), thinking.strip(), finish if end else "length"


def apart(completion: Completion, arm: Arm) -> Completion:
    """The completion with its thinking apart, where the arm's marks tell it and nobody has taken it apart before."""
    if arm.thinking is None or not arm.thinking.end or completion.thinking is not None:
        return completion
    text, thinking, finish = split_text(completion.text, completion.finish_reason, arm.thinking)
    return replace(completion, text=text, thinking=thinking, finish_reason=finish)


@dataclass(frozen=True)
class ThinkingApart:
    """`apart` for every completion of a group."""

    arm: Arm

    def __call__(self, index: int, group: Group) -> Group:
        return replace(group, completions=tuple(apart(one, self.arm) for one in group.completions))


def answers_apart(groups: Sequence[Group]) -> Sequence[Group]:
    """The groups with what was cut before it came to an answer in `Group.unfinished`."""
    return each(groups, _answers_apart) if _may_think(groups) else groups


def _answers_apart(index: int, group: Group) -> Group:
    if all(one.is_answer for one in group.completions):
        return group
    return replace(
        group,
        completions=tuple(one for one in group.completions if one.is_answer),
        unfinished=(*group.unfinished, *(one for one in group.completions if not one.is_answer)),
    )


def _may_think(groups: Sequence[Group]) -> bool:
    """Not where groups lie on disk and none of their completions has its thinking apart: then none is looked at."""
    stored = origin(groups)
    return not isinstance(stored, StoredGroups) or stored.thinks


def thinking_arms(arms: Sequence[Arm], groups: Mapping[str, Sequence[Group]]) -> tuple[Arm, ...]:
    """The arms; those whose completions came with their thinking apart say so."""
    return tuple(
        replace(arm, thinking=Thinking()) if arm.thinking is None and _thinks(groups.get(arm.name, ())) else arm
        for arm in arms
    )


def measured(groups: Mapping[str, Sequence[Group]], samples: int) -> Answered:
    """The first k answers of every prompt; k is the smallest number that any has of those that are measured.

    Measured are prompts of which an arm has answers in half of its completions at least; the others are empty for it.
    Where all came to an answer, nothing changes. Raises `RecordsError` where no prompt is left.
    """
    counts = {arm: list(map(_count, members)) for arm, members in groups.items() if _may_think(members)}
    if not any(one.unfinished for of_arm in counts.values() for one in of_arm):
        return Answered(dict(groups), samples, ())
    counts = {arm: counts.get(arm) or list(map(_count, members)) for arm, members in groups.items()}
    numbers = [one.answers for of_arm in counts.values() for one in of_arm if one.answers and not one.is_short]
    if not numbers:
        raise RecordsError(
            "no prompt has answers in half of its completions: they were cut inside their thinking; give them more "
            "room (max_tokens), or say how thinking ends (thinking: {end: ...})"
        )
    k = min(samples, *numbers)
    cut = {
        arm: each(members, FirstAnswers(tuple(0 if one.is_short else k for one in counts[arm])))
        for arm, members in groups.items()
    }
    return Answered(cut, k, tuple(_alarms(counts, k)))


@dataclass(frozen=True, slots=True)
class _Count:
    """How far one prompt's completions came."""

    prompt: str
    answers: int
    unfinished: int

    @property
    def is_short(self) -> bool:
        """Whether fewer than half of them came to an answer."""
        return self.answers < self.unfinished


def _count(group: Group) -> _Count:
    return _Count(group.prompt.id, len(group.completions), len(group.unfinished))


@dataclass(frozen=True)
class FirstAnswers:
    """Of each prompt's answers so many."""

    numbers: tuple[int, ...]

    def __call__(self, index: int, group: Group) -> Group:
        return replace(group, completions=group.completions[: self.numbers[index]])


def fitting(measures: Sequence[Measure], samples: int) -> tuple[list[Measure], list[Alarm]]:
    """The measures for which so many answers are enough, and an alarm of the others."""
    others = [str(measure) for measure in measures if not measure.fits(samples)]
    fits = [measure for measure in measures if measure.fits(samples)]
    if not others:
        return fits, []
    why = f"{', '.join(others)} cannot be measured: only {counted(samples, 'answer')} of every prompt can be"
    return fits, [Alarm("all arms", "undefined", why)]


def without_logprobs(arms: Sequence[Arm], measures: Sequence[Measure]) -> list[Alarm]:
    """Why measures of log-probs are undefined for arms that think."""
    needing = [str(measure) for measure in measures if measure.definition.needs & OF_TOKENS]
    why = "it thinks before it answers, and the log-prob of an answer after one thinking is not that of the answer"
    return [
        Alarm(arm.name, "undefined", f"{', '.join(needing)} cannot be measured: {why}")
        for arm in arms
        if needing and arm.thinking is not None
    ]


def drawn(group: Group) -> int:
    """Completions of the prompt, with those that came to no answer."""
    return len(group.completions) + len(group.unfinished)


def _thinks(groups: Sequence[Group]) -> bool:
    every = (one for group in groups for one in (*group.completions, *group.unfinished))
    return _may_think(groups) and any(one.thinking is not None for one in every)


def _alarms(counts: Mapping[str, Sequence[_Count]], k: int) -> list[Alarm]:
    alarms = []
    for arm, of_arm in counts.items():
        unfinished, total = sum(one.unfinished for one in of_arm), sum(one.answers + one.unfinished for one in of_arm)
        if not unfinished:
            continue
        said = (
            f"{unfinished:,} of {counted(total, 'completion')} were cut before they came to an answer: they are left "
            f"out, and every prompt is measured on its first {counted(k, 'answer')}"
        )
        if short := [one.prompt for one in of_arm if one.is_short]:
            said += (
                f"; {counted(len(short), 'prompt')} without answers in half of the completions (first: {short[0]!r}) "
                f"{'is' if len(short) == 1 else 'are'} not measured"
            )
        said += ". What is left are the answers after shorter thinking; give more room (max_tokens)."
        alarms.append(Alarm(arm, "thinking", said))
    return alarms
