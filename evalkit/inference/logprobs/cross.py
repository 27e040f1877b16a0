"""Cross-scoring: each arm's completions under the baseline checkpoint, and the baseline's under each arm's.

A reader takes in the tokens of a completion after its own rendering of the prompt (its frame, its chat template),
where the arm that wrote them had its own: the distributions that are compared are those that the report compares. Arms
that are not draws from their checkpoint's untempered distribution (`Arm.is_raw`) are left out in silence.
"""

from __future__ import annotations

import dataclasses
import filecmp
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.folder import context_length
from evalkit.inference.logprobs.questions import Answer, Quantity, Question, Tokens
from evalkit.inference.logprobs.score import Prepared, Scoring
from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Loaded
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.lazily import each
from evalkit.records import Arm, Group
from evalkit.runs.stored_groups import prompts_of

Groups = Mapping[str, Sequence[Group]]


def under_baseline(plan: Plan, groups: Groups) -> Prepared:
    """`Group.baseline_logprobs`: what every raw arm wrote, read by the baseline checkpoint.

    The baseline checkpoint's own arms keep the log-probs that they were sampled with, so that their divergence is 0
    by definition.
    """
    home = plan.checkpoints[plan.suite.baseline_checkpoint]
    complete: dict[str, Sequence[Group]] = {}
    scorings: list[Scoring] = []
    obstacles: dict[str, str] = {}
    for arm in _raw(plan):
        if arm.checkpoint == home.checkpoint.name:
            complete[arm.name] = each(groups[arm.name], _own_baseline)
            continue
        name = home.checkpoint.name
        obstacle = _asking_obstacle(plan, name)
        question = asked_about(home, "logprobs", groups[arm.name])
        if obstacle is None:
            obstacle = _thinking_obstacle(name) if _thinks(plan, name) else _obstacle(plan, arm, question)
        if obstacle is None:
            scorings.append(Scoring(arm.name, question, Attached("baseline_logprobs")))
        else:
            obstacles[arm.name] = obstacle
    return Prepared(complete, scorings, obstacles)


def baseline_groups(plan: Plan, groups: Groups) -> Prepared:
    """`Group.baseline`: nothing needs to be read for it."""
    complete: dict[str, Sequence[Group]] = {}
    for arm in plan.arms:
        beside = groups[_beside(plan, arm)]
        complete[arm.name] = each(groups[arm.name], Beside(beside))
    return Prepared(complete, [], {})


def under_arm(plan: Plan, groups: Groups) -> Prepared:
    """`Group.forward_logprobs`: what the baseline's raw arm wrote, read by each raw arm's checkpoint; with `baseline`.

    The baseline checkpoint's own arms keep the log-probs that they were sampled with.
    """
    home = plan.suite.baseline_checkpoint
    beside = dict(baseline_groups(plan, groups).groups)
    written_raw = any(arm.checkpoint == home for arm in _raw(plan))
    scorings, obstacles = [], {}
    for arm in _raw(plan):
        if arm.checkpoint == home:
            beside[arm.name] = each(beside[arm.name], _own_forward)
            continue
        question = asked_about(plan.checkpoints[arm.checkpoint], "logprobs", groups[_beside(plan, arm)])
        if asked_otherwise := _asking_obstacle(plan, home):
            obstacles[arm.name] = asked_otherwise
        elif _thinks(plan, home):
            obstacles[arm.name] = _thinking_obstacle(home)
        elif not written_raw:
            obstacles[arm.name] = f"{home} has no arm at temperature 1 with nothing cut off"
        elif obstacle := _obstacle(plan, arm, question):
            obstacles[arm.name] = obstacle
        else:
            scorings.append(Scoring(arm.name, question, Attached("forward_logprobs")))
    return Prepared(beside, scorings, obstacles)


def _raw(plan: Plan) -> list[Arm]:
    return [arm for arm in plan.arms if arm.is_raw]


def _beside(plan: Plan, arm: Arm) -> str:
    """The arm whose completions are an arm's `Group.baseline`: for a raw one the baseline checkpoint's own raw arm."""
    home = plan.suite.baseline_checkpoint
    raw = next((other.name for other in _raw(plan) if other.checkpoint == home), None)
    return raw if arm.is_raw and raw is not None else arm.baseline or arm.name


@dataclasses.dataclass(frozen=True)
class Attached:
    """Groups get an answer as one of their fields."""

    name: str

    def __call__(self, groups: Sequence[Group], answer: Answer) -> Sequence[Group]:
        return each(groups, Read(self.name, answer))


