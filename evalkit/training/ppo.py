"""Proximal policy optimisation of a language model (Schulman et al. 2017; Ziegler et al. 2019; Huang et al. 2024).

The objective is E[reward(y)] - beta KL(policy || reference). Its optimum is known: reference(y) exp(reward(y) / beta),
normalised. Read from top to bottom: an update samples a batch of episodes, observes them under policy, reference and
value network, turns rewards and KL into advantages, and takes clipped steps.

What decides that the optimum is the right one: the KL stands inside the reward, as its estimate k1 at each sampled
token and without a gradient; gamma is 1; nothing is cut off when sampling; log-probs are the trainer's own, in
float32; dropout is off; padding enters no mean.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from evalkit.errors import EvalkitError
from evalkit.training.batch import Batch, microbatches, pack
from evalkit.training.config import Estimator, PpoConfig
from evalkit.training.core_split import side_by_side
from evalkit.training.distributed import spread, whole
from evalkit.training.models import Policy, response_logits, response_values, token_log_probs, without_adapters
from evalkit.training.rollout import sample
from evalkit.training.scoring import Asked, Scale, Scorer

Row = dict[str, float | int | None]
"""One update's figures."""
BEYOND = 20.0
"""Log-ratios are held below this: exp of more is no number to learn from."""


@dataclass
class Learner:
    """All that an update changes, and what it needs unchanged."""

    accelerator: Accelerator
    policy: Policy
    actor: nn.Module
    """The policy's model as accelerate wraps it."""
    critic: nn.Module
    """The value network as accelerate wraps it."""
    reference: nn.Module | None
    """Frozen; None where only adapters are trained, and the policy without them is the reference."""
    optimiser: torch.optim.Optimizer
    beta: float

    @property
    def device(self) -> torch.device:
        device: torch.device = self.accelerator.device
        return device


@dataclass(frozen=True)
class Judged:
    """Where rewards come from."""

    reward: Scorer
    scale: Scale
    gold: Scorer | None = None


@dataclass(frozen=True)
class Episodes:
    """Responses of one batch on this process, and what they earned."""

    which: list[int]
    responses: list[list[int]]
    batch: Batch
    rewards: Tensor
    """[B] as the reward model gives them."""
    scores: Tensor
    """[B] normalised, with the penalty of a missing end in place."""
    gold: Tensor | None
    ended: Tensor
    """[B] bool: the response ended by itself."""


@dataclass(frozen=True)
class Observed:
    """What policy, reference and value network say of every token of a batch, each [B, R], 0 on padding."""

    log_probs: Tensor
    reference: Tensor
    """Log-probs of the reference."""
    kl: Tensor
    """KL(policy || reference) of the next-token law at each visited state, exact: nats, never negative."""
    entropy: Tensor
    """Entropy of the policy's next-token law at each visited state, nats."""
    values: Tensor


@dataclass(frozen=True)
class Experience:
    """What the steps of an update learn from; per-token tensors are [B, R]."""

    batch: Batch
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


def updates(
    config: PpoConfig, learner: Learner, asked: Asked, judged: Judged, begin: int = 0
) -> Iterator[tuple[Row, Episodes]]:
    """Train from update `begin` to the end; yields each update's figures and episodes.

    Every update is seeded by its own number, so that a training that begins again in the middle goes the same way.
    Raises `EvalkitError` when a loss is not finite; the weights are then those of the last whole update's steps before.
    """
    for update in range(begin, config.updates):
        share = 1 - update / config.updates
        _set_rates(learner, config, share)
        seed(config.seed, "episodes", update, learner.accelerator.process_index)
        episodes = play(config, learner, asked, judged, update)
        observed = observe(learner, episodes.batch, config)
        experience = judge(config, learner, episodes, observed)
        learned = learn(config, learner, experience, update)
        row = figures(learner, episodes, observed, experience) | learned
        row = {"update": update, "episodes": (update + 1) * config.batch, "beta": learner.beta, **row}
        row["learning_rate"] = config.learning_rate * share
        if config.adaptive is not None:
            learner.beta = adapted(learner.beta, float(row["kl"] or 0), config)
        yield row, episodes


