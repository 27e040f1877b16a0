"""The model card of a reward model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.records import CONFIDENCE


def reward_card(name: str, facts: Mapping[str, Any]) -> str:
    """README.md of a reward model, from what its training.json holds."""
    held_out = facts["held_out"]
    whose = "" if facts["group"] is None else f" of the rater group `{_cell(facts['group'])}` alone"
    return f"""\
---
library_name: transformers
pipeline_tag: text-classification
tags: [evalkit, reward-model]
---
# {name}

A reward model: `{facts["model"]}` with its output layer replaced by one label, trained by the Bradley-Terry loss on
{facts["pairs"]} preferences{whose} over {facts["prompts"]} prompts.
Made by `evalkit train reward` with seed {facts["settings"]["seed"]}; `training.json` holds all settings.

Write an exchange with this folder's chat template (user, assistant), without adding special tokens again. The reward
is read at the end of sequence. Only differences between completions of one prompt mean anything.
{_ties(facts["ties"])}{_conversations(facts)}
{_scale(facts["scale"])}

## On held-out prompts

| | |
| --- | --- |
| pairs | {held_out["share"]["pairs"]} |
| accuracy | {_share(held_out["share"])} |
| accuracy that the model itself expects | {held_out["expected"]:.3f} |
| log loss, nats a pair (guessing: 0.693) | {held_out["log_loss"]:.4f} |
| expected calibration error | {held_out["ece"]:.4f} |

A tie counts as half right. Intervals are Wilson's, {CONFIDENCE:.0%}.

| confidence | pairs | mean confidence | accuracy |
| --- | --- | --- | --- |
{_reliability(held_out["bins"])}
{_groups(facts["held_out_by_group"])}{_disagreement(facts.get("between_groups", ()))}"""


def _ties(ties: int) -> str:
    if not ties:
        return ""
    return f"\n{ties} of the preferences are ties, learned as 1/2 each; held-out figures are of decided pairs alone.\n"


def _conversations(facts: Mapping[str, Any]) -> str:
    if not facts["conversations"]:
        return ""
    how = (
        "one user message, a transcript of lines `User: ...` and `Assistant: ...` with a blank line between"
        if facts["settings"]["model"]["kind"] == "base"
        else "the chat template's own turns"
    )
    return f"\n{facts['conversations']} of the preferences have prompts of several turns, which are written as {how}.\n"


def _scale(scale: Mapping[str, Any]) -> str:
    odds = f"P(a preferred to b) = sigmoid({scale['log_odds']:.4g} (r(a) - r(b)))."
    if not scale["samples"]:
        return f"Rewards are as trained:\n{odds}"
    return (
        f"Rewards have standard deviation 1 and mean {scale['mean']:.4g} on {scale['samples']} completions of the "
        f"language model itself.\n{odds}"
    )


def _reliability(bins: Any) -> str:
    return "\n".join(
        f"| {row['low']:.2f} to {row['high']:.2f} | {row['pairs']} | {row['confidence']:.3f} | {row['accuracy']:.3f} |"
        for row in bins
        if row["pairs"]
    )


def _groups(by_group: Mapping[str, Mapping[str, float]]) -> str:
    if not by_group:
        return ""
    rows = "\n".join(f"| {_cell(group)} | {share['pairs']} | {_share(share)} |" for group, share in by_group.items())
    return f"\n## By rater group\n\n| group | pairs | accuracy |\n| --- | --- | --- |\n{rows}\n"


def _disagreement(between: Sequence[Mapping[str, Any]]) -> str:
    if not between:
        return ""
    heads = ("total", "noise", "persons", "values", "noise_share")
    rows = "\n".join(
        f"| {' and '.join(map(_cell, row['groups']))} | {' | '.join(_estimate(row[head]) for head in heads)} |"
        for row in between
    )
    return f"""
## Where the groups disagree

Shares of couples of answers to one pair, one of each group. Noise is what raters say otherwise when they are asked
again, persons what sets raters of one group apart besides, values what is left; a dash: these votes cannot tell.

| groups | disagreement | noise | persons | values | noise's share |
| --- | --- | --- | --- | --- | --- |
{rows}
"""


def _estimate(part: Mapping[str, Any]) -> str:
    if part["value"] is None:
        return "-"
    interval = "" if part["low"] is None else f" ({part['low']:.3f} to {part['high']:.3f})"
    return f"{part['value']:.3f}{interval}"


def _share(share: Mapping[str, float]) -> str:
    return f"{share['accuracy']:.3f} ({share['low']:.3f} to {share['high']:.3f})"


def _cell(text: str) -> str:
    """A name from a data file, so that it stays in its cell and is no markup."""
    return "".join(sign if sign.isalnum() or sign in " ._-" else " " for sign in text)
