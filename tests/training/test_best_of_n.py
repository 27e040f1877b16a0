"""Best-of-n distilled: its exact distribution on an enumerable language, and what becomes of files and kills."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.checkpoints.training_log import read_curves
from evalkit.errors import EvalkitError, InputError, RecordsError, StoreError
from evalkit.plumbing.progress import Quiet
from evalkit.training import best_of_n
from evalkit.training.config import BestOfNConfig
from evalkit.training.models import Policy, load_policy
from evalkit.training.raters.utility import open_utility
from evalkit.training.scoring import PromptSet, open_scorer
from tests.training import toy
from tests.training.dpo_optima import distance
from tests.training.full_disk import room_for
from tests.training.test_reward_model import Interrupting, Noting, Stops
from tests.training.toy_training import SEEDS
from tests.training.whole_training import PROMPTS

UTILITY = {"pattern:a": 1.0, "pattern:b": 0.5}
EVERY = toy.responses()


def best_distribution(log_probs: Tensor, rewards: Tensor, n: int) -> Tensor:
    """[85] probabilities of the best of n draws; of equal rewards each is kept as often as it comes."""
    probabilities = log_probs.exp()
    at_most = (probabilities * (rewards <= rewards[:, None])).sum(dim=1)
    less = (probabilities * (rewards < rewards[:, None])).sum(dim=1)
    return (at_most**n - less**n) * probabilities / (at_most - less)


def config_of(folder: Path, **changes: object) -> BestOfNConfig:
    given = {
        "name": "toy", "reward": {"utility": UTILITY}, "n": 4, "samples": 16, "batch": 8, "learning_rate": 3e-3,
        "policy": {"path": toy.checkpoint(folder / "model"), "kind": "base", "frame": {"template": "{prompt}"}},
        "sampling": {"max_tokens": toy.LONGEST}, "prompts": [{"id": its.id, "text": its.text} for its in PROMPTS],
    }  # fmt: skip
    return BestOfNConfig.model_validate(given | changes)


def rewards_of(policy: Policy, weights: Mapping[str, float] = UTILITY) -> Tensor:
    """[85]"""
    utility = open_utility(weights)
    return torch.tensor([utility(PROMPTS[0], text) for text in policy.texts(EVERY)], dtype=torch.float64)


@pytest.mark.parametrize("n", [2, 4, 16])
def test_the_kl_of_the_exact_distribution_is_within_the_bound(tmp_path: Path, n: int) -> None:
    policy = load_policy("policy", config_of(tmp_path).policy)
    log_probs = toy.response_log_probs(policy, (4, 0))
    for rewards in (rewards_of(policy), torch.randn(85, generator=torch.Generator().manual_seed(n)).double()):
        best = best_distribution(log_probs, rewards, n)
        assert float(best.sum()) == pytest.approx(1, abs=1e-6)
        kl = float((best * (best.log() - log_probs)).nan_to_num().sum())
        assert 0 < kl <= best_of_n.kl_bound(n)
    assert best_of_n.kl_bound(4) == pytest.approx(math.log(4) - 0.75)


def test_the_best_of_every_n_is_kept_and_of_equal_ones_the_first() -> None:
    rewards = torch.tensor([1.0, 3.0, 2.0, 0.0, 0.0, -1.0])
    assert best_of_n.best_of(rewards, 3).tolist() == [1, 3]
    assert best_of_n.best_of(rewards, 2).tolist() == [1, 2, 4]


def test_what_is_kept_has_the_exact_distribution(tmp_path: Path) -> None:
    """Two samples of the pool's size differ by about sqrt(2 / pi) sum sqrt(p (1 - p) / size) / 2 by chance alone."""
    config = config_of(tmp_path, n=[2, 4], samples=2000)
    policy = load_policy("policy", config.policy)
    ids = policy.prompt_ids(config.prompts, toy.LONGEST)
    prompts = PromptSet(config.prompts, ids)
    score = open_scorer(config.reward, policy, prompts, config.microbatch)
    best_of_n.keep_best(config, policy, prompts, score, tmp_path, Quiet())
    place = {tuple(response): index for index, response in enumerate(EVERY)}
    for n in config.n:
        kept = best_of_n.read_kept(best_of_n.kept_in(tmp_path, n), Quiet())
        assert len(kept) == 2 * config.samples
        for prompt, tokens in zip(config.prompts, ids, strict=True):
            drawn = [place[row.token_ids] for row in kept if row.prompt_id == prompt.id]
            counts = torch.bincount(torch.tensor(drawn), minlength=len(EVERY)).double() / config.samples
            exact = best_distribution(toy.response_log_probs(policy, tokens), rewards_of(policy), n)
            by_chance = float((2 / math.pi * exact * (1 - exact) / config.samples).sqrt().sum() / 2)
            assert float((counts - exact).abs().sum() / 2) < 1.3 * by_chance
            assert float((exact - toy.response_log_probs(policy, tokens).exp()).abs().sum() / 2) > 3 * by_chance


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_distilled_policy_says_what_the_best_of_n_is(tmp_path: Path, seed: int) -> None:
    weights = {"pattern:a": 1.0}
    config = config_of(
        tmp_path, reward={"utility": weights}, samples=20_000, epochs=6, batch=512, microbatch=512, learning_rate=1e-2,
        seed=seed,
    )  # fmt: skip
    before = load_policy("policy", config.policy)
    rewards = rewards_of(before, weights)
    for n, folder in zip(config.n, best_of_n.distil(config, tmp_path / "out", Quiet()), strict=True):
        frame = Frame(template="{prompt}")
        after = load_policy("after", CheckpointSpec(path=str(folder), kind="base", frame=frame))
        for tokens in before.prompt_ids(config.prompts, toy.LONGEST):
            reference, reached = (toy.response_log_probs(policy, tokens) for policy in (before, after))
            exact = best_distribution(reference, rewards, n).log()
            kl = float((reached.exp() * (reached - reference)).sum())
            print(f"seed {seed} n {n}: from TV {distance(reference, exact):.4f} to {distance(reached, exact):.4f}, "
                  f"KL {kl:.4f}, at most {best_of_n.kl_bound(n):.4f}")  # fmt: skip
            assert distance(reference, exact) > 0.1
            assert distance(reached, exact) < 0.03
            assert kl < best_of_n.kl_bound(n)


