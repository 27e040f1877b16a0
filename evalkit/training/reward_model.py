"""Reward models from pairwise preferences.

    preferences -> comparisons as tokens, held out by prompt -> Bradley-Terry -> figures on held-out pairs
                -> standard deviation 1 on the language model's own completions -> checkpoint

P(a preferred to b) = sigmoid(r(a) - r(b)) (Bradley & Terry 1952; Ziegler et al. 2019). The head is drawn from
N(0, 1 / (d + 1)), and a reward is read at the end-of-sequence token.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from evalkit.checkpoints.spec import NAME
from evalkit.checkpoints.training_log import work_of
from evalkit.errors import InputError
from evalkit.plumbing.files import write_file
from evalkit.plumbing.progress import Listener
from evalkit.preferences.files import Preference, read_preferences
from evalkit.training.batch import pack
from evalkit.training.bradley_terry import pair_rewards, preference_loss
from evalkit.training.calibration import Array, Judgement, accuracy, judge
from evalkit.training.chat_format import exchange_template, template_ids, write_reader
from evalkit.training.comparisons import Comparison, Ids, compare, decided, length, prompt_ids, split
from evalkit.training.config import RewardConfig
from evalkit.training.data_parallel import device_of_one_process
from evalkit.training.group_disagreement import (
    Margins,
    between_groups,
    keep_margins,
    parted_by_models,
    parted_by_votes,
    ratings_in,
)
from evalkit.training.memory import told_when_full
from evalkit.training.models import (
    Policy,
    ValueNetwork,
    fresh_value_network,
    load_policy,
    sequence_scores,
    with_adapters,
)
from evalkit.training.optimise import Objective, autocast, optimise
from evalkit.training.output import manifest
from evalkit.training.output.folder import save_model
from evalkit.training.output.page import write_training_page
from evalkit.training.output.reward_card import reward_card
from evalkit.training.rollout import sample
from evalkit.training.scoring import Scale, scale_of
from evalkit.training.split import held_out_prompts
from evalkit.training.state import STATE, forget_state

CHECKED = 256
"""Exchanges on which the chat template is compared with what was trained."""


@dataclass(frozen=True)
class Material:
    """What every reward model of a config is trained and measured on."""

    policy: Policy
    """The language model that it starts from."""
    trained: Sequence[Comparison]
    held_out: Sequence[Comparison]
    reference: Sequence[Ids]
    """Prompts with completions of the language model itself, closed by the end of sequence."""
    between_groups: Sequence[Mapping[str, Any]] = ()
    """How every two rater groups disagree in their votes."""


def train_reward(config: RewardConfig, out: Path, tell: Listener, command: Sequence[str] = ()) -> list[Path]:
    """Train a reward model on all preferences, and with `groups` one on each group's; returns their folders.

    They are `out`/reward and `out`/reward-GROUP; training.json in each holds its figures, and with `groups`
    `out`/groups.json the accuracy of every model on every group's held-out pairs, and where the groups disagree. The
    same config on the same `out` resumes. Raises `EvalkitError`s: `InputError` for what cannot be trained on,
    `StoreError` for a disk that fills, and itself for a loss that is not finite and for memory that runs out.
    """
    preferences = read_preferences(config.preferences, tell.note)
    jobs = jobs_of(config, preferences)
    ratings = ratings_in(config.preferences) if config.groups else None
    between = between_groups(ratings) if ratings else []
    policy = load_policy("model", config.model)
    sides = encode(config, policy, preferences, tell)
    check_sides(*sides, jobs)
    record = manifest.begin(out, config, command)
    show = partial(write_training_page, config.name, out, jobs)
    missing = {name: group for name, group in jobs.items() if not (out / name / "training.json").exists()}
    if missing:
        with told_when_full(config.microbatch):
            material = Material(policy, *sides, sample_reference(config, policy, preferences, tell), between)
            for name, group in missing.items():
                train_one(config, name, group, material, out, tell, show)
    if ratings:
        write_groups(out, jobs, {"between": between, "votes": parted_by_votes(ratings)}, preferences)
    manifest.finish(out, record)
    show()
    return [out / name for name in jobs]


def jobs_of(config: RewardConfig, preferences: Sequence[Preference]) -> dict[str, str | None]:
    """Name of each reward model -> the group whose preferences it learns, None for all. Raises `InputError`."""
    if not config.groups:
        return {"reward": None}
    without = sum(preference.group is None for preference in preferences)
    if without:
        raise InputError(
            f"groups: true, but {without} of {len(preferences)} preferences have no `group`; add it to each, or "
            "leave groups out"
        )
    groups = sorted({str(preference.group) for preference in preferences})
    for group in groups:
        if not re.fullmatch(NAME, group):
            raise InputError(
                f"group {group!r} cannot be part of a folder's name; use letters, digits, dots, dashes and underscores"
            )
    return {"reward": None} | {f"reward-{group}": group for group in groups}


def encode(
    config: RewardConfig, policy: Policy, preferences: Sequence[Preference], tell: Listener
) -> tuple[list[Comparison], list[Comparison]]:
    """Preferences as tokens: those to train on, and those of held-out prompts. Raises `InputError`."""
    ids = prompt_ids(policy, preferences, room_of(config))
    check_template(config, policy, preferences[:CHECKED], ids, tell)
    held = held_out_prompts(ids, config.held_out, config.seed)
    return split(policy, preferences, compare(policy, preferences, ids), held, tell)


def room_of(config: RewardConfig) -> int:
    """Tokens that a prompt must leave in the context, for a completion of the language model's own."""
    return config.max_tokens if config.reference_samples else 1