def play(config: PpoConfig, learner: Learner, asked: Asked, judged: Judged, update: int) -> Episodes:
    """Sample this process's share of a batch and score it."""
    which = share_of(deal(config, len(asked.ids), update), learner.accelerator)
    responses = sample(
        learner.policy,
        [asked.ids[i] for i in which],
        config.sampling.max_tokens,
        config.sampling.temperature,
        in_step=learner.accelerator.is_fsdp2,
    )
    ended = torch.tensor([response[-1] in learner.policy.stops for response in responses])
    rewards = judged.reward(which, responses)
    scores = judged.scale(rewards)
    if config.missing_eos is not None:
        scores = torch.where(ended, scores, torch.full_like(scores, config.missing_eos))
    gold = judged.gold(which, responses) if judged.gold is not None else None
    batch = pack([asked.ids[i] for i in which], responses)
    return Episodes(which, responses, batch.to(learner.device), rewards, scores.to(learner.device), gold, ended)


def observe(learner: Learner, batch: Batch, config: PpoConfig) -> Observed:
    """Evaluate a batch before any step is taken: these are the old log-probs and values of the clipped losses."""
    found = {name: torch.zeros(batch.responses.shape, device=learner.device) for name in Observed.__annotations__}
    for index in microbatches(batch, torch.arange(len(batch), device=learner.device), config.microbatch):
        part = batch.rows(index)
        said = _observe(learner, part, config.sampling.temperature)
        for name, values in found.items():
            values[index, : part.responses.shape[1]] = torch.where(part.response_mask, getattr(said, name), 0.0)
    return Observed(**found)


def _observe(learner: Learner, batch: Batch, temperature: float) -> Observed:
    def law_of(model: nn.Module) -> Tensor:
        with torch.no_grad(), learner.accelerator.autocast():
            return response_logits(model, batch, temperature).log_softmax(dim=-1)

    def others() -> tuple[Tensor, Tensor | None]:
        with torch.no_grad(), learner.accelerator.autocast():
            values = response_values(learner.critic, batch)
        return values, None if learner.reference is None else law_of(learner.reference)

    law, (values, reference) = side_by_side(lambda: law_of(learner.actor), others, learner.accelerator)
    if reference is None:
        with without_adapters(learner.policy, learner.actor) as model:
            reference = law_of(model)
    probability = law.exp()
    tokens = batch.responses[..., None]
    return Observed(
        log_probs=law.gather(-1, tokens)[..., 0],
        reference=reference.gather(-1, tokens)[..., 0],
        kl=(probability * (law - reference)).sum(dim=-1),
        entropy=-(probability * law).sum(dim=-1),
        values=values,
    )


def judge(config: PpoConfig, learner: Learner, episodes: Episodes, observed: Observed) -> Experience:
    """Turn scores and KL into advantages and returns."""
    mask = episodes.batch.response_mask
    kl = kl_terms(observed.log_probs - observed.reference, config.estimator)
    rewards = token_rewards(episodes.scores, kl, mask, learner.beta)
    advantages = gae(rewards, observed.values, mask, config.gae_lambda)
    returns = advantages + observed.values
    if config.whiten:
        advantages = whiten(advantages, mask, learner.accelerator)
    return Experience(episodes.batch, observed.log_probs, observed.values, advantages, returns)


