"""One config becomes a ladder of checkpoints, one for each beta, all from one reward.

    config -> policy, reference, value network, reward on the reference's scale -> updates -> checkpoint, for each beta
           -> curves, and one page over all of them

Nothing is lost when a training is stopped: a state is written every few updates, and the same command goes on from it
to the same curve. Under `accelerate launch` every process runs this; the first one alone writes.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from accelerate import Accelerator
from torch import Tensor, nn

from evalkit.checkpoints.training_log import read_curves, work_of
from evalkit.errors import InputError
from evalkit.plumbing.progress import Listener, Quiet
from evalkit.training.config import GrpoConfig, PolicyGradientConfig, PpoConfig
from evalkit.training.distributed import agreed, gathered, open_accelerator, together
from evalkit.training.memory import told_when_full
from evalkit.training.models import Policy, ValueNetwork, fresh_value_network, load_policy, load_reward_model
from evalkit.training.output import manifest
from evalkit.training.output.card import policy_card
from evalkit.training.output.curves import Curves, LogRow
from evalkit.training.output.folder import frame_as_chat, save_model
from evalkit.training.output.page import write_training_page
from evalkit.training.policy_gradient import RewardSources, TrainState, has_kl_loss, prepare, seed_torch, updates
from evalkit.training.probe import probe_row
from evalkit.training.rollout import sample
from evalkit.training.scoring import PromptSet, Scale, Scorer, open_scorer, scale_of
from evalkit.training.state import STATE, forget_state, read_state, restore, tensors_of, write_state
from evalkit.training.vllm_rollout import open_sampler

REFERENCE_SAMPLES = 512
"""Completions of the reference that give the reward's scale."""
HELD_BY = {
    "reverse_kl": "KL(policy || start)",
    "forward_kl": "KL(start || policy)",
    "jensen_shannon": "Jensen-Shannon divergence (twice)",
}
SHAPING = ("divergence", "estimator", "entropy_bonus", "distinctness", "samples", "scale", "kl")
"""Settings besides beta that decide where a training leads."""
LAST = 10
"""Updates at the end whose mean is what a checkpoint's card says."""


def train_ladder(config: PolicyGradientConfig, out: Path, tell: Listener, command: Sequence[str] = ()) -> list[Path]:
    """Train a policy for each beta of `config` and return their folders, in that order.

    `out` is the training's folder; the same config on it resumes. Raises `EvalkitError`s: `InputError` for what cannot
    be trained, `StoreError` for a disk that fills (the last state and checkpoint are kept), and itself for a loss that
    is not finite and for memory that runs out.
    """
    accelerator = open_accelerator(config)
    first = accelerator.is_main_process
    with together(accelerator), told_when_full(config.microbatch):
        record = manifest.begin(out, config, command) if first else {}
        if first:
            warn(config, tell)
        folders = [out / name_of(beta) for beta in config.beta]
        for beta, folder in zip(config.beta, folders, strict=True):
            if not agreed((folder / "training.json").exists(), folder, accelerator):
                train_checkpoint(config, beta, out, accelerator, tell if first else Quiet())
        if first:
            manifest.finish(out, record)
            write_training_page(config.name, out, map(name_of, config.beta))
        accelerator.end_training()
    return folders


def train_checkpoint(
    config: PolicyGradientConfig, beta: float, out: Path, accelerator: Accelerator, tell: Listener
) -> None:
    """Train the policy of one beta, from its last state where there is one, and write its checkpoint."""
    seed_torch(config.seed, "adapters")
    policy = load_policy("policy", config.policy, config.lora)
    prompts = PromptSet(config.prompts, policy.prompt_ids(config.prompts, config.sampling.max_tokens))
    policy.model.to(accelerator.device)
    with open_sampler(config, policy, prompts.ids, accelerator, tell) as sampler:
        train_policy(config, beta, replace(policy, sampler=sampler), prompts, out, accelerator, tell)


