"""Best-of-n, distilled: a policy fine-tuned on the best of every n of its own completions.

    prompts -> pool of completions with rewards -> of every n the best, kept in a file -> supervised fine-tuning
            -> checkpoint, for each n

What is learned has a known distribution. With F(y) the probability that one completion has a reward of at most that of
y, and F-(y) that it has less, and of equal ones each kept as often as it comes,

    P(y) = (F(y)^n - F-(y)^n) policy(y) / (F(y) - F-(y))

and its KL from the policy is at most log n - (n - 1) / n (Beirami et al. 2024), whatever the reward.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass
from torch import Tensor

from evalkit.checkpoints.training_log import work_of
from evalkit.errors import EvalkitError
from evalkit.plumbing.progress import Listener, Quiet
from evalkit.plumbing.typed_jsonl import typed_rows, write_rows
from evalkit.training.config import BestOfNConfig
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
from evalkit.training.models import Policy, load_policy
from evalkit.training.optimise import evaluate, optimise
from evalkit.training.output import manifest
from evalkit.training.output.best_of_n_card import best_of_n_card
from evalkit.training.output.folder import frame_as_chat, save_model
from evalkit.training.output.page import write_training_page
from evalkit.training.rollout import sample
from evalkit.training.scoring import PromptSet, Scorer, open_scorer
from evalkit.training.sft import Example, cross_entropy
from evalkit.training.state import STATE, forget_state


@dataclass(frozen=True)
class Kept:
    """The best of n completions of a prompt."""

    prompt_id: str
    prompt: str
    completion: str
    reward: float
    """As the reward source gives it, or `missing_eos`."""
    token_ids: tuple[int, ...]
    """Of the completion as it was sampled, with its end where it ended by itself."""


def best_of(rewards: Tensor, n: int) -> Tensor:
    """[k / n] index of the highest of every `n` consecutive rewards, [k]; of equal ones the first."""
    return rewards.view(-1, n).argmax(dim=1) + torch.arange(0, len(rewards), n)


def kl_bound(n: int) -> float:
    """Best-of-n's KL from the policy is at most log n - (n - 1) / n nats (Beirami et al. 2024)."""
    return math.log(n) - (n - 1) / n


def distil(config: BestOfNConfig, out: Path, tell: Listener, command: Sequence[str] = ()) -> list[Path]:
    """Fine-tune a policy on the best of every n, for each n of `config`; returns their folders, `out`/best-of-N.

    What was kept stands beside them, in `out`/best-of-N.jsonl. The same config on the same `out` resumes, and samples
    nothing twice. Raises `EvalkitError`s: `InputError` for what cannot be trained, `StoreError` for a disk that fills,
    and itself for a reward or a loss that is not finite and for memory that runs out.
    """
    with one_of_many(), told_when_full(config.microbatch):
        device = join_processes()
        if not is_first():
            tell = Quiet()
        policy = load_policy("policy", config.policy)
        prompts = PromptSet(config.prompts, policy.prompt_ids(config.prompts, config.sampling.max_tokens))
        show = partial(write_training_page, config.name, out, list(map(name_of, config.n)))
        policy.model.to(device)
        is_kept, missing = of_first((
            all(kept_in(out, n).exists() for n in config.n),
            [n for n in config.n if not (out / name_of(n) / "training.json").exists()],
        ))  # fmt: skip
        score = None if is_kept else open_scorer(config.reward, policy, prompts, config.microbatch)
        record = manifest.begin(out, config, command) if is_first() else {}
        if score is not None:
            keep_best(config, policy, prompts, score, out, tell)
        policy.model.to("cpu")
        for n in missing:
            train_one(config, n, prompts, out, device, tell, show)
        if is_first():
            manifest.finish(out, record)
            show()
        wait_for_all()
    return [out / name_of(n) for n in config.n]


def keep_best(
    config: BestOfNConfig, policy: Policy, prompts: PromptSet, score: Scorer, out: Path, tell: Listener
) -> None:
    """Write what is kept for each n, from one pool of completions.

    Raises `EvalkitError` for a reward that is no number, and `StoreError`.
    """
    each = max(config.n) * config.samples
    own_prompts = own_share(range(len(prompts.ids)))
    tell.stage("sample the policy", len(own_prompts) * each)
    # Other prompts, and so other draws, whatever the process: only the first one's number is the config's own.
    torch.manual_seed(config.seed + (own_prompts[0] if own_prompts else 0))
    own: dict[int, tuple[list[list[int]], Tensor]] = {}
    for prompt in own_prompts:
        drawn = sample(policy, [prompts.ids[prompt]] * each, config.sampling.max_tokens, config.sampling.temperature)
        own[prompt] = drawn, _finite(score([prompt] * each, drawn), prompts.prompts[prompt].id)
        tell.advance(each, sum(map(len, drawn)))
    pool = [said for _, said in sorted(item for part in gathered(own) for item in part.items())]
    responses = [response for drawn, _ in pool for response in drawn]
    scores = _with_penalty(config, policy, responses, torch.cat([rewards for _, rewards in pool]))
    if is_first():
        for n in config.n:
            write_rows(kept_in(out, n), _rows(config, n, policy, prompts, responses, scores))
    wait_for_all()


