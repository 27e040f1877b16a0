"""What was lost, in a sentence: bad answers that are gone, or a narrower range among good ones.

A part is said to be there only where its Holm-adjusted p is below 0.05. How much of the loss it is, is said with its
interval, and only where that is narrow enough to say anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.analysis import effects
from evalkit.metrics.declaration import Traits
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Bar, LossPart, LossSplit, Share, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import capital, counted, listed
from evalkit.report.verdicts.joint import Joints
from evalkit.report.verdicts.plain_names import named, pictured
from evalkit.report.wording import LEVEL, interval_words, label, number_text, p_text, value_text

WIDEST = 1.0
"""Width of a share's interval beyond which it says nothing of how much of a loss a part is."""
BAD = {"accuracy": "wrong", "valid_share": "not valid"}
"""What answers below the bar are, by measures that know right and wrong alone."""
FORM_ALONE = "Checks see form alone: nonsense in the asked form is counted among the answers that have it."

Sign = Literal["more", "none", "less"]


def loss_claims(summary: Summary, joints: Joints, arms: Sequence[str]) -> list[str]:
    """For the top of the page, about the first and the last of these arms: the ends of a ladder, or the one there is.

    Of each by the first measure that a reader can picture, of those that speak for its diversity where that is clearly
    less and that divide it; nothing where none does.
    """
    claims = []
    for arm in dict.fromkeys([*arms[:1], *arms[-1:]]):
        speaking = speaking_splits(summary, joints, arm)
        told = next(filter(divides, speaking), None)
        if told is not None:
            claims.append(loss_sentence(told, summary, speaking))
    return [*claims[:-1], f"{claims[-1]}{_bad(summary.bar)}"] if claims else []


def speaking_splits(summary: Summary, joints: Joints, arm: str) -> list[LossSplit]:
    """Those of a clear loss by measures that stand for the arm's diversity, first what a reader can picture.

    A measure that stands in its length-matched form, because lengths differ, speaks where they alone do not move it,
    and that form shows a clear loss too.
    """
    joint = joints.get((arm, "diversity"))
    if joint is None or joint.outcome != "lost":
        return []
    traits, standing = effects.traits(summary), {split_variant(each) for each in joint.together.measures}

    def speaks(split: LossSplit) -> bool:
        by_length = ("matched", split.metric) in standing and not traits[split.metric].moves_with_length
        stands = by_length or ("whole", split.metric) in standing
        return split.arm == arm and stands and is_lost(split) and not at_equal_length(split, summary)

    return sorted(filter(speaks, summary.splits), key=lambda split: pictured(traits[split.metric]))


def is_lost(split: LossSplit) -> bool:
    return sign(split.total) == "more" and tells_apart(split)


def tells_apart(split: LossSplit) -> bool:
    """Whether some of the completions are bad: a summary of an earlier evalkit is split where none is."""
    return bool(split.baseline_bad or split.arm_bad)


def at_equal_length(split: LossSplit, summary: Summary) -> str:
    """What becomes of a clear loss among completions of equal length, if it is clear no more; empty otherwise."""
    matched = next(
        (d for d in summary.differences if (d.metric, d.arm) == (f"matched/{split.metric}", split.arm)), None
    )
    if matched is None or not is_lost(split) or not is_number(matched.value):
        return ""
    if effects.outcome(matched, effects.betters(summary)[matched.metric]) == "lost":
        return ""
    known = f"{value_text(matched, signed=True)}, {interval_words(matched)}"
    if matched.low is not None and matched.high is not None and matched.low * matched.high > 0:
        known += f"; Holm {p_text(matched.p_adjusted)}"  # the interval alone would say that it is clear
    return f"Among completions of equal length {split.arm} shows no clear loss ({known})."


def divides(split: LossSplit) -> bool:
    """Whether any part of it is clear."""
    return {sign(split.quality_control), sign(split.narrowing)} != {"none"}


def sign(part: LossPart) -> Sign:
    """Whether it is clearly a loss, clearly a gain, or neither."""
    if not is_number(part.p_adjusted) or part.p_adjusted >= effects.ALPHA or not is_number(part.value):
        return "none"
    return "more" if part.value > 0 else "less"


def loss_sentence(
    split: LossSplit, summary: Summary, others: Sequence[LossSplit] = (), names_measure: bool = True
) -> str:
    """What became of the loss of one arm by one measure; `others`: the same arm's by other measures."""
    measure = named(split.metric, effects.traits(summary).get(split.metric, Traits())) if names_measure else ""
    nouns = _nouns(summary.bar)
    if not split.prompts:
        return f"{split.arm}: no prompt has two {nouns.good} or more of both arms, so that nothing can be split."
    if not tells_apart(split):
        where = f" on {counted(split.prompts, 'prompt')} of {split.prompts + split.left_out}" if split.left_out else ""
        every = f"no answer of {split.arm} or {split.baseline} is {nouns.bad_one}{where}"
        return f"{capital(every)}: quality tells nothing apart, so that nothing can be split."
    if not is_lost(split):
        balance = _balance(split, nouns)
        return f"{split.arm} has not clearly lost {measure or 'any'} against {split.baseline}{balance}{_basis(split)}."
    said = _what(split, f"{split.arm} lost in {measure}" if measure else f"{split.arm} lost", nouns)
    return f"{capital(said)}{_by_others(split, others)}{_basis(split)}."


