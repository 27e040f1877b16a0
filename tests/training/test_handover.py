"""Weights reach another process as a checkpoint's files would hold them, and the model keeps its own."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.training.config import Lora
from evalkit.training.handover import checkpoint_weights, shared_weights
from evalkit.training.models import Policy, load_policy
from tests.training import toy


def policy(folder: Path, kind: str = "llama", lora: Lora | None = None) -> Policy:
    spec = CheckpointSpec(path=toy.checkpoint(folder, kind), kind="base", frame=Frame())
    return load_policy("policy", spec, lora)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_weights_are_those_that_would_be_saved(tmp_path: Path, kind: str) -> None:
    """Under each name: GPT-2's output layer is its embedding, which is stored once."""
    its = policy(tmp_path / "toy", kind)
    weights = checkpoint_weights(its.model)
    its.model.save_pretrained(tmp_path / "saved")
    again, loading = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not loading["missing_keys"]
    saved = again.state_dict()
    assert set(weights) == set(saved)
    assert all(torch.equal(weight, saved[name]) for name, weight in weights.items())


def test_adapters_are_merged_and_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    its = policy(tmp_path, lora=Lora(rank=2, alpha=8))
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in its.model.named_parameters():
            if "lora_" in name:
                parameter.add_(torch.randn(parameter.shape, generator=draw))
    before = copy.deepcopy(its.model.state_dict())
    weights = checkpoint_weights(its.model)
    assert all(torch.equal(weight, before[name]) for name, weight in its.model.state_dict().items())
    merged = copy.deepcopy(its.model).merge_and_unload().state_dict()
    assert set(weights) == set(merged)
    for name, weight in weights.items():
        torch.testing.assert_close(weight, merged[name])
    plain = policy(tmp_path).model.state_dict()
    assert not torch.equal(plain["model.layers.0.mlp.up_proj.weight"], weights["model.layers.0.mlp.up_proj.weight"])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_one_side_writes_the_other_one_reads(tmp_path: Path, dtype: str) -> None:
    its = policy(tmp_path)
    with shared_weights(its, dtype) as shared:
        here, there = shared.views(), shared.views()
        for name, weight in checkpoint_weights(its.model).items():
            here[name].copy_(weight)
        for name, weight in checkpoint_weights(its.model).items():
            assert torch.equal(there[name], weight.to(getattr(torch, dtype)))
