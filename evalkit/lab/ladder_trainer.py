"""A checkpoint of the ladder is tuned in a process of its own, with one thread: the same on a machine of any size."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM

from evalkit.lab import tokenizer as tokenizers
from evalkit.lab.probe import portray
from evalkit.lab.recipe import Recipe
from evalkit.lab.world import load
from evalkit.plumbing.progress import Quiet
from evalkit.training.config import PpoConfig
from evalkit.training.ladder import train_ladder


class LadderTrainer:
    """What the child process does."""

    def __init__(self) -> None:
        torch.set_num_threads(1)

    def train(self, config: PpoConfig, out: Path, progress: Callable[[int], None]) -> tuple[str, dict[str, Any]]:
        """Tune one policy; returns its folder and what it reached. `progress` is told of updates done."""
        folder = train_ladder(config, out, _Updates(progress, config.batch))[0]
        return str(folder), json.loads((folder / "training.json").read_text(encoding="utf-8"))["reached"]

    def portray(self, folder: str, group: str, recipe: Recipe) -> dict[str, Any]:
        """Measure what the tuned model says, by the values of its raters."""
        grammar = load()
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        plain = tokenizers.build(grammar, chat=False)
        said = portray(model, grammar, plain, recipe.raters[group], recipe.probe_samples, recipe.seed + 2000)
        return {kind: asdict(portrait) for kind, portrait in said.items()}


class _Updates(Quiet):
    """Passes advances on as updates."""

    def __init__(self, progress: Callable[[int], None], batch: int) -> None:
        self._progress, self._batch, self._done = progress, batch, 0

    def advance(self, amount: int, tokens: int = 0) -> None:
        self._done += amount
        self._progress(self._done // self._batch)
