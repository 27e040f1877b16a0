"""One config becomes a ladder of checkpoints, one for each beta, all from one reward.

    config -> policy, reference, value network, reward on the reference's scale -> PPO -> checkpoint, for each beta
           -> curves, and one page over all of them

Nothing is lost when a training is stopped: a state is written every few updates, and the same command goes on from it
to the same curve. Under `accelerate launch` every process runs this; the first one alone writes.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

from accelerate import Accelerator
from torch import Tensor, nn

from evalkit.checkpoints.training_log import read_curves, work_of
from evalkit.errors import InputError
from evalkit.plumbing.files import write_file
from evalkit.plumbing.progress import Listener, Quiet
from evalkit.training.config import PpoConfig
from evalkit.training.distributed import agreed, gathered, open_accelerator, together
from evalkit.training.memory import told_when_full
from evalkit.training.models import Policy, ValueNetwork, fresh_value_network, load_policy, load_reward_model
from evalkit.training.output import manifest
from evalkit.training.output.card import policy_card
from evalkit.training.output.curves import Curves
from evalkit.training.output.folder import frame_as_chat, save_model
from evalkit.training.output.page import training_page
from evalkit.training.ppo import Judged, Learner, Row, prepare, seed, updates
from evalkit.training.probe import probe_row
from evalkit.training.rollout import sample
from evalkit.training.scoring import Asked, Scale, Scorer, open_scorer, scale_of
from evalkit.training.state import STATE, forget_state, read_state, restore, tensors_of, write_state

REFERENCE_SAMPLES = 512
"""Completions of the reference that give the reward's scale."""
LAST = 10
"""Updates at the end whose mean is what a checkpoint's card says."""


def train_ladder(config: PpoConfig, out: Path, tell: Listener, command: Sequence[str] = ()) -> list[Path]:
    """Train a policy for each beta of `config` and return their folders, in that order.

    `out` is the training's folder; the same config on it resumes. Raises `EvalkitError`s: `InputError` for what cannot
    be trained, `StoreError` for a disk that fills (the last state and checkpoint are kept), and itself for a loss that
    is not finite and for memory that runs out.
    """
    accelerator = open_accelerator(config)
    first = accelerator.is_main_process
    with together(accelerator), told_when_full(config.microbatch):
        told = manifest.begin(out, config, command) if first else {}
        if first:
            warn(config, tell)
        folders = [out / name_of(beta) for beta in config.beta]
        for beta, folder in zip(config.beta, folders, strict=True):
            if not agreed((folder / "training.json").exists(), folder, accelerator):
                train_rung(config, beta, out, accelerator, tell if first else Quiet())
        if first:
            write_page(config, out)
            manifest.finish(out, told)
        accelerator.end_training()
    return folders


def train_rung(config: PpoConfig, beta: float, out: Path, accelerator: Accelerator, tell: Listener) -> None:
    """Train the policy of one beta, from its last state where there is one, and write its checkpoint."""
    seed(config.seed, "adapters")
    policy = load_policy("policy", config.policy, config.lora)
    asked = Asked(config.prompts, policy.prompt_ids(config.prompts, config.sampling.max_tokens))
    policy.model.to(accelerator.device)
    reward = open_scorer(config.reward, policy, asked, config.microbatch)
    gold = open_scorer(config.gold, policy, asked, config.microbatch) if config.gold is not None else None
    scale = reference_scale(config, policy, asked, reward)
    critic = critic_of(config, policy, scale)
    reference = None if policy.has_adapters else copy.deepcopy(policy.model)
    learner = prepare(config, policy, critic, reference, beta, accelerator)
    work = work_of(out / name_of(beta))
    begin = resume(learner, work / STATE)
    tell.stage(f"PPO beta {beta:g}", (config.updates - begin) * config.batch)
    rows: Iterator[Row] = watched(config, learner, asked, Judged(reward, scale, gold), begin, tell)
    with writing(accelerator, work, begin, tell) as add:
        for row in rows:
            add(row)
            done = int(row["update"] or 0) + 1
            if done % config.save_every == 0 or done == config.updates:
                save_state(learner, work / STATE, done)
                if accelerator.is_main_process:
                    write_page(config, out)
    weights = gathered(learner.policy.model.state_dict(), accelerator)
    if accelerator.is_main_process:
        save_policy(config, learner, weights, beta, scale, out)
        forget_state(work / STATE)
    accelerator.free_memory()


def watched(
    config: PpoConfig, learner: Learner, asked: Asked, judged: Judged, begin: int, tell: Listener
) -> Iterator[Row]:
    """Each update's figures, with its seconds, and with the probe's at its turn and at the end."""
    started = time.monotonic()
    for row, episodes in updates(config, learner, asked, judged, begin):
        update = int(row["update"] or 0)
        tell.advance(config.batch, int(episodes.batch.response_mask.sum()) * learner.accelerator.num_processes)
        if update % config.probe.every == 0 or update == config.updates - 1:
            row |= probe(config, learner, asked)
        yield row | {"seconds": round(time.monotonic() - started, 3)}
        started = time.monotonic()


def probe(config: PpoConfig, learner: Learner, asked: Asked) -> dict[str, float]:
    """The diversity of the policy on the first prompts, from the same seed every time."""
    few = range(min(config.probe.prompts, len(asked.ids)))
    seed(config.seed, "probe")
    ids = [asked.ids[i] for i in few for _ in range(config.probe.samples)]
    drawn = sample(
        learner.policy,
        ids,
        config.sampling.max_tokens,
        config.sampling.temperature,
        in_step=learner.accelerator.is_fsdp2,
    )
    texts = learner.policy.texts(drawn)
    if not learner.accelerator.is_main_process:
        return {}
    each = config.probe.samples
    return probe_row([asked.prompts[i] for i in few], [texts[i * each : (i + 1) * each] for i in few])


