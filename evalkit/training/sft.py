"""Supervised fine-tuning on prompts and completions.

The loss is the cross entropy of a completion's tokens and its end of sequence, given the prompt: the mean over all such
tokens of a minibatch, so that a long completion weighs more than a short one. The prompt itself is not modelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from evalkit.checkpoints.folder import context_length
from evalkit.checkpoints.training_log import work_of
from evalkit.errors import InputError
from evalkit.plumbing.progress import Listener, Quiet
from evalkit.preferences.layouts.turns import messages_of
from evalkit.records import Prompt
from evalkit.training.batch import pack
from evalkit.training.config import SftConfig
from evalkit.training.data_parallel import is_first, join_processes, of_first, one_of_many, wait_for_all
from evalkit.training.memory import told_when_full
from evalkit.training.models import Policy, load_policy, response_logits, token_log_probs
from evalkit.training.optimise import Objective, evaluate, optimise
from evalkit.training.output import manifest
from evalkit.training.output.folder import frame_as_chat, save_model
from evalkit.training.output.page import write_training_page
from evalkit.training.sft_rows import Row, read_rows
from evalkit.training.split import held_out_prompts
from evalkit.training.state import STATE, forget_state

SFT = "sft"
"""The checkpoint's name."""


@dataclass(frozen=True)
class Example:
    """A prompt and its completion as tokens, closed by the end of sequence."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]


def train_sft(config: SftConfig, out: Path, tell: Listener, command: Sequence[str] = ()) -> Path:
    """Fine-tune the config's model on its data; returns the checkpoint's folder, `out`/sft.

    The same config on the same `out` resumes. Raises `EvalkitError`s: `InputError` for what cannot be trained on,
    `StoreError` for a disk that fills, and itself for a loss that is not finite and for memory that runs out.
    """
    with one_of_many(), told_when_full(config.microbatch):
        device = join_processes()
        if not is_first():
            tell = Quiet()
        rows = read_rows(config.data, tell.note)
        policy = load_policy("model", config.model, config.lora)
        trained, held_out = encode(config, policy, rows, tell)
        record = manifest.begin(out, config, command) if is_first() else {}
        show = partial(write_training_page, config.name, out, [SFT])
        if not of_first((out / SFT / "training.json").exists()):
            policy.model.to(device)
            objective = cross_entropy(policy)
            optimise(config, objective, trained, held_out, work_of(out / SFT), tell, show)
            facts = facts_of(config, objective, trained, held_out)
            if is_first():
                save_sft(config, policy, facts, out)
                forget_state(work_of(out / SFT) / STATE)
        if is_first():
            manifest.finish(out, record)
            show()
        wait_for_all()
    return out / SFT


def encode(
    config: SftConfig, policy: Policy, rows: Sequence[Row], tell: Listener
) -> tuple[list[Example], list[Example]]:
    """Examples to train on and examples of held-out prompts. Raises `InputError`."""
    # A base model reads a conversation's transcript, as its reward model does.
    turns = {row.prompt: () if policy.spec.kind == "base" else row.turns for row in rows}
    texts = tuple(turns)
    prompts = tuple(Prompt(text[:60], text, messages=messages_of(turns[text])) for text in texts)
    ids = dict(zip(texts, policy.prompt_ids(prompts, 1), strict=True))
    held = held_out_prompts(texts, config.held_out, config.seed)
    room = context_length(policy.checkpoint)
    sides: tuple[list[Example], list[Example]] = ([], [])
    for row in rows:
        example = Example(ids[row.prompt], tuple(policy.response_ids(row.answer)))
        if room is None or length(example) <= room:
            sides[row.prompt in held].append(example)
    left_out = len(rows) - sum(map(len, sides))
    if left_out:
        tell.note(f"{left_out} of {len(rows)} examples are longer than the model's context, and left out")
    if not all(sides):
        raise InputError(
            f"no examples to {'hold out' if sides[0] else 'train on'} are left; give more, or change held_out"
        )
    return sides


def length(example: Example) -> int:
    """Tokens of prompt and completion."""
    return len(example.prompt) + len(example.completion)


def cross_entropy(policy: Policy) -> Objective[Example]:
    """-log p(completion and its end | prompt), the mean over tokens."""

    def losses(few: Sequence[Example]) -> dict[str, Tensor]:
        batch = pack([example.prompt for example in few], [example.completion for example in few])
        batch = batch.to(policy.model.device)
        said = token_log_probs(response_logits(policy.model, batch), batch.responses)
        return {"loss": -(said * batch.response_mask).sum()}

    return Objective(policy.model, losses, length, units=lambda example: len(example.completion))


def facts_of(
    config: SftConfig, objective: Objective[Example], trained: Sequence[Example], held_out: Sequence[Example]
) -> dict[str, Any]:
    """What training.json and the card say."""
    loss = evaluate(config, objective, held_out)["loss"]
    return {
        "method": "supervised fine-tuning",
        "model": config.model.path,
        "data": list(config.data),
        "examples": len(trained),
        "prompts": len({example.prompt for example in trained}),
        "held_out": {
            "examples": len(held_out),
            "loss_token": loss,
            "loss_completion": loss * sum(map(objective.units, held_out)) / len(held_out),
        },
        "settings": config.model_dump(mode="json", exclude={"data"}),
    }


def save_sft(config: SftConfig, policy: Policy, facts: Mapping[str, Any], out: Path) -> None:
    """Write the checkpoint. Raises `StoreError`."""
    template = frame_as_chat(config.model, policy.tokenizer) if config.model.kind == "base" else None
    save_model(out / SFT, policy.model, Path(policy.checkpoint.location), card(config.name, facts), facts, template)


def card(name: str, facts: Mapping[str, Any]) -> str:
    """README.md of the checkpoint, from what its training.json holds."""
    held_out = facts["held_out"]
    return f"""\
---
library_name: transformers
pipeline_tag: text-generation
tags: [evalkit, sft]
---
# {name}

`{facts["model"]}` fine-tuned by cross entropy on {facts["examples"]} completions of {facts["prompts"]} prompts, their
end of sequence included and the prompts themselves not. Made by `evalkit train sft` with seed
{facts["settings"]["seed"]}; `training.json` holds all settings.

| on {held_out["examples"]} completions of held-out prompts | |
| --- | --- |
| cross entropy, nats a token | {held_out["loss_token"]:.4f} |
| cross entropy, nats a completion | {held_out["loss_completion"]:.4f} |
"""
