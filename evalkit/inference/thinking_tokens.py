"""How many of a completion's tokens are thinking: engines count thinking and answer together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.checkpoints.rendering import load_tokenizer
from evalkit.inference.plan import Plan
from evalkit.plumbing.lazily import each
from evalkit.records import Completion, Group

NEED = "thinking_tokens"


def with_thinking_tokens(plan: Plan, groups: Mapping[str, Sequence[Group]]) -> dict[str, Sequence[Group]]:
    """The groups with `Completion.thinking_tokens` where a measure of the suite needs them and the engine is local.

    A server has told them itself, or nobody knows. Raises `CheckpointError`.
    """
    counted = dict(groups)
    if not any(NEED in measure.definition.needs for measure in plan.suite.measures):
        return counted
    for arm in plan.arms:
        checkpoint = plan.checkpoints[arm.checkpoint].checkpoint
        if arm.thinking is None or not arm.thinking.end or checkpoint.is_remote:
            continue
        counted[arm.name] = each(counted[arm.name], Counted(arm.thinking.end, load_tokenizer(checkpoint)))
    return counted


@dataclass(frozen=True)
class Counted:
    """Groups with the tokens of thinking counted."""

    end: str
    tokenizer: Any

    def __call__(self, index: int, group: Group) -> Group:
        completions = tuple(_counted(completion, self.end, self.tokenizer) for completion in group.completions)
        return replace(group, completions=completions)


def _counted(completion: Completion, end: str, tokenizer: Any) -> Completion:
    if completion.thinking is None or not completion.token_ids:
        return completion
    return replace(completion, thinking_tokens=tokens_to(end, completion.token_ids, tokenizer))


def tokens_to(end: str, token_ids: Sequence[int], tokenizer: Any) -> int:
    """The fewest first tokens whose text holds `end`; all where it stands nowhere."""
    low, high = 0, len(token_ids)
    while low < high:
        middle = (low + high) // 2
        if end in tokenizer.decode(token_ids[:middle], skip_special_tokens=False):
            high = middle
        else:
            low = middle + 1
    return low
