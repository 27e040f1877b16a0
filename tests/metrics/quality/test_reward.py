"""The reward score: what text it reads, that batching does not change it, and which checkpoints it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from evalkit.checkpoints.folder import fingerprint
from evalkit.errors import CheckpointError, EngineError, MetricError
from evalkit.metrics.quality.reward import RewardModel, asked_of, reward
from evalkit.metrics.registry import parse
from evalkit.records import Completion, Group, Message, Prompt

WORDS = ["<pad>", "<bos>", "<eos>", "<unk>", *(f"w{index}" for index in range(28))]
TALK = (Message("user", "w1"), Message("assistant", "w2"), Message("user", "w4"))
TEMPLATE = "<bos> {% for message in messages %}{{ message['role'] }} {{ message['content'] }} w9 {% endfor %}"


def write_reward_model(folder: Path, template: str | None = None, **changed: Any) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")
    fast.chat_template = template
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    settings = {"vocab_size": len(WORDS), "max_position_embeddings": 64, "num_labels": 1, "pad_token_id": None}
    config = LlamaConfig(**(sizes | settings | changed))
    model = LlamaForSequenceClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reward_model(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reward_model(tmp_path_factory.mktemp("chat"), TEMPLATE)


def group(prompt: str, *texts: str) -> Group:
    return Group(
        Prompt(id=prompt, text=prompt),
        tuple(Completion(prompt, slot, text, (), (), "stop") for slot, text in enumerate(texts)),
    )


def by_hand(folder: Path, text: str, add_special_tokens: bool) -> float:
    """One text at a time, no padding: the number at the last token, straight from the model."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=add_special_tokens)["input_ids"]
    with torch.inference_mode():
        hidden = model.model(torch.tensor([ids])).last_hidden_state[0, -1]
        return float(model.score(hidden)[0])


GROUPS = [group("w1 w2", "w3", "w4 w5 w6 w7 w8 w9", "w3", ""), group("w10", " w11 w12 "), group("w13")]


def test_without_a_template_prompt_and_completion_are_two_paragraphs(plain: Path) -> None:
    values = reward(GROUPS, model=str(plain))
    assert [array.shape for array in values] == [(4,), (1,), (0,)]
    assert all(array.dtype == np.float64 for array in values)
    assert values[0][1] == pytest.approx(by_hand(plain, "w1 w2\n\nw4 w5 w6 w7 w8 w9", True), abs=1e-5)
    assert values[1][0] == pytest.approx(by_hand(plain, "w10\n\nw11 w12", True), abs=1e-5)
    assert values[0][0] == values[0][2] != values[0][1]


def test_with_a_template_it_is_an_exchange_with_one_bos(chat: Path) -> None:
    [values] = reward(GROUPS[:1], model=str(chat))
    assert values[0] == pytest.approx(by_hand(chat, "<bos> user w1 w2 w9 assistant w3 w9 ", False), abs=1e-5)


def test_a_conversation_is_written_turn_by_turn_and_without_a_template_as_a_transcript(chat: Path, plain: Path) -> None:
    prompt = Prompt("p", "user: w1\n\nassistant: w2\n\nuser: w4", messages=TALK)
    [value] = RewardModel(str(chat), "r").score([(asked_of(prompt), "w3")])
    text = "<bos> user w1 w9 assistant w2 w9 user w4 w9 assistant w3 w9 "
    assert value == pytest.approx(by_hand(chat, text, False), abs=1e-5)
    [value] = RewardModel(str(plain), "r").score([(asked_of(prompt), "w3")])
    assert value == pytest.approx(by_hand(plain, f"{prompt.text}\n\nw3", True), abs=1e-5)


@pytest.mark.parametrize("rule", ["{{ raise_exception('no system') }}", ""], ids=["refused", "left out"])
def test_a_system_turn_that_the_template_does_not_take_begins_the_first_user_turn(
    chat: Path, tmp_path: Path, rule: str
) -> None:
    folder = shutil.copytree(chat, tmp_path / "ruled")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    body = "{{ message['role'] }} {{ message['content'] }} w9 "
    tokenizer.chat_template = (
        f"<bos> {{% for message in messages %}}{{% if message['role'] == 'system' %}}{rule}"
        f"{{% else %}}{body}{{% endif %}}{{% endfor %}}"
    )
    tokenizer.save_pretrained(folder)
    [value] = RewardModel(str(folder), "r").score([((("system", "w5"), ("user", "w1")), "w3")])
    assert value == pytest.approx(by_hand(folder, "<bos> user w5\n\nw1 w9 assistant w3 w9 ", False), abs=1e-5)


