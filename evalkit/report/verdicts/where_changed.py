"""Why an arm differs from its baseline, told in a sentence each: where it changed more or less than elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.analysis.intervals import Mean
from evalkit.metrics.registry import label
from evalkit.metrics.summary import MeasureChange, PartChange, PromptChange, WhereChanged
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import counted, listed, short
from evalkit.report.wording import interval_words, value_text

ABOUT_TWICE = 1.75
"""From which ratio on "about twice" is said; below it "more than"."""
MOST_IDS = 3
"""Prompts that a sentence names."""
LONGEST = 40


@dataclass(frozen=True, slots=True)
class PartSentence:
    """What stands out of one measure on one part."""

    text: str
    change: MeasureChange
    part: PartChange


@dataclass(frozen=True, slots=True)
class PromptSentence:
    """How many prompts changed clearly by themselves, and which most."""

    text: str
    change: MeasureChange
    lost: tuple[PromptChange, ...]
    """Those that changed for the worse, the surest large change first ..."""
    gained: tuple[PromptChange, ...]


@dataclass(frozen=True, slots=True)
class ArmStory:
    """All that is said of where one arm changed."""

    arm: str
    baseline: str
    parts: tuple[PartSentence, ...]
    """The largest changes against the rest first."""
    prompts: tuple[PromptSentence, ...]
    nothing: str
    """Of which measures nothing stands out; empty where something does of all."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Every sentence, the prompts named in it."""
        of_prompts = (f"{each.text}{_most(each)}" for each in self.prompts)
        return (*(each.text for each in self.parts), *of_prompts, *([self.nothing] if self.nothing else []))


def arm_stories(where: WhereChanged | None) -> list[ArmStory]:
    """One a compared arm, in the summary's order; none where there was nothing that could be tested."""
    if where is None or not (where.part_tests or where.prompt_tests):
        return []
    arms = dict.fromkeys((change.arm, change.baseline) for change in where.changes)
    return [_story(where, [c for c in where.changes if (c.arm, c.baseline) == pair]) for pair in arms]


def family_words(where: WhereChanged) -> str:
    """How many tests what is named was chosen from, and how often it is named wrongly."""
    parts = (
        f"{counted(where.part_tests, 'test')} of tags and topics (Benjamini and Yekutieli, {where.part_level:.0%})"
        if where.part_tests
        else ""
    )
    prompts = (
        f"{counted(where.prompt_tests, 'test')} of single prompts (Benjamini and Hochberg, {where.prompt_level:.0%})"
        if where.prompt_tests
        else ""
    )
    named = listed([text.replace("%", " %") for text in (parts, prompts) if text])
    return f"named is what stands out among {named}: these shares of what is named may be there by chance"


def _story(where: WhereChanged, changes: Sequence[MeasureChange]) -> ArmStory:
    parts = [
        PartSentence(part_sentence(change, part), change, part)
        for change in changes
        for part in sorted(change.parts, key=_against_rest, reverse=True)
        if part.stands_out
    ]
    prompts = [_prompt_sentence(change) for change in changes if change.prompts]
    told = {each.change.metric for each in parts} | {each.change.metric for each in prompts}
    silent = [change for change in changes if change.metric not in told]
    nothing = _nothing(where, silent) if silent else ""
    return ArmStory(changes[0].arm, changes[0].baseline, tuple(parts), tuple(prompts), nothing)


def _against_rest(part: PartChange) -> float:
    return abs(part.value - part.rest) if is_number(part.value) and is_number(part.rest) else 0.0


def measure_words(change: MeasureChange) -> str:
    """`word pairs not repeated (distinct_n)`; that of a measure without plain words is its name."""
    notes = [label(change.metric)] if change.plain else []
    notes += ["lower is better"] if change.better == "lower" else []
    name = change.plain or label(change.metric)
    return f"{name} ({', '.join(notes)})" if notes else name


def part_words(part: PartChange) -> str:
    """`the 12 prompts tagged “poem”`."""
    how = "tagged" if part.kind == "tag" else "about"
    return f"the {counted(part.prompts, 'prompt')} {how} “{short(part.name, LONGEST)}”"


