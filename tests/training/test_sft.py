"""Fine-tuning learns the distribution of completions, from the completion's tokens alone."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from lxml import html
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalkit.checkpoints.training_log import read_curves
from evalkit.errors import EvalkitError, InputError, RecordsError
from evalkit.plumbing.progress import Quiet
from evalkit.records import Prompt
from evalkit.training import optimise, sft
from evalkit.training.config import SftConfig
from evalkit.training.models import load_policy
from tests.training import toy
from tests.training.test_reward_model import PROMPTS, Interrupting, Noting, Stops

Line = dict[str, object]
SHARE = 0.7
"""Of the completions that repeat the prompt's first letter; the others say b c."""


def lines(number: int, key: str = "completion") -> list[Line]:
    rng = random.Random(number)
    found: list[Line] = []
    for _ in range(number):
        prompt = rng.choice(PROMPTS)
        found.append({"prompt": prompt, key: prompt[0] if rng.random() < SHARE else "b c"})
    return found


def config_of(folder: Path, data: Sequence[Line], **changes: object) -> SftConfig:
    (folder / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in data), encoding="utf-8")
    given = {
        "name": "toy", "data": str(folder / "data.jsonl"), "batch": 32, "learning_rate": 3e-3, "held_out": 0.1,
        "model": {"path": toy.checkpoint(folder / "model"), "kind": "base", "frame": {"template": "{prompt} d"}},
    }  # fmt: skip
    return SftConfig.model_validate(given | changes)


def examples_of(config: SftConfig) -> list[sft.Example]:
    policy = load_policy("model", config.model)
    return sft.encode(config, policy, sft.read_rows(config.data), Quiet())[0]


def test_cross_entropy_reaches_the_entropy_of_the_law(tmp_path: Path) -> None:
    config = config_of(tmp_path, lines(3000), learning_rate=1e-2)
    folder = sft.train_sft(config, tmp_path / "out", Quiet())
    facts = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    entropy = -SHARE * math.log(SHARE) - (1 - SHARE) * math.log(1 - SHARE)
    assert facts["held_out"]["loss_completion"] == pytest.approx(entropy, abs=0.1)
    rows = read_curves(tmp_path / "out" / "sft.work")
    assert not (tmp_path / "out" / "sft.work" / "state.safetensors").exists()
    assert rows[0]["loss"] > 1.2
    assert rows[-1]["held_out_loss"] == pytest.approx(facts["held_out"]["loss_token"], abs=0.05)


def test_the_checkpoint_is_an_ordinary_one(tmp_path: Path) -> None:
    config = config_of(tmp_path, lines(200))
    folder = sft.train_sft(config, tmp_path / "out", Quiet(), ["evalkit", "train", "sft", "my sft.yaml"])
    assert folder == tmp_path / "out" / "sft"
    assert AutoModelForCausalLM.from_pretrained(folder).config.vocab_size == 5
    messages = [{"role": "user", "content": "a b"}]
    written = AutoTokenizer.from_pretrained(folder).apply_chat_template(messages, tokenize=False)
    policy = load_policy("model", config.model)
    assert tuple(policy.tokenizer(written)["input_ids"]) == policy.prompt_ids((Prompt("p", "a b"),), 1)[0]
    page = html.fromstring((tmp_path / "out" / "training.html").read_text(encoding="utf-8"))
    provenance = " ".join(page.xpath("string(//*[@id='provenance']/..)").split())
    assert "statecomplete commandevalkit train sft 'my sft.yaml' started" in provenance
    assert "nats a token" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("microbatch", [1, 3, 64])
def test_the_loss_is_the_mean_over_completion_tokens_alone(tmp_path: Path, microbatch: int) -> None:
    config = config_of(tmp_path, lines(30), microbatch=microbatch)
    some = examples_of(config)[:10]
    plain = load_policy("model", config.model)
    lost = []
    for example in some:
        log_probs = plain.model(torch.tensor([[*example.prompt, *example.completion]])).logits[0].log_softmax(dim=-1)
        begin = len(example.prompt) - 1
        lost += [-log_probs[begin + place, token] for place, token in enumerate(example.completion)]
    loss = torch.stack(lost).mean()
    loss.backward()

    policy = load_policy("model", config.model)
    means = optimise.accumulate(config, sft.cross_entropy(policy), some)
    assert means["loss"] == pytest.approx(loss.item(), abs=1e-5)
    for ours, theirs in zip(policy.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)


