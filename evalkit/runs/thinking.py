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
from evalkit.runs.stored_groups import OfPrompts
from evalkit.runs.told import lost_words, told

OPENING = "<think>"
"""What completions of many models begin with; with `CLOSING` the marks that are looked for unasked."""
CLOSING = "</think>"
OF_TOKENS = frozenset(
    {"logprobs", "baseline_logprobs", "forward_logprobs", "other_prompt_logprobs", "next_token_distributions"}
    | {"choices", "valid_logprobs", "references"}
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


def answers_apart(groups: Sequence[Group]) -> Sequence[Group]:
    """The groups with what was cut before it came to an answer in `Group.unfinished`."""
    return each(groups, _answers_apart) if _may_lack_answers(groups) else groups


def _answers_apart(index: int, group: Group) -> Group:
    if all(completion.is_answer for completion in group.completions):
        return group
    return replace(
        group,
        completions=tuple(completion for completion in group.completions if completion.is_answer),
        unfinished=(*group.unfinished, *(completion for completion in group.completions if not completion.is_answer)),
    )


def _may_lack_answers(groups: Sequence[Group]) -> bool:
    """Not where groups lie on disk and all of their completions are known to be answers: then none is looked at."""
    stored = origin(groups)
    return not (isinstance(stored, OfPrompts) and stored.all_answer)


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
    if not any(map(_may_lack_answers, groups.values())):
        return Answered(dict(groups), samples, ())
    counts = {arm: list(map(_count, members)) for arm, members in groups.items()}
    if not any(of_prompt.unfinished for of_arm in counts.values() for of_prompt in of_arm):
        return Answered(dict(groups), samples, ())
    short = {arm: [one.prompt for one in of_arm if one.is_short(samples)] for arm, of_arm in counts.items()}
    numbers = [one.answers for of_arm in counts.values() for one in of_arm if one.answers and not one.is_short(samples)]
    if not numbers:
        raise RecordsError(
            "no prompt has answers in half of its completions: they were cut inside their thinking, withheld by the "
            "provider, or hold no list where one was asked for; give more room (max_tokens), say how thinking ends "
            "(thinking: {end: ...}), or ask otherwise (ask: direct)"
        )
    k = min(samples, *numbers)
    cut = {
        arm: each(members, FirstAnswers(tuple(0 if one.is_short(samples) else k for one in counts[arm])))
        for arm, members in groups.items()
    }
    return Answered(cut, k, tuple(_alarms(groups, short, k)))


@dataclass(frozen=True, slots=True)
class _Count:
    """How far one prompt's completions came."""

    prompt: str
    answers: int
    unfinished: int
    asked: int
    """Answers that the prompt was asked for, without those that are not needed."""

    def is_short(self, samples: int) -> bool:
        """Whether fewer than half came to an answer."""
        return 2 * self.answers < min(self.asked, samples)


def _count(group: Group) -> _Count:
    return _Count(group.prompt.id, len(group.completions), len(group.unfinished), drawn(group))


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
    """Answers that the prompt was asked for, with those that are not there, without those that are not needed."""
    surplus = sum(one.item is not None and one.item.fault == "surplus" for one in group.unfinished)
    return len(group.completions) + len(group.unfinished) - surplus


def _thinks(groups: Sequence[Group]) -> bool:
    every = (completion for group in groups for completion in (*group.completions, *group.unfinished))
    return _may_lack_answers(groups) and any(completion.thinking is not None for completion in every)


def _unanswered(arm: str, without: Sequence[Completion], drawn: str, follows: str, is_measured: bool) -> Alarm:
    """Completions that were cut or withheld before they came to an answer."""
    withheld = sum(completion.finish_reason == "withheld" for completion in without)
    how, kind, advice = "cut", "thinking", " Give more room (max_tokens)."
    what_is_left = "the answers after shorter thinking"
    if withheld == len(without):
        how, kind, advice = "withheld by the provider", "withheld", ""
        what_is_left = "the answers that the provider lets pass"
    elif withheld:
        how = f"withheld by the provider ({withheld:,}) or cut"
    said = f"{len(without):,} of {drawn} were {how} before they came to an answer: {follows}"
    left = f" What is left are {what_is_left}." if is_measured else ""
    return Alarm(arm, kind, f"{said}.{left}{advice}")


def _alarms(groups: Mapping[str, Sequence[Group]], short: Mapping[str, Sequence[str]], k: int) -> list[Alarm]:
    alarms = []
    for arm, members in groups.items():
        total, counts = sum(map(drawn, members)), told(members)
        without = [one for group in members for one in group.unfinished if one.item is None or one.item.fault is None]
        is_measured = len(short[arm]) < len(members)
        follows = "no prompt has answers in half of its completions, so that nothing of this arm is measured"
        if is_measured:
            follows = f"they are left out, and every prompt is measured on its first {counted(k, 'answer')}"
        if is_measured and short[arm]:
            follows += (
                f"; {counted(len(short[arm]), 'prompt')} without answers in half of the completions (first: "
                f"{short[arm][0]!r}) {'is' if len(short[arm]) == 1 else 'are'} not measured"
            )
        if without:
            alarms.append(_unanswered(arm, without, counted(total, "completion"), follows, is_measured))
        if counts.lost:
            advice = "Where that is much, this way of asking is beyond the model, or needs more room (max_tokens)."
            alarms.append(Alarm(arm, "asking", f"{lost_words(counts)}: {follows}. {advice}"))
    return alarms