def check_sides(trained: Sequence[Comparison], held_out: Sequence[Comparison], jobs: Mapping[str, str | None]) -> None:
    """See that every reward model has pairs to learn from and pairs to be measured on. Raises `InputError`."""
    for group in jobs.values():
        for side, what in ((trained, "train on"), (held_out, "hold out")):
            if not (of_group(side, group) if side is trained else decided(of_group(side, group))):
                whose = "" if group is None else f" of group {group!r}"
                raise InputError(
                    f"there are no preferences{whose} to {what}; prompts are held out whole, so give more prompts, or "
                    "change held_out"
                )


def of_group(comparisons: Sequence[Comparison], group: str | None) -> list[Comparison]:
    """The comparisons of a group; all for None."""
    return [comparison for comparison in comparisons if group in (None, comparison.group)]


def check_template(
    config: RewardConfig, policy: Policy, preferences: Sequence[Preference], ids: Mapping[str, Ids], tell: Listener
) -> None:
    """Say so where other tools, which read text through the chat template, cut an exchange into other tokens."""
    template = exchange_template(config.model, policy.tokenizer)
    differing = 0
    for preference in preferences:
        text = preference.chosen.strip()
        read = template_ids(policy.tokenizer, template, preference.turns or preference.prompt, text)
        differing += read != [*ids[preference.prompt], *policy.response_ids(text)]
    if differing:
        tell.note(
            f"{differing} of {len(preferences)} exchanges become other tokens when they are read through the chat "
            "template than those trained on: `evalkit run` will give them slightly other rewards than training does"
        )


def sample_reference(
    config: RewardConfig, policy: Policy, preferences: Sequence[Preference], tell: Listener
) -> list[Ids]:
    """Prompts with the language model's own completions; those cut at max_tokens are closed, too."""
    if not config.reference_samples:
        return []
    tell.stage("sample the language model", config.reference_samples)
    prompts = list(prompt_ids(policy, preferences, room_of(config)).values())
    random.Random(f"reference {config.seed}").shuffle(prompts)  # noqa: S311
    repeated = [prompts[index % len(prompts)] for index in range(config.reference_samples)]
    policy.model.to(device_of_one_process())
    torch.manual_seed(config.seed)
    drawn = sample(policy, repeated, config.max_tokens)
    policy.model.to("cpu")
    tell.advance(config.reference_samples, sum(map(len, drawn)))
    return [
        (*prompt, *response) if response[-1] in policy.stops else (*prompt, *response, policy.eos)
        for prompt, response in zip(repeated, drawn, strict=True)
    ]