def test_a_ladder_is_a_checkpoint_for_each_n_with_what_was_kept_beside_it(tmp_path: Path) -> None:
    config = config_of(tmp_path, n=[2, 8])
    folders = best_of_n.distil(config, tmp_path / "out", Quiet(), ["evalkit", "train", "best-of-n", "best.yaml"])
    assert [folder.name for folder in folders] == ["best-of-2", "best-of-8"]
    rewards = []
    for n, folder in zip(config.n, folders, strict=True):
        facts = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        kept = best_of_n.read_kept(best_of_n.kept_in(tmp_path / "out", n), Quiet())
        assert facts["kept"] == len(kept) == 32
        assert facts["reward_of_kept"] == pytest.approx(sum(row.reward for row in kept) / 32)
        assert facts["ended"] == pytest.approx(sum(row.token_ids[-1] == toy.EOS for row in kept) / 32)
        assert facts["kl_at_most"] == pytest.approx(best_of_n.kl_bound(n))
        assert f"of every {n} of a prompt" in (folder / "README.md").read_text(encoding="utf-8")
        assert read_curves(folder)[-1]["held_out_loss"] == pytest.approx(facts["held_out_loss_token"], abs=1e-5)
        rewards.append(facts["reward_of_kept"])
    assert rewards[1] > rewards[0]
    assert "best-of-8" in (tmp_path / "out" / "training.html").read_text(encoding="utf-8")


