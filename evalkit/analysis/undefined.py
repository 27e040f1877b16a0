"""Alarms about measures that have no value for some prompts, or say nothing of the texts that they were taken on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from evalkit.analysis.completion_scores import UNSCORED_SHARE
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.metrics.embeddings.encoder import Encoder, unread_share
from evalkit.metrics.registry import Measure, label
from evalkit.metrics.summary import Alarm
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.prose import counted
from evalkit.records import Group

UNREAD_SHARE = 0.1
"""From this share of letters that the encoder cannot read on, measures of meaning are spoiled."""

OF_OTHERS = frozenset({"baseline_logprobs", "baseline_group", "forward_logprobs", "other_prompt_logprobs"})
"""Needs of measures that one arm's texts are read again for; whoever reads them says why an untempered arm has none."""


def unread_texts(sampled: SampledArms, encoder: Encoder) -> Iterator[Alarm]:
    """For each arm whose texts are in scripts that the encoder has not learned."""
    for arm in sampled.arms:
        share = unread_share((text for group in sampled.groups[arm.name] for text in group.texts), encoder)
        if share > UNREAD_SHARE:
            message = (
                f"{share:.0%} of the letters are of scripts that the embedded encoder has not learned: to it such "
                "texts look alike, and measures of meaning say nothing of them. Name one that reads them with "
                "`encoder:` in the suite."
            )
            yield Alarm(arm.name, "unread", message)


def untold_logprobs(measures: Sequence[Measure], sampled: SampledArms) -> Iterator[Alarm]:
    """For each arm whose engine told no log-probs, though nothing in how it was asked forbids measures of them."""
    for arm in sampled.arms:
        if arm.thinking is not None or not arm.is_independent:  # which is told elsewhere
            continue
        lost = [
            str(measure)
            for measure in measures
            if "logprobs" in measure.definition.needs and not (arm.is_raw and measure.definition.needs & OF_OTHERS)
        ]
        if lost and _without_logprobs(sampled.groups[arm.name]):
            message = f"{', '.join(lost)} cannot be measured: its completions came without log-probs"
            yield Alarm(arm.name, "undefined", message)


def _without_logprobs(groups: Sequence[Group]) -> bool:
    """Whether there are completions, and none has any; nobody looks further than to the first that has."""
    are_there = False
    for group in groups:
        if any(completion.logprobs for completion in group.completions):
            return False
        are_there = are_there or bool(group.completions)
    return are_there


def undefined_values(
    measure: Measure, values: Mapping[str, Array], scores: Mapping[str, Sequence[Array]] | None = None
) -> Iterator[Alarm]:
    """For each arm on which a score, or a metric of whole arms, lacks values.

    `values`: arm -> (P,). `scores`, of a score: arm -> one (k,) array a prompt, NaN where a completion has none.
    """
    for arm, of_arm in values.items():
        left_out = int(np.isnan(of_arm).sum())
        by_prompt = measure.definition.needs & {"answer", "checks", "valid"}
        if measure.definition.kind == "score" and left_out and not by_prompt:
            why = _why_unscored(measure, (scores or {}).get(arm, ()))
            yield Alarm(
                arm, "unscored", f"{label(str(measure))} is undefined for {left_out} of {len(of_arm)} prompts: {why}"
            )
        is_told_elsewhere = measure.definition.needs & OF_OTHERS
        if measure.definition.kind == "arm_metric" and left_out == len(of_arm) and not is_told_elsewhere:
            why = measure.definition.undefined
            yield Alarm(arm, "undefined", f"{label(str(measure))} has no value for this arm. Undefined: {why}")


def _why_unscored(measure: Measure, scores: Sequence[Array]) -> str:
    if "scores" in measure.definition.needs:  # which come with the texts
        rows, lacking = sum(map(len, scores)), sum(int(np.isnan(of_prompt).sum()) for of_prompt in scores)
        return (
            f"{lacking:,} of {counted(rows, 'row')} hold no number for it, over {UNSCORED_SHARE:.0%} of those of each "
            "such prompt"
        )
    return (
        f"the model behind it cannot read over {UNSCORED_SHARE:.0%} of their completions (too long for it, or in words "
        "that it does not know)"
    )