def kl_terms(log_ratio: Tensor, estimator: Estimator) -> Tensor:
    """An estimate of KL(policy || reference) at each sampled token, from log policy - log reference (Schulman 2020).

    Inside a reward only k1 leads to the right optimum. The expected gradient of k2 and k3 there is that of another
    objective: they are never negative, so they also punish tokens that the policy has made rarer.
    """
    if estimator == "k1":
        return log_ratio
    if estimator == "k2":
        return log_ratio.square() / 2
    return torch.expm1(-log_ratio) + log_ratio


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, beta: float) -> Tensor:
    """[B, R]: -beta times the KL term at every token; the score, [B], lands on the last one."""
    last = mask.long().sum(dim=1) - 1
    rewards = -beta * kl * mask
    return rewards.scatter_add(1, last[:, None], scores[:, None].to(rewards))


def gae(rewards: Tensor, values: Tensor, mask: Tensor, lam: float) -> Tensor:
    """Generalised advantage estimates, [B, R], with gamma = 1 (Schulman et al. 2016); 0 on padding.

    With `lam` = 1, advantage + value is the sum of all rewards to come.
    """
    advantages = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])
    next_value = torch.zeros_like(rewards[:, 0])
    for place in range(rewards.shape[1] - 1, -1, -1):
        surprise = rewards[:, place] + next_value - values[:, place]
        following = torch.where(mask[:, place], surprise + lam * following, 0.0)
        next_value = torch.where(mask[:, place], values[:, place], 0.0)
        advantages[:, place] = following
    return advantages


def whiten(values: Tensor, mask: Tensor, accelerator: Accelerator) -> Tensor:
    """Mean 0 and standard deviation 1 over the tokens of all processes; 0 on padding."""
    count = total(mask.sum(), accelerator)
    mean = total((values * mask).sum(), accelerator) / count
    variance = total(((values - mean).square() * mask).sum(), accelerator) / count
    return (values - mean) * mask / (variance + 1e-8).sqrt()


def learn(config: PpoConfig, learner: Learner, experience: Experience, update: int) -> Row:
    """Take `epochs` x `minibatches` clipped steps; returns what the steps saw, means over tokens."""
    order = torch.Generator().manual_seed(number(config.seed, "order", update, learner.accelerator.process_index))
    sums = dict.fromkeys(("policy_loss", "value_loss", "clipped", "approx_kl", "tokens"), 0.0)
    widest, norm = 1.0, 0.0
    for _ in range(config.epochs):
        moved, seen = 0.0, 0.0
        for minibatch in torch.randperm(len(experience.batch), generator=order).chunk(config.minibatches):
            saw, norm = step(config, learner, experience, minibatch.to(learner.device), update)
            widest = max(widest, saw.pop("max_ratio"))
            moved, seen = moved + saw["approx_kl"], seen + saw["tokens"]
            for name, value in saw.items():
                sums[name] += value
        if config.target_kl is not None and moved / seen > config.target_kl:
            break
    return {
        "policy_loss": sums["policy_loss"] / sums["tokens"],
        "value_loss": sums["value_loss"] / sums["tokens"],
        "clip_fraction": sums["clipped"] / sums["tokens"],
        "approx_kl": sums["approx_kl"] / sums["tokens"],
        "max_ratio": widest,
        "grad_norm": norm,
    }


