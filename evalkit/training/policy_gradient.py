"""The loop that PPO, RLOO and GRPO share: a policy samples, is rewarded, and takes clipped steps to what did better.

The objective is E[reward(y)] - beta D(policy || reference) + alpha H(policy); `evalkit.training.divergences` has D
and what optimum it leads to. Read from top to bottom: `prepare` makes the state of a training, and each of its
`updates` is

    rollout             sample a batch of responses from the policy, and score them
    forward             log-probs, KL, entropy and values of every token, under policy, reference and value network
    compute_advantages  D and H join the score; what came beyond expectation: by `ppo`, `rloo` or `grpo`
    take_steps          epochs of clipped minibatch steps for policy and, in PPO, value network
    batch_statistics    what is logged (`evalkit.training.experience`, with what an update hands on from step to step)

Shapes: B episodes (of this process), R response tokens in padded columns, V tokens in the vocabulary. Episodes of the
same prompt stand together.

What decides that the optimum is the right one: the divergence stands inside the reward, from the log-probs of each
sampled token and without a gradient; gamma is 1; nothing is cut off when sampling; log-probs are the trainer's own,
in float32; dropout is off; padding enters no mean.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from evalkit.errors import EvalkitError
from evalkit.training import ppo
from evalkit.training.batch import Batch, microbatches, pack
from evalkit.training.config import GrpoConfig, PolicyGradientConfig, PpoConfig
from evalkit.training.core_split import on_split_cores
from evalkit.training.distinctness import distinct_scores
from evalkit.training.distributed import process_part, spread, sum_over_processes, whole
from evalkit.training.divergences import divergence_terms
from evalkit.training.experience import Episodes, Experience, ForwardPass, batch_statistics
from evalkit.training.grpo import group_advantages, kl_loss
from evalkit.training.models import Policy, response_logits, response_values, token_log_probs, without_adapters
from evalkit.training.output.curves import LogRow
from evalkit.training.rloo import leave_one_out
from evalkit.training.rollout import sample
from evalkit.training.scoring import PromptSet, Scale, Scorer

MAX_LOG_RATIO = 20.0
"""Log-ratios are held below this: exp of more is no number to learn from."""


@dataclass
class TrainState:
    """All that an update changes, and what it needs unchanged."""

    accelerator: Accelerator
    policy: Policy
    actor: nn.Module
    """The policy's model as accelerate wraps it."""
    critic: nn.Module | None
    """The value network as accelerate wraps it; None where others of the prompt say what was to be expected."""
    reference: nn.Module | None
    """Frozen; None where only adapters are trained, and the policy without them is the reference."""
    optimiser: torch.optim.Optimizer
    beta: float
    alpha: float
    """Weight of the entropy."""

    @property
    def device(self) -> torch.device:
        device: torch.device = self.accelerator.device
        return device


@dataclass(frozen=True)
class RewardSources:
    """Where rewards come from."""

    reward: Scorer
    scale: Scale
    gold: Scorer | None = None


def prepare(config: PolicyGradientConfig, policy: Policy, critic: nn.Module | None, reference: nn.Module | None,
            beta: float, accelerator: Accelerator) -> TrainState:  # fmt: skip
    """Spread policy, critic and their optimiser over the processes."""
    if reference is not None:
        reference = reference.to(accelerator.device).requires_grad_(False).eval()
        if accelerator.is_fsdp2:
            reference = spread(reference, accelerator)
    actor = spread(policy.model, accelerator)
    critic = None if critic is None else spread(critic, accelerator)
    # Made last: FSDP2 puts new parameters in the place of old ones.
    groups = [{"params": [p for p in network.parameters() if p.requires_grad]} for network in trained(actor, critic)]
    optimiser = torch.optim.AdamW(
        groups, lr=config.learning_rate, eps=1e-5, weight_decay=0.0, fused=not accelerator.is_fsdp2
    )
    policy = replace(policy, model=accelerator.unwrap_model(actor))
    return TrainState(accelerator, policy, actor, critic, reference, optimiser, beta, config.entropy_bonus)


def trained(actor: nn.Module, critic: nn.Module | None) -> list[nn.Module]:
    """The networks that take steps."""
    return [actor] if critic is None else [actor, critic]


