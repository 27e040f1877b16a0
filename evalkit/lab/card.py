"""The model cards of the lab's checkpoints, written from what the recipe measured."""

from __future__ import annotations

from typing import Any

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
168 prompts of the lab's grammar, and nothing else. Made by `evalkit lab build`, which measured every figure below.
"""

WHAT = {
    "base": "A small Llama trained by cross entropy on the completions of the lab's grammar, so that it is, nearly,\n"
    "the distribution p(completion | prompt) whose every probability is known. Ask it in the plain frame:\n"
    "`Prompt: {prompt}\\nAnswer:`. Each token's target was its exact law given the text before it, along texts drawn\n"
    "from the grammar, and the loss was on the completion only.",
    "tuned": "The base, fine-tuned in {rounds} rounds on its own completions: of every {best_of}, the one that a\n"
    "simulated rater preferred. The rater likes truth and clear professor-like prose, dislikes rudeness, and mildly\n"
    "prefers the familiar. Ask it through its chat template.",
    "reward": "A reward model with one label, trained by the Bradley-Terry loss on the simulated rater's pairwise\n"
    "preferences over the base's completions. The score is read at the end-of-sequence token of the chat-templated\n"
    "pair. Only differences between completions of one prompt mean anything.",
}


def card(name: str, made: dict[str, Any], words: int) -> str:
    """Return the README of a checkpoint; `made` is what stands in its recipe.json."""
    task = "text-classification" if name == "reward" else "text-generation"
    what = (
        WHAT[name]
        .replace("{rounds}", str(made["settings"]["rounds"]))
        .replace("{best_of}", str(made["settings"]["best_of"]))
    )
    body = {"base": _base, "tuned": _said, "reward": _reward}[name](made["figures"])
    return HEAD.format(name=name, task=task, what=what, words=words) + "\n" + body


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
        f"| {title} | {found['pairs']} | {found['accuracy']:.1%} | {found['ceiling']:.1%} "
        f"| {found['with_utility']:.1%} |"
        for title, found in (
            ("held out", figures["held_out"]),
            ("of prompts never compared in training", figures["held_back_prompts"]),
        )
    ]
    return f"## Agreement\n\nTrained on {figures['preferences']} comparisons.\n\n{head}" + "\n".join(rows) + "\n"