def _finite(rewards: Tensor, prompt_id: str) -> Tensor:
    if not rewards.isfinite().all():
        raise EvalkitError(
            f"prompt {prompt_id!r}: the reward of a completion is not a finite number, so that none is the best; see "
            "that the reward gives one for every text"
        )
    return rewards


def _with_penalty(config: BestOfNConfig, policy: Policy, responses: Sequence[list[int]], rewards: Tensor) -> Tensor:
    if config.missing_eos is None:
        return rewards
    ended = torch.tensor([response[-1] in policy.stops for response in responses])
    return torch.where(ended, rewards, config.missing_eos)


def _rows(
    config: BestOfNConfig, n: int, policy: Policy, prompts: PromptSet, responses: Sequence[list[int]], scores: Tensor
) -> Iterator[dict[str, Any]]:
    each = max(config.n) * config.samples
    for index, prompt in enumerate(prompts.prompts):
        begin = index * each
        for place in best_of(scores[begin : begin + n * config.samples], n).tolist():
            response = responses[begin + place]
            yield {
                "prompt_id": prompt.id,
                "prompt": prompt.text,
                "completion": policy.texts([response])[0],
                "reward": float(scores[begin + place]),
                "token_ids": response,
            }


def train_one(
    config: BestOfNConfig,
    n: int,
    prompts: PromptSet,
    out: Path,
    device: torch.device,
    tell: Listener,
    show: Callable[[], None],
) -> None:
    """Fine-tune the policy on the best of every `n`, from its last state where there is one; writes its checkpoint."""
    kept = read_kept(kept_in(out, n), tell)
    torch.manual_seed(config.seed)  # of the adapters
    policy = load_policy("policy", config.policy, config.lora)
    policy.model.to(device)
    trained, held_out = split(config, prompts, kept)
    folder = out / name_of(n)
    objective = cross_entropy(policy)
    optimise(config, objective, trained, held_out, work_of(folder), tell, show)
    facts = facts_of(config, n, policy, kept, evaluate(config, objective, held_out)["loss"])
    if is_first():
        save(config, policy, folder, facts)
    wait_for_all()


def save(config: BestOfNConfig, policy: Policy, folder: Path, facts: dict[str, Any]) -> None:
    template = frame_as_chat(config.policy, policy.tokenizer) if config.policy.kind == "base" else None
    policy.model.generation_config.temperature = 1.0
    card = best_of_n_card(f"{config.name} {folder.name}", facts)
    save_model(folder, policy.model, Path(policy.checkpoint.location), card, facts, template)
    forget_state(work_of(folder) / STATE)


def read_kept(path: Path, tell: Listener) -> list[Kept]:
    """What was kept, in order. Raises `RecordsError` with file, line and key."""
    rows = typed_rows(path, TypeAdapter(Kept), "what was kept", list(Kept.__dataclass_fields__), tell.note)
    return [row for _, _, row in rows]


def split(config: BestOfNConfig, prompts: PromptSet, kept: Sequence[Kept]) -> tuple[list[Example], list[Example]]:
    """Examples to train on, and the last ones of each prompt, at least one, that are not."""
    ids = {prompt.id: tuple(tokens) for prompt, tokens in zip(prompts.prompts, prompts.ids, strict=True)}
    examples = [Example(ids[row.prompt_id], row.token_ids) for row in kept]
    last = config.samples - max(1, round(config.held_out * config.samples))
    sides: tuple[list[Example], list[Example]] = ([], [])
    for place, example in enumerate(examples):
        sides[place % config.samples >= last].append(example)
    return sides


def facts_of(config: BestOfNConfig, n: int, policy: Policy, kept: Sequence[Kept], loss: float) -> dict[str, Any]:
    """What training.json and the card say."""
    return {
        "method": "best-of-n distillation",
        "policy": config.policy.path,
        "reward_from": str(config.reward),
        "n": n,
        "prompts": len(config.prompts),
        "kept": len(kept),
        "reward_of_kept": sum(row.reward for row in kept) / len(kept),
        "ended": sum(row.token_ids[-1] in policy.stops for row in kept) / len(kept),
        "kl_at_most": kl_bound(n),
        "temperature": config.sampling.temperature,
        "held_out_loss_token": loss,
        "settings": config.model_dump(mode="json", exclude={"prompts"}),
    }


def kept_in(out: Path, n: int) -> Path:
    """The file of what is kept."""
    return out / f"{name_of(n)}.jsonl"


def name_of(n: int) -> str:
    """Folder and name of the checkpoint of one n."""
    return f"best-of-{n}"
