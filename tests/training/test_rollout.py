"""Episodes are draws from the policy's own distribution, whatever the padding, and end where they end."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest
import torch

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.training import rollout
from evalkit.training.models import Policy, load_policy
from evalkit.training.rollout import sample
from tests.training import toy

DRAWS = 16_384
SHORT, LONG = [0], [1, 2, 3, 0, 1]


def policy(folder: Path, kind: str) -> Policy:
    return load_policy("policy", CheckpointSpec(path=toy.checkpoint(folder, kind), kind="base", frame=Frame()))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_padded_prompts_are_answered_by_their_own_law(tmp_path: Path, kind: str, temperature: float) -> None:
    """The distance of the draws from the exact distribution is within three of its standard errors.

    Its expected value for N draws is about sum_y sqrt(p (1 - p) / (2 pi N)). On learned positions a sampler that took
    padding for tokens would be ten times as far off.
    """
    its = policy(tmp_path, kind)
    torch.manual_seed(0)
    drawn = sample(its, [SHORT, LONG] * (DRAWS // 2), toy.LONGEST, temperature)
    place = {tuple(response): i for i, response in enumerate(toy.responses())}
    for first, prompt in enumerate((SHORT, LONG)):
        probabilities = toy.response_log_probs(its, prompt, temperature).exp()
        counts = Counter(place[tuple(response)] for response in drawn[first::2])
        found = torch.tensor([counts[i] for i in range(len(place))], dtype=torch.float64) / (DRAWS / 2)
        expected = float((probabilities * (1 - probabilities) / (2 * math.pi * DRAWS / 2)).sqrt().sum())
        spread = math.sqrt(1 / (DRAWS / 2)) / 2
        assert float((found - probabilities).abs().sum() / 2) < expected + 3 * spread


def test_a_response_ends_with_the_token_that_ended_it(tmp_path: Path) -> None:
    its = policy(tmp_path, "llama")
    torch.manual_seed(0)
    drawn = sample(its, [SHORT] * 256, toy.LONGEST)
    ended = [response for response in drawn if response[-1] == toy.EOS]
    cut = [response for response in drawn if response[-1] != toy.EOS]
    assert ended
    assert cut
    assert all(toy.EOS not in response[:-1] for response in drawn)
    assert all(len(response) == toy.LONGEST for response in cut)


def test_any_of_the_stop_tokens_ends_a_response(tmp_path: Path) -> None:
    its = policy(tmp_path, "llama")
    its.model.generation_config.eos_token_id = [2, toy.EOS]
    several = Policy(its.model, its.tokenizer, its.checkpoint, its.spec, frozenset({2, toy.EOS}))
    torch.manual_seed(0)
    drawn = sample(several, [SHORT] * 256, toy.LONGEST)
    assert {response[-1] for response in drawn if len(response) < toy.LONGEST} == {2, toy.EOS}
    assert all(not {2, toy.EOS} & set(response[:-1]) for response in drawn)


def test_many_prompts_are_answered_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "ROWS", 3)
    its = policy(tmp_path, "llama")
    greedy = {tuple(p): sample(its, [p], toy.LONGEST, temperature=1e-4)[0] for p in (SHORT, LONG, [2, 2])}
    asked = [SHORT, LONG, [2, 2], LONG, LONG, SHORT, [2, 2]]
    assert sample(its, asked, toy.LONGEST, temperature=1e-4) == [greedy[tuple(p)] for p in asked]
    assert len(set(map(tuple, greedy.values()))) > 1


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    its = policy(tmp_path, "llama")
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(sample(its, [SHORT] * 32, toy.LONGEST))
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


def test_a_draw_is_the_token_whose_share_of_the_law_the_point_falls_into(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities = torch.tensor([0.25, 0.0, 0.5, 0.25])
    points = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53], dtype=torch.float64)[:, None]
    monkeypatch.setattr(torch, "rand", lambda *_, **__: points)
    chosen = rollout.InverseTransform(1.0)(torch.empty(0), probabilities.log().expand(len(points), 4))
    assert chosen.argmax(dim=-1).tolist() == [0, 0, 2, 2, 3, 3]
    assert chosen.isfinite().sum(dim=-1).tolist() == [1] * len(points)
