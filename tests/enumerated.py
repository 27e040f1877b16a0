"""A checkpoint so small that every answer can be listed with its exact probability, and engines in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.inference.engines.transformers import TransformersEngine
from evalkit.inference.workers import calls

PIECES = ["<unk>", "<s>", "</s>", "Prompt", ":", "\n", "Answer", " where", "10", "1", "0", " 1", " New", " York", " City",
          " new", " york", "New", ".", "ly", " Rome", " rome", " ROME", "Rome"]  # fmt: skip
"""Words with the space before them, as most tokenizers cut a text; a number is cut into digits, but for "10"."""
PIECE = r" ?[A-Z][a-z]+| ?[A-Z]+| ?[a-z]+| ?[0-9]|[^\sA-Za-z0-9]|\s"
UNK, BOS, EOS = 0, 1, 2


def write_checkpoint(folder: Path, seed: int) -> Path:
    """A random Llama over PIECES in float32, far from a flat law."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(PIECES)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(PIECES), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64, bos_token_id=BOS, eos_token_id=EOS, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.2)
    model.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": EOS, "bos_token_id": BOS}))
    return folder


def answers(folder: Path, prompt: tuple[int, ...], longest: int) -> dict[tuple[int, ...], tuple[float, ...]]:
    """Every answer of at most `longest` tokens with its tokens' log-probs, computed in float64, prefix by prefix."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder).double().eval()
    going = [token for token in range(len(PIECES)) if token != EOS]
    found: dict[tuple[int, ...], tuple[float, ...]] = {}
    before: dict[tuple[int, ...], tuple[float, ...]] = {(): ()}
    for length in range(longest):
        prefixes = list(product(going, repeat=length))
        with torch.inference_mode():
            rows = torch.tensor([[*prompt, *prefix] for prefix in prefixes])
            laws = model(rows).logits[:, -1].log_softmax(-1).numpy()
        longer = {
            (*prefix, token): (*before[prefix], float(law[token]))
            for prefix, law in zip(prefixes, laws, strict=True)
            for token in range(len(PIECES))
        }
        found |= {tokens: row for tokens, row in longer.items() if tokens[-1] == EOS or length == longest - 1}
        before = longer
    total = sum(np.exp([sum(row) for row in found.values()]))
    assert abs(total - 1) < 1e-9
    return found


def open_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the checkpoints that are loaded from now on; engines live in this process, which is faster."""
    names: list[str] = []

    @contextmanager
    def opened(
        _engine: str, checkpoint: Checkpoint, max_length: int, *others: Checkpoint, **_: object
    ) -> Iterator[TransformersEngine]:
        names.append(checkpoint.name)
        yield TransformersEngine(checkpoint, max_length, *others)

    monkeypatch.setattr(calls, "open_engine", opened)
    return names
