"""Direct preference optimisation (Rafailov et al. 2023): a policy from preferences, without reward model or sampling.

    preferences -> comparisons as tokens, held out by prompt -> pairs with their votes -> log-probs of the reference
                -> policy, loss of its log-ratios to the reference -> checkpoint, for each beta

The policy that makes E[reward] - beta D_f(policy || reference) as large as it can be has, for every completion y,

    reward(y) = beta f'(u(y)) + lambda,   u(y) = policy(y) / reference(y)

(Wang et al. 2023). So a policy is a reward up to lambda, which depends on the prompt alone and cancels in the
difference of two completions. DPO fits this implicit reward as a reward model is fitted:

    P(a preferred to b) = sigmoid(beta f'(u(a)) - beta f'(u(b)))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from evalkit.checkpoints.training_log import work_of
from evalkit.errors import InputError
from evalkit.plumbing.progress import Listener, Quiet
from evalkit.preferences.files import Preference, read_preferences
from evalkit.training.batch import pack
from evalkit.training.bradley_terry import preference_loss
from evalkit.training.calibration import wilson
from evalkit.training.comparisons import Comparison, Ids, compare, prompt_ids, split
from evalkit.training.config import Divergence, DpoConfig
from evalkit.training.data_parallel import (
    gathered,
    is_first,
    join_processes,
    of_first,
    one_of_many,
    own_share,
    wait_for_all,
)
from evalkit.training.memory import told_when_full
from evalkit.training.models import Policy, load_policy, response_logits, token_log_probs
from evalkit.training.optimise import Objective, autocast, evaluate, optimise
from evalkit.training.output import manifest
from evalkit.training.output.dpo_card import dpo_card
from evalkit.training.output.folder import frame_as_chat, save_model
from evalkit.training.output.page import write_training_page
from evalkit.training.split import held_out_prompts
from evalkit.training.state import STATE, forget_state


def implicit_rewards(log_ratios: Tensor, divergence: Divergence) -> Tensor:
    """[n] f'(u) without its constant, from [n] log u."""
    if divergence == "reverse_kl":  # f(u) = u log u, f'(u) = log u + 1
        return log_ratios
    if divergence == "forward_kl":  # f(u) = -log u, f'(u) = -1 / u
        return -(-log_ratios).exp()
    # Jensen-Shannon: f(u) = u log u - (u + 1) log((u + 1) / 2), f'(u) = log(2 u / (1 + u))
    return logsigmoid(log_ratios)  # u / (1 + u) = sigmoid(log u)


def dpo_margins(chosen: Tensor, rejected: Tensor, beta: float, divergence: Divergence = "reverse_kl") -> Tensor:
    """[n] log-odds that the chosen completion is preferred, from the log-ratios, [n], of both."""
    return beta * (implicit_rewards(chosen, divergence) - implicit_rewards(rejected, divergence))


def dpo_loss(
    chosen: Tensor, rejected: Tensor, targets: Tensor, beta: float, divergence: Divergence = "reverse_kl"
) -> Tensor:
    """[n] cross entropy, nats, to the chosen completion being preferred with probability `targets`, [n] in [0, 1].

    `chosen`, `rejected`: [n] log-ratios, log policy - log reference of a whole completion.
    """
    return preference_loss(dpo_margins(chosen, rejected, beta, divergence), targets)


@dataclass(frozen=True)
class VotedPair:
    """Two completions of a prompt as tokens, and how the votes on them went."""

    prompt: Ids
    chosen: Ids
    rejected: Ids
    target: float = 1.0
    """Share of votes for the chosen one, a tie being half of one: at least 1/2."""
    votes: int = 1
    reference: tuple[float, float] = field(default=(0.0, 0.0), repr=False)
    """Log-probs of chosen and rejected under the reference. Not shown: what a resumed training is compared by is its
    data, and these may differ in their last bits."""


