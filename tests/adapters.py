"""LoRA adapters of the lab's base, made by peft with seeded weights that change it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalkit.checkpoints import locate

MODULES = ["q_proj", "v_proj", "down_proj"]


def write_adapter(folder: Path, seed: int, rank: int = 4, merged: Path | None = None, **config: Any) -> Path:
    """An adapter of `lab:base` in `folder`; with `merged`, the whole weights with it on them too, in float32."""
    base = locate("lab:base")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = {"r": rank, "lora_alpha": 16, "target_modules": MODULES, "task_type": "CAUSAL_LM"} | config
    torch.manual_seed(seed)
    model = get_peft_model(model, LoraConfig(**settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    model.save_pretrained(folder)
    if merged is not None:
        model.merge_and_unload().save_pretrained(merged)
        AutoTokenizer.from_pretrained(base).save_pretrained(merged)
    return folder
