"""Reward models of one and the same weights come of every layout; ties pull rewards to the Bradley-Terry optimum."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid
from transformers import AutoTokenizer

from evalkit.errors import InputError
from evalkit.plumbing.progress import Quiet
from evalkit.preferences.files import Preference, read_preferences
from evalkit.preferences.layouts.turns import transcript
from evalkit.training import reward_model as reward
from evalkit.training.bradley_terry import preference_loss
from evalkit.training.comparisons import Comparison, compare, prompt_ids
from evalkit.training.config import RewardConfig
from evalkit.training.models import fresh_value_network, load_policy
from tests.preferences.test_layouts import WAYS, written
from tests.training import toy
from tests.training.test_reward_model import CHAT, config_of, likes, prefer


def with_chat(folder: Path) -> dict[str, Any]:
    path = toy.checkpoint(folder / "tuned")
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.bos_token, tokenizer.chat_template = "</s>", CHAT
    tokenizer.save_pretrained(path)
    return {"path": path, "kind": "tuned"}


def test_every_layout_trains_the_same_weights(tmp_path: Path) -> None:
    pairs = [p for p in prefer(likes("a"), None, 60) if p.chosen != p.rejected]
    config = config_of(tmp_path, pairs, batch=16, reference_samples=0)
    policy = load_policy("model", config.model)
    expected = reward.encode(config, policy, pairs, Quiet())
    weights = []
    for way, make in WAYS.items():
        path = written(tmp_path / f"{way}.jsonl", [make(p.prompt, p.chosen, p.rejected) for p in pairs])
        asked = config.model_copy(update={"preferences": (str(path),)})
        assert reward.encode(asked, policy, read_preferences([path]), Quiet()) == expected, way
        if way in ("own", "hh", "arena"):
            [folder] = reward.train_reward(asked, tmp_path / f"out-{way}", Quiet())
            weights.append((folder / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20))
def test_ties_at_one_half_have_the_optimum_that_one_computes_by_hand(wins: int, losses: int, ties: int) -> None:
    # Cross entropy of P = sigmoid(m) is least where P is the mean label, (wins + ties / 2) / n.
    mean = (wins + ties / 2) / (wins + losses + ties)
    margin = torch.tensor(math.log(mean / (1 - mean)), dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([1.0] * wins + [0.0] * losses + [0.5] * ties, dtype=torch.float64)
    preference_loss(margin.expand(len(targets)), targets).sum().backward()
    assert margin.grad is not None
    assert float(margin.grad) == pytest.approx(0, abs=1e-12)


def test_three_answers_with_ties_reach_the_rewards_of_the_enumerated_optimum() -> None:
    """Labels drawn up from known rewards, a tie for each win and loss that cancel: the fit gives the rewards back."""
    truth = torch.tensor([0.9, -0.2, -0.7], dtype=torch.float64)
    first, second = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 2])
    wins = torch.sigmoid(truth[first] - truth[second])  # of 1 comparison each
    ties = 2 * torch.minimum(wins, 1 - wins)  # half of them count as won: what is left is won or lost outright
    rewards = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([rewards], tolerance_grad=1e-12, tolerance_change=1e-14, max_iter=200)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        margins = rewards[first] - rewards[second]
        tied = ties * preference_loss(margins, torch.full_like(margins, 0.5))
        won = (1 - ties) * preference_loss(margins, (wins > 0.5).double())
        total = (tied + won).sum()
        total.backward()
        return total

    optimiser.step(loss)
    torch.testing.assert_close(rewards.detach() - rewards.detach().mean(), truth - truth.mean(), atol=1e-6, rtol=0)


def test_a_tie_costs_the_same_whichever_stands_first_and_takes_no_margin(tmp_path: Path) -> None:
    ties = [Preference("a b", "a", "b", winner="tie"), Preference("a c", "b c", "d", winner="both_bad")]
    config = config_of(tmp_path, ties, margin=0.7)
    policy = load_policy("model", config.model)
    network = fresh_value_network(config.model, 0)
    objective = reward.bradley_terry(config, network)
    ids = prompt_ids(policy, ties, 1)
    few = compare(policy, read_preferences(config.preferences, lambda _: None), ids)
    turned = [Comparison(c.prompt, c.rejected, c.chosen, None, c.target) for c in few]
    margins = torch.from_numpy(reward.margins_of(config, network, few))
    by_hand = -(logsigmoid(margins) + logsigmoid(-margins)).sum() / 2
    for side in (few, turned):
        found = objective.losses(side)
        assert float(found["loss"].detach()) == pytest.approx(float(by_hand), abs=1e-5)
        assert float(found["accuracy"]) == 1.0, "a tie is half right"


def test_ties_are_learned_but_not_measured_and_the_card_says_so(tmp_path: Path) -> None:
    ties = [Preference(p.prompt, p.chosen, p.rejected, winner="tie") for p in prefer(likes("b"), None, 40, 1)]
    config = config_of(tmp_path, [*prefer(likes("a"), None, 80), *ties], reference_samples=0)
    [folder] = reward.train_reward(config, tmp_path / "out", Quiet())
    facts = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    trained, held_out = reward.encode(
        config, load_policy("m", config.model), read_preferences(config.preferences), Quiet()
    )
    assert facts["pairs"] == len(trained)
    assert facts["ties"] == sum(c.target == 0.5 for c in trained) > 0
    assert facts["held_out"]["share"]["pairs"] == sum(c.target == 1 for c in held_out) < len(held_out)
    assert f"{facts['ties']} of the preferences are ties, learned as 1/2 each" in (folder / "README.md").read_text(
        "utf-8"
    )


def test_ties_alone_leave_nothing_to_measure(tmp_path: Path) -> None:
    ties = [Preference(p.prompt, p.chosen, p.rejected, winner="tie") for p in prefer(likes("a"), None, 40)]
    with pytest.raises(InputError, match="no preferences to hold out"):
        reward.train_reward(config_of(tmp_path, ties), tmp_path / "out", Quiet())


TURNS = (("user", "a b"), ("assistant", "c"), ("user", "d"))
TALK = Preference("User: a b\n\nAssistant: c\n\nUser: d", "a", "b", turns=TURNS)
TALKS = [
    Preference(transcript(turns), "a", "b", turns=turns)
    for turns in [(*TURNS[:2], ("user", " ".join(word))) for word in itertools.product("abcd", repeat=2)]
]


def conversations(tmp_path: Path, model: dict[str, Any] | None) -> RewardConfig:
    given = [*prefer(likes("a"), None, 60), TALK, *TALKS]
    return config_of(tmp_path, given, reference_samples=0, **({"model": model} if model else {}))


def test_a_conversation_reaches_a_tuned_model_through_its_chat_template(tmp_path: Path) -> None:
    config = conversations(tmp_path, with_chat(tmp_path))
    policy = load_policy("model", config.model)
    tokenizer: Any = policy.tokenizer
    text = "</s>user a b</s>\nassistant c</s>\nuser d</s>\nassistant "
    ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert prompt_ids(policy, [TALK], 1)[TALK.prompt] == ids
    [folder] = reward.train_reward(config, tmp_path / "out", Quiet())
    card = (folder / "README.md").read_text("utf-8")
    assert (
        "of the preferences have prompts of several turns, which are written as the chat template's own turns" in card
    )
    saved: Any = AutoTokenizer.from_pretrained(folder)
    talk = [{"role": role, "content": text} for role, text in (*TURNS, ("assistant", "a"))]
    read = saved(saved.apply_chat_template(talk, tokenize=False), add_special_tokens=False)["input_ids"]
    assert tuple(read) == (*ids, *policy.response_ids("a"))


def test_a_conversation_reaches_a_base_model_as_a_transcript_in_its_frame(tmp_path: Path) -> None:
    config = conversations(tmp_path, None)
    policy = load_policy("model", config.model)
    tokenizer: Any = policy.tokenizer
    ids = tokenizer("User: a b\n\nAssistant: c\n\nUser: d b")["input_ids"]
    assert list(prompt_ids(policy, [TALK], 1)[TALK.prompt]) == ids
    [folder] = reward.train_reward(config, tmp_path / "out", Quiet())
    assert "written as one user message, a transcript of lines `User: ...`" in (folder / "README.md").read_text("utf-8")
    saved: Any = AutoTokenizer.from_pretrained(folder)
    talk = [{"role": role, "content": text} for role, text in (*TURNS, ("assistant", "a"))]
    read = saved(saved.apply_chat_template(talk, tokenize=False), add_special_tokens=False)["input_ids"]
    assert list(read) == [*ids, *policy.response_ids("a")], "as it is read when it gives rewards"


def test_a_system_turn_is_put_to_a_reward_model_as_suites_put_it_to_a_checkpoint(tmp_path: Path) -> None:
    """One rule: a template that takes no system turn has it in the first user turn, where the config says so."""
    model = with_chat(tmp_path) | {"system_into_user": True}
    ruled = Preference("System: c\n\nUser: d", "a", "b", turns=(("system", "c"), ("user", "d")))
    config = config_of(tmp_path, [*prefer(likes("a"), None, 60), ruled], reference_samples=0, model=model)
    policy = load_policy("model", config.model)
    tokenizer: Any = policy.tokenizer
    ids = tokenizer("</s>user c\n\nd</s>\nassistant ", add_special_tokens=False)["input_ids"]
    assert list(prompt_ids(policy, [ruled], 1)[ruled.prompt]) == ids
    [folder] = reward.train_reward(config, tmp_path / "out", Quiet())
    saved: Any = AutoTokenizer.from_pretrained(folder)
    talk = [{"role": role, "content": text} for role, text in (*ruled.turns, ("assistant", "a"))]
    read = saved(saved.apply_chat_template(talk, tokenize=False), add_special_tokens=False)["input_ids"]
    assert list(read) == [*ids, *policy.response_ids("a")]


def test_a_template_that_refuses_a_role_is_one_line(tmp_path: Path) -> None:
    model = with_chat(tmp_path)
    tokenizer: Any = AutoTokenizer.from_pretrained(model["path"])
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT
    )
    tokenizer.save_pretrained(model["path"])
    ruled = Preference("System: x\n\nUser: a", "a", "b", turns=(("system", "x"), ("user", "a")))
    config = config_of(tmp_path, [*prefer(likes("a"), None, 20), ruled], model=model)
    with pytest.raises(InputError, match=r"its chat template refuses the prompt: no system .*system_into_user"):
        reward.train_reward(config, tmp_path / "out", Quiet())