def rest_of(part: PartChange) -> Mean:
    """What became of the other prompts."""
    return Mean(_number(part.rest), _number(part.rest_low), _number(part.rest_high), 0)


def part_sentence(change: MeasureChange, part: PartChange) -> str:
    """What happened there and elsewhere; only of a part that stands out."""
    here = Mean(_number(part.value), _number(part.low), _number(part.high), part.prompts)
    rest = rest_of(part)
    where, what = f"On {part_words(part)} {change.arm}", measure_words(change)
    if not _is_clear(here) and abs(here.value) > abs(rest.value):
        return f"{where} changed otherwise in {what} than on the rest: {_signed(here)}, against {_signed(rest)}."
    if not _is_clear(here):
        return f"{where} did not clearly change in {what} ({_signed(here)}), while the rest {_did(rest, change)}."
    moved = f"{where} {_did(here, change)} in {what}"
    if not _is_clear(rest) or (here.value > 0) != (rest.value > 0):
        return f"{moved}, while the rest {_did(rest, change)}."
    return f"{moved}, {_times(abs(here.value / rest.value))} the rest’s {value_text(_size(rest))}."


def _did(mean: Mean, change: MeasureChange) -> str:
    if not _is_clear(mean):
        return f"did not clearly change ({_signed(mean)})"
    return f"{_moved(mean, change)} ({interval_words(_size(mean))})"


def _signed(mean: Mean) -> str:
    return f"{value_text(mean, signed=True)}, {interval_words(mean)}"


def _times(ratio: float) -> str:
    if ratio < 1:
        return "less than"
    if ratio < ABOUT_TWICE:
        return "more than"
    return "about twice" if ratio < 2.5 else f"about {ratio:.0f} times"


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _is_clear(mean: Mean) -> bool:
    return mean.low > 0 or mean.high < 0


def _size(mean: Mean) -> Mean:
    """Without its sign, which a verb says."""
    return mean if mean.value >= 0 else Mean(-mean.value, -mean.high, -mean.low, mean.count)


def _moved(mean: Mean, change: MeasureChange) -> str:
    """`lost 0.31`; of a measure where lower is better `went up by 0.31`."""
    up = mean.value > 0
    verb = ("went up by" if up else "went down by") if change.better == "lower" else ("gained" if up else "lost")
    return f"{verb} {value_text(_size(mean))}"


def _prompt_sentence(change: MeasureChange) -> PromptSentence:
    lost = tuple(each for each in change.prompts if (each.value < 0) == (change.better != "lower"))
    gained = tuple(each for each in change.prompts if each not in lost)
    worse, better = ("lost", "gained") if change.better != "lower" else ("went up", "went down")
    sides = [f"{len(some):,} clearly {verb}" for some, verb in ((lost, worse), (gained, better)) if some]
    what = measure_words(change)
    text = f"Of {counted(change.tested, 'prompt')}, each by itself, {listed(sides)} under {change.arm} in {what}"
    return PromptSentence(text, change, lost, gained)


def _most(sentence: PromptSentence) -> str:
    """`; most clearly on p17 (−0.61), p3 (−0.55)`."""
    first = sentence.change.prompts[:MOST_IDS]
    return f"; most clearly on {listed([f'{short(each.prompt, LONGEST)} ({prompt_value(each)})' for each in first])}."


def prompt_value(change: PromptChange) -> str:
    """With as many digits as its interval deserves."""
    return value_text(Mean(change.value, change.low, change.high, 1), signed=True)


def _nothing(where: WhereChanged, silent: Sequence[MeasureChange]) -> str:
    what = listed([measure_words(change) for change in silent])
    reasons = []
    if any(part.p is not None for change in silent for part in change.parts):
        parts = where.changes[0].parts
        kinds = listed(dict.fromkeys(part.kind for part in parts), "or")
        reasons.append(f"no {kinds} (of {len(parts)}) changed clearly more or less than the rest")
    if tested := max(change.tested for change in silent):
        reasons.append(f"none of {counted(tested, 'prompt')} changed clearly by itself")
    because = listed(reasons) if reasons else "too little could be tested"
    return f"In {what} nothing stands out: {because}."