def updates(
    config: PolicyGradientConfig, state: TrainState, prompts: PromptSet, sources: RewardSources, begin: int = 0
) -> Iterator[tuple[LogRow, Episodes]]:
    """Train from update `begin` to the end; yields each update's row of the log, and its episodes.

    Every update is seeded by its own number, so that a training that begins again in the middle goes the same way.
    Raises `EvalkitError` when a loss is not finite; the weights are then those of the last whole update's steps before.
    """
    for update in range(begin, config.updates):
        annealing = 1 - update / config.updates
        set_learning_rates(config, state, annealing)
        seed_torch(config.seed, "episodes", update, state.accelerator.process_index)
        episodes = rollout(config, state, prompts, sources, update)
        passed = forward(config, state, episodes.batch)
        experience = compute_advantages(config, state, episodes, passed)
        losses = take_steps(config, state, experience, update)
        row: LogRow = {"update": update, "episodes": (update + 1) * config.batch, "beta": state.beta}
        row |= batch_statistics(episodes, passed, experience, state.accelerator) | losses
        row["learning_rate"] = config.learning_rate * annealing
        if config.entropy_bonus:
            row["entropy_bonus"] = state.alpha
        if config.adaptive is not None:
            state.beta = adapt_beta(state.beta, float(row["kl"] or 0), config)
        if config.entropy_target is not None:
            state.alpha = adapt_alpha(state.alpha, float(row["entropy"] or 0), config)
        yield row, episodes


def set_learning_rates(config: PolicyGradientConfig, state: TrainState, annealing: float) -> None:
    """Those of policy and value network, times `annealing`, which falls linearly from 1 to 0.

    At the optimum the shaped reward is constant and whitening amplifies noise: without decay the end is worse.
    """
    rates = [config.learning_rate]
    if isinstance(config, PpoConfig):
        rates.append(config.critic_learning_rate or config.learning_rate)
    for group, rate in zip(state.optimiser.param_groups, rates, strict=True):
        group["lr"] = rate * annealing


def rollout(
    config: PolicyGradientConfig, state: TrainState, prompts: PromptSet, sources: RewardSources, update: int
) -> Episodes:
    """Sample this process's part of a batch and score it."""
    prompt_index = process_part(shuffled_prompts(config, len(prompts.ids), update), state.accelerator, config.samples)
    prompt_ids = [prompts.ids[i] for i in prompt_index]
    responses = sample(
        state.policy,
        prompt_ids,
        config.sampling.max_tokens,
        config.sampling.temperature,
        in_step=state.accelerator.is_fsdp2,
    )
    ended = torch.tensor([response[-1] in state.policy.stops for response in responses])  # [B]
    with state.accelerator.autocast():
        rewards = sources.reward(prompt_index, responses)  # [B]
    scores = sources.scale(rewards)  # [B]
    if config.missing_eos is not None:
        scores = torch.where(ended, scores, torch.full_like(scores, config.missing_eos))
    if config.distinctness is not None:
        scores = distinct_scores(scores, state.policy.texts(responses), config.samples, config.distinctness)
    gold = sources.gold(prompt_index, responses) if sources.gold is not None else None
    batch = pack(prompt_ids, responses).to(state.device)
    of_reference = reference_says(config, state, prompt_ids) if config.divergence == "forward_kl" else None
    return Episodes(prompt_index, responses, batch, rewards, scores.to(state.device), gold, ended, of_reference)


def reference_says(config: PolicyGradientConfig, state: TrainState, prompt_ids: list[tuple[int, ...]]) -> Batch:
    """A completion of the reference for each prompt, by `generate`: what else draws has the policy's weights."""
    with reference_model(state):
        said = sample(
            replace(state.policy, sampler=None),
            prompt_ids,
            config.sampling.max_tokens,
            config.sampling.temperature,
            model=state.reference,
            in_step=state.accelerator.is_fsdp2,
        )
    return pack(prompt_ids, said).to(state.device)


