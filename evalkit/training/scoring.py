"""What episodes are rewarded for: a reward model on the policy's own tokens, or a stated utility of the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evalkit.records import Prompt
from evalkit.training.batch import microbatches, pack
from evalkit.training.config import RewardSource
from evalkit.training.models import Policy, ValueNetwork, load_reward_model, sequence_scores
from evalkit.training.raters.utility import open_utility

Scorer = Callable[[Sequence[int], Sequence[list[int]]], Tensor]
"""(index of the prompt that each response answers [B], responses as token ids) -> rewards [B], float32 on the CPU."""


@dataclass(frozen=True)
class PromptSet:
    """The prompts of a training, and their token ids in the policy's frame or chat template."""

    prompts: tuple[Prompt, ...]
    ids: Sequence[tuple[int, ...]]


def open_scorer(source: RewardSource, policy: Policy, prompts: PromptSet, rows: int) -> Scorer:
    """What gives the rewards of `source`; a reward model reads `rows` sequences at once. Raises `InputError`."""
    if source.model is not None:
        return model_scorer(load_reward_model(source.model, policy).to(policy.model.device), policy, prompts, rows)
    utility = open_utility(source.utility or {})

    def scores(prompt_index: Sequence[int], responses: Sequence[list[int]]) -> Tensor:
        texts = policy.texts(list(responses))
        return torch.tensor([utility(prompts.prompts[i], text) for i, text in zip(prompt_index, texts, strict=True)])

    return scores


def model_scorer(network: ValueNetwork, policy: Policy, prompts: PromptSet, rows: int) -> Scorer:
    """A reward model's scores, read at the end of sequence of each episode.

    What was cut is closed as in the reward model's own training: elsewhere it has never been asked for a score.
    """
    device = network.classifier.device

    def scores(prompt_index: Sequence[int], responses: Sequence[list[int]]) -> Tensor:
        closed = [response if response[-1] in policy.stops else [*response, policy.eos] for response in responses]
        batch = pack([prompts.ids[i] for i in prompt_index], closed)
        rewards = torch.empty(len(batch))
        with torch.no_grad():
            for index in microbatches(batch, torch.arange(len(batch)), rows):
                rewards[index] = sequence_scores(network, batch.rows(index).to(device)).cpu()
        return rewards

    return scores


@dataclass(frozen=True)
class Scale:
    """Rewards shifted and scaled to mean 0 and standard deviation 1 on the reference's samples (Ziegler et al. 2019).

    A beta then means the same for every reward model.
    """

    mean: float = 0.0
    deviation: float = 1.0

    def __call__(self, rewards: Tensor) -> Tensor:
        return (rewards - self.mean) / self.deviation


def scale_of(rewards: Tensor) -> Scale:
    """The scale that these rewards, [n], define; constant ones are shifted alone."""
    deviation = float(rewards.std()) if len(rewards) > 1 else 0.0
    return Scale(float(rewards.mean()), deviation if deviation > 0 else 1.0)
