"""PPO against what is known exactly: the optimum of an enumerable language, and identities of its parts."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from evalkit.errors import EvalkitError
from evalkit.training import divergences, policy_gradient, ppo
from evalkit.training.batch import pack
from evalkit.training.config import AdaptiveKl, Estimator, PpoConfig
from evalkit.training.ladder import critic_of
from evalkit.training.models import load_policy
from evalkit.training.output.curves import LogRow
from evalkit.training.scoring import Scale
from tests.training import toy
from tests.training.toy_training import ALONE, SEEDS, Setting
from tests.training.toy_training import ppo_setting as setting


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_optimum_is_reached_through_the_real_sampler(tmp_path: Path, seed: int) -> None:
    its = setting(tmp_path, seed)
    references = [toy.response_log_probs(its.policy, ids) for ids in its.prompts.ids]
    for _ in policy_gradient.updates(its.config, its.state, its.prompts, its.sources):
        pass
    for prompt, (ids, reference) in enumerate(zip(its.prompts.ids, references, strict=True)):
        ended = toy.ending(reference, toy.response_log_probs(its.policy, ids), its.rewards[prompt].double(), beta=1.0)
        print(f"seed {seed} prompt {prompt}: {ended}")
        assert ended.best_kl <= 1
        assert ended.distance < 0.03
        assert abs(ended.kl - ended.best_kl) < 0.02
        assert 0 <= ended.gap < 0.01


def rag(seed: int = 0, sequences: int = 8) -> tuple[list[list[int]], list[list[int]]]:
    """Prompts of 1 to 5 tokens and responses of 1 to 3, so that paddings of all widths stand in one batch."""
    draw = torch.Generator().manual_seed(seed)
    prompts = [torch.randint(toy.LETTERS, (1 + i % 5,), generator=draw).tolist() for i in range(sequences)]
    every = toy.responses()
    return prompts, [every[int(torch.randint(len(every), (1,), generator=draw))] for _ in prompts]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_before_any_step_the_ratio_is_1_and_the_kl_0_whatever_the_padding(tmp_path: Path, kind: str) -> None:
    its = setting(tmp_path, 0, kind)
    batch = pack(*rag(sequences=32))
    passed = policy_gradient.forward(its.config, its.state, batch)
    assert float((passed.log_probs - passed.reference_log_probs).abs().max()) < 1e-5
    assert float(passed.kl.abs().max()) < 1e-5
    zeros = torch.zeros(batch.responses.shape)
    experience = policy_gradient.Experience(
        batch, passed.log_probs, passed.reference_log_probs, passed.values, zeros, passed.values
    )
    for index in torch.arange(len(batch)).split(5):  # cut otherwise than `observe` cuts: other paddings
        with torch.no_grad():
            _, clipped, moved, widest = policy_gradient.policy_loss(its.config, its.state, experience, index)
            [value_loss] = policy_gradient.value_loss(its.config, its.state, experience, index)
        assert float(clipped) == 0
        assert abs(float(widest) - 1) < 1e-5
        assert float(moved) < 1e-9
        assert float(value_loss) < 1e-9


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_sequence_is_seen_the_same_alone_and_padded(tmp_path: Path, kind: str) -> None:
    its = setting(tmp_path, 0, kind)
    prompts, responses = rag(sequences=32)
    together = policy_gradient.forward(its.config, its.state, pack(prompts, responses))
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        alone = policy_gradient.forward(its.config, its.state, pack([prompt], [response]))
        for name in ("log_probs", "entropy", "values"):
            padded = getattr(together, name)[row, : len(response)]
            torch.testing.assert_close(padded, getattr(alone, name)[0], atol=1e-5, rtol=0)


def test_the_exact_kl_and_entropy_of_a_batch_are_those_of_the_enumerated_distribution(tmp_path: Path) -> None:
    """Over all responses, weighted by their probability, the sums along the way are KL and entropy of the whole."""
    its = setting(tmp_path, 0, texts=["</s> a"])
    disturb(its.policy.model, 0.1)
    policy = toy.response_log_probs(its.policy, its.prompts.ids[0])
    disturbed = replace(its.policy, model=its.state.reference)
    reference = toy.response_log_probs(disturbed, its.prompts.ids[0])
    every = toy.responses()
    passed = policy_gradient.forward(its.config, its.state, pack([its.prompts.ids[0]] * len(every), every))
    weight = policy.exp()
    exact = float((weight * (policy - reference)).sum())
    assert exact > 0.05
    assert float((weight * passed.kl.sum(dim=1)).sum()) == pytest.approx(exact, abs=1e-5)
    assert float((weight * passed.entropy.sum(dim=1)).sum()) == pytest.approx(toy.entropy(policy), abs=1e-5)
    sampled = (passed.log_probs - passed.reference_log_probs).sum(dim=1)
    assert float((weight * sampled).sum()) == pytest.approx(exact, abs=1e-5)


def disturb(model: torch.nn.Module, size: float) -> None:
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=draw))


GAP = math.log(51 / 49)
"""What the rater likes the first of two answers better by."""


def two_answers(folder: Path, beta: float) -> Setting[PpoConfig]:
    """A policy that says `a` or `b`, nothing else, and at the start each half of the time."""
    its = setting(folder / "words", 0, texts=["c"])
    model = LlamaForCausalLM(
        LlamaConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=5,
                    max_position_embeddings=8, eos_token_id=toy.EOS, bos_token_id=None, pad_token_id=None)
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1 if parameter.dim() == 1 else 0)
        model.model.embed_tokens.weight.fill_(1)
        model.lm_head.weight[2:] = -10  # e^-80 of the first two
    model.save_pretrained(folder / "words")
    config = its.config.model_copy(
        update={"beta": (beta,), "sampling": its.config.sampling.model_copy(update={"max_tokens": 1}), "updates": 50,
                "batch": 512, "microbatch": 512, "minibatches": 2, "learning_rate": 0.02, "whiten": False}
    )  # fmt: skip
    policy = load_policy("policy", config.policy)
    critic = critic_of(config, policy, Scale())
    state = policy_gradient.prepare(config, policy, critic, copy.deepcopy(policy.model), beta, ALONE)

    def reward(_: Sequence[int], responses: Sequence[list[int]]) -> Tensor:
        return torch.tensor([GAP if response == [0] else 0.0 for response in responses])

    return Setting(config, policy, state, its.prompts, policy_gradient.RewardSources(reward, Scale()), torch.empty(0))


@pytest.mark.parametrize(("beta", "said"), [(1.0, 0.510), (0.1, 0.599), (0.05, 0.690), (0.02, 0.881)])
def test_of_two_answers_the_better_one_is_said_with_sigmoid_of_gap_over_beta(
    tmp_path: Path, beta: float, said: float
) -> None:
    """51 to 49 in liking becomes 88 to 12 in saying as beta falls.

    Without whitening nothing of the sampling's noise is left at the optimum, where both answers' shaped rewards are
    equal. So the share is held to a tenth of the error that a batch's own share has, sqrt(p (1 - p) / 512).
    """
    its = two_answers(tmp_path, beta)
    best = 1 / (1 + math.exp(-GAP / beta))
    assert best == pytest.approx(said, abs=5e-4)
    start, end, kl = 0.0, 0.0, 0.0
    for row, _ in policy_gradient.updates(its.config, its.state, its.prompts, its.sources):
        passed = policy_gradient.forward(its.config, its.state, pack(its.prompts.ids, [[0]]))
        start = start or math.exp(float(passed.reference_log_probs))
        end, kl = math.exp(float(passed.log_probs)), float(row["kl"] or 0)
    assert start == pytest.approx(0.5, abs=1e-6)
    assert end == pytest.approx(best, abs=0.1 * math.sqrt(best * (1 - best) / its.config.batch))
    assert kl == pytest.approx(best * math.log(2 * best) + (1 - best) * math.log(2 - 2 * best), abs=2e-3)


Ragged = tuple[Tensor, Tensor, Tensor]


@st.composite
def ragged(draw: st.DrawFn) -> Ragged:
    """(rewards, values, mask), each [B, R]: rows of 1 to R tokens, and anything on the padding."""
    rows, width = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    lengths = torch.tensor(draw(st.lists(st.integers(1, width), min_size=rows, max_size=rows)))
    numbers = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    rewards, values = torch.randn(2, rows, width, generator=numbers, dtype=torch.float64)
    return rewards, values, torch.arange(width) < lengths[:, None]


@given(ragged())
def test_with_lambda_1_returns_are_the_rewards_to_come(its: Ragged) -> None:
    rewards, values, mask = its
    to_come = (rewards * mask).flip(1).cumsum(1).flip(1)
    returns = ppo.gae(rewards, values, mask, 1.0) + values
    torch.testing.assert_close(returns[mask], to_come[mask])


@given(ragged(), st.floats(0, 1))
def test_advantages_are_the_discounted_sum_of_surprises(its: Ragged, lam: float) -> None:
    rewards, values, mask = its
    found = ppo.gae(rewards, values, mask, lam)
    for row, length in enumerate(mask.sum(dim=1).tolist()):
        after = [*values[row, 1:length].tolist(), 0.0]
        surprises = [float(rewards[row, t]) + after[t] - float(values[row, t]) for t in range(length)]
        for t in range(length):
            wanted = sum(lam ** (s - t) * surprises[s] for s in range(t, length))
            assert float(found[row, t]) == pytest.approx(wanted, abs=1e-9)


@given(ragged(), st.floats(0, 1), st.sampled_from([0.0, 3.0, -1e6]))
def test_padding_enters_nothing(its: Ragged, lam: float, junk: float) -> None:
    rewards, values, mask = its
    spoiled = [torch.where(mask, part, junk) for part in (rewards, values)]
    found, again = ppo.gae(rewards, values, mask, lam), ppo.gae(*spoiled, mask, lam)
    assert torch.equal(found, again)
    assert not found[~mask].any()
    assert torch.equal(ppo.whiten(rewards, mask, ALONE), ppo.whiten(spoiled[0], mask, ALONE))
    scores = rewards[:, 0]
    assert torch.equal(
        token_rewards(scores, values, mask, 0.3)[mask],
        token_rewards(scores, spoiled[1], mask, 0.3)[mask],
    )


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, beta: float) -> Tensor:
    return ppo.token_rewards(scores, -beta * divergences.divergence_terms(kl, mask, "reverse_kl", "k1"), mask)


@given(ragged())
def test_whitened_advantages_have_mean_0_and_deviation_1_over_the_tokens(its: Ragged) -> None:
    rewards, _, mask = its
    found = ppo.whiten(rewards, mask, ALONE)
    assert not found[~mask].any()
    assert float(found[mask].mean()) == pytest.approx(0, abs=1e-6)
    if int(mask.sum()) > 1:
        assert float(found[mask].std(unbiased=False)) == pytest.approx(1, abs=1e-3)


@given(ragged(), st.floats(0.01, 10))
def test_the_score_lands_on_the_last_token_and_the_kl_on_every_one(its: Ragged, beta: float) -> None:
    kl, values, mask = its
    scores = values[:, 0]
    found = token_rewards(scores, kl, mask, beta)
    last = mask & ~torch.cat([mask[:, 1:], torch.zeros(len(mask), 1, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(found[mask & ~last], (-beta * kl)[mask & ~last])
    torch.testing.assert_close(found[last], scores - beta * kl[last])
    assert not found[~mask].any()


def distributions(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of a policy over six tokens, its log-probs, and log-probs of a reference, in float64."""
    draw = torch.Generator().manual_seed(seed)
    logits, other = torch.randn(2, 6, generator=draw, dtype=torch.float64)
    logits.requires_grad_()
    return logits, logits.log_softmax(0), other.log_softmax(0)


