"""Networks are loaded whole or not at all, and say at every token what Hugging Face says of the sequence alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.errors import CheckpointError, InputError
from evalkit.records import Prompt
from evalkit.training.batch import pack
from evalkit.training.config import Lora
from evalkit.training.models import (
    Policy,
    fresh_value_network,
    load_policy,
    load_reward_model,
    response_logits,
    response_values,
    sequence_scores,
    token_log_probs,
    without_adapters,
)
from tests.training import toy

PROMPTS = [[0], [1, 2, 3], [2, 2, 0, 1]]
RESPONSES = [[1, 2, toy.EOS], [toy.EOS], [3, 3]]


def spec_of(folder: Path | str) -> CheckpointSpec:
    return CheckpointSpec(path=str(folder), kind="base", frame=Frame(template="{prompt}"))


def policy(folder: Path, kind: str = "llama", lora: Lora | None = None) -> Policy:
    return load_policy("policy", spec_of(toy.checkpoint(folder, kind)), lora)


def reward_model(folder: Path, kind: str = "llama", words: list[str] = toy.WORDS, labels: int = 1) -> str:
    shape = {"vocab_size": len(words), "num_labels": labels, "eos_token_id": toy.EOS, "pad_token_id": None, "bos_token_id": None}  # fmt: skip
    torch.manual_seed(1)
    network = {
        "llama": lambda: LlamaForSequenceClassification(
            LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, **shape)
        ),
        "gpt2": lambda: GPT2ForSequenceClassification(GPT2Config(n_embd=16, n_layer=1, n_head=2, **shape)),
        "bert": lambda: BertForSequenceClassification(
            BertConfig(
                hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                vocab_size=len(words), num_labels=labels,
            )
        ),
    }[kind]()  # fmt: skip
    network.save_pretrained(folder)
    write_tokenizer(folder, words, "</s>")
    return str(folder)


def write_tokenizer(folder: Path, words: list[str], end: str | None) -> None:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[-1]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end).save_pretrained(folder)


def test_a_server_cannot_be_trained() -> None:
    with pytest.raises(CheckpointError, match="checkpoint 'policy' is a server; training needs its weights"):
        load_policy("policy", spec_of("http://localhost:1/v1"))


def test_a_classifier_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a LlamaForSequenceClassification; a policy is a causal language"):
        load_policy("policy", spec_of(reward_model(tmp_path)))


def test_a_policy_whose_tokenizer_knows_no_end_is_refused(tmp_path: Path) -> None:
    folder = toy.checkpoint(tmp_path)
    write_tokenizer(tmp_path, toy.WORDS, None)
    with pytest.raises(CheckpointError, match="its tokenizer has no end-of-sequence token, so nothing ever ends"):
        load_policy("policy", spec_of(folder))


def test_a_checkpoint_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    folder = toy.checkpoint(tmp_path)
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(CheckpointError, match="no tokenizer could be loaded"):
        load_policy("policy", spec_of(folder))


def test_weights_that_are_missing_are_not_drawn_at_random(tmp_path: Path) -> None:
    folder = toy.checkpoint(tmp_path)
    change_config(tmp_path, num_hidden_layers=3)
    with pytest.raises(CheckpointError, match=r"lacks weights of a LlamaForCausalLM \(9, the first model.layers.2"):
        load_policy("policy", spec_of(folder))


def test_weights_of_another_shape_are_named(tmp_path: Path) -> None:
    folder = toy.checkpoint(tmp_path)
    change_config(tmp_path, vocab_size=7)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_policy("policy", spec_of(folder))


def test_an_architecture_that_nobody_knows_is_named(tmp_path: Path) -> None:
    folder = toy.checkpoint(tmp_path)
    change_config(tmp_path, model_type="lama")
    with pytest.raises(CheckpointError, match="lama"):
        load_policy("policy", spec_of(folder))


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_a_generation_config_of_the_checkpoint_decides_nothing_but_the_ends(tmp_path: Path) -> None:
    folder = toy.checkpoint(tmp_path)
    odd = {"eos_token_id": [2, toy.EOS], "temperature": 0.3, "top_k": 1, "repetition_penalty": 1.3, "do_sample": True}
    (tmp_path / "generation_config.json").write_text(json.dumps(odd), encoding="utf-8")
    its = load_policy("policy", spec_of(folder))
    config = its.model.generation_config
    assert its.stops == {2, toy.EOS}
    assert (config.temperature, config.top_p, config.do_sample) == (1.0, 1.0, True)
    assert not config.top_k
    assert config.repetition_penalty in (None, 1.0)


def test_a_prompt_without_room_to_answer_is_named(tmp_path: Path) -> None:
    its = policy(tmp_path)
    prompts = (Prompt("short", "a b"), Prompt("long", "a " * 30))
    assert its.prompt_ids(prompts, 2) == [(0, 1), (0,) * 30]
    with pytest.raises(
        InputError, match=r"prompt 'long' takes 30 tokens, which leaves no room for max_tokens 3 in .* context of 32"
    ):
        its.prompt_ids(prompts, 3)


def test_a_prompt_without_tokens_is_named(tmp_path: Path) -> None:
    its = policy(tmp_path)
    blank = load_policy("policy", its.spec.model_copy(update={"frame": Frame(template=" {prompt}")}))
    with pytest.raises(InputError, match="prompt 'nothing' has no tokens"):
        blank.prompt_ids((Prompt("nothing", "\u200a"),), 3)


def test_a_completion_as_tokens_ends_and_reads_back(tmp_path: Path) -> None:
    its = policy(tmp_path)
    ids = its.response_ids("b c a")
    assert ids == [1, 2, 0, toy.EOS]
    assert its.texts([ids, [3], [toy.EOS]]) == ["b c a", "d", ""]


def test_a_reward_model_with_two_labels_is_refused(tmp_path: Path) -> None:
    source = reward_model(tmp_path / "reward", labels=2)
    with pytest.raises(CheckpointError, match="has 2 labels; a reward model has one"):
        load_reward_model(source, policy(tmp_path / "policy"))


def test_a_language_model_is_no_reward_model(tmp_path: Path) -> None:
    its = policy(tmp_path)
    with pytest.raises(CheckpointError, match="is a LlamaForCausalLM; a reward model is a sequence-classification"):
        load_reward_model(its.checkpoint.location, its)


@pytest.mark.parametrize("words", [["a", "b", "d", "c", "</s>"], ["a", "b", "c", "e", "</s>"]])
def test_a_reward_model_that_reads_other_tokens_is_refused(tmp_path: Path, words: list[str]) -> None:
    source = reward_model(tmp_path / "reward", words=words)
    with pytest.raises(
        CheckpointError, match=r"has another tokenizer than the policy.*'[cd]' is .*evalkit train reward"
    ):
        load_reward_model(source, policy(tmp_path / "policy"))


def test_a_reward_model_may_have_tokens_of_its_own(tmp_path: Path) -> None:
    source = reward_model(tmp_path / "reward", words=[*toy.WORDS, "<pad>"])
    assert load_reward_model(source, policy(tmp_path / "policy")).classifier.config.vocab_size == 6


def test_a_reward_model_whose_head_is_elsewhere_is_refused(tmp_path: Path) -> None:
    source = reward_model(tmp_path / "reward", "bert")
    with pytest.raises(CheckpointError, match="BertForSequenceClassification has no `score` head"):
        load_reward_model(source, policy(tmp_path / "policy"))


def test_a_reward_model_without_a_head_is_refused(tmp_path: Path) -> None:
    its = policy(tmp_path / "policy")
    toy.checkpoint(tmp_path / "reward")
    change_config(tmp_path / "reward", architectures=["LlamaForSequenceClassification"], num_labels=1)
    with pytest.raises(
        CheckpointError, match=r"lacks weights of a LlamaForSequenceClassification \(1, the first score.weight"
    ):
        load_reward_model(str(tmp_path / "reward"), its)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_scores_are_those_that_transformers_gives_each_sequence_alone(tmp_path: Path, kind: str) -> None:
    source = reward_model(tmp_path / "reward", kind)
    network = load_reward_model(source, policy(tmp_path / "policy"))
    theirs = AutoModelForSequenceClassification.from_pretrained(source).eval()
    with torch.no_grad():
        found = sequence_scores(network, pack(PROMPTS, RESPONSES, pad=3))
        alone = [
            theirs(input_ids=torch.tensor([prompt + response])).logits[0, 0]
            for prompt, response in zip(PROMPTS, RESPONSES, strict=True)
        ]
    torch.testing.assert_close(found, torch.stack(alone), atol=1e-5, rtol=0)


def test_a_value_is_what_the_network_says_before_the_token(tmp_path: Path) -> None:
    network = load_reward_model(reward_model(tmp_path / "reward", "gpt2"), policy(tmp_path / "policy"))
    batch = pack(PROMPTS, RESPONSES)
    with torch.no_grad():
        values = response_values(network, batch)
        for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
            for place in range(len(response)):
                before = sequence_scores(network, pack([prompt + response[:place]], [[]]).rows(torch.tensor([0])))
                assert float(values[row, place]) == pytest.approx(float(before), abs=1e-5)


def test_values_are_not_rounded_to_bfloat16_where_the_body_is(tmp_path: Path) -> None:
    its = policy(tmp_path)
    network = load_reward_model(reward_model(tmp_path / "reward"), its)
    batch = pack([[1, 2, 3]], [[2, 1, 3]])
    with torch.no_grad():
        exact = response_values(network, batch)
        with torch.autocast("cpu", torch.bfloat16):
            found = response_values(network, batch)
    assert found.dtype == torch.float32
    assert (found != found.bfloat16()).all()
    assert found == pytest.approx(exact, rel=0.05, abs=0.01)


def test_a_rescaled_network_gives_shifted_and_scaled_values(tmp_path: Path) -> None:
    network = load_reward_model(reward_model(tmp_path / "reward"), policy(tmp_path / "policy"))
    batch = pack(PROMPTS, RESPONSES)
    with torch.no_grad():
        before = sequence_scores(network, batch)
        network.rescale(3.0, 2.0)
        torch.testing.assert_close(sequence_scores(network, batch), (before - 3) / 2)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_language_model_becomes_a_value_network_with_its_own_body(tmp_path: Path, kind: str) -> None:
    its = policy(tmp_path, kind)
    network, again, other = (fresh_value_network(its.spec, seed) for seed in (0, 0, 1))
    body = dict(its.model.base_model.named_parameters())
    assert all(torch.equal(p, body[name]) for name, p in network.classifier.base_model.named_parameters())
    head, same, different = (n.classifier.get_submodule("score").weight for n in (network, again, other))
    assert torch.equal(head, same)
    assert not torch.equal(head, different)
    assert float(head.detach().std()) == pytest.approx(33**-0.5, rel=0.4)  # of 32 numbers


def test_adapters_leave_the_reference_within_reach(tmp_path: Path) -> None:
    plain = policy(tmp_path / "a")
    its = policy(tmp_path / "b", lora=Lora(rank=2, alpha=4))
    batch = pack(PROMPTS, RESPONSES)
    with torch.no_grad():
        for name, parameter in its.model.named_parameters():
            assert parameter.requires_grad == ("lora_" in name)
            if "lora_" in name:
                parameter.add_(0.3)
        before, changed = response_logits(plain.model, batch), response_logits(its.model, batch)
        with without_adapters(its, its.model) as reference:
            torch.testing.assert_close(response_logits(reference, batch), before)
    assert not torch.allclose(changed, before, atol=0.01)


def test_adapters_of_modules_that_there_are_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lora\.targets: .*query_key"):
        policy(tmp_path, lora=Lora(targets=("query_key",)))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_logits_of_responses_are_those_of_each_sequence_alone(tmp_path: Path, kind: str) -> None:
    its = policy(tmp_path, kind)
    tokenizer = AutoTokenizer.from_pretrained(its.checkpoint.location)
    assert tokenizer.eos_token_id == toy.EOS
    with torch.no_grad():
        found = response_logits(its.model, pack(PROMPTS, RESPONSES), temperature=0.5)
        for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
            alone = its.model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1] / 0.5
            torch.testing.assert_close(found[row, : len(response)], alone, atol=1e-5, rtol=0)


def test_token_log_probs_and_their_gradient_are_those_of_cross_entropy() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 5, 11, dtype=torch.float64, requires_grad=True)
    tokens, weights = torch.randint(11, (3, 5)), torch.randn(3, 5, dtype=torch.float64)
    expected = -torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens, reduction="none")
    [slope] = torch.autograd.grad((expected * weights).sum(), logits)
    found = token_log_probs(logits, tokens)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad((found * weights).sum(), logits)[0], slope)


def test_a_second_gradient_of_token_log_probs_is_refused_and_not_wrong() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    total = token_log_probs(logits, torch.zeros(2, 3, dtype=torch.long)).sum()
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()
