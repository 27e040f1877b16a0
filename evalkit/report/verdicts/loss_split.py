"""What was lost, in a sentence: bad answers that are gone, or a narrower range among good ones.

A part is said to be there only where its Holm-adjusted p is below 0.05. How much of the loss it is, is said with its
interval, and only where that is narrow enough to say anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from evalkit.analysis import effects
from evalkit.metrics.declaration import Traits
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Bar, LossSplit, Part, Share, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import counted
from evalkit.report.verdicts.joint import Joints
from evalkit.report.verdicts.plain_names import named, pictured
from evalkit.report.wording import LEVEL, interval_words, label, number_text, value_text

WIDEST = 1.0
"""Width of a share's interval beyond which it says nothing of how much of a loss a part is."""
BAD = {"accuracy": "wrong", "valid_share": "not valid"}
"""What answers below the bar are, by measures that know right and wrong alone."""

Sign = Literal["more", "none", "less"]


def loss_claim(summary: Summary, joints: Joints, arms: Sequence[str]) -> str:
    """For the top of the page, about the furthest of these arms whose loss divides clearly; empty where none does.

    By the first measure that a reader can picture, of those that speak for an arm's diversity where that is clearly
    less.
    """
    for arm in reversed(arms):
        speaking = speaking_splits(summary, joints, arm)
        if speaking and divides(speaking[0]):
            return loss_sentence(speaking[0], summary, speaking[1:])
    return ""


def speaking_splits(summary: Summary, joints: Joints, arm: str) -> list[LossSplit]:
    """Those of a clear loss by measures that stand for the arm's diversity, first what a reader can picture.

    A measure that stands in its length-matched form, because lengths differ, speaks where they alone do not move it.
    """
    joint = joints.get((arm, "diversity"))
    if joint is None or joint.outcome != "lost":
        return []
    traits, standing = effects.traits(summary), {split_variant(each) for each in joint.together.measures}

    def speaks(split: LossSplit) -> bool:
        by_length = ("matched", split.metric) in standing and not traits[split.metric].moves_with_length
        return split.arm == arm and is_lost(split) and (by_length or ("whole", split.metric) in standing)

    return sorted(filter(speaks, summary.splits), key=lambda split: pictured(traits[split.metric]))


def is_lost(split: LossSplit) -> bool:
    return sign(split.total) == "more"


def divides(split: LossSplit) -> bool:
    """Whether any part of it is clear."""
    return {sign(split.quality_control), sign(split.narrowing)} != {"none"}


def sign(part: Part) -> Sign:
    """Whether it is clearly a loss, clearly a gain, or neither."""
    if not is_number(part.p_adjusted) or part.p_adjusted >= effects.ALPHA or not is_number(part.value):
        return "none"
    return "more" if part.value > 0 else "less"


def loss_sentence(split: LossSplit, summary: Summary, others: Sequence[LossSplit] = ()) -> str:
    """What became of the loss of one arm by one measure; `others`: the same arm's by other measures."""
    measure = named(split.metric, effects.traits(summary).get(split.metric, Traits()))
    if not split.prompts:
        return f"{split.arm}: no prompt has two good answers or more of both arms, so that nothing can be split."
    if not is_lost(split):
        return f"{split.arm} has not clearly lost {measure} against {split.baseline}{_basis(split)}."
    what = _what(split, f"of what {split.arm} lost in {measure}", f"what {split.arm} lost in {measure}")
    return f"{what}{_by_others(split, others)}{_basis(split)}{_bad(summary.bar)}."


def _what(split: LossSplit, of_what: str, what: str) -> str:
    gone, among = sign(split.quality_control), sign(split.narrowing)
    share = f"{_percent(split.share)} " if _tells(split.share) else ""
    in_brackets = f" ({_interval(split.share)})" if _tells(split.share) else ""
    of_loss = f"{of_what}, {share}is bad answers gone{in_brackets}" if share else f"{what} is bad answers gone"
    if (gone, among) == ("more", "more"):
        rest = "the rest a narrower range of good ones" if share else "and a narrower range of good ones"
        return f"{of_loss}, {rest}"
    if among == "less":
        wider = f"{value_text(split.narrowing).lstrip('−')}, {interval_words(_turned(split.narrowing))}"
        return f"{what} is bad answers gone: among good answers its range is wider (by {wider})"
    if gone == "more":
        return f"{of_loss}; that good answers are a narrower range is not clear"
    if gone == "less":
        return (
            f"{what} is among good answers: its bad answers are more various than {split.baseline}'s, and hide a part"
        )
    if among == "more":
        explained = f" ({_percent(split.share)}, {_interval(split.share)})" if _tells(split.share) else ""
        return f"{what} is a narrower range of good answers: bad answers gone explain no clear part of it{explained}"
    return f"how {what} divides cannot be told"


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


def _turned(part: Part) -> Part:
    """The same as a gain."""
    ends = (None if end is None else -end for end in (part.value, part.high, part.low))
    return Part(*ends, part.p, part.p_adjusted)


def _by_others(split: LossSplit, others: Sequence[LossSplit]) -> str:
    """What other measures say, where they say a share: one measure is one way of looking."""
    shares = [(other, other.share) for other in others if other.metric != split.metric and _tells(other.share)]
    if not (_tells(split.share) and shares):
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
    """Which answers are bad."""
    if bar is None:
        return ""
    plain = split_variant(bar.measure)[1].split("|")[0]
    if plain in BAD and bar.at_least == 1:
        return f" (bad: {BAD[plain]})"
    return f" (bad: {label(bar.measure)} below {number_text(bar.at_least)})"