def step(
    config: PpoConfig, learner: Learner, experience: Experience, minibatch: Tensor, update: int
) -> tuple[dict[str, float], float]:
    """One optimiser step on the sequences `minibatch`; its losses' sums over tokens, and the policy's gradient norm.

    The loss is the mean over all tokens of the minibatch on all processes, whatever the microbatches.
    """
    accelerator = learner.accelerator
    tokens = total(experience.batch.response_mask[minibatch].sum(), accelerator)
    parts = microbatches(experience.batch, minibatch, config.microbatch)

    def descend(loss_of: Callable[[PpoConfig, Learner, Experience, Tensor], Tensor], weight: float) -> Tensor:
        """Add up gradients of a loss; its sum over tokens, and what it watches, a row a microbatch."""
        seen = []
        for index in parts:
            with accelerator.autocast():
                watched = loss_of(config, learner, experience, index)
            (watched[0] * weight * accelerator.num_processes / tokens).backward()
            seen.append(watched.detach())
        return torch.stack(seen)

    of_policy, of_value = side_by_side(
        lambda: descend(policy_loss, 1.0), lambda: descend(value_loss, config.value_weight), accelerator
    )
    norm, critic_norm = (
        float(whole(accelerator.clip_grad_norm_(network.parameters(), config.max_grad_norm)))
        for network in (learner.actor, learner.critic)
    )
    added = total(torch.cat([of_policy[:, :3].sum(dim=0), of_value.sum(dim=0)]), accelerator).tolist()
    if not all(map(math.isfinite, (*added, norm, critic_norm))):
        raise EvalkitError(
            f"update {update}: a loss or gradient is not a finite number, so no step was taken; the last saved state "
            "is good. Lower learning_rate, or look for rewards that are not finite"
        )
    learner.optimiser.step()
    learner.optimiser.zero_grad(set_to_none=True)
    saw = dict(zip(("policy_loss", "clipped", "approx_kl", "value_loss"), added, strict=True))
    widest = accelerator.gather(of_policy[:, 3]).max()
    return saw | {"tokens": float(tokens), "max_ratio": float(widest)}, norm


def policy_loss(config: PpoConfig, learner: Learner, experience: Experience, index: Tensor) -> Tensor:
    """Clipped loss of the sequences `index`, summed over tokens.

    A vector of four: the loss, and without a gradient how many tokens were clipped, the sum of (log ratio)^2 / 2, and
    the largest ratio.
    """
    batch, (old, advantages) = _cut(experience, index, experience.log_probs, experience.advantages)
    mask = batch.response_mask
    new = token_log_probs(response_logits(learner.actor, batch, config.sampling.temperature), batch.responses)
    log_ratio = torch.where(mask, new - old, 0.0).clamp(max=BEYOND)
    ratio = log_ratio.exp()
    bounded = ratio.clamp(1 - config.clip, 1 + config.clip)
    loss = -(torch.minimum(advantages * ratio, advantages * bounded) * mask).sum()
    with torch.no_grad():
        clipped = (((ratio - 1).abs() > config.clip) & mask).sum().float()
        watched = (clipped, log_ratio.square().sum() / 2, ratio.max())
    return torch.stack([loss, *watched])


def value_loss(config: PpoConfig, learner: Learner, experience: Experience, index: Tensor) -> Tensor:
    """Clipped loss of the value network on the sequences `index`, summed over tokens; a vector of one."""
    batch, (old, returns) = _cut(experience, index, experience.values, experience.returns)
    values = response_values(learner.critic, batch)
    near = old + (values - old).clamp(-config.value_clip, config.value_clip)
    misses = torch.maximum((values - returns).square(), (near - returns).square())
    return ((misses * batch.response_mask).sum() / 2)[None]


def _cut(experience: Experience, index: Tensor, *tensors: Tensor) -> tuple[Batch, list[Tensor]]:
    """The sequences `index`, and what is known of their tokens, in as many columns as they need."""
    batch = experience.batch.rows(index)
    return batch, [tensor[index, : batch.responses.shape[1]] for tensor in tensors]


def figures(learner: Learner, episodes: Episodes, observed: Observed, experience: Experience) -> Row:
    """What a batch says of the policy that played it, over all processes."""
    mask = episodes.batch.response_mask
    count, tokens = total(torch.tensor(float(len(mask))), learner.accelerator), total(mask.sum(), learner.accelerator)

    def mean(values: Tensor) -> float:
        return float(total(values.double().sum(), learner.accelerator) / count)

    returns, misses = experience.returns, experience.returns - experience.values
    centre = total((returns * mask).sum(), learner.accelerator) / tokens
    spread = total(((returns - centre).square() * mask).sum(), learner.accelerator)
    drift = total((misses * mask).sum(), learner.accelerator) / tokens
    missed = total(((misses - drift).square() * mask).sum(), learner.accelerator)
    row: Row = {
        "reward": mean(episodes.rewards),
        "score": mean(episodes.scores),
        "kl": mean(observed.kl),
        "kl_k1": mean(observed.log_probs - observed.reference),
        "entropy": mean(observed.entropy),
        "entropy_token": float(total(observed.entropy.sum(), learner.accelerator) / tokens),
        "explained_variance": float(1 - missed / spread) if float(spread) > 0 else None,
        "eos_rate": mean(episodes.ended.float()),
        "length": mean(mask.float()),
    }
    return row | ({"gold": mean(episodes.gold)} if episodes.gold is not None else {})