def train_one(
    config: RewardConfig,
    name: str,
    group: str | None,
    material: Material,
    out: Path,
    tell: Listener,
    show: Callable[[], None],
) -> None:
    """Train the reward model of one group, or of all, from its last state where there is one, and write its folder."""
    network = fresh_value_network(config.model, config.seed)
    trained = with_adapters(network.classifier, config.lora, exclude_modules=["score"])
    network.classifier.get_submodule("score").requires_grad_(True)  # the head is always trained whole
    network.to(device_of_one_process())
    pairs, watched = of_group(material.trained, group), of_group(material.held_out, group)
    optimise(config, bradley_terry(config, network), pairs, watched, work_of(out / name), tell, show)
    measured = decided(material.held_out)
    margins = margins_of(config, network, measured)
    keep_margins(out / name, Margins([row.source for row in measured], margins.tolist()))
    figures = figures_of(margins, measured, group)
    scale = scale_of_reference(config, network, material.reference)
    mean = rescale_head(network.classifier.get_submodule("score"), scale)
    facts = facts_of(config, group, pairs, figures) | {
        "scale": {"samples": len(material.reference), "mean": mean, "log_odds": scale.deviation},
        "between_groups": list(material.between_groups),
    }
    save_reward(config, name, trained, network.classifier, material.policy, facts, out)
    forget_state(work_of(out / name) / STATE)


def bradley_terry(config: RewardConfig, network: ValueNetwork) -> Objective[Comparison]:
    """-log sigmoid(r_chosen - r_rejected - margin) + centring (r_chosen + r_rejected)^2, the mean over pairs."""

    def losses(few: Sequence[Comparison]) -> dict[str, Tensor]:
        chosen, rejected = rewards_of(network, few)  # [n] each
        margins = chosen - rejected
        targets = margins.new_tensor([comparison.target for comparison in few])
        # A tie has no better side for the margin to be on.
        wanted = margins - config.margin * (2 * targets - 1)
        loss = preference_loss(wanted, targets) + config.centring * (chosen + rejected).square()
        return {"loss": loss.sum(), "accuracy": (margins.detach().sign() * (2 * targets - 1) + 1).sum() / 2}

    return Objective(network.classifier, losses, length, units=lambda _: 1, sequences=2)


def rewards_of(network: ValueNetwork, few: Sequence[Comparison]) -> tuple[Tensor, Tensor]:
    """[n] rewards of the chosen and of the rejected completions."""
    return pair_rewards(
        partial(scores_of, network),
        [comparison.prompt + comparison.chosen for comparison in few],
        [comparison.prompt + comparison.rejected for comparison in few],
    )


def scores_of(network: ValueNetwork, exchanges: Sequence[Ids]) -> Tensor:
    """[n] rewards of prompts with their completions, read at the last token."""
    # Each one as a whole, so that there is padding on one side only.
    return sequence_scores(network, pack(exchanges, [()] * len(exchanges)).to(network.classifier.device))


