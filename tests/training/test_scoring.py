"""Rewards come from a reward model or from a stated utility, for the prompt that each response answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.errors import CheckpointError, InputError
from evalkit.records import Prompt
from evalkit.training.batch import pack
from evalkit.training.config import RewardSource
from evalkit.training.models import Policy, load_policy, load_reward_model, sequence_scores
from evalkit.training.scoring import PromptSet, Scale, open_scorer, scale_of
from tests.training import toy
from tests.training.test_models import reward_model

PROMPTS = (Prompt("one", "a", answer="b c"), Prompt("two", "b c d", answer="d"))
WHICH = [1, 0, 1, 0]
RESPONSES = [[3, toy.EOS], [1, 2, toy.EOS], [1, 2, 0], [toy.EOS]]


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    spec = CheckpointSpec(path=toy.checkpoint(tmp_path / "policy"), kind="base", frame=Frame(template="{prompt}"))
    return load_policy("policy", spec)


@pytest.fixture
def prompts(policy: Policy) -> PromptSet:
    return PromptSet(PROMPTS, policy.prompt_ids(PROMPTS, 3))


def test_a_utility_sees_each_response_as_text_with_its_own_prompt(policy: Policy, prompts: PromptSet) -> None:
    right = open_scorer(RewardSource(utility={"accuracy": 1.0, "words": -0.25}), policy, prompts, 2)
    assert right(WHICH, RESPONSES).tolist() == [0.75, 0.5, -0.75, 0.0]


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_a_reward_model_reads_prompt_and_response_at_the_end_of_sequence_that_cut_ones_are_given(
    policy: Policy, prompts: PromptSet, tmp_path: Path, rows: int
) -> None:
    source = reward_model(tmp_path / "reward", "gpt2")
    found = open_scorer(RewardSource(model=source), policy, prompts, rows)(WHICH, RESPONSES)
    network = load_reward_model(source, policy)
    closed = [[3, toy.EOS], [1, 2, toy.EOS], [1, 2, 0, toy.EOS], [toy.EOS]]
    for score, i, response in zip(found, WHICH, closed, strict=True):
        with torch.no_grad():
            alone = sequence_scores(network, pack([prompts.ids[i]], [response]))
        assert float(score) == pytest.approx(float(alone), abs=1e-5)


def test_what_cannot_give_rewards_is_named(policy: Policy, prompts: PromptSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no utility 'wrods' \(did you mean 'words'\?\)"):
        open_scorer(RewardSource(utility={"wrods": 1.0}), policy, prompts, 2)
    two = reward_model(tmp_path / "reward", labels=2)
    with pytest.raises(CheckpointError, match="has 2 labels; a reward model has one"):
        open_scorer(RewardSource(model=two), policy, prompts, 2)


REWARDS = st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=20)


@given(REWARDS)
def test_scaled_rewards_have_mean_0_and_deviation_1(rewards: list[float]) -> None:
    found = torch.tensor(rewards, dtype=torch.float64)
    scaled = scale_of(found)(found)
    assert float(scaled.mean()) == pytest.approx(0, abs=1e-6)
    if float(found.std()) > 1e-3:
        assert float(scaled.std()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("rewards", [[2.0], [2.0, 2.0, 2.0]])
def test_constant_rewards_are_shifted_alone(rewards: list[float]) -> None:
    assert scale_of(torch.tensor(rewards)) == Scale(2.0, 1.0)
