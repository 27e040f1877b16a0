"""The model cards of the lab's checkpoints, written from what the recipe measured."""

from __future__ import annotations

from typing import Any

from evalkit.training.output.card import WORDS

HEAD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: {task}
---
# evalkit lab: {name}

{what}

A toy for proving evalkit's measurements, not a useful language model: it knows {words} word pieces and the
{prompts} prompts of the lab's grammar, and nothing else. Made by `evalkit lab build`, which measured every figure
below.
"""

WHAT = {
    "base": "A small Llama trained by cross entropy on the completions of the lab's grammar, so that it is, nearly,\n"
    "the distribution p(completion | prompt) whose every probability is known. Ask it in the plain frame:\n"
    "`Prompt: {prompt}\\nAnswer:`. Each token's target was its exact distribution given the text before it, along\n"
    "texts drawn from the grammar, and the loss was on the completion only.",
    "tuned": "The base, tuned by `evalkit train ppo` on the reward model of the rater group `{group}` and held near\n"
    "its start by beta {beta:g} times the KL divergence (rewards on a scale of standard deviation 1 on the base's\n"
    "completions). {values} Ask it through its chat template.",
    "reward": "A reward model with one label, trained by the Bradley-Terry loss on the pairwise preferences of the\n"
    "simulated rater group `{group}` over the base's completions. {values} The score is read at the end-of-sequence\n"
    "token of the chat-templated pair. Only differences between completions of one prompt mean anything.",
}
VALUES = {
    "scholars": "Scholars like truth and clear professor-like prose, dislike rudeness, and mildly prefer the familiar.",
    "friends": "Friends like the poet and the student, find the professor stiff, and care little for truth.",
}


def card(name: str, made: dict[str, Any], words: int, prompts: int) -> str:
    """Return the README of a checkpoint; `made` is what stands in its recipe.json."""
    figures = made["figures"]
    role = "base" if name == "base" else "reward" if "held_out" in figures else "tuned"
    task = "text-classification" if role == "reward" else "text-generation"
    group = figures.get("group", "")
    what = WHAT[role].format(group=group, beta=figures.get("beta", 0), values=VALUES.get(group, ""), prompt="{prompt}")
    body = {"base": _base, "tuned": _tuned, "reward": _reward}[role](figures)
    return HEAD.format(name=name, task=task, what=what, words=words, prompts=prompts) + "\n" + body


def _tuned(figures: dict[str, Any]) -> str:
    reached = figures["reached"]
    rows = [f"| {WORDS[key]} | {reached[key]:.3f} |" for key in WORDS if key in reached]
    return (
        "## What the tuning reached\n\n| over its last updates | |\n| --- | --- |\n"
        + "\n".join(rows)
        + "\n\n"
        + _said(figures)
    )


def _base(figures: dict[str, Any]) -> str:
    rows = [
        f"| {kind} | {fit['entropy']:.4f} | {fit['excess']:.4f} ± {fit['standard_error']:.4f} | {fit['relative']:.2%} |"
        for kind, fit in figures["fit"].items()
    ]
    table = "| prompts | exact entropy, nats | excess cross entropy | share |\n| --- | --- | --- | --- |\n"
    return f"## Fit\n\n{table}" + "\n".join(rows) + "\n\n" + _said(figures)


def _said(figures: dict[str, Any]) -> str:
    head = (
        "| prompts | professor | student | rude | poet | right | entropy, nats | distinct | utility | outside |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    rows = [
        f"| {kind} | "
        + " | ".join(f"{share:.1%}" for share in said["voices"].values())
        + (" | - | " if said["accuracy"] is None else f" | {said['accuracy']:.1%} | ")
        + f"{said['entropy']:.2f} | {said['distinct']:.1%} | {said['utility']:.2f} | {said['outside']:.2%} |"
        for kind, said in figures["says"].items()
    ]
    note = "`distinct`: different texts among those drawn for one prompt. `utility`: the rater's, mean.\n"
    note += "`outside`: texts that the grammar cannot make.\n"
    return f"## What it says\n\n{head}" + "\n".join(rows) + f"\n\n{note}"


def _reward(figures: dict[str, Any]) -> str:
    head = (
        "| pairs | number | agrees with the noisy rater | best possible | agrees with the true utility |\n"
        "| --- | --- | --- | --- | --- |\n"
    )
    rows = [
        f"| {title} | {agreement['pairs']} | {agreement['accuracy']:.1%} | {agreement['ceiling']:.1%} "
        f"| {agreement['with_utility']:.1%} |"
        for title, agreement in (
            ("held out", figures["held_out"]),
            ("of prompts never compared in training", figures["held_back_prompts"]),
        )
    ]
    return f"## Agreement\n\nTrained on {figures['preferences']} comparisons.\n\n{head}" + "\n".join(rows) + "\n"
