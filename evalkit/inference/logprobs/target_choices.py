"""Texts that a suite states for a prompt (choices, valid answers, references) by every arm's checkpoint: no sampling.

Which choice an answer gives, `metrics.choice_match` says; the share of answers that give none is `off_choices`.
Approximations are on that side: a choice counts as its tokenizer writes it, not in other cuts into tokens, and as
`choices.spellings` has it, not in full-width or other scripts' digits and letters, which completions may have too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.inference.logprobs.continuations import Tokens, continuations
from evalkit.inference.logprobs.cross import lacks_room
from evalkit.inference.logprobs.questions import Answer, Quantity, Question
from evalkit.inference.logprobs.score import Prepared, Scoring
from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Loaded
from evalkit.metrics.choice_match import SPACES, opens, spellings
from evalkit.metrics.valid_answers import listed
from evalkit.plumbing.lazily import each
from evalkit.plumbing.log_space import less, total
from evalkit.records import Group, Prompt
from evalkit.runs.stored_groups import prompts_of

Groups = Mapping[str, Sequence[Group]]


@dataclass(frozen=True)
class Spelling:
    """One way of writing a text, after one prompt."""

    text: str
    """As the suite states it."""
    written: str
    tokens: Tokens


Spellings = Sequence[Sequence[Spelling]]
"""For each prompt, those of all its texts that the tokenizer can write; no two have the same tokens."""


def choices_read(plan: Plan, groups: Groups) -> Prepared:
    """`Group.choice_logprobs`, of prompts that have choices."""
    return _prepare(plan, groups, "choice", "prefix_logprobs", _choice_spellings, ChoicesRead)


def opinions_read(plan: Plan, groups: Groups) -> Prepared:
    """The same of prompts that put a question of opinion. A server is no obstacle: there drawn answers are counted."""

    def spell(prompt: Prompt) -> list[tuple[str, str]]:
        return _choice_spellings(prompt) if prompt.opinion else []

    prepared = _prepare(plan, groups, "choice", "prefix_logprobs", spell, ChoicesRead)
    return dataclasses.replace(prepared, obstacles={})


def valid_read(plan: Plan, groups: Groups) -> Prepared:
    """`Group.valid_logprobs`, of prompts whose valid answers are listed."""
    return _prepare(plan, groups, "valid answer", "prefix_logprobs", _valid_spellings, ValidRead)


def references_read(plan: Plan, groups: Groups) -> Prepared:
    """`Group.reference_logprobs`, of prompts that have references."""
    return _prepare(plan, groups, "reference", "logprobs", _reference_spellings, ReferencesRead)


@dataclass(frozen=True)
class ChoicesRead:
    """Groups get the log-probs of their prompts' choices."""

    spellings: Spellings
    answer: Answer

    def __call__(self, index: int, group: Group) -> Group:
        if not self.spellings[index]:
            return group
        known = choice_logprobs(self.spellings[index], self.answer[index].tolist())
        logprobs = {choice: known.get(choice, -math.inf) for choice in group.prompt.choices}
        return dataclasses.replace(group, choice_logprobs=logprobs)


@dataclass(frozen=True)
class ValidRead:
    """Groups get the log-probs of their prompts' valid answers, each in all its spellings."""

    spellings: Spellings
    answer: Answer

    def __call__(self, index: int, group: Group) -> Group:
        if not self.spellings[index]:
            return group
        known = choice_logprobs(self.spellings[index], self.answer[index].tolist())
        logprobs = {answer[0]: known.get(answer[0], -math.inf) for answer in listed(group.prompt)}
        return dataclasses.replace(group, valid_logprobs=logprobs)


@dataclass(frozen=True)
class ReferencesRead:
    """Groups get the log-probs of their prompts' references."""

    spellings: Spellings
    answer: Answer

    def __call__(self, index: int, group: Group) -> Group:
        if not self.spellings[index]:
            return group
        known = list(zip(self.spellings[index], self.answer[index].tolist(), strict=True))
        totals = (total([x for spelling, x in known if spelling.text == text]) for text in group.prompt.references)
        return dataclasses.replace(group, reference_logprobs=tuple(totals))