def adapted(beta: float, kl: float, config: PpoConfig) -> float:
    """Beta after a batch whose KL was `kl` nats a sequence: a proportional controller (Ziegler et al. 2019)."""
    assert config.adaptive is not None
    error = min(0.2, max(-0.2, kl / config.adaptive.target - 1))
    return beta * (1 + error * config.batch / config.adaptive.horizon)


def deal(config: PpoConfig, prompts: int, update: int) -> list[int]:
    """Which prompt each episode of a batch answers, over all processes: decks that are shuffled anew, one by one."""
    hand = config.batch // config.samples
    places = range(update * hand, (update + 1) * hand)
    decks = {place // prompts: _deck(config.seed, place // prompts, prompts) for place in places}
    return [decks[place // prompts][place % prompts] for place in places for _ in range(config.samples)]


def _deck(seed: int, turn: int, prompts: int) -> list[int]:
    order: list[int] = torch.randperm(
        prompts, generator=torch.Generator().manual_seed(number(seed, "deck", turn))
    ).tolist()
    return order


def share_of(episodes: Sequence[int], accelerator: Accelerator) -> list[int]:
    """Which episodes of a batch are this process's own."""
    return list(episodes[accelerator.process_index :: accelerator.num_processes])


def total(value: Tensor, accelerator: Accelerator) -> Tensor:
    """A sum over all processes."""
    if accelerator.num_processes == 1:
        return value
    added: Tensor = accelerator.reduce(value.to(accelerator.device), reduction="sum")
    return added


def number(*parts: object) -> int:
    """A seed of its own for every purpose and place."""
    return int.from_bytes(hashlib.sha256(" ".join(map(str, parts)).encode()).digest()[:4], "big")


def seed(*parts: object) -> None:
    """Seed torch's global generators, from which `generate` draws."""
    torch.manual_seed(number(*parts))


def _set_rates(learner: Learner, config: PpoConfig, share: float) -> None:
    # At the optimum the shaped reward is constant and whitening amplifies noise: without decay the end is worse.
    rates = (config.learning_rate, config.critic_learning_rate or config.learning_rate)
    for group, rate in zip(learner.optimiser.param_groups, rates, strict=True):
        group["lr"] = rate * share


def prepare(config: PpoConfig, policy: Policy, critic: nn.Module, reference: nn.Module | None, beta: float,
            accelerator: Accelerator) -> Learner:  # fmt: skip
    """Spread policy, critic and their optimiser over the processes."""
    if reference is not None:
        reference = reference.to(accelerator.device).requires_grad_(False).eval()
        if accelerator.is_fsdp2:
            reference = spread(reference, accelerator)
    actor, critic = spread(policy.model, accelerator), spread(critic, accelerator)
    # Made last: FSDP2 puts new parameters in the place of old ones.
    groups = [{"params": [p for p in network.parameters() if p.requires_grad]} for network in (actor, critic)]
    optimiser = torch.optim.AdamW(
        groups, lr=config.learning_rate, eps=1e-5, weight_decay=0.0, fused=not accelerator.is_fsdp2
    )
    policy = replace(policy, model=accelerator.unwrap_model(actor))
    return Learner(accelerator, policy, actor, critic, reference, optimiser, beta)