@dataclasses.dataclass(frozen=True)
class Beside:
    """Groups get the baseline's beside them."""

    groups: Sequence[Group]

    def __call__(self, index: int, group: Group) -> Group:
        return dataclasses.replace(group, baseline=self.groups[index])


@dataclasses.dataclass(frozen=True)
class Read:
    """Groups get what a checkpoint made of their completions, or of the baseline's."""

    name: str
    answer: Answer

    def __call__(self, index: int, group: Group) -> Group:
        read: dict[str, Any] = {self.name: self.answer[index]}
        return dataclasses.replace(group, **read)


def _own_baseline(index: int, group: Group) -> Group:
    return dataclasses.replace(group, baseline_logprobs=_sampled(group))


def _own_forward(index: int, group: Group) -> Group:
    return dataclasses.replace(group, forward_logprobs=_sampled(group))


def _thinks(plan: Plan, checkpoint: str) -> bool:
    return any(arm.thinking is not None for arm in plan.arms if arm.checkpoint == checkpoint)


def _asking_obstacle(plan: Plan, checkpoint: str) -> str | None:
    """Why a checkpoint has no distribution of single answers to a prompt; None where it has."""
    if all(arm.is_independent for arm in plan.arms if arm.checkpoint == checkpoint):
        return None
    return f"{checkpoint} is asked for several answers at once or in several wordings, and has no chance of one answer"


def _thinking_obstacle(checkpoint: str) -> str:
    return (
        f"{checkpoint} thinks before it answers, and what it gives a text right after the prompt says nothing of that"
    )


def _sampled(group: Group) -> Array:
    return np.array([math.fsum(completion.logprobs) for completion in group.completions], dtype=np.float64)


def asked_about(reader: Loaded, quantity: Quantity, groups: Sequence[Group]) -> Question:
    """A question about every completion of the groups, after the reader's own rendering of their prompts."""
    rendered = {prompt.prompt_id: prompt.token_ids for prompt in reader.rendered}
    return Question(reader, quantity, [rendered[prompt.id] for prompt in prompts_of(groups)], each(groups, _tokens))


def _tokens(index: int, group: Group) -> list[Tokens]:
    return [completion.token_ids for completion in group.completions]


def _obstacle(plan: Plan, arm: Arm, question: Question) -> str | None:
    """Why one of the arm's and the baseline's checkpoints cannot read the other's tokens; None where it can."""
    home, other = (
        plan.checkpoints[plan.suite.baseline_checkpoint].checkpoint,
        plan.checkpoints[arm.checkpoint].checkpoint,
    )
    for checkpoint in (home, other):
        if checkpoint.is_remote:
            return f"{checkpoint.name} is a server, and the weights of both checkpoints are needed here"
    if not _share_a_vocabulary(home, other):
        return f"{other.name} has another vocabulary than {home.name}, so its tokens mean others"
    return lacks_room(question, "completion", "lower max_tokens")


def lacks_room(question: Question, what: str, remedy: str) -> str | None:
    """Why the longest pair does not fit into a checkpoint's context; None where it does."""
    reader = question.reader.checkpoint
    context = context_length(reader)
    # Scoring a sequence in vLLM takes room for one token more.
    if context is None or question.distinct.longest < context:
        return None
    return (
        f"a {what} takes {question.distinct.longest} tokens with its prompt, and the context of {reader.name} is "
        f"{context}; {remedy}"
    )


def _share_a_vocabulary(first: Checkpoint, second: Checkpoint) -> bool:
    """Whether every token id stands for the same token."""
    first_file, second_file = (Path(checkpoint.location) / "tokenizer.json" for checkpoint in (first, second))
    if first_file.is_file() and second_file.is_file() and filecmp.cmp(first_file, second_file, shallow=False):
        return True
    return _vocabulary(first) == _vocabulary(second)


def _vocabulary(checkpoint: Checkpoint) -> bytes:
    return _vocabulary_in(checkpoint.location, checkpoint.trust_remote_code, checkpoint.fingerprint)


@cache
def _vocabulary_in(folder: str, trust_remote_code: bool, fingerprint: str) -> bytes:
    """Equal where every token id stands for the same token; large ones take seconds to load, and each arm asks."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    return hashlib.sha256(json.dumps(tokenizer.get_vocab(), sort_keys=True).encode()).digest()