def train_policy(
    config: PolicyGradientConfig,
    beta: float,
    policy: Policy,
    prompts: PromptSet,
    out: Path,
    accelerator: Accelerator,
    tell: Listener,
) -> None:
    """Train a policy as it was loaded, or go on from its last state, and write its checkpoint."""
    reward = open_scorer(config.reward, policy, prompts, config.microbatch)
    gold = open_scorer(config.gold, policy, prompts, config.microbatch) if config.gold is not None else None
    scale = reference_scale(config, policy, prompts, reward)
    critic = critic_of(config, policy, scale) if isinstance(config, PpoConfig) else None
    reference = None if policy.has_adapters else copy.deepcopy(policy.model)
    state = prepare(config, policy, critic, reference, beta, accelerator)
    work = work_of(out / name_of(beta))
    begin = resume(state, work / STATE)
    tell.stage(f"{config.method.upper()} beta {beta:g}", (config.updates - begin) * config.batch)
    rows = logged_updates(config, state, prompts, RewardSources(reward, scale, gold), begin, tell)
    with writing(accelerator, work, begin, tell) as add:
        for row in rows:
            add(row)
            done = int(row["update"] or 0) + 1
            if done % config.save_every == 0 or done == config.updates:
                save_state(state, work / STATE, done)
                if accelerator.is_main_process:
                    write_training_page(config.name, out, map(name_of, config.beta))
    weights = gathered(state.policy.model.state_dict(), accelerator)
    if accelerator.is_main_process:
        save_policy(config, state, weights, beta, scale, out)
        forget_state(work / STATE)
    accelerator.free_memory()


def logged_updates(
    config: PolicyGradientConfig,
    state: TrainState,
    prompts: PromptSet,
    sources: RewardSources,
    begin: int,
    tell: Listener,
) -> Iterator[LogRow]:
    """Each update's row of the log, with its seconds, and with the probe's at its turn and at the end."""
    started = time.monotonic()
    for row, episodes in updates(config, state, prompts, sources, begin):
        update = int(row["update"] or 0)
        tell.advance(config.batch, int(episodes.batch.response_mask.sum()) * state.accelerator.num_processes)
        if update % config.probe.every == 0 or update == config.updates - 1:
            row |= probe(config, state, prompts)
        yield row | {"seconds": round(time.monotonic() - started, 3)}
        started = time.monotonic()


def probe(config: PolicyGradientConfig, state: TrainState, prompts: PromptSet) -> dict[str, float]:
    """The diversity of the policy on the first prompts, from the same seed every time."""
    few = range(min(config.probe.prompts, len(prompts.ids)))
    seed_torch(config.seed, "probe")
    ids = [prompts.ids[i] for i in few for _ in range(config.probe.samples)]
    drawn = sample(
        state.policy,
        ids,
        config.sampling.max_tokens,
        config.sampling.temperature,
        in_step=state.accelerator.is_fsdp2,
    )
    texts = state.policy.texts(drawn)
    if not state.accelerator.is_main_process:
        return {}
    each = config.probe.samples
    return probe_row([prompts.prompts[i] for i in few], [texts[i * each : (i + 1) * each] for i in few])


def reference_scale(config: PolicyGradientConfig, policy: Policy, prompts: PromptSet, reward: Scorer) -> Scale:
    """The scale that gives rewards mean 0 and standard deviation 1 on the untrained policy's completions, if asked.

    Raises `InputError` where all completions would get the penalty of a missing end.
    """
    if not config.normalise and config.missing_eos is None:
        return Scale()
    prompt_index = [i % len(prompts.ids) for i in range(max(REFERENCE_SAMPLES, config.batch))]
    seed_torch(config.seed, "scale")
    drawn = sample(
        policy, [prompts.ids[i] for i in prompt_index], config.sampling.max_tokens, config.sampling.temperature
    )
    if config.missing_eos is not None:
        ended = [(i, response) for i, response in zip(prompt_index, drawn, strict=True) if response[-1] in policy.stops]
        if not ended:
            raise InputError(
                f"none of {len(prompt_index)} completions of the policy ends within max_tokens "
                f"{config.sampling.max_tokens}, so all would be given the penalty missing_eos; raise "
                "sampling.max_tokens or set missing_eos to null"
            )
        prompt_index, drawn = [i for i, _ in ended], [response for _, response in ended]
    return scale_of(reward(prompt_index, drawn)) if config.normalise else Scale()


def critic_of(config: PpoConfig, policy: Policy, scale: Scale) -> ValueNetwork:
    """The value network: the reward model on the normalised scale, the critic that is named, or the policy's body."""
    source = config.critic or config.reward.model
    if source is None:
        network = fresh_value_network(config.policy, config.seed)
        # A drawn head says noise as large as the reward itself, and value_clip lets it go only slowly. 0 is the mean of
        # normalised rewards.
        nn.init.zeros_(cast(nn.Linear, network.classifier.get_submodule("score")).weight)
        return network
    network = load_reward_model(source, policy)
    network.rescale(scale.mean, scale.deviation)
    return network


