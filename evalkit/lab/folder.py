"""A finished model becomes an ordinary Hugging Face folder, with its card and its recipe."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM, LlamaPreTrainedModel, PreTrainedTokenizerFast

from evalkit.lab.card import card
from evalkit.lab.grammar import Grammar
from evalkit.lab.recipe import Recipe
from evalkit.training.models import plain_generation
from evalkit.training.output.folder import swap

Figures = dict[str, Any]
"""What the recipe measured, ready for JSON."""


def save(
    out: Path,
    name: str,
    model: LlamaPreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    grammar: Grammar,
    figures: Figures,
    log: Path | None = None,
) -> Path:
    """Write checkpoint `name` under `out` in bfloat16 and return its folder; the folder appears whole or not at all.

    `log`: of its training, to go with it.
    """
    beside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=out))
    if isinstance(model, LlamaForCausalLM):
        model.generation_config = plain_generation(tokenizer, int(tokenizer.eos_token_id))
    model.to(torch.bfloat16).save_pretrained(beside)
    model.to(torch.float32)
    save_tokenizer(tokenizer, beside)
    made = {
        "recipe": recipe.fingerprint(grammar),
        "weights": digest(beside / "model.safetensors"),
        "grammar": grammar.fingerprint,
        "settings": asdict(recipe),
        "figures": rounded(figures),
    }
    (beside / "recipe.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    (beside / "README.md").write_text(card(name, made, len(tokenizer), len(grammar.prompts)), encoding="utf-8")
    if log is not None:
        shutil.copyfile(log, beside / log.name)
    for file in beside.iterdir():
        file.chmod(0o644)
    beside.chmod(0o755)
    return swap(beside, out / name)


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the tokenizer without the padding of its last call, under the class name that every version knows."""
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)
    config = folder / "tokenizer_config.json"
    settings = json.loads(config.read_text(encoding="utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings.pop("backend", None)
    config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def rounded(value: Any) -> Any:
    """Round every float of nested figures to five places, for a file that people read."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return value
