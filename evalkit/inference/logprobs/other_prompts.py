"""What each arm wrote, read by its own checkpoint after other prompts than the one that was answered.

Which others, `metrics.other_prompts` says: the same for all arms. Each is rendered as the checkpoint sees it when it is
asked, with its frame or chat template, its system prompt and earlier turns. Arms that are not draws from their
checkpoint's untempered distribution (`Arm.is_raw`) are left out in silence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evalkit.inference.logprobs.cross import Groups, lacks_room
from evalkit.inference.logprobs.questions import Answer, Question, Tokens
from evalkit.inference.logprobs.score import Prepared, Scoring
from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Loaded
from evalkit.metrics.other_prompts import FEWEST, Design, others_asked, others_of
from evalkit.plumbing.lazily import Lazy, each
from evalkit.records import Group
from evalkit.runs.stored_groups import prompts_of

NEED = "other_prompt_logprobs"


def under_other_prompts(plan: Plan, groups: Groups) -> Prepared:
    """`Group.other_prompt_logprobs`, of as many others as the measure that asks for most of them."""
    most = max(others_asked(one.params) for one in plan.suite.measures if NEED in one.definition.needs)
    scorings, obstacles = [], {}
    for arm in plan.arms:
        if not arm.is_raw:
            continue
        reader, design = plan.checkpoints[arm.checkpoint], others_of(prompts_of(groups[arm.name]), most)
        if reader.checkpoint.is_remote:
            obstacles[arm.name] = f"{arm.checkpoint} is a server, and its weights are needed here"
            continue
        if design.questions < FEWEST:
            obstacles[arm.name] = _too_few(design.questions)
            continue
        question = asked_after_others(reader, groups[arm.name], design)
        if obstacle := lacks_room(question, "completion put after another prompt", "lower max_tokens"):
            obstacles[arm.name] = obstacle
        else:
            scorings.append(Scoring(arm.name, question, Attached(design)))
    return Prepared({}, scorings, obstacles)


def _too_few(questions: int) -> str:
    if questions < 2:
        return "there is but one question, and an answer shows which it is to only among several"
    return (
        f"there are but {questions} questions, which have one figure between them, so that nothing tells how far off "
        f"it may be; ask {FEWEST} or more"
    )


def asked_after_others(reader: Loaded, groups: Sequence[Group], design: Design) -> Question:
    """A question about every completion after each of its prompt's others: `design.count` rows for each prompt.

    Prompts go in the order of the design, so that only near ones have others in common: what is known of a prompt
    can soon be forgotten.
    """
    rendered = {prompt.prompt_id: prompt.token_ids for prompt in reader.rendered}
    prompts = [rendered[prompt.id] for prompt in prompts_of(groups)]
    others = [prompts[other] for place in design.order for other in design.others[place]]
    return Question(reader, "logprobs", others, _Repeated(groups, design.order, design.count))


@dataclass(frozen=True)
class Attached:
    """Groups get an answer as their log-probs after other prompts."""

    design: Design

    def __call__(self, groups: Sequence[Group], answer: Answer) -> Sequence[Group]:
        turns = {place: turn for turn, place in enumerate(self.design.order)}
        starts = tuple(turns[place] * self.design.count for place in range(len(turns)))
        return each(groups, _Columns(answer, starts, self.design.count))


@dataclass(frozen=True)
class _Columns:
    """A group gets its rows of the answer as columns, nearest other first."""

    answer: Answer
    starts: tuple[int, ...]
    """Of each prompt the first of its rows."""
    count: int

    def __call__(self, index: int, group: Group) -> Group:
        start = self.starts[index]
        columns = [self.answer[row] for row in range(start, start + self.count)]
        return dataclasses.replace(group, other_prompt_logprobs=np.column_stack(columns))


@dataclass(frozen=True, eq=False)
class _Repeated(Lazy[list[Tokens]]):
    """The tokens of groups in some order, each several times on end and made once for that."""

    groups: Sequence[Group]
    order: tuple[int, ...]
    times: int
    _last: dict[int, list[Tokens]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.order) * self.times

    def make(self, index: int) -> list[Tokens]:
        place = self.order[index // self.times]
        if place not in self._last:
            self._last.clear()
            self._last[place] = [completion.token_ids for completion in self.groups[place].completions]
        return self._last[place]