def resume(state: TrainState, path: Path) -> int:
    """Put a training into its last state; returns the update to begin with."""
    saved = read_state(path)
    begin = agreed(int(saved[1]["updates"]) if saved else 0, path, state.accelerator)
    if saved:
        tensors, facts = saved
        restore(tensors, state.optimiser, **networks(state))
        state.beta, state.alpha = float(facts["beta"]), float(facts["entropy_bonus"])
    return begin


def save_state(state: TrainState, path: Path, done: int) -> None:
    """Write all that the next update depends on."""
    facts = {"updates": done, "beta": state.beta, "entropy_bonus": state.alpha}
    tensors = gathered(tensors_of(state.optimiser, **networks(state)), state.accelerator)
    if state.accelerator.is_main_process:
        write_state(path, tensors, facts)


def networks(state: TrainState) -> dict[str, nn.Module]:
    """What is trained, as it is without accelerate's wrapping."""
    policy = {"policy": state.policy.model}
    return policy if state.critic is None else policy | {"critic": state.accelerator.unwrap_model(state.critic)}


def save_policy(
    config: PolicyGradientConfig, state: TrainState, weights: Mapping[str, Tensor], beta: float, scale: Scale, out: Path
) -> None:
    """Write the checkpoint, with what is known of it. `weights`: the policy's, whole."""
    policy = state.policy
    if state.accelerator.is_fsdp2:
        # A model that is cut into shards can neither be copied nor saved.
        policy = load_policy("policy", config.policy, config.lora)
        policy.model.load_state_dict(weights)
    facts = facts_of(config, beta, scale, read_curves(work_of(out / name_of(beta))))
    template = frame_as_chat(config.policy, policy.tokenizer) if config.policy.kind == "base" else None
    policy.model.generation_config.temperature = config.sampling.temperature
    card = policy_card(f"{config.name} {name_of(beta)}", facts)
    save_model(out / name_of(beta), policy.model, Path(policy.checkpoint.location), card, facts, template)


def facts_of(
    config: PolicyGradientConfig, beta: float, scale: Scale, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What a checkpoint's card says: settings, and the means of the last updates."""
    last = rows[-min(LAST, len(rows)) :]
    reached = {
        name: round(sum(float(row[name]) for row in last) / len(last), 4)
        for name in ("reward", "kl", "entropy", "eos_rate", "length", "gold")
        if all(row.get(name) is not None for row in last)
    }
    return {
        "method": config.method.upper(),
        "objective": objective_of(config, beta),
        "policy": config.policy.path,
        "reward_from": str(config.reward),
        "beta": beta,
        **{name: getattr(config, name) for name in SHAPING if hasattr(config, name)},
        "temperature": config.sampling.temperature,
        "updates": config.updates,
        "episodes": config.updates * config.batch,
        "seed": config.seed,
        "reward_mean": scale.mean,
        "reward_deviation": scale.deviation,
        "reached": reached,
    }


@contextmanager
def writing(accelerator: Accelerator, work: Path, begin: int, tell: Listener) -> Iterator[Any]:
    """Where rows go: the curves on the first process, nowhere on the others."""
    if not accelerator.is_main_process:
        yield lambda row: None
        return
    with closing(Curves(work, begin, tell.note)) as curves:
        yield curves.add


def objective_of(config: PolicyGradientConfig, beta: float) -> str:
    """What is made as large as can be, in words and figures."""
    reward = "reward" if config.distinctness is None else f"reward x distinctness ({config.distinctness})"
    if isinstance(config, GrpoConfig) and config.scale == "group":
        reward += " / deviation of the group"
    held = f"{beta:g} {HELD_BY[config.divergence]}"
    if has_kl_loss(config):
        held = f"{beta:g} KL (k3, as a loss)"
    elif config.estimator != "k1":
        held += f" (estimated by {config.estimator})"
    return f"{reward} - {held}" + (f" + {config.entropy_bonus:g} entropy" if config.entropy_bonus else "")


def warn(config: PolicyGradientConfig, tell: Listener) -> None:
    """Say loudly what no one should find out from the result."""
    if config.estimator != "k1":
        tell.note(
            f"WARNING: estimator {config.estimator} inside the reward has another optimum than reward - beta KL and "
            "collapses diversity; use k1 for anything but a study of that"
        )


def name_of(beta: float) -> str:
    """Folder and name of the checkpoint of one beta."""
    return f"beta-{beta:g}"
