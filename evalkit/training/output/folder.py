"""A trained network becomes an ordinary Hugging Face folder, whole or not at all."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.checkpoints.training_log import NAME, work_of
from evalkit.plumbing.files import unwritten
from evalkit.training.models import quiet_transformers

TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt",
                   "chat_template*", "spiece.model")  # fmt: skip
ADAPTER = "adapter"
"""Folder in a checkpoint that was trained by adapters: these by themselves, beside the merged weights."""
KEPT = "what was there before is whole"
"""Where a checkpoint could not be written."""


def save_model(
    folder: Path,
    model: PreTrainedModel,
    source: Path,
    card: str,
    facts: Mapping[str, Any],
    chat_template: str | None = None,
) -> Path:
    """Write a network in the precision that its `source` folder is stored in, with that folder's tokenizer files.

    Adapters are merged; those of a language model stand by themselves in `ADAPTER` too. `card` becomes README.md,
    `facts` training.json; the log of its training goes with both, as either is a checkpoint of a suite.
    `chat_template` is written where the source has none. Raises `StoreError`; what stood at `folder` then still stands
    there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise unwritten(folder, error, KEPT) from None
    try:
        with quiet_transformers():
            _stored(model, source).save_pretrained(beside)
            if _is_adapted(model):
                model.save_pretrained(beside / ADAPTER)
        for pattern in TOKENIZER_FILES:
            for file in source.glob(pattern):
                shutil.copyfile(file, beside / file.name)
        if chat_template is not None and not _has_template(beside):
            (beside / "chat_template.jinja").write_text(chat_template, encoding="utf-8")
        (beside / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        (beside / "README.md").write_text(card, encoding="utf-8")
        if (log := work_of(folder) / NAME).exists():
            for made in (beside, beside / ADAPTER):
                if made.exists():
                    shutil.copyfile(log, made / NAME)
        for path in beside.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # the weights were written for their owner alone
        beside.chmod(0o755)
        swap(beside, folder)
    except Exception as error:
        shutil.rmtree(beside, ignore_errors=True)
        if _is_of_disk(error):
            raise unwritten(folder, error, KEPT) from None
        raise
    for leftover in folder.parent.glob(f".{folder.name}-*"):  # of a process that was killed here
        shutil.rmtree(leftover, ignore_errors=True)
    return folder


def swap(new: Path, target: Path) -> Path:
    """Put the folder `new` at `target`; what stood there is removed only afterwards."""
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    if target.exists():
        target.rename(old / target.name)
    new.rename(target)
    shutil.rmtree(old)
    return target


def frame_as_chat(spec: CheckpointSpec, tokenizer: PreTrainedTokenizerBase) -> str:
    """A chat template that writes a base checkpoint's frame: user text in its place, the answer behind it, the end."""
    shots = "".join(
        spec.frame.template.replace("{prompt}", shot.prompt) + f" {shot.completion}\n\n" for shot in spec.frame.examples
    )
    begins = tokenizer.bos_token is not None and tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
    head = _literal((str(tokenizer.bos_token) if begins else "") + shots)
    user = "{{ asked.text }}".join(map(_literal, spec.frame.template.split("{prompt}")))
    answer = "{{ ' ' + messages[-1]['content'] }}" + _literal(str(tokenizer.eos_token))
    return head + _ASKED + user + "{% if messages[-1]['role'] == 'assistant' %}" + answer + "{% endif %}"


_ASKED = """\
{%- set turns = messages[:-1] if messages[-1]['role'] == 'assistant' else messages %}
{%- set asked = namespace(text=turns[0]['content']) %}
{%- if turns | length > 1 %}
    {%- set asked.text = '' %}
    {%- for turn in turns %}
        {%- set between = '' if loop.first else '\\n\\n' %}
        {%- set asked.text = asked.text + between + (turn['role'] | capitalize) + ': ' + turn['content'] %}
    {%- endfor %}
{%- endif -%}
"""
"""The one turn's text, or all turns as the transcript that training reads (`layouts.turns.transcript`)."""


def _literal(text: str) -> str:
    """Text as a Jinja expression, which no line break or brace in it can break."""
    return "{{ " + json.dumps(text, ensure_ascii=False) + " }}"


def _stored(model: PreTrainedModel, source: Path) -> PreTrainedModel:
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    dtype = getattr(torch, config.get("dtype") or config.get("torch_dtype") or "float32")
    kept = copy.deepcopy(model)
    merged: PreTrainedModel = kept.merge_and_unload() if hasattr(kept, "merge_and_unload") else kept
    return merged.to("cpu").to(dtype)


def _is_adapted(model: PreTrainedModel) -> bool:
    adapters = getattr(model, "peft_config", {}).values()
    return any(adapter.task_type == "CAUSAL_LM" for adapter in adapters)


def _has_template(folder: Path) -> bool:
    config = folder / "tokenizer_config.json"
    named = config.exists() and json.loads(config.read_text(encoding="utf-8")).get("chat_template")
    return bool(named) or any(folder.glob("chat_template*"))


def _is_of_disk(error: Exception) -> bool:
    """An error of the file system, as itself or in the words of the library that wrote the weights."""
    return isinstance(error, OSError) or type(error).__name__ == "SafetensorError"