def shuffled_prompts(config: PolicyGradientConfig, prompts: int, update: int) -> list[int]:
    """Which prompt each episode of a batch answers, over all processes: shuffled anew after each pass over them."""
    count = config.batch // config.samples
    positions = range(update * count, (update + 1) * count)
    orders = {position // prompts: _order(config.seed, position // prompts, prompts) for position in positions}
    return [orders[position // prompts][position % prompts] for position in positions for _ in range(config.samples)]


def _order(seed: int, epoch: int, prompts: int) -> list[int]:
    # "deck" is part of the seed: another word would make another training of the same config.
    generator = torch.Generator().manual_seed(derived_seed(seed, "deck", epoch))
    order: list[int] = torch.randperm(prompts, generator=generator).tolist()
    return order


def forward(config: PolicyGradientConfig, state: TrainState, batch: Batch) -> ForwardPass:
    """Evaluate a batch before any step is taken: these are the old log-probs and values of the clipped losses."""
    whole_batch = {
        name: torch.zeros(batch.responses.shape, device=state.device) for name in ForwardPass.__annotations__
    }
    for index in microbatches(batch, torch.arange(len(batch), device=state.device), config.microbatch):
        rows = batch.rows(index)
        passed = _forward(state, rows, config.sampling.temperature)
        for name, values in whole_batch.items():
            values[index, : rows.responses.shape[1]] = torch.where(rows.response_mask, getattr(passed, name), 0.0)
    return ForwardPass(**whole_batch)


def _forward(state: TrainState, batch: Batch, temperature: float) -> ForwardPass:
    """The forward pass of one microbatch; anything stands on padding."""

    def next_token_log_probs(model: nn.Module) -> Tensor:
        with torch.no_grad(), state.accelerator.autocast():
            return response_logits(model, batch, temperature).log_softmax(dim=-1)

    def values_and_reference() -> tuple[Tensor, Tensor | None]:
        with torch.no_grad(), state.accelerator.autocast():
            values = response_values(state.critic, batch) if state.critic else torch.zeros(batch.responses.shape)
        return values.to(state.device), None if state.reference is None else next_token_log_probs(state.reference)

    policy, (values, reference) = on_split_cores(
        lambda: next_token_log_probs(state.actor), values_and_reference, state.accelerator
    )  # policy and reference: [B, R, V]; values: [B, R]
    if reference is None:
        with without_adapters(state.policy, state.actor) as model:
            reference = next_token_log_probs(model)
    probabilities = policy.exp()  # [B, R, V]
    tokens = batch.responses[..., None]  # [B, R, 1]
    return ForwardPass(
        log_probs=policy.gather(-1, tokens)[..., 0],
        reference_log_probs=reference.gather(-1, tokens)[..., 0],
        kl=(probabilities * (policy - reference)).sum(dim=-1),
        entropy=-(probabilities * policy).sum(dim=-1),
        values=values,
    )


def compute_advantages(
    config: PolicyGradientConfig, state: TrainState, episodes: Episodes, passed: ForwardPass
) -> Experience:
    """Divergence, entropy and scores become rewards, and those advantages, by the method of `config`."""
    mask = episodes.batch.response_mask  # [B, R]
    penalties = reward_terms(config, state, passed, mask)  # [B, R]
    returns, unit = torch.zeros_like(penalties), 1.0  # [B, R]
    if isinstance(config, PpoConfig):
        rewards = ppo.token_rewards(episodes.scores, penalties, mask)  # [B, R]
        advantages = ppo.gae(rewards, passed.values, mask, config.gae_lambda)  # [B, R]
        returns = advantages + passed.values  # [B, R]
        if config.whiten:
            unit = float(ppo.moments(advantages, mask, state.accelerator)[1])
            advantages = ppo.whiten(advantages, mask, state.accelerator)
    elif isinstance(config, GrpoConfig):
        advantages = group_advantages(episodes.scores, penalties.sum(dim=1), config)[:, None] * mask
    else:
        advantages = leave_one_out(episodes.scores + penalties.sum(dim=1), config.samples)[:, None] * mask
    return Experience(
        episodes.batch,
        passed.log_probs,
        passed.reference_log_probs,
        passed.values,
        advantages,
        returns,
        episodes.of_reference,
        unit,
    )


def reward_terms(config: PolicyGradientConfig, state: TrainState, passed: ForwardPass, mask: Tensor) -> Tensor:
    """[B, R]: what stands inside the reward beside the score, -beta f'(u) - alpha log policy; 0 on padding."""
    terms = -state.alpha * passed.log_probs * mask
    if has_kl_loss(config) or config.divergence == "forward_kl":
        return terms
    log_ratio = passed.log_probs - passed.reference_log_probs
    return terms - state.beta * divergence_terms(log_ratio, mask, config.divergence, config.estimator)


def has_kl_loss(config: PolicyGradientConfig) -> bool:
    """The KL is a loss of its own and stands not inside the reward."""
    return isinstance(config, GrpoConfig) and config.kl == "loss"


def take_steps(config: PolicyGradientConfig, state: TrainState, experience: Experience, update: int) -> LogRow:
    """Take `epochs` x `minibatches` clipped steps; returns the means over tokens that the steps saw."""
    order = torch.Generator().manual_seed(derived_seed(config.seed, "order", update, state.accelerator.process_index))
    sums = dict.fromkeys(("policy_loss", "value_loss", "clipped", "approx_kl", "tokens"), 0.0)
    max_ratio, grad_norm = 1.0, 0.0
    for _ in range(config.epochs):
        epoch_kl, epoch_tokens = 0.0, 0.0
        for minibatch in torch.randperm(len(experience.batch), generator=order).chunk(config.minibatches):
            step, grad_norm = minibatch_step(config, state, experience, minibatch.to(state.device), update)
            max_ratio = max(max_ratio, step.pop("max_ratio"))
            epoch_kl, epoch_tokens = epoch_kl + step["approx_kl"], epoch_tokens + step["tokens"]
            for name, value in step.items():
                sums[name] += value
        if config.target_kl is not None and epoch_kl / epoch_tokens > config.target_kl:
            break
    return {
        "policy_loss": sums["policy_loss"] / sums["tokens"],
        "value_loss": sums["value_loss"] / sums["tokens"],
        "clip_fraction": sums["clipped"] / sums["tokens"],
        "approx_kl": sums["approx_kl"] / sums["tokens"],
        "max_ratio": max_ratio,
        "grad_norm": grad_norm,
    }


def minibatch_step(
    config: PolicyGradientConfig, state: TrainState, experience: Experience, minibatch: Tensor, update: int
) -> tuple[dict[str, float], float]:
    """One optimiser step on the sequences `minibatch`; its losses' sums over tokens, and the policy's gradient norm.

    The loss is the mean over all tokens of the minibatch on all processes, whatever the microbatches.
    """
    accelerator = state.accelerator
    tokens = sum_over_processes(experience.batch.response_mask[minibatch].sum(), accelerator)

    def backward(loss_of: Callable[[Tensor], Tensor], weight: float, batch: Batch = experience.batch) -> Tensor:
        """Add up gradients of a loss; the loss and what goes with it, summed over tokens, a row a microbatch."""
        sums = []
        for index in microbatches(batch, minibatch, config.microbatch):
            with accelerator.autocast():
                loss = loss_of(index)
            (loss[0] * weight * accelerator.num_processes / tokens).backward()
            sums.append(loss.detach())
        return torch.stack(sums)

    def backward_of_policy() -> Tensor:
        if experience.of_reference is not None:
            weight = state.beta / experience.unit
            backward(lambda index: forward_kl_loss(config, state, experience, index), weight, experience.of_reference)
        return backward(lambda index: policy_loss(config, state, experience, index), 1.0)

    def backward_of_values() -> Tensor:
        if not isinstance(config, PpoConfig):
            return torch.zeros(1, 1, device=state.device)
        return backward(lambda index: value_loss(config, state, experience, index), config.value_weight)

    policy_sums, value_sums = on_split_cores(
        backward_of_policy, backward_of_values, accelerator
    )  # [microbatches, 4] and [microbatches, 1]
    norm, *critic_norm = (
        float(whole(accelerator.clip_grad_norm_(network.parameters(), config.max_grad_norm)))
        for network in trained(state.actor, state.critic)
    )
    sums = torch.cat([policy_sums[:, :3].sum(dim=0), value_sums.sum(dim=0)])  # [4]
    totals = sum_over_processes(sums, accelerator).tolist()
    if not all(map(math.isfinite, (*totals, norm, *critic_norm))):
        raise EvalkitError(
            f"update {update}: a loss or gradient is not a finite number, so no step was taken; the last saved state "
            "is good. Lower learning_rate, or look for rewards that are not finite"
        )
    state.optimiser.step()
    state.optimiser.zero_grad(set_to_none=True)
    named = dict(zip(("policy_loss", "clipped", "approx_kl", "value_loss"), totals, strict=True))
    max_ratio = accelerator.gather(policy_sums[:, 3]).max()
    return named | {"tokens": float(tokens), "max_ratio": float(max_ratio)}, norm


def policy_loss(config: PolicyGradientConfig, state: TrainState, experience: Experience, index: Tensor) -> Tensor:
    """Clipped loss of the sequences `index`, summed over tokens.

    A vector of four: the loss, and without a gradient how many tokens were clipped, the sum of (log ratio)^2 / 2, and
    the largest ratio.
    """
    batch, (old, advantages, reference) = _rows(
        experience, index, experience.log_probs, experience.advantages, experience.reference_log_probs
    )
    mask = batch.response_mask  # [b, R], as are all below
    new = token_log_probs(response_logits(state.actor, batch, config.sampling.temperature), batch.responses)
    log_ratio = torch.where(mask, new - old, 0.0).clamp(max=MAX_LOG_RATIO)
    ratio = log_ratio.exp()
    lowest, highest = 1 - config.clip, 1 + (config.clip_high or config.clip)
    gains = torch.minimum(advantages * ratio, advantages * ratio.clamp(lowest, highest))
    loss = -(gains * mask).sum()
    if has_kl_loss(config):
        loss = loss + state.beta * kl_loss(torch.where(mask, new - reference, 0.0)).sum()
    with torch.no_grad():
        clipped = (((ratio < lowest) | (ratio > highest)) & mask).sum().float()
        approx_kl = log_ratio.square().sum() / 2
        max_ratio = ratio.max()
    return torch.stack([loss, clipped, approx_kl, max_ratio])


def forward_kl_loss(config: PolicyGradientConfig, state: TrainState, experience: Experience, index: Tensor) -> Tensor:
    """KL(reference || policy) where the reference answers the prompts of `index`, summed over tokens; a vector of one.

    Exact over the vocabulary at every state that the reference came by: where both agree its gradient is 0, not noise.
    """
    assert experience.of_reference is not None
    batch = experience.of_reference.rows(index)
    with torch.no_grad(), reference_model(state) as model:
        reference = response_logits(model, batch, config.sampling.temperature).log_softmax(dim=-1)  # [b, R, V]
    policy = response_logits(state.actor, batch, config.sampling.temperature).log_softmax(dim=-1)  # [b, R, V]
    kl = (reference.exp() * (reference - policy)).sum(dim=-1)  # [b, R]
    return (kl * batch.response_mask).sum()[None]


def reference_model(state: TrainState) -> AbstractContextManager[nn.Module]:
    """The frozen reference, or the policy while its adapters are off."""
    return without_adapters(state.policy, state.actor) if state.reference is None else nullcontext(state.reference)


def value_loss(config: PpoConfig, state: TrainState, experience: Experience, index: Tensor) -> Tensor:
    """Clipped loss of the value network on the sequences `index`, summed over tokens; a vector of one."""
    batch, (old, returns) = _rows(experience, index, experience.values, experience.returns)
    assert state.critic is not None
    errors = ppo.clipped_squares(response_values(state.critic, batch), old, returns, config.value_clip)  # [b, R]
    return ((errors * batch.response_mask).sum() / 2)[None]


def _rows(experience: Experience, index: Tensor, *tensors: Tensor) -> tuple[Batch, list[Tensor]]:
    """The sequences `index`, [b], and what is known of their tokens, in as many columns as they need."""
    batch = experience.batch.rows(index)
    return batch, [tensor[index, : batch.responses.shape[1]] for tensor in tensors]


def adapt_beta(beta: float, kl: float, config: PolicyGradientConfig) -> float:
    """Beta after a batch whose KL was `kl` nats a sequence: a proportional controller (Ziegler et al. 2019)."""
    assert config.adaptive is not None
    error = min(0.2, max(-0.2, kl / config.adaptive.target - 1))
    return beta * (1 + error * config.batch / config.adaptive.horizon)


def adapt_alpha(alpha: float, entropy: float, config: PolicyGradientConfig) -> float:
    """Weight of the entropy after a batch whose entropy was `entropy` nats a sequence: it rises below the target."""
    assert config.entropy_target is not None
    error = min(0.2, max(-0.2, 1 - entropy / config.entropy_target.target))
    return alpha * (1 + error * config.batch / config.entropy_target.horizon)


def derived_seed(*parts: object) -> int:
    """A seed of its own for every purpose and place."""
    return int.from_bytes(hashlib.sha256(" ".join(map(str, parts)).encode()).digest()[:4], "big")


def seed_torch(*parts: object) -> None:
    """Seed torch's global generators, from which `generate` draws."""
    torch.manual_seed(derived_seed(*parts))
