"""What fits the memory, against the memory that is really taken; what is said where it runs out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import EvalkitError
from evalkit.training import memory
from evalkit.training.config import Lora
from evalkit.training.memory import DRAW, bytes_of_row, rows_that_fit, told_when_full
from evalkit.training.models import load_policy
from evalkit.training.rollout import sample
from tests.training import toy
from tests.training.test_rollout import LONG, SHORT, policy

CONFIGS = {
    "llama": LlamaConfig(vocab_size=11, hidden_size=32, intermediate_size=8, num_hidden_layers=3, num_attention_heads=4,
                         num_key_value_heads=2),
    "wide heads": LlamaConfig(vocab_size=11, hidden_size=32, intermediate_size=8, num_hidden_layers=2,
                              num_attention_heads=4, head_dim=24),
    "gpt2": GPT2Config(vocab_size=11, n_embd=32, n_layer=3, n_head=4),
}  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_row_takes_what_its_cache_takes(config: Any) -> None:
    model = AutoModelForCausalLM.from_config(config)
    tokens = 7
    cache = model(torch.zeros(1, tokens, dtype=torch.long), use_cache=True).past_key_values
    taken = sum(keys.nbytes + values.nbytes for keys, values, *_ in cache)
    assert bytes_of_row(config, tokens) == taken + DRAW * 11


def test_a_model_without_heads_has_a_row_too() -> None:
    its = SimpleNamespace(num_hidden_layers=2, hidden_size=8, vocab_size=10)
    assert bytes_of_row(SimpleNamespace(get_text_config=lambda: its), 5) == 2 * 4 * 2 * 8 * 5 + DRAW * 10


def test_rows_fit_an_eighth_of_the_memory_and_one_always_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = policy(tmp_path, "llama").model
    row = bytes_of_row(model.config, 6)
    for memory_in_rows, rows in ((1, 1), (8, 1), (23, 2), (80, 10)):
        monkeypatch.setattr(memory, "memory_of", lambda _, its=memory_in_rows * row: its)
        assert rows_that_fit(model, 6) == rows


def test_the_machine_has_memory() -> None:
    assert memory.memory_of(torch.device("cpu")) > 2**28


def test_prompts_that_do_not_fit_together_are_answered_one_after_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    its = policy(tmp_path, "llama")
    asked = [SHORT, LONG, [2, 2], LONG, SHORT]
    together = sample(its, asked, toy.LONGEST, temperature=1e-4)
    taken: list[int] = []
    its.model.register_forward_hook(lambda *said: taken.append(len(said[2].logits)))
    monkeypatch.setattr(memory, "memory_of", lambda _: 16 * bytes_of_row(its.model.config, len(LONG) + toy.LONGEST))
    assert sample(its, asked, toy.LONGEST, temperature=1e-4) == together
    assert max(taken) == 2


def test_rows_are_known_of_a_model_with_adapters(tmp_path: Path) -> None:
    spec = CheckpointSpec(path=toy.checkpoint(tmp_path), kind="base")
    assert rows_that_fit(load_policy("policy", spec, Lora(rank=2)).model, 8) == rows_that_fit(
        load_policy("policy", spec).model, 8
    )


def test_a_processor_without_memory_is_a_line_that_says_what_to_change() -> None:
    with (
        pytest.raises(EvalkitError, match=r"^memory ran out \(\d+ bytes more .*; lower microbatch \(16 now\).*goes on"),
        told_when_full(16),
    ):
        torch.empty(2**50)


def test_a_gpu_without_memory_is_one_too() -> None:
    said = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which ..."
    with (
        pytest.raises(
            EvalkitError, match=r"^memory ran out \(20\.00 GiB more were asked for\); microbatch is 1 already"
        ),
        told_when_full(1),
    ):
        raise torch.OutOfMemoryError(said)


def test_any_other_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes"), told_when_full(16):
        raise RuntimeError("shapes do not fit")