def dpo(policy: Policy, beta: float, divergence: Divergence, is_length_normalised: bool) -> Objective[VotedPair]:
    """The loss, the mean over votes, and what is watched beside it."""

    def losses(few: Sequence[VotedPair]) -> dict[str, Tensor]:
        chosen, rejected = log_ratios(policy, few, is_length_normalised)
        targets = chosen.new_tensor([pair.target for pair in few])
        votes = chosen.new_tensor([pair.votes for pair in few])
        margins = dpo_margins(chosen, rejected, beta, divergence)
        return {
            "loss": (votes * dpo_loss(chosen, rejected, targets, beta, divergence)).sum(),
            "accuracy": (votes * (margins.sign() * (2 * targets - 1) + 1)).sum() / 2,
            "margin": (votes * margins).sum(),
            "chosen_log_ratio": (votes * chosen).sum(),
            "rejected_log_ratio": (votes * rejected).sum(),
        }

    return Objective(policy.model, losses, length, units=lambda pair: pair.votes, sequences=2)


def log_ratios(policy: Policy, few: Sequence[VotedPair], is_length_normalised: bool) -> tuple[Tensor, Tensor]:
    """[n] log policy - log reference of the chosen completions and of the rejected ones, float64.

    Length-normalised they are means over a completion's tokens (Lambert et al. 2024).
    """
    # In float32 forward KL's 1 / u would overflow where a completion has become e^88 times as rare.
    log_probs = completion_log_probs(policy, few).double()  # [2, n]
    ratios = log_probs - log_probs.new_tensor([pair.reference for pair in few]).T
    if is_length_normalised:
        ratios = ratios / ratios.new_tensor([[len(pair.chosen), len(pair.rejected)] for pair in few]).T
    return ratios[0], ratios[1]


def completion_log_probs(policy: Policy, few: Sequence[VotedPair]) -> Tensor:
    """[2, n] log-probs of the chosen and of the rejected completions, ends of sequence included."""
    batch = pack([pair.prompt for pair in few] * 2, [pair.chosen for pair in few] + [pair.rejected for pair in few])
    batch = batch.to(policy.model.device)
    log_probs = token_log_probs(response_logits(policy.model, batch), batch.responses)  # [2 n, R]
    return (log_probs * batch.response_mask).sum(dim=1).view(2, -1)