def all_sentences(splits: Sequence[LossSplit], summary: Summary) -> list[str]:
    """What became of every arm by one measure, a line each; those that lost none and have no more to say in one."""
    silent = [split for split in splits if _lost_none(split)]
    lines = [
        " ".join(filter(None, (loss_sentence(split, summary, names_measure=False), at_equal_length(split, summary))))
        for split in splits
        if split not in silent
    ]
    for baseline, basis in dict.fromkeys((split.baseline, _basis(split)) for split in silent):
        arms = [split.arm for split in silent if (split.baseline, _basis(split)) == (baseline, basis)]
        have = "has" if len(arms) == 1 else "have"
        lines.append(f"{listed(arms)} {have} not clearly lost any against {baseline}{basis}.")
    return lines


def _lost_none(split: LossSplit) -> bool:
    is_split = split.prompts > 0 and tells_apart(split)
    return is_split and not is_lost(split) and not _balance(split, _Nouns())


@dataclass(frozen=True, slots=True)
class _Nouns:
    """What answers above and below the bar are called."""

    good: str = "good answers"
    bad: str = "bad answers"
    bad_one: str = "bad"
    """What one of the latter is."""


def _nouns(bar: Bar | None) -> _Nouns:
    """Where checks of form are all that is known, no answer is called good or bad."""
    return _Nouns("answers in the asked form", "answers out of form", "out of form") if is_form_alone(bar) else _Nouns()


def is_form_alone(bar: Bar | None) -> bool:
    """Whether nothing but the form of answers decides which are good."""
    return bar is not None and _plain(bar) == "task_checks"


def _plain(bar: Bar) -> str:
    return split_variant(bar.measure)[1].split("|")[0]


def _balance(split: LossSplit, nouns: _Nouns) -> str:
    """Where both parts are there and hide each other."""
    signs = sign(split.quality_control), sign(split.narrowing)
    if signs == ("more", "less"):
        return f", but {_less_bad(split, nouns)}, and its {nouns.good} are a wider range"
    if signs == ("less", "more"):
        return f", but its {nouns.good} are a narrower range, and {nouns.bad} add more variety to it"
    return ""


def _what(split: LossSplit, what: str, nouns: _Nouns) -> str:
    gone, among = sign(split.quality_control), sign(split.narrowing)
    less, number = _less_bad(split, nouns), f"{_percent(split.share)}, {_interval(split.share)}"
    in_brackets = f" ({number})" if _tells(split.share) else ""
    narrower = f"{nouns.good} are a narrower range"
    if among == "less":
        wider = f"{value_text(_turned(split.narrowing))}, {interval_words(_turned(split.narrowing))}"
        return f"what {what} is that {less}: its {nouns.good} are a wider range (by {wider})"
    if gone == "more" and among == "more":
        if not in_brackets:
            return f"what {what} is both that {less} and that {narrower}"
        share = f"{_percent(split.share)} ({_interval(split.share)})"
        return f"of what {what}, {share} is that {less}, the rest a narrower range of {nouns.good}"
    if gone == "more":
        return f"what {what} is that {less}{in_brackets}; that {narrower} is not clear"
    if gone == "less":
        more = f"{nouns.bad} add more variety to it than to {split.baseline}"
        return f"what {what} is among {nouns.good}, and more: {more}"
    if among == "more":
        return f"what {what} is a narrower range of {nouns.good}; {nouns.bad} are no clear part of it{in_brackets}"
    return f"how what {what} divides cannot be told"


def _less_bad(split: LossSplit, nouns: _Nouns) -> str:
    """What is behind a loss by bad answers: that they are gone, where that is clear."""
    fewer = split.fewer_bad
    is_clear = is_number(fewer.p) and fewer.p < effects.ALPHA and is_number(fewer.value) and fewer.value > 0
    return f"{nouns.bad} are gone" if is_clear else f"{nouns.bad} add less variety"


def _tells(share: Share | None) -> bool:
    return share is not None and share.high - share.low <= WIDEST


def _percent(share: Share | None) -> str:
    return "" if share is None else _whole(share.value)


def _interval(share: Share | None) -> str:
    if share is None:
        return ""
    return f"{LEVEL} interval {_whole(share.low).removesuffix(' %')} to {_whole(share.high)}"


def _whole(share: float) -> str:
    return f"{round(100 * share)} %".replace("-", "−")


def _turned(part: LossPart) -> LossPart:
    """The same as a gain."""
    value, low, high = (None if end is None else -end for end in (part.value, part.high, part.low))
    return LossPart(value, low, high, part.p, part.p_adjusted)


def _by_others(split: LossSplit, others: Sequence[LossSplit]) -> str:
    """What other measures say, where they say a share: one measure is one way of looking.

    Nothing where bad answers hide a loss: shares below 0 tell a reader less than the words.
    """
    shares = [(other, other.share) for other in others if other.metric != split.metric and _tells(other.share)]
    if sign(split.quality_control) == "less" or not (_tells(split.share) and shares):
        return ""
    said = sorted(round(100 * share.value) for _, share in shares if share)
    if len(said) == 1:
        return f"; by {label(shares[0][0].metric)} {_whole(said[0] / 100)}"
    span = f"{said[0]} to {said[-1]} %".replace("-", "−") if said[0] < said[-1] else f"{said[0]} %".replace("-", "−")
    return f"; by {counted(len(said), 'other measure')} {span}"


def _basis(split: LossSplit) -> str:
    """On how many prompts, where they are not all."""
    return f", on {split.prompts} of {split.prompts + split.left_out} prompts" if split.left_out else ""


def _bad(bar: Bar | None) -> str:
    """Which answers are bad, in a sentence."""
    if bar is None:
        return ""
    if is_form_alone(bar):
        return f" {FORM_ALONE}"
    if _plain(bar) in BAD and bar.at_least == 1:
        return f" Bad are answers that are {BAD[_plain(bar)]}."
    return f" Bad are answers with {label(bar.measure)} below {number_text(bar.at_least)}."
