"""DPO against what is known exactly: its optima on an enumerable language, and what becomes of votes, files and kills."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from evalkit.checkpoints.training_log import read_curves
from evalkit.errors import EvalkitError, InputError, RecordsError, StoreError
from evalkit.plumbing.progress import Quiet
from evalkit.preferences.files import Preference, read_preferences, write_preferences
from evalkit.records import Prompt
from evalkit.training import dpo, optimise
from evalkit.training.comparisons import Comparison
from evalkit.training.config import Divergence, DpoConfig
from evalkit.training.models import Policy, load_policy
from tests.training import toy
from tests.training.dpo_optima import distance, objective, optimum
from tests.training.full_disk import room_for
from tests.training.test_reward_model import Interrupting, Stops, likes, prefer
from tests.training.toy_training import PROMPTS as ASKED
from tests.training.toy_training import SEEDS

EVERY = toy.responses()
LENGTHS = torch.tensor([len(response) for response in EVERY], dtype=torch.float64)
FIRST, SECOND = torch.combinations(torch.arange(len(EVERY))).T
DIVERGENCES: tuple[Divergence, ...] = ("reverse_kl", "forward_kl", "jensen_shannon")


def rewards_of(seed: int, prompts: int = 1) -> Tensor:
    """[prompts, 85]"""
    draw = torch.Generator().manual_seed(100 + seed)
    return torch.randn(prompts, len(EVERY), generator=draw).double()


def follow(log_reference: Tensor, rewards: Tensor, beta: float, divergence: Divergence, by_length: bool) -> Tensor:
    """[85] log-probs where the loss over all pairs with exact soft labels leads a policy of one logit a response."""
    logits = log_reference.clone().requires_grad_()
    targets = torch.sigmoid(rewards[FIRST] - rewards[SECOND])
    optimiser = torch.optim.LBFGS(
        [logits], max_iter=3000, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        ratios = (logits.log_softmax(dim=0) - log_reference) / (LENGTHS if by_length else 1)
        found = dpo.dpo_loss(ratios[FIRST], ratios[SECOND], targets, beta, divergence).sum()
        found.backward()
        return found

    optimiser.step(loss)
    return logits.detach().log_softmax(dim=0)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("divergence", "beta"), [("reverse_kl", 1.0), ("forward_kl", 3.0), ("jensen_shannon", 5.0)])
def test_the_loss_is_least_at_the_best_policy_of_its_divergence(divergence: Divergence, beta: float, seed: int) -> None:
    [rewards] = rewards_of(seed)
    log_reference = torch.randn(85, generator=torch.Generator().manual_seed(seed)).double().log_softmax(dim=0)
    best = optimum(log_reference, rewards, beta, divergence)
    found = follow(log_reference, rewards, beta, divergence, by_length=False)
    assert distance(log_reference, best) > 0.05
    assert distance(found, best) < 1e-7
    gap = objective(best, log_reference, rewards, beta, divergence) - objective(
        found, log_reference, rewards, beta, divergence
    )
    assert abs(gap) < 1e-9
    # What beats it would be no optimum: no policy near it has a higher objective.
    for turn in range(5):
        beside = best + 0.1 * torch.randn(85, generator=torch.Generator().manual_seed(turn)).double()
        assert objective(beside.log_softmax(dim=0), log_reference, rewards, beta, divergence) < objective(
            best, log_reference, rewards, beta, divergence
        )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_length_normalised_the_reward_counts_once_for_each_token(seed: int) -> None:
    [rewards] = rewards_of(seed)
    log_reference = torch.randn(85, generator=torch.Generator().manual_seed(seed)).double().log_softmax(dim=0)
    best = optimum(log_reference, rewards, 2.0, "reverse_kl", LENGTHS)
    found = follow(log_reference, rewards, 2.0, "reverse_kl", by_length=True)
    assert distance(found, best) < 1e-7
    # It is neither the usual tilt nor that of length times reward: lambda, too, counts once for each token.
    assert distance(best, optimum(log_reference, rewards, 2.0, "reverse_kl")) > 0.2
    assert distance(best, optimum(log_reference, LENGTHS * rewards, 2.0, "reverse_kl")) > 1e-3


def test_a_single_vote_a_pair_has_no_optimum() -> None:
    """The loss falls for ever as the log-ratios part: beta sets their scale, not their end (Azar et al. 2023)."""
    parted = [
        float(dpo.dpo_loss(torch.tensor([gap]), torch.tensor([-gap]), torch.ones(1), beta=0.1))
        for gap in (0.0, 10.0, 20.0)
    ]
    assert parted[0] == pytest.approx(math.log(2))
    assert parted[0] > parted[1] > parted[2] > 0


def config_of(folder: Path, preferences: Sequence[Preference] = (), **changes: object) -> DpoConfig:
    write_preferences(folder / "prefs.jsonl", preferences)
    given = {
        "name": "toy", "preferences": str(folder / "prefs.jsonl"), "beta": 0.5, "batch": 16, "learning_rate": 3e-3,
        "policy": {"path": toy.checkpoint(folder / "model"), "kind": "base", "frame": {"template": "{prompt}"}},
        "held_out": 0.2,
    }  # fmt: skip
    return DpoConfig.model_validate(given | changes)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("divergence", "beta", "by_length", "epochs", "learning_rate"),
    [
        ("reverse_kl", 1.0, False, 12, 1e-2),
        ("reverse_kl", 2.0, True, 12, 1e-2),
        # Where the best completions become many times likelier these two losses are nearly flat: hence the larger beta.
        ("forward_kl", 4.0, False, 16, 2e-2),
        ("jensen_shannon", 5.0, False, 12, 2e-2),
    ],
)
def test_the_optimum_is_reached_by_a_network_with_padded_prompts(
    tmp_path: Path, divergence: Divergence, beta: float, by_length: bool, epochs: int, learning_rate: float, seed: int
) -> None:
    config = config_of(
        tmp_path, beta=beta, divergence=divergence, length_normalised=by_length, seed=seed, epochs=epochs,
        learning_rate=learning_rate, batch=256, microbatch=512,
    )  # fmt: skip
    policy = load_policy("policy", config.policy)
    ids = policy.prompt_ids(tuple(Prompt(text, text) for text in ASKED), toy.LONGEST)
    rewards = rewards_of(seed, len(ids))
    references = [toy.response_log_probs(policy, prompt) for prompt in ids]
    pairs = [
        dpo.VotedPair(prompt, tuple(EVERY[a]), tuple(EVERY[b]), float(torch.sigmoid(its[a] - its[b])))
        for prompt, its in zip(ids, rewards, strict=True)
        for a, b in itertools.combinations(range(len(EVERY)), 2)
    ]
    pairs = dpo.with_reference(config, policy, pairs)
    loss = dpo.dpo(policy, beta, divergence, by_length)
    optimise.optimise(config, loss, pairs, pairs[::100], tmp_path / "work", Quiet(), lambda: None)
    for prompt, its, reference in zip(ids, rewards, references, strict=True):
        best = optimum(reference, its, beta, divergence, LENGTHS if by_length else None)
        reached = toy.response_log_probs(policy, prompt)
        gap = objective(best, reference, its, beta, divergence) - objective(reached, reference, its, beta, divergence)
        print(f"{divergence} {by_length} seed {seed}: from TV {distance(reference, best):.4f} to "
              f"{distance(reached, best):.4f}, gap {gap:.5f}")  # fmt: skip
        assert distance(reference, best) > 0.05
        assert distance(reached, best) < 0.03
        if divergence != "reverse_kl" or by_length:
            assert distance(reached, best) < distance(best, optimum(reference, its, beta, "reverse_kl")) / 2
        if not by_length:  # its optimum is no best policy of this objective
            assert -1e-6 < gap < 0.01


def encoded(config: DpoConfig, policy: Policy) -> list[dpo.VotedPair]:
    trained, _ = dpo.encode(config, policy, read_preferences(config.preferences), Quiet())
    return dpo.with_reference(config, policy, trained)


def disturbed(policy: Policy) -> Policy:
    """The policy after what could have been a training."""
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return policy


def test_before_any_step_every_log_ratio_is_0(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 60), microbatch=10)
    policy = load_policy("policy", config.policy)
    pairs = encoded(config, policy)
    with torch.no_grad():
        for ratios in dpo.log_ratios(policy, pairs, is_length_normalised=False):
            assert float(ratios.abs().max()) < 1e-5
    means = optimise.evaluate(config, dpo.dpo(policy, 0.5, "reverse_kl", False), pairs)
    assert means["loss"] == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize("microbatch", [1, 2, 6, 64])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_microbatches_do_not_change_the_gradient(tmp_path: Path, divergence: Divergence, microbatch: int) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 40), microbatch=microbatch)
    some = encoded(config, load_policy("policy", config.policy))[:9]

    plain = disturbed(load_policy("policy", config.policy))
    losses = []
    for pair in some:
        ratios = []
        for completion, reference in zip((pair.chosen, pair.rejected), pair.reference, strict=True):
            log_probs = plain.model(torch.tensor([[*pair.prompt, *completion]])).logits[0].log_softmax(dim=-1)
            begin = len(pair.prompt) - 1
            said = [log_probs[begin + place, token] for place, token in enumerate(completion)]
            ratios.append(torch.stack(said).sum() - reference)
        slopes: dict[str, Any] = {
            "reverse_kl": lambda u: u.log() + 1,
            "forward_kl": lambda u: -1 / u,
            "jensen_shannon": lambda u: torch.log(2 * u / (1 + u)),
        }
        chosen, rejected = (slopes[divergence](ratio.exp()) for ratio in ratios)
        preferred = torch.sigmoid(0.5 * (chosen - rejected))
        losses.append(-pair.votes * (pair.target * preferred.log() + (1 - pair.target) * (1 - preferred).log()))
    loss = torch.stack(losses).sum() / sum(pair.votes for pair in some)
    loss.backward()

    policy = disturbed(load_policy("policy", config.policy))
    means = optimise.accumulate(config, dpo.dpo(policy, 0.5, divergence, False), some)
    assert means["loss"] == pytest.approx(loss.item(), abs=1e-5)
    for ours, theirs in zip(policy.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)


def test_a_completion_that_has_become_very_rare_is_still_a_number() -> None:
    rewards = dpo.implicit_rewards(torch.tensor([-200.0, 0.0, 200.0], dtype=torch.float64), "forward_kl")
    assert rewards.isfinite().all()


def test_votes_on_a_pair_are_its_soft_label_whichever_completion_stands_first() -> None:
    a, b, c = (0, toy.EOS), (1, toy.EOS), (2, toy.EOS)
    rows = [
        Comparison((0,), a, b), Comparison((0,), b, a), Comparison((0,), b, a), Comparison((0,), b, a),
        Comparison((1,), a, b), Comparison((0,), a, c, target=0.5), Comparison((0,), a, c),
    ]  # fmt: skip
    assert dpo.count_votes(rows) == [
        dpo.VotedPair((0,), b, a, 0.75, 4),
        dpo.VotedPair((1,), a, b, 1.0, 1),
        dpo.VotedPair((0,), a, c, 0.75, 2),
    ]


def test_counted_votes_cost_what_single_votes_cost(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 40))
    policy = load_policy("policy", config.policy)
    pair = encoded(config, policy)[0]
    disturbed(policy)
    loss = dpo.dpo(policy, 0.5, "reverse_kl", False).losses
    turned = dpo.VotedPair(pair.prompt, pair.rejected, pair.chosen, 1.0, 1, pair.reference[::-1])
    single = [dpo.VotedPair(pair.prompt, pair.chosen, pair.rejected, 1.0, 1, pair.reference)] * 3 + [turned]
    together = dpo.VotedPair(pair.prompt, pair.chosen, pair.rejected, 0.75, 4, pair.reference)
    with torch.no_grad():
        one_by_one, counted = loss(single), loss([together])
    for name in ("loss", "accuracy"):
        assert float(one_by_one[name]) == pytest.approx(float(counted[name]), abs=1e-5)


def test_a_ladder_is_a_checkpoint_for_each_beta_with_what_is_known_of_it(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 400), beta=[2, 0.1], epochs=3)
    folders = dpo.train_dpo(config, tmp_path / "out", Quiet(), ["evalkit", "train", "dpo", "dpo.yaml"])
    assert [folder.name for folder in folders] == ["beta-2", "beta-0.1"]
    far = []
    for folder in folders:
        facts = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        rows = read_curves(Path(f"{folder}.work"))
        names = {"loss", "accuracy", "margin", "chosen_log_ratio", "rejected_log_ratio"}
        assert names | {f"held_out_{name}" for name in names} <= set(rows[-1])
        assert facts["method"] == "DPO"
        assert facts["held_out"]["accuracy"] > 0.55
        assert facts["held_out"]["loss"] == pytest.approx(rows[-1]["held_out_loss"], abs=1e-5)
        assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
        assert read_curves(folder) == rows
        assert not (Path(f"{folder}.work") / "state.safetensors").exists()
        assert "tuned by direct preference optimisation" in (folder / "README.md").read_text(encoding="utf-8")
        far.append(facts["held_out"]["chosen_log_ratio"] - facts["held_out"]["rejected_log_ratio"])
    assert far[1] > 2 * far[0] > 0
    page = (tmp_path / "out" / "training.html").read_text(encoding="utf-8")
    assert "Log-ratios to the reference" in page
    assert json.loads((tmp_path / "out" / "train.json").read_text(encoding="utf-8"))["state"] == "complete"


def test_a_killed_training_goes_on_to_the_same_curves_and_weights(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 200), beta=[1, 0.1], epochs=3)
    unbroken = dpo.train_dpo(config, tmp_path / "unbroken", Quiet())
    for after in (8, 31, 12):
        with pytest.raises(Stops):
            dpo.train_dpo(config, tmp_path / "broken", Interrupting(after))
    broken = dpo.train_dpo(config, tmp_path / "broken", Quiet())
    for one, other in zip(unbroken, broken, strict=True):
        rows = [
            [{k: v for k, v in row.items() if k != "seconds"} for row in read_curves(folder)] for folder in (one, other)
        ]
        assert rows[0] == rows[1]
        assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_adapters_are_trained_and_merged(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 200), lora={"rank": 4}, learning_rate=1e-2)
    [folder] = dpo.train_dpo(config, tmp_path / "out", Quiet())
    before = AutoModelForCausalLM.from_pretrained(config.policy.path).state_dict()
    after = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert set(after) == set(before)
    assert "model.layers.0.self_attn.q_proj.weight" in changed
    assert "model.embed_tokens.weight" not in changed
    assert read_curves(folder)[0]["chosen_log_ratio"] == pytest.approx(0, abs=1e-5)


def test_a_finished_training_is_not_done_again_and_other_settings_are_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 60))
    [folder] = dpo.train_dpo(config, tmp_path / "out", Quiet())
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert dpo.train_dpo(config, tmp_path / "out", Quiet()) == [folder]
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(InputError, match=r"holds another training \(different: divergence\)"):
        dpo.train_dpo(config.model_copy(update={"divergence": "forward_kl"}), tmp_path / "out", Quiet())


def test_a_training_does_not_go_on_with_other_votes(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 100))
    with pytest.raises(Stops):
        dpo.train_dpo(config, tmp_path / "out", Interrupting(3))
    write_preferences(tmp_path / "prefs.jsonl", prefer(likes("b"), None, 100))
    with pytest.raises(InputError, match="the files have changed"):
        dpo.train_dpo(config, tmp_path / "out", Quiet())


def test_a_disk_that_fills_leaves_the_last_state_and_the_same_command_goes_on(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 60))
    with pytest.raises(Stops):
        dpo.train_dpo(config, tmp_path / "out", Interrupting(2))
    state = (tmp_path / "out" / "beta-0.5.work" / "state.safetensors").read_bytes()
    with room_for(len(state) // 2), pytest.raises(StoreError, match=r"could not be written.*the one before it is kept"):
        dpo.train_dpo(config, tmp_path / "out", Quiet())
    assert (tmp_path / "out" / "beta-0.5.work" / "state.safetensors").read_bytes() == state
    [folder] = dpo.train_dpo(config, tmp_path / "out", Quiet())
    [unbroken] = dpo.train_dpo(config, tmp_path / "unbroken", Quiet())
    assert (folder / "model.safetensors").read_bytes() == (unbroken / "model.safetensors").read_bytes()


def test_a_loss_that_is_not_finite_ends_the_training_and_keeps_the_state(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 100), learning_rate=1e30)
    with pytest.raises(EvalkitError, match=r"step \d+: the loss or its gradient is not a finite number.*learning_rate"):
        dpo.train_dpo(config, tmp_path / "out", Quiet())
    assert not (tmp_path / "out" / "beta-0.5").exists()
    assert (tmp_path / "out" / "beta-0.5.work" / "state.safetensors").exists()


@pytest.mark.parametrize(
    ("preferences", "message"),
    [
        ([Preference("a", "a", "b"), Preference("a", "b", "c")], "a single prompt"),
        ([Preference("a", "a " * 40, "b"), Preference("b", "b", "c " * 40)], "no preferences to"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused_before_anything_is_written(
    tmp_path: Path, preferences: list[Preference], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        dpo.train_dpo(config_of(tmp_path, preferences), tmp_path / "out", Quiet())
    assert not (tmp_path / "out").exists()


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    (tmp_path / "prefs.jsonl").write_text('{"prompt": "a", "chosen": "b"}\n', encoding="utf-8")
    with pytest.raises(RecordsError, match=r"prefs.jsonl:1: rejected: this key is missing"):
        dpo.train_dpo(config, tmp_path / "out", Quiet())