def with_reference(config: DpoConfig, reference: Policy, pairs: Sequence[VotedPair]) -> list[VotedPair]:
    """The pairs with their log-probs under the reference, which no step changes."""
    own = dict[int, tuple[float, float]]()
    order = own_share(sorted(range(len(pairs)), key=lambda index: length(pairs[index])))
    size = max(1, config.microbatch // 2)
    with torch.no_grad(), autocast(config, reference.model):
        for start in range(0, len(order), size):
            few = order[start : start + size]
            log_probs = completion_log_probs(reference, [pairs[index] for index in few]).T.tolist()
            own |= {index: (chosen, rejected) for index, (chosen, rejected) in zip(few, log_probs, strict=True)}
    found = {index: said for part in gathered(own) for index, said in part.items()}
    return [replace(pair, reference=found[index]) for index, pair in enumerate(pairs)]


def count_votes(comparisons: Iterable[Comparison]) -> list[VotedPair]:
    """Each two completions of a prompt once, in order of their first comparison, with the share of votes.

    Many votes on a pair are a soft label: the mean of their losses is the cross entropy to their share.
    """
    votes: dict[tuple[Ids, Ids, Ids], list[float]] = {}
    for row in comparisons:
        turned = votes.get((row.prompt, row.rejected, row.chosen))
        if turned is not None:
            turned.append(1 - row.target)
        else:
            votes.setdefault((row.prompt, row.chosen, row.rejected), []).append(row.target)
    return [_voted(*key, sum(targets) / len(targets), len(targets)) for key, targets in votes.items()]


def _voted(prompt: Ids, a: Ids, b: Ids, share: float, votes: int) -> VotedPair:
    """A pair of which `share` of the votes are for `a`: what most prefer is the chosen one."""
    return VotedPair(prompt, a, b, share, votes) if share >= 0.5 else VotedPair(prompt, b, a, 1 - share, votes)


def length(pair: VotedPair) -> int:
    """Tokens of the longer exchange."""
    return len(pair.prompt) + max(len(pair.chosen), len(pair.rejected))


def train_dpo(config: DpoConfig, out: Path, tell: Listener, command: Sequence[str] = ()) -> list[Path]:
    """Train a policy for each beta of `config` and return their folders, `out`/beta-B, in that order.

    The same config on the same `out` resumes. Raises `EvalkitError`s: `InputError` for what cannot be trained on,
    `StoreError` for a disk that fills, and itself for a loss that is not finite and for memory that runs out.
    """
    with one_of_many(), told_when_full(config.microbatch):
        device = join_processes()
        if not is_first():
            tell = Quiet()
        preferences = read_preferences(config.preferences, tell.note)
        reference = load_policy("policy", config.policy)
        sides = encode(config, reference, preferences, tell)
        record = manifest.begin(out, config, command) if is_first() else {}
        show = partial(write_training_page, config.name, out, list(map(name_of, config.beta)))
        missing = of_first([beta for beta in config.beta if not (out / name_of(beta) / "training.json").exists()])
        if missing:
            reference.model.to(device)
            trained, held_out = (with_reference(config, reference, side) for side in sides)
            reference.model.to("cpu")
            for beta in missing:
                train_one(config, beta, trained, held_out, out, device, tell, show)
        if is_first():
            manifest.finish(out, record)
            show()
    return [out / name_of(beta) for beta in config.beta]


def encode(
    config: DpoConfig, policy: Policy, preferences: Sequence[Preference], tell: Listener
) -> tuple[list[VotedPair], list[VotedPair]]:
    """Pairs to train on, and those of held-out prompts. Raises `InputError`."""
    ids = prompt_ids(policy, preferences, 1)
    held = held_out_prompts(ids, config.held_out, config.seed)
    trained, held_out = split(policy, preferences, compare(policy, preferences, ids), held, tell)
    for side, what in ((trained, "train on"), (held_out, "hold out")):
        if not side:
            raise InputError(
                f"there are no preferences to {what}; prompts are held out whole, so give more prompts, or change "
                "held_out"
            )
    return count_votes(trained), count_votes(held_out)


def train_one(
    config: DpoConfig,
    beta: float,
    trained: Sequence[VotedPair],
    held_out: Sequence[VotedPair],
    out: Path,
    device: torch.device,
    tell: Listener,
    show: Callable[[], None],
) -> None:
    """Train the policy of one beta, from its last state where there is one, and write its checkpoint."""
    torch.manual_seed(config.seed)  # of the adapters
    policy = load_policy("policy", config.policy, config.lora)
    policy.model.to(device)
    folder = out / name_of(beta)
    objective = dpo(policy, beta, config.divergence, config.length_normalised)
    optimise(config, objective, trained, held_out, work_of(folder), tell, show)
    facts = facts_of(config, beta, trained, held_out, evaluate(config, objective, held_out))
    if is_first():
        save(config, policy, folder, facts)
    wait_for_all()


def save(config: DpoConfig, policy: Policy, folder: Path, facts: dict[str, Any]) -> None:
    template = frame_as_chat(config.policy, policy.tokenizer) if config.policy.kind == "base" else None
    card = dpo_card(f"{config.name} {folder.name}", facts)
    save_model(folder, policy.model, Path(policy.checkpoint.location), card, facts, template)
    forget_state(work_of(folder) / STATE)


def facts_of(
    config: DpoConfig,
    beta: float,
    trained: Sequence[VotedPair],
    held_out: Sequence[VotedPair],
    means: Mapping[str, float],
) -> dict[str, Any]:
    """What training.json and the card say; `means` over the votes on held-out pairs."""
    votes = sum(pair.votes for pair in held_out)
    low, high = wilson(means["accuracy"] * votes, votes)
    return {
        "method": "DPO",
        "policy": config.policy.path,
        "preferences": list(config.preferences),
        "beta": beta,
        "divergence": config.divergence,
        "length_normalised": config.length_normalised,
        "pairs": len(trained),
        "votes": sum(pair.votes for pair in trained),
        "prompts": len({pair.prompt for pair in trained}),
        "settings": config.model_dump(mode="json", exclude={"preferences"}),
        "held_out": {"pairs": len(held_out), "votes": votes, **means, "low": low, "high": high},
    }


def name_of(beta: float) -> str:
    """Folder and name of the checkpoint of one beta."""
    return f"beta-{beta:g}"