def margins_of(config: RewardConfig, network: ValueNetwork, comparisons: Sequence[Comparison]) -> Array:
    """[n] r(chosen) - r(rejected), float64."""
    margins = np.empty(len(comparisons))
    order = sorted(range(len(comparisons)), key=lambda index: length(comparisons[index]))
    size = max(1, config.microbatch // 2)
    with torch.no_grad(), autocast(config, network):
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            chosen, rejected = rewards_of(network, [comparisons[index] for index in batch])
            margins[batch] = (chosen - rejected).double().cpu().numpy()
    return margins


@dataclass(frozen=True)
class Figures:
    """What held-out pairs say of a reward model."""

    of_group: Judgement
    """On the pairs of the group that it was trained for, or all."""
    by_group: Mapping[str, Mapping[str, float]]
    """Rater group -> pairs, accuracy, low, high; of all groups, also those it was not trained for."""


def figures_of(margins: Array, held_out: Sequence[Comparison], group: str | None) -> Figures:
    """Accuracy and calibration on the group's own pairs, and accuracy on those of every group."""
    groups = np.array([str(comparison.group) for comparison in held_out])
    group_margins = margins if group is None else margins[groups == group]
    named = sorted({str(comparison.group) for comparison in held_out if comparison.group is not None})
    return Figures(judge(group_margins), {name: asdict(accuracy(margins[groups == name])) for name in named})


def scale_of_reference(config: RewardConfig, network: ValueNetwork, reference: Sequence[Ids]) -> Scale:
    """Mean and standard deviation of the rewards of the language model's own completions."""
    if not reference:
        return Scale()
    ranked = sorted(reference, key=len)
    parts = [ranked[start : start + config.microbatch] for start in range(0, len(ranked), config.microbatch)]
    with torch.no_grad(), autocast(config, network):
        return scale_of(torch.cat([scores_of(network, part).cpu() for part in parts]))


def rescale_head(head: nn.Module, scale: Scale) -> float:
    """Divide rewards by the deviation, exactly, and return their mean on the reference samples from then on.

    It is 0 for a head with a bias. One without cannot be shifted; no comparison sees the difference.
    """
    mean = scale.mean / scale.deviation
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.div_(scale.deviation)
        if getattr(head, "bias", None) is None:
            return mean
        head.bias.sub_(mean)
    return 0.0


def facts_of(config: RewardConfig, group: str | None, pairs: Sequence[Comparison], figures: Figures) -> dict[str, Any]:
    """What training.json and the card say."""
    return {
        "method": "reward model",
        "model": config.model.path,
        "preferences": list(config.preferences),
        "group": group,
        "pairs": len(pairs),
        "ties": len(pairs) - len(decided(pairs)),
        "conversations": sum(comparison.is_conversation for comparison in pairs),
        "prompts": len({comparison.prompt for comparison in pairs}),
        "settings": config.model_dump(mode="json", exclude={"preferences"}),
        "held_out": asdict(figures.of_group),
        "held_out_by_group": dict(figures.by_group),
    }


def save_reward(
    config: RewardConfig,
    name: str,
    trained: PreTrainedModel,
    classifier: PreTrainedModel,
    policy: Policy,
    facts: Mapping[str, Any],
    out: Path,
) -> None:
    """Write the folder of a classifier; `trained` is the same with its adapters. Raises `StoreError`."""
    classifier.config.id2label, classifier.config.label2id = {0: "reward"}, {"reward": 0}
    template = exchange_template(config.model, policy.tokenizer)
    with tempfile.TemporaryDirectory() as reader:
        write_reader(Path(policy.checkpoint.location), Path(reader), policy.tokenizer, template, classifier)
        save_model(out / name, trained, Path(reader), reward_card(name, facts), facts)


def write_groups(
    out: Path,
    jobs: Mapping[str, str | None],
    disagreement: Mapping[str, Any],
    preferences: Sequence[Preference],
) -> None:
    """Write groups.json: reward model -> rater group -> pairs, accuracy, low, high; and `disagreement` of the groups.

    Raises `StoreError`.
    """
    read = {name: json.loads((out / name / "training.json").read_text(encoding="utf-8")) for name in jobs}
    models = parted_by_models({group: out / name for name, group in jobs.items() if group is not None}, preferences)
    table = {name: facts["held_out_by_group"] for name, facts in read.items()}
    whole = {**table, "disagreement": {**disagreement, "models": models}}
    write_file(out / "groups.json", (json.dumps(whole, indent=1) + "\n").encode())
