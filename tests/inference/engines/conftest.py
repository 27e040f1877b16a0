"""A tiny checkpoint whose exact law can be enumerated, with every trap in its folder, and engines that serve it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.inference.engines.base import Engine, open_engine
from evalkit.records import Rendered, Sampling

VOCABULARY = 64
MAX_LENGTH = 48
PAD, BOS, EOS = 0, 1, 2


def write_tiny_checkpoint(folder: Path) -> None:
    """A random Llama; its generation_config and chat template hold what must be ignored or not done twice."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<bos>", "<eos>", "<unk>", *(f"w{index}" for index in range(VOCABULARY - 4))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", BOS)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )
    fast.chat_template = (
        "<bos> {% for message in messages %}{{ message['content'] }} w9 {% endfor %}{% if loud %}w5{% endif %}"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.08)
        # A law with something to lose to top_p 0.5: some tokens likely, many rare, the end among the likely ones.
        model.lm_head.weight.normal_(0, 0.2)
        model.lm_head.weight[EOS] = 0.12
    model.save_pretrained(folder)
    nasty = {"do_sample": True, "temperature": 0.3, "top_p": 0.5, "top_k": 3, "repetition_penalty": 2.0}
    ends = {"eos_token_id": [EOS, 7], "bos_token_id": BOS, "pad_token_id": PAD}
    (folder / "generation_config.json").write_text(json.dumps(nasty | ends))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_checkpoint(folder)
    return Checkpoint("tiny", "base", str(folder), str(folder), str(folder), None, "0" * 64, "auto")


@pytest.fixture(scope="session")
def transformers_engine(tiny: Checkpoint) -> Iterator[Engine]:
    with open_engine("transformers", tiny, MAX_LENGTH) as engine:
        yield engine


@pytest.fixture(scope="session")
def vllm_engine(tiny: Checkpoint) -> Iterator[Engine]:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    with open_engine("vllm", tiny, MAX_LENGTH) as engine:
        yield engine


@pytest.fixture(params=[pytest.param("vllm", marks=[pytest.mark.vllm, pytest.mark.slow]), "transformers"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each local engine in turn, one child process for the whole session."""
    engine: Engine = request.getfixturevalue(f"{request.param}_engine")
    return engine


@pytest.fixture(scope="session")
def prompts() -> list[Rendered]:
    """Prompts of several lengths: one is BOS alone, one repeats BOS and holds special and unknown tokens."""
    ids = [(BOS, 10, 11, 12), (BOS,), (BOS, BOS, 3, PAD, 63, EOS, 40), (BOS, *range(20, 40))]
    return [Rendered(f"prompt-{index}", "", token_ids) for index, token_ids in enumerate(ids)]


@pytest.fixture(scope="session")
def sampling() -> Callable[..., Sampling]:
    """Sampling settings: the raw law, four draws of at most 16 tokens, but for what is asked."""

    def make(**changed: object) -> Sampling:
        raw = {"n": 4, "temperature": 1.0, "top_p": 1.0, "min_p": 0.0, "max_tokens": 16, "stop": (), "seed": 0}
        return Sampling(**(raw | changed))  # type: ignore[arg-type]

    return make