def choice_logprobs(spellings: Sequence[Spelling], openings: Sequence[float]) -> dict[str, float]:
    """Log-prob of each choice from those that an answer opens with its spellings; chances add up to at most 1.

    An answer that opens with a longer spelling opens with the shorter one that it begins with, too: the longer counts.
    """
    alone: dict[Tokens, float] = {}
    logprobs: dict[str, float] = {}
    written = {spelling.tokens: spelling.written for spelling in spellings}
    longest_first = sorted(zip(spellings, openings, strict=True), key=lambda pair: -len(pair[0].tokens))
    for spelling, opening in longest_first:
        longer = [
            x for tokens, x in alone.items() if _opens(spelling.tokens, spelling.written, tokens, written[tokens])
        ]
        alone[spelling.tokens] = less(opening, total(longer))
        logprobs[spelling.text] = total([logprobs.get(spelling.text, -math.inf), alone[spelling.tokens]])
    return logprobs


def _opens(short: Tokens, written: str, long: Tokens, longer: str) -> bool:
    return len(long) > len(short) and long[: len(short)] == short and opens(longer, written)


def _choice_spellings(prompt: Prompt) -> list[tuple[str, str]]:
    writings = spellings(tuple(prompt.choices)).items()
    return [(choice, space + writing) for writing, choice in writings for space in SPACES]


def _valid_spellings(prompt: Prompt) -> list[tuple[str, str]]:
    called = {text: answer[0] for answer in listed(prompt) for text in answer}
    return [(called[text], space + writing) for writing, text in spellings(called).items() for space in SPACES]


def _reference_spellings(prompt: Prompt) -> list[tuple[str, str]]:
    return [(text, space + text) for text in prompt.references for space in SPACES]


def _prepare(
    plan: Plan,
    groups: Groups,
    what: str,
    quantity: Quantity,
    spell: Callable[[Prompt], list[tuple[str, str]]],
    change: Callable[[Spellings, Answer], Callable[[int, Group], Group]],
) -> Prepared:
    scorings, obstacles = [], {}
    for arm in plan.arms:
        if not arm.is_raw:
            continue
        reader = plan.checkpoints[arm.checkpoint]
        if reader.checkpoint.is_remote:
            obstacles[arm.name] = f"{arm.checkpoint} is a server, and its weights are needed here"
            continue
        written = _spellings(reader, [spell(prompt) for prompt in prompts_of(groups[arm.name])])
        texts = [[spelling.tokens for spelling in of_prompt] for of_prompt in written]
        question = Question(reader, quantity, [prompt.token_ids for prompt in reader.rendered], texts)
        obstacle = lacks_room(question, what, "shorten it")
        if obstacle is None:
            scorings.append(Scoring(arm.name, question, _attacher(written, change)))
        else:
            obstacles[arm.name] = obstacle
    return Prepared({}, scorings, obstacles)


def _attacher(
    written: Spellings,
    change: Callable[[Spellings, Answer], Callable[[int, Group], Group]],
) -> Callable[[Sequence[Group], Answer], Sequence[Group]]:
    return lambda groups, answer: each(groups, change(written, answer))


def _spellings(reader: Loaded, texts: Sequence[Sequence[tuple[str, str]]]) -> list[list[Spelling]]:
    """Of writings with the same tokens the first one counts, which is the one as stated, if any is."""
    tokens = continuations(
        reader.checkpoint, reader.rendered, [[writing for _, writing in group_texts] for group_texts in texts]
    )
    spellings = []
    for group_texts, ids in zip(texts, tokens, strict=True):
        by_tokens: dict[Tokens, Spelling] = {}
        for (text, writing), of_writing in zip(group_texts, ids, strict=True):
            if of_writing:
                by_tokens.setdefault(of_writing, Spelling(text, writing, of_writing))
        spellings.append(list(by_tokens.values()))
    return spellings