@given(st.integers(0, 2**31))
def test_k1_and_k3_have_the_mean_of_the_kl(seed: int) -> None:
    _, policy, reference = distributions(seed)
    exact = float((policy.exp() * (policy - reference)).sum().detach())
    for estimator in ("k1", "k3"):
        terms = divergences.kl_terms(policy - reference, estimator)
        assert float((policy.exp() * terms).sum().detach()) == pytest.approx(exact, abs=1e-9)
    assert (divergences.kl_terms((policy - reference).detach(), "k3") >= 0).all()


def in_reward_gradient(seed: int, estimator: Estimator) -> tuple[Tensor, Tensor]:
    """Expected gradient of a KL term inside the reward (as policy gradients have it), and that of the KL itself."""
    logits, policy, reference = distributions(seed)
    term = divergences.kl_terms((policy - reference).detach(), estimator)
    [inside] = torch.autograd.grad((policy.exp().detach() * term * policy).sum(), logits, retain_graph=True)
    [exact] = torch.autograd.grad((policy.exp() * (policy - reference)).sum(), logits)
    return inside, exact


@given(st.integers(0, 2**31))
def test_inside_the_reward_k1_has_the_gradient_of_the_kl(seed: int) -> None:
    inside, exact = in_reward_gradient(seed, "k1")
    torch.testing.assert_close(inside, exact, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("estimator", ["k2", "k3"])
def test_inside_the_reward_k2_and_k3_have_another_gradient(estimator: Estimator) -> None:
    for seed in range(5):
        inside, exact = in_reward_gradient(seed, estimator)
        assert float((inside - exact).norm()) > 0.2 * float(exact.norm())


def followed(seed: int, estimator: Estimator) -> tuple[Tensor, Tensor]:
    """Log-probs: where the exact policy gradient of reward - KL term leads from the reference, and the optimum."""
    draw = torch.Generator().manual_seed(seed)
    reference = torch.randn(6, generator=draw, dtype=torch.float64).log_softmax(0)
    rewards = torch.randn(6, generator=draw, dtype=torch.float64)
    logits = reference.clone()
    for _ in range(2000):
        policy = logits.log_softmax(0)
        paid = rewards - divergences.kl_terms(policy - reference, estimator)
        logits += 0.2 * policy.exp() * (paid - (policy.exp() * paid).sum())
    return logits.log_softmax(0), (reference + rewards).log_softmax(0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_inside_the_reward_k1_leads_to_the_optimum_and_k2_and_k3_to_a_policy_without_variety(seed: int) -> None:
    found, best = followed(seed, "k1")
    torch.testing.assert_close(found.exp(), best.exp(), atol=1e-3, rtol=0)
    collapsed: dict[Estimator, float] = {"k2": 0.6, "k3": 0.01}
    for estimator, share in collapsed.items():
        found, best = followed(seed, estimator)
        assert toy.entropy(found) < share * toy.entropy(best)


@settings(max_examples=50)
@given(st.integers(1, 9), st.integers(1, 8), st.integers(1, 3), st.integers(0, 99))
def test_every_prompt_is_asked_equally_often(prompts: int, count: int, samples: int, seed: int) -> None:
    config = PpoConfig.model_construct(batch=count * samples, samples=samples, seed=seed)
    batches = [policy_gradient.shuffled_prompts(config, prompts, update) for update in range(12)]
    counts = Counter(prompt for batch in batches for prompt in batch)
    assert max(counts.values()) - min(counts[prompt] for prompt in range(prompts)) <= samples
    assert all(len(batch) == count * samples for batch in batches)
    assert all(Counter(batch)[prompt] % samples == 0 for batch in batches for prompt in batch)


def test_other_seeds_shuffle_in_another_order() -> None:
    orders = [
        tuple(policy_gradient.shuffled_prompts(PpoConfig.model_construct(batch=9, samples=1, seed=seed), 9, 0))
        for seed in range(5)
    ]
    assert len(set(orders)) == 5


def trained(
    its: Setting[PpoConfig], experience: policy_gradient.Experience | None = None, update: int = 0
) -> dict[str, Tensor]:
    """Weights of policy and critic after one update's steps on one batch."""
    learn_from(its, experience or experienced(its), update)
    return {
        f"{name} {place}": parameter.detach().clone()
        for name, network in (("policy", its.policy.model), ("critic", its.state.critic))
        for place, parameter in network.named_parameters()
    }


def experienced(its: Setting[PpoConfig]) -> policy_gradient.Experience:
    torch.manual_seed(3)
    episodes = policy_gradient.rollout(its.config, its.state, its.prompts, its.sources, 0)
    return policy_gradient.compute_advantages(
        its.config, its.state, episodes, policy_gradient.forward(its.config, its.state, episodes.batch)
    )


def learn_from(its: Setting[PpoConfig], experience: policy_gradient.Experience, update: int = 0) -> LogRow:
    return policy_gradient.take_steps(its.config, its.state, experience, update)


SMALL = {"batch": 32, "microbatch": 32, "minibatches": 2, "updates": 3, "whiten": True}


@pytest.mark.parametrize("microbatch", [3, 7, 16])
def test_the_size_of_microbatches_does_not_change_a_step(tmp_path: Path, microbatch: int) -> None:
    whole = trained(setting(tmp_path, 0, **SMALL))
    parts = trained(setting(tmp_path, 0, **SMALL | {"microbatch": microbatch}))
    for name, weights in whole.items():
        torch.testing.assert_close(
            parts[name], weights, atol=1e-6, rtol=0, msg=lambda said, name=name: f"{name}: {said}"
        )


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_step_does_not_see_what_stands_on_the_padding(tmp_path: Path, kind: str) -> None:
    its, other = (setting(tmp_path, 0, kind, **SMALL) for _ in range(2))
    experience = experienced(its)
    batch = experience.batch
    assert not batch.mask.all(), "there is no padding; the test would test nothing"
    spoiled = replace(
        experience,
        batch=replace(batch, ids=torch.where(batch.mask, batch.ids, 3)),
        **{
            name: torch.where(batch.response_mask, getattr(experience, name), 99.0)
            for name in ("log_probs", "values", "advantages", "returns")
        },
    )
    wanted = trained(its, experience)
    for name, weights in trained(other, spoiled).items():
        torch.testing.assert_close(weights, wanted[name], atol=1e-6, rtol=0)


def test_an_update_changes_policy_and_critic_and_leaves_the_reference(tmp_path: Path) -> None:
    its = setting(tmp_path, 0, **SMALL)
    assert its.state.reference is not None
    before = {name: p.detach().clone() for name, p in its.state.reference.named_parameters()}
    after = trained(its)
    assert all(torch.equal(p, before[name]) for name, p in its.state.reference.named_parameters())
    changed = [not torch.equal(after[f"policy {name}"], weights) for name, weights in before.items()]
    assert all(changed)


def test_a_training_that_begins_in_the_middle_goes_the_same_way(tmp_path: Path) -> None:
    unbroken, broken = (setting(tmp_path, 0, **SMALL) for _ in range(2))
    rows = [
        row for row, _ in policy_gradient.updates(unbroken.config, unbroken.state, unbroken.prompts, unbroken.sources)
    ]
    first, _ = next(policy_gradient.updates(broken.config, broken.state, broken.prompts, broken.sources))
    torch.manual_seed(12345)  # a new process's generators stand somewhere else
    rest = [
        row for row, _ in policy_gradient.updates(broken.config, broken.state, broken.prompts, broken.sources, begin=1)
    ]
    assert [first, *rest] == rows


@pytest.mark.parametrize(("kl", "factor"), [(1.0, 1.0), (1.1, 1.01), (5.0, 1.02), (0.9, 0.99), (0.0, 0.98)])
def test_beta_follows_its_target_by_at_most_a_fifth_of_batch_over_horizon(kl: float, factor: float) -> None:
    config = PpoConfig.model_construct(batch=100, adaptive=AdaptiveKl(target=1.0, horizon=1000))
    assert policy_gradient.adapt_beta(0.5, kl, config) == pytest.approx(0.5 * factor)


def test_beta_rises_while_the_kl_is_beyond_its_target(tmp_path: Path) -> None:
    its = setting(tmp_path, 0, **SMALL | {"updates": 8, "adaptive": {"target": 1e-4, "horizon": 320}, "beta": 0.01})
    rows = [row for row, _ in policy_gradient.updates(its.config, its.state, its.prompts, its.sources)]
    betas = [float(row["beta"] or 0) for row in rows]
    assert betas[0] == 0.01
    for row, beta, then in zip(rows, betas, betas[1:], strict=False):
        assert (then > beta) == (float(row["kl"] or 0) > 1e-4)
    assert betas[-1] > betas[1]


def test_a_target_kl_ends_the_passes_over_a_batch(tmp_path: Path) -> None:
    its = setting(tmp_path, 0, **SMALL | {"epochs": 6, "target_kl": 1e-9})
    assert steps_taken(its) == 2  # one pass of two minibatches
    its = setting(tmp_path, 0, **SMALL | {"epochs": 6, "target_kl": 1e9})
    assert steps_taken(its) == 12


def steps_taken(its: Setting[PpoConfig]) -> int:
    learn_from(its, experienced(its))
    states = its.state.optimiser.state_dict()["state"].values()
    return int(max(state["step"] for state in states))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_stops_before_any_step(tmp_path: Path, bad: float) -> None:
    its = setting(tmp_path, 0, **SMALL)
    before = {name: p.detach().clone() for name, p in its.policy.model.named_parameters()}
    sources = policy_gradient.RewardSources(spoiling(its.sources.reward, bad), Scale())
    with pytest.raises(EvalkitError, match=r"update 0: a loss or gradient is not a finite number.*last saved state"):
        next(policy_gradient.updates(its.config, its.state, its.prompts, sources))
    assert all(torch.equal(p, before[name]) for name, p in its.policy.model.named_parameters())


def spoiling(reward: Callable[..., Tensor], bad: float) -> Callable[..., Tensor]:
    def spoiled(prompt_index: Sequence[int], responses: Sequence[list[int]]) -> Tensor:
        found = reward(prompt_index, responses)
        found[0] = bad
        return found

    return spoiled


def test_a_completion_that_does_not_end_gets_its_penalty_and_not_its_score(tmp_path: Path) -> None:
    its = setting(tmp_path, 0, **SMALL | {"missing_eos": -7.0})
    episodes = policy_gradient.rollout(its.config, its.state, its.prompts, its.sources, 0)
    ended = torch.tensor([response[-1] == toy.EOS for response in episodes.responses])
    assert 0 < int(ended.sum()) < len(ended)
    assert torch.equal(episodes.ended, ended)
    assert (episodes.scores[~ended] == -7.0).all()
    assert torch.equal(episodes.scores[ended], episodes.rewards[ended])