def test_a_completion_is_closed_by_the_end_of_sequence(tmp_path: Path) -> None:
    config = config_of(tmp_path, [{"prompt": "a", "completion": "b c"}, {"prompt": "d", "completion": "b c"}])
    [example] = examples_of(config)
    assert example.completion == (1, 2, toy.EOS)
    assert example.prompt in {(0, 3), (3, 3)}


def test_preferences_are_read_for_what_was_chosen(tmp_path: Path) -> None:
    data = [line | {"rejected": "d d d"} for line in lines(40, "chosen")]
    chosen = examples_of(config_of(tmp_path, data))
    assert chosen == examples_of(config_of(tmp_path, lines(40)))


def test_a_killed_training_goes_on_to_the_same_curve_and_model(tmp_path: Path) -> None:
    config = config_of(tmp_path, lines(600), epochs=3)
    unbroken = sft.train_sft(config, tmp_path / "unbroken", Quiet())
    for after in (8, 30):
        with pytest.raises(Stops):
            sft.train_sft(config, tmp_path / "broken", Interrupting(after))
    broken = sft.train_sft(config, tmp_path / "broken", Quiet())
    rows = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in read_curves(tmp_path / name / "sft.work")]
        for name in ("unbroken", "broken")
    ]
    assert rows[0] == rows[1]
    assert (unbroken / "model.safetensors").read_bytes() == (broken / "model.safetensors").read_bytes()


def test_adapters_are_merged(tmp_path: Path) -> None:
    config = config_of(tmp_path, lines(400), lora={"rank": 4}, learning_rate=1e-2)
    folder = sft.train_sft(config, tmp_path / "out", Quiet())
    before = AutoModelForCausalLM.from_pretrained(config.model.path).state_dict()
    after = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert set(after) == set(before)
    assert "model.layers.0.self_attn.q_proj.weight" in changed
    assert "model.embed_tokens.weight" not in changed
    rows = read_curves(tmp_path / "out" / "sft.work")
    assert rows[-1]["held_out_loss"] < rows[0]["held_out_loss"] - 0.3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([{"prompt": "a", "text": "b"}], r"data.jsonl:1: there is neither `completion` nor `chosen`.*\"text\""),
        ([{"completion": "b"}], r"data.jsonl:1: prompt: this key is missing"),
        ([{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": 3}], r"data.jsonl:2: completion: found 3"),
        ([], "holds no rows"),
    ],
)
def test_lines_that_cannot_be_read_are_named(tmp_path: Path, data: list[Line], message: str) -> None:
    with pytest.raises(RecordsError, match=message):
        sft.train_sft(config_of(tmp_path, data), tmp_path / "out", Quiet())


def test_a_single_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least two"):
        sft.train_sft(config_of(tmp_path, [{"prompt": "a", "completion": "b"}]), tmp_path / "out", Quiet())
    assert not (tmp_path / "out").exists()


def test_examples_that_do_not_fit_are_left_out_and_counted(tmp_path: Path) -> None:
    config = config_of(tmp_path, [*lines(20), {"prompt": "a a", "completion": "b " * 40}])
    tell = Noting()
    sides = sft.encode(config, load_policy("model", config.model), sft.read_rows(config.data), tell)
    assert sum(map(len, sides)) == 20
    assert tell.notes == ["1 of 21 examples are longer than the model's context, and left out"]


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match=r"step \d+: the loss or its gradient is not a finite number"):
        sft.train_sft(config_of(tmp_path, lines(200), learning_rate=1e30), tmp_path / "out", Quiet())
    assert not (tmp_path / "out" / "sft").exists()