def test_a_conversation_that_the_template_refuses_is_one_line(chat: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(chat, tmp_path / "ruled")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{% if messages | length > 2 %}{{ raise_exception('one turn only') }}{% endif %}w1"
    tokenizer.save_pretrained(folder)
    with pytest.raises(MetricError, match="its chat template refuses the prompt 'w1': one turn only"):
        RewardModel(str(folder), "r").score([((("user", "w1"), ("assistant", "w2"), ("user", "w4")), "w3")])


@pytest.mark.parametrize("pad", [None, 0, 2], ids=["none named", "pad", "the end token"])
def test_company_in_a_batch_changes_no_reward(tmp_path: Path, pad: int | None) -> None:
    model = RewardModel(str(write_reward_model(tmp_path, pad_token_id=pad)), "r")
    random = np.random.default_rng(0)
    exchanges = [("w1", " ".join(f"w{one}" for one in random.integers(0, 28, size=size))) for size in range(40)]
    alone = [model.score([exchange])[0] for exchange in exchanges]
    assert model.score(exchanges) == pytest.approx(alone, abs=1e-5)
    assert np.std(alone) > 0.01


def test_a_batch_that_does_not_fit_is_halved_in_the_model_that_is_loaded(plain: Path) -> None:
    import torch

    model = RewardModel(str(plain), "r")
    exchanges = [("w1", " ".join(["w2"] * size)) for size in range(1, 12)]
    whole = model.score(exchanges)
    really, sizes = model._model, []

    def narrow(input_ids: Any, attention_mask: Any) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return really(input_ids=input_ids, attention_mask=attention_mask)

    model._model = narrow
    assert model.score(exchanges) == pytest.approx(whole, abs=1e-5)
    assert sizes[0] == 11
    assert max(size for size in sizes if size <= 3) > 1


def test_the_last_real_token_is_read_even_where_it_is_the_unnamed_padding(plain: Path) -> None:
    model = RewardModel(str(plain), "r")
    exchanges = [("w1", "w2 <eos>"), ("w1", "w2 <pad>"), ("w1", "w2 w3 w4 w5 w6 w7")]
    wanted = [by_hand(plain, f"{prompt}\n\n{text}", True) for prompt, text in exchanges]
    assert model.score(exchanges) == pytest.approx(wanted, abs=1e-5)


def test_what_the_model_cannot_read_gets_no_reward(plain: Path) -> None:
    """Too long for it, or in words that it does not know: undefined, not truncated and not a made-up number."""
    texts = ["w2 " * 100, "words from another world", "w2 " * 9 + "odd", "w2 " * 8 + "odd odd"]
    [rewards] = reward([group("w1", *texts)], model=str(plain))
    assert list(np.isnan(rewards)) == [True, True, False, True]


def test_a_model_with_more_labels_is_refused(tmp_path: Path) -> None:
    folder = write_reward_model(tmp_path, num_labels=3)
    with pytest.raises(MetricError, match="cannot give rewards: it has 3 labels; a reward model has one"):
        reward(GROUPS, model=str(folder))


def test_a_language_model_is_refused_rather_than_given_a_random_head(plain: Path, tmp_path: Path) -> None:
    for path in plain.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((plain / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["LlamaForCausalLM"]}))
    with pytest.raises(MetricError, match="LlamaForCausalLM, not a sequence-classification checkpoint"):
        reward(GROUPS, model=str(tmp_path))


def test_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(CheckpointError):
        reward(GROUPS, model="./no/such/folder")


def test_a_broken_model_is_one_line(plain: Path, tmp_path: Path) -> None:
    for path in plain.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[: 500 if path.suffix == ".safetensors" else None])
    with pytest.raises(EngineError, match=r"^reward model .* failed while starting"):
        reward(GROUPS, model=str(tmp_path))


def test_the_signature_names_the_weights(plain: Path) -> None:
    measure = parse({"reward": {"model": str(plain)}})
    assert f"|weights:{fingerprint(plain)[:12]}|" in measure.signature(4, "none")
    with pytest.raises(MetricError, match="needs a value for 'model'"):
        parse("reward")