def reference_scale(config: PpoConfig, policy: Policy, asked: Asked, reward: Scorer) -> Scale:
    """The scale that gives rewards mean 0 and standard deviation 1 on the untrained policy's completions, if asked.

    Raises `InputError` where all completions would get the penalty of a missing end.
    """
    if not config.normalise and config.missing_eos is None:
        return Scale()
    which = [i % len(asked.ids) for i in range(max(REFERENCE_SAMPLES, config.batch))]
    seed(config.seed, "scale")
    drawn = sample(policy, [asked.ids[i] for i in which], config.sampling.max_tokens, config.sampling.temperature)
    if config.missing_eos is not None:
        ended = [(i, response) for i, response in zip(which, drawn, strict=True) if response[-1] in policy.stops]
        if not ended:
            raise InputError(
                f"none of {len(which)} completions of the policy ends within max_tokens {config.sampling.max_tokens}, "
                "so all would be given the penalty missing_eos; raise sampling.max_tokens or set missing_eos to null"
            )
        which, drawn = [i for i, _ in ended], [response for _, response in ended]
    return scale_of(reward(which, drawn)) if config.normalise else Scale()


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


def resume(learner: Learner, path: Path) -> int:
    """Put the learner into its last state; returns the update to begin with."""
    found = read_state(path)
    begin = agreed(int(found[1]["updates"]) if found else 0, path, learner.accelerator)
    if found:
        tensors, facts = found
        restore(tensors, learner.optimiser, **networks(learner))
        learner.beta = float(facts["beta"])
    return begin


def save_state(learner: Learner, path: Path, done: int) -> None:
    """Write all that the next update depends on."""
    facts = {"updates": done, "beta": learner.beta}
    tensors = gathered(tensors_of(learner.optimiser, **networks(learner)), learner.accelerator)
    if learner.accelerator.is_main_process:
        write_state(path, tensors, facts)


def networks(learner: Learner) -> dict[str, nn.Module]:
    """What is trained, as it is without accelerate's wrapping."""
    return {"policy": learner.policy.model, "critic": learner.accelerator.unwrap_model(learner.critic)}


def save_policy(
    config: PpoConfig, learner: Learner, weights: Mapping[str, Tensor], beta: float, scale: Scale, out: Path
) -> None:
    """Write the checkpoint, with what is known of it. `weights`: the policy's, whole."""
    policy = learner.policy
    if learner.accelerator.is_fsdp2:
        # A model that is cut into shards can neither be copied nor saved.
        policy = load_policy("policy", config.policy, config.lora)
        policy.model.load_state_dict(weights)
    facts = facts_of(config, beta, scale, read_curves(work_of(out / name_of(beta))))
    template = frame_as_chat(config.policy, policy.tokenizer) if config.policy.kind == "base" else None
    policy.model.generation_config.temperature = config.sampling.temperature
    card = policy_card(f"{config.name} {name_of(beta)}", facts)
    save_model(out / name_of(beta), policy.model, Path(policy.checkpoint.location), card, facts, template)


def facts_of(config: PpoConfig, beta: float, scale: Scale, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a checkpoint's card says: settings, and the means of the last updates."""
    last = rows[-min(LAST, len(rows)) :]
    reached = {
        name: round(sum(float(row[name]) for row in last) / len(last), 4)
        for name in ("reward", "kl", "entropy", "eos_rate", "length", "gold")
        if all(row.get(name) is not None for row in last)
    }
    return {
        "method": "PPO",
        "policy": config.policy.path,
        "reward_from": str(config.reward),
        "beta": beta,
        "estimator": config.estimator,
        "temperature": config.sampling.temperature,
        "updates": config.updates,
        "episodes": config.updates * config.batch,
        "seed": config.seed,
        "reward_mean": scale.mean,
        "reward_deviation": scale.deviation,
        "reached": reached,
    }


def write_page(config: PpoConfig, out: Path) -> None:
    """Write the page over the curves of all betas so far. Raises `StoreError`."""
    runs = {name_of(beta): read_curves(work_of(out / name_of(beta))) for beta in config.beta}
    facts = json.loads((out / manifest.NAME).read_text(encoding="utf-8"))
    page = training_page(config.name, {name: rows for name, rows in runs.items() if rows}, facts)
    write_file(out / "training.html", page.encode("utf-8", "replace"))


@contextmanager
def writing(accelerator: Accelerator, work: Path, begin: int, tell: Listener) -> Iterator[Any]:
    """Where rows go: the curves on the first process, nowhere on the others."""
    if not accelerator.is_main_process:
        yield lambda row: None
        return
    with closing(Curves(work, begin, tell.note)) as curves:
        yield curves.add


def warn(config: PpoConfig, tell: Listener) -> None:
    """Say loudly what no one should find out from the result."""
    if config.estimator != "k1":
        tell.note(
            f"WARNING: estimator {config.estimator} inside the reward has another optimum than reward - beta KL and "
            "collapses diversity; use k1 for anything but a study of that"
        )


def name_of(beta: float) -> str:
    """Folder and name of a rung."""
    return f"beta-{beta:g}"
