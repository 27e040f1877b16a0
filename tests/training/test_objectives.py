"""Every objective against its exact optimum on the enumerable language, and the advantages against their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from evalkit.errors import EvalkitError
from evalkit.training import policy_gradient
from evalkit.training.config import Divergence, EntropyTarget, GrpoConfig, PolicyGradientConfig, PpoConfig, RlooConfig
from evalkit.training.distinctness import distinct_scores, distinctness
from evalkit.training.divergences import divergence_terms, jensen_shannon_slope
from evalkit.training.grpo import group_advantages
from evalkit.training.ladder import resume, save_state
from evalkit.training.rloo import leave_one_out
from evalkit.training.scoring import Scale
from tests.training import exact_optima, toy
from tests.training.toy_training import SEEDS, setting

SAMPLES = 4
Optimum = Callable[[Tensor, Tensor], Tensor]
"""(log-probs of the reference, rewards) -> log-probs of where the objective leads."""


@dataclass(frozen=True)
class Objective:
    method: type[PolicyGradientConfig]
    optimum: Optimum
    settings: dict[str, object] = field(default_factory=dict)
    value: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    """(log-probs, log-probs of the reference, rewards) -> the objective; None where a fixed point is no maximum."""


def reverse_kl(policy: Tensor, reference: Tensor, rewards: Tensor) -> Tensor:
    return (policy.exp() * (rewards - (policy - reference))).sum()


def forward_kl(policy: Tensor, reference: Tensor, rewards: Tensor, beta: float = 1.0) -> Tensor:
    return (policy.exp() * rewards).sum() - beta * (reference.exp() * (reference - policy)).sum()


def jensen_shannon(policy: Tensor, reference: Tensor, rewards: Tensor, beta: float = 1.0) -> Tensor:
    middle = torch.logaddexp(policy, reference) - math.log(2)
    twice = (policy.exp() * (policy - middle)).sum() + (reference.exp() * (reference - middle)).sum()
    return (policy.exp() * rewards).sum() - beta * twice


def with_entropy(policy: Tensor, reference: Tensor, rewards: Tensor) -> Tensor:
    return reverse_kl(policy, reference, rewards) - ALPHA * (policy.exp() * policy).sum()


ALPHA = 0.5
WIDE = 0.25
"""Beta where rewards are within 0 and 1."""
PPO: dict[str, object] = {"gae_lambda": 1.0}
LARGE: dict[str, object] = {"updates": 80, "batch": 2048, "minibatches": 8, "microbatch": 256}
QUICK: dict[str, object] = {"updates": 100, "clip": 0.5, "learning_rate": 3e-3}
"""Where the best policy says often what the start hardly says: it must first be found."""
MIDDLE: dict[str, object] = {"updates": 60, "batch": 1024, "minibatches": 8, "microbatch": 256}
"""The noisier an objective still is where it leads, the larger the batches and the more the steps that come near."""
OBJECTIVES = {
    "rloo": Objective(RlooConfig, lambda start, r: exact_optima.tilt(start, r, 1.0), MIDDLE, reverse_kl),
    "grpo without deviation": Objective(
        GrpoConfig,
        lambda start, r: exact_optima.tilt(start, r, 1.0),
        MIDDLE | {"scale": "none", "kl": "reward", "samples": SAMPLES},
        reverse_kl,
    ),
    "grpo by the deviation": Objective(
        GrpoConfig,
        lambda start, r: exact_optima.grpo_scaled_optimum(start, r, 1.0, 2),
        LARGE | {"scale": "group", "kl": "reward", "samples": 2},
    ),
    "grpo with its KL as a loss": Objective(
        GrpoConfig,
        lambda start, r: exact_optima.kl_loss_optimum(start, r, 1.0, SAMPLES),
        LARGE | {"scale": "none", "kl": "loss", "samples": SAMPLES},
    ),
    "entropy": Objective(
        PpoConfig,
        lambda start, r: exact_optima.tilt(start, r, 1.0, ALPHA),
        PPO | {"entropy_bonus": ALPHA},
        with_entropy,
    ),
    # Of these two, betas whose best policies are not many nats away: none of the methods gets there in so few steps.
    "forward kl": Objective(
        PpoConfig,
        lambda start, r: exact_optima.forward_kl_optimum(start, r, 3.0),
        MIDDLE | PPO | QUICK | {"divergence": "forward_kl", "beta": 3.0},
        partial(forward_kl, beta=3.0),
    ),
    "jensen-shannon": Objective(
        PpoConfig,
        lambda start, r: exact_optima.jensen_shannon_optimum(start, r, 3.0),
        MIDDLE | PPO | {"divergence": "jensen_shannon", "beta": 3.0, "updates": 120},
        partial(jensen_shannon, beta=3.0),
    ),
    "clip-higher": Objective(
        PpoConfig, lambda start, r: exact_optima.tilt(start, r, 1.0), PPO | {"clip_high": 0.28}, reverse_kl
    ),
    "distinctness": Objective(
        RlooConfig,
        lambda start, r: exact_optima.distinct_optimum(start, r, WIDE, SAMPLES),
        MIDDLE | {"distinctness": "exact", "beta": WIDE, "samples": SAMPLES},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_objective_leads_to_its_exact_optimum_through_the_real_sampler(
    tmp_path: Path, name: str, seed: int
) -> None:
    objective = OBJECTIVES[name]
    its = setting(objective.method, tmp_path, seed, **objective.settings)
    starts = [toy.response_log_probs(its.policy, ids) for ids in its.prompts.ids]
    for _ in policy_gradient.updates(its.config, its.state, its.prompts, its.sources):
        pass
    for ids, start, rewards in zip(its.prompts.ids, starts, its.rewards.double(), strict=True):
        reached, best = toy.response_log_probs(its.policy, ids), objective.optimum(start, rewards)
        print(f"{name}, seed {seed}: {apart(reached, best):.4f} from the optimum, began at {apart(start, best):.4f}")
        assert apart(start, best) > 0.06
        assert apart(reached, best) < 0.03
        if objective.value is not None:
            gap = float(objective.value(best, start, rewards) - objective.value(reached, start, rewards))
            assert -1e-9 < gap < 0.01


def apart(one: Tensor, other: Tensor) -> float:
    """Total variation."""
    return float((one.exp() - other.exp()).abs().sum() / 2)


def law(seed: int, count: int = 6) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits, rewards = torch.randn(2, count, generator=draw, dtype=torch.float64)
    return logits.log_softmax(dim=0), rewards


@pytest.mark.parametrize(
    ("divergence", "value", "optimum"),
    [
        ("reverse_kl", reverse_kl, exact_optima.tilt),
        ("forward_kl", forward_kl, exact_optima.forward_kl_optimum),
        ("jensen_shannon", jensen_shannon, exact_optima.jensen_shannon_optimum),
    ],
)
@given(seed=st.integers(0, 2**31))
def test_the_term_inside_the_reward_has_the_gradient_of_its_divergence(
    divergence: Divergence,
    value: Callable[[Tensor, Tensor, Tensor], Tensor],
    optimum: Callable[[Tensor, Tensor, float], Tensor],
    seed: int,
) -> None:
    reference, rewards = law(seed)
    logits = law(seed + 1)[0].requires_grad_()
    policy = logits.log_softmax(dim=0)
    [exact] = torch.autograd.grad(value(policy, reference, rewards), logits, retain_graph=True)
    term = policy - reference if divergence == "reverse_kl" else jensen_shannon_slope(policy - reference)
    if divergence == "forward_kl":
        term = torch.zeros(len(policy))
    gained = (policy.exp().detach() * (rewards - term).detach() * policy).sum()
    if divergence == "forward_kl":
        gained = gained + (reference.exp() * policy).sum()
    [inside] = torch.autograd.grad(gained, logits)
    torch.testing.assert_close(inside, exact, atol=1e-9, rtol=1e-6)
    best = optimum(reference, rewards, 1.0)
    for other in (reference, policy.detach()):
        assert float(value(best, reference, rewards)) >= float(value(other, reference, rewards)) - 1e-9


@given(st.integers(0, 2**31), st.sampled_from(["reverse_kl", "jensen_shannon"]))
def test_terms_add_up_to_the_slope_of_the_whole_completion_and_leave_padding_alone(
    seed: int, divergence: Divergence
) -> None:
    draw = torch.Generator().manual_seed(seed)
    log_ratio = torch.randn(5, 4, generator=draw, dtype=torch.float64)
    mask = torch.arange(4) < torch.randint(1, 5, (5, 1), generator=draw)
    terms = divergence_terms(log_ratio, mask, divergence, "k1")
    assert not terms[~mask].any()
    whole = (log_ratio * mask).sum(dim=1)
    wanted = whole if divergence == "reverse_kl" else torch.log(2 * whole.exp() / (1 + whole.exp()))
    torch.testing.assert_close(terms.sum(dim=1), wanted)
    assert not divergence_terms(torch.zeros(5, 4), mask, divergence, "k1").abs().gt(1e-6).any()


@given(st.lists(st.floats(-5, 5), min_size=6, max_size=6), st.sampled_from([2, 3]))
def test_leave_one_out_compares_each_completion_with_the_others_of_its_prompt(rewards: list[float], size: int) -> None:
    found = leave_one_out(torch.tensor(rewards, dtype=torch.float64), size).tolist()
    for place, reward in enumerate(rewards):
        group = range(place // size * size, place // size * size + size)
        others = [rewards[other] for other in group if other != place]
        assert found[place] == pytest.approx(reward - sum(others) / len(others), abs=1e-9)


def grpo(**changes: object) -> GrpoConfig:
    return GrpoConfig.model_construct(**{"samples": 2, "scale": "group", "kl": "reward"} | changes)


def test_in_a_group_of_two_the_deviation_leaves_only_who_won() -> None:
    scores = torch.tensor([1.0, 3.0, 0.1, -0.1, 5.0, 5.0])
    found = group_advantages(scores, torch.zeros(6), grpo())
    half = 1 / math.sqrt(2)
    torch.testing.assert_close(found, torch.tensor([-half, half, half, -half, 0.0, 0.0]), atol=1e-3, rtol=0)


def test_the_deviation_divides_rewards_and_not_what_stands_beside_them() -> None:
    scores, terms = torch.tensor([0.0, 10.0, 20.0]), torch.tensor([0.3, 0.0, 0.0])
    found = group_advantages(scores, terms, grpo(samples=3))
    torch.testing.assert_close(found, torch.tensor([-1 + 0.2, -0.1, 1 - 0.1]), atol=1e-4, rtol=0)
    plain = group_advantages(scores, terms, grpo(samples=3, scale="none"))
    torch.testing.assert_close(plain, torch.tensor([-10 + 0.2, -0.1, 10 - 0.1]))


def test_the_expected_group_advantage_is_the_mean_over_all_groups() -> None:
    """The oracle of the fixed point, against the advantages that are trained on."""
    policy, rewards = law(3, count=4)
    found = exact_optima.expected_group_advantage(policy, rewards, 3)
    for first in range(4):
        wanted = 0.0
        for others in product(range(4), repeat=2):
            group = rewards[[first, *others]]
            weight = float(policy[list(others)].sum().exp())
            wanted += weight * float(group_advantages(group, torch.zeros(3), grpo(samples=3))[0])
        assert float(found[first]) == pytest.approx(wanted, abs=1e-9)


def test_distinctness_is_the_mean_distance_from_the_others() -> None:
    assert distinctness(["a", "a", "b", ""], "exact") == pytest.approx([2 / 3, 2 / 3, 1, 1])
    # Words and pairs: {the, cat, the cat} and {the, dog, the dog} share one of five.
    assert distinctness(["The cat", "the dog", "the cat"], "ngrams") == pytest.approx([0.4, 0.8, 0.4])
    scores = distinct_scores(torch.tensor([0.0, 0.0, 2.0, 2.0]), ["a", "a", "b", "c"], 2, "exact")
    torch.testing.assert_close(scores, torch.tensor([0.0, 0.0, 2.0, 2.0]).sigmoid() * torch.tensor([0.0, 0, 1, 1]))


def test_the_weight_of_the_entropy_follows_its_target() -> None:
    target = EntropyTarget(target=2.0, horizon=1000)
    config = PpoConfig.model_construct(batch=100, entropy_target=target)
    for entropy, factor in [(2.0, 1.0), (1.9, 1.005), (0.0, 1.02), (9.0, 0.98)]:
        assert policy_gradient.adapt_alpha(0.5, entropy, config) == pytest.approx(0.5 * factor)


def test_the_forward_kl_is_of_what_the_reference_says_whoever_draws_for_the_policy(tmp_path: Path) -> None:
    its = setting(RlooConfig, tmp_path, 0, divergence="forward_kl", sampling={"max_tokens": 1})

    def never(*_: object) -> list[list[int]]:
        raise AssertionError("it draws from the policy")

    reference = toy.response_log_probs(its.policy, its.prompts.ids[0]).exp()
    with torch.no_grad():
        its.state.policy.model.get_output_embeddings().weight.zero_()  # the policy says all alike
    its.state.policy = replace(its.state.policy, sampler=never)
    torch.manual_seed(0)
    batch = policy_gradient.reference_says(its.config, its.state, [its.prompts.ids[0]] * 4000)
    ended = float((batch.responses[:, 0] == toy.EOS).float().mean())
    exact = float(reference[toy.responses().index([toy.EOS])])
    assert abs(exact - 1 / 5) > 0.03
    assert ended == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 4000))


SMALL: dict[str, object] = {"updates": 4, "batch": 32, "minibatches": 2, "epochs": 1, "microbatch": 16}


@pytest.mark.parametrize("method", [RlooConfig, GrpoConfig])
def test_a_training_without_value_network_goes_on_from_its_state_the_same_way(
    tmp_path: Path, method: type[PolicyGradientConfig]
) -> None:
    changes = SMALL | {"samples": 4, "entropy_bonus": 0.1, "entropy_target": {"target": 9.0, "horizon": 64}}
    unbroken, broken, again = (setting(method, tmp_path / "words", 0, **changes) for _ in range(3))
    rows = [
        row for row, _ in policy_gradient.updates(unbroken.config, unbroken.state, unbroken.prompts, unbroken.sources)
    ]
    going = policy_gradient.updates(broken.config, broken.state, broken.prompts, broken.sources)
    first = [next(going)[0] for _ in range(2)]
    save_state(broken.state, tmp_path / "state", 2)
    begin = resume(again.state, tmp_path / "state")
    rest = [row for row, _ in policy_gradient.updates(again.config, again.state, again.prompts, again.sources, begin)]
    assert [*first, *rest] == rows
    bonuses = [float(row["entropy_bonus"] or 0) for row in rows]
    assert bonuses == sorted(set(bonuses))  # far below the target, it rises each time


@pytest.mark.parametrize("method", [RlooConfig, GrpoConfig])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_reward_that_is_no_number_stops_before_any_step(
    tmp_path: Path, method: type[PolicyGradientConfig], bad: float
) -> None:
    its = setting(method, tmp_path, 0, **SMALL | {"samples": 4})
    before = {name: weight.detach().clone() for name, weight in its.policy.model.named_parameters()}

    def spoiled(prompt_index: Sequence[int], responses: Sequence[list[int]]) -> Tensor:
        return torch.cat([torch.tensor([bad]), its.sources.reward(prompt_index, responses)[1:]])

    sources = policy_gradient.RewardSources(spoiled, Scale())
    with pytest.raises(EvalkitError, match=r"update 0: a loss or gradient is not a finite number"):
        next(policy_gradient.updates(its.config, its.state, its.prompts, sources))
    assert all(torch.equal(weight, before[name]) for name, weight in its.policy.model.named_parameters())