def test_a_completion_that_does_not_end_can_be_given_a_penalty(tmp_path: Path) -> None:
    config = config_of(tmp_path, n=16, missing_eos=-9.0)
    best_of_n.distil(config, tmp_path / "out", Quiet())
    kept = best_of_n.read_kept(best_of_n.kept_in(tmp_path / "out", 16), Quiet())
    assert all(row.token_ids[-1] == toy.EOS or row.reward == -9.0 for row in kept)
    assert sum(row.token_ids[-1] == toy.EOS for row in kept) > 25


def test_a_killed_training_goes_on_to_the_same_curves_and_weights_and_samples_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path, n=[2, 4], epochs=4)
    unbroken = best_of_n.distil(config, tmp_path / "unbroken", Quiet())
    with pytest.raises(Stops):
        best_of_n.distil(config, tmp_path / "broken", Interrupting(5))
    monkeypatch.setattr(best_of_n, "sample", None)
    with pytest.raises(Stops):
        best_of_n.distil(config, tmp_path / "broken", Interrupting(15))
    broken = best_of_n.distil(config, tmp_path / "broken", Quiet())
    for one, other in zip(unbroken, broken, strict=True):
        rows = [
            [{k: v for k, v in row.items() if k != "seconds"} for row in read_curves(folder)] for folder in (one, other)
        ]
        assert rows[0] == rows[1]
        assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_a_disk_that_fills_is_a_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    with room_for(1000), pytest.raises(StoreError, match="could not be written"):
        best_of_n.distil(config, tmp_path / "out", Quiet())
    with pytest.raises(Stops):
        best_of_n.distil(config, tmp_path / "out", Interrupting(2))
    state = tmp_path / "out" / "best-of-4.work" / "state.safetensors"
    before = state.read_bytes()
    with room_for(len(before) // 2), pytest.raises(StoreError, match="the one before it is kept"):
        best_of_n.distil(config, tmp_path / "out", Quiet())
    assert state.read_bytes() == before
    [folder] = best_of_n.distil(config, tmp_path / "out", Quiet())
    [unbroken] = best_of_n.distil(config, tmp_path / "unbroken", Quiet())
    assert (folder / "model.safetensors").read_bytes() == (unbroken / "model.safetensors").read_bytes()


def test_a_reward_that_is_no_number_ends_it_before_anything_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(best_of_n, "open_scorer", lambda *_: lambda _, drawn: torch.full((len(drawn),), math.nan))
    with pytest.raises(EvalkitError, match=r"prompt 'short': the reward of a completion is not a finite number"):
        best_of_n.distil(config_of(tmp_path), tmp_path / "out", Quiet())
    assert not list((tmp_path / "out").glob("*.jsonl"))


@pytest.mark.parametrize(
    ("reward", "message"),
    [({"model": "lab:base"}, "a reward model is a sequence-classification"), ({"utility": {"wrods": 1}}, "no utility")],
)
def test_a_reward_that_is_none_is_refused_before_anything_is_written(
    tmp_path: Path, reward: dict[str, object], message: str
) -> None:
    with pytest.raises(EvalkitError, match=message):
        best_of_n.distil(config_of(tmp_path, reward=reward), tmp_path / "out", Quiet())
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match=r"step \d+: the loss or its gradient is not a finite number"):
        best_of_n.distil(config_of(tmp_path, learning_rate=1e30), tmp_path / "out", Quiet())
    assert not (tmp_path / "out" / "best-of-4").exists()


def test_a_file_of_kept_completions_that_was_damaged_is_named(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    with pytest.raises(Stops):
        best_of_n.distil(config, tmp_path / "out", Interrupting(2))
    file = best_of_n.kept_in(tmp_path / "out", 4)
    file.write_text(file.read_text(encoding="utf-8").replace('"reward": ', '"reward": "x', 1), encoding="utf-8")
    with pytest.raises(RecordsError, match=r"best-of-4.jsonl:1"):
        best_of_n.distil(config, tmp_path / "out", Noting())


def test_another_config_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    best_of_n.distil(config, tmp_path / "out", Quiet())
    with pytest.raises(InputError, match=r"holds another training \(different: n\)"):
        best_of_n.distil(config.model_copy(update={"n": (8,)}), tmp_path / "out", Quiet())
