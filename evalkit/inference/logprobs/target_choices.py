"""Texts that a suite states for a prompt, its choices and references, under every arm's checkpoint: no sampling.

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
from evalkit.inference.logprobs.score import Answer, Prepared, Quantity, Question, Scoring
from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Loaded
from evalkit.metrics.choice_match import SPACES, opens, spellings
from evalkit.plumbing.log_space import less, total
from evalkit.records import Group

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
    return _prepare(
        plan, groups, "choice", "prefix_logprobs", lambda group: _choice_spellings(tuple(group.prompt.choices)), _chosen
    )


def opinions_read(plan: Plan, groups: Groups) -> Prepared:
    """The same of prompts that put a question of opinion. A server is no obstacle: there drawn answers are counted."""

    def spell(group: Group) -> list[tuple[str, str]]:
        return _choice_spellings(group.prompt.opinion.answers) if group.prompt.opinion else []

    return dataclasses.replace(_prepare(plan, groups, "choice", "prefix_logprobs", spell, _chosen), obstacles={})


def _chosen(group: Group, spellings: Sequence[Spelling], logprobs: Sequence[float]) -> Group:
    known = choice_logprobs(spellings, logprobs)
    return dataclasses.replace(
        group, choice_logprobs={choice: known.get(choice, -math.inf) for choice in group.prompt.choices}
    )


def references_read(plan: Plan, groups: Groups) -> Prepared:
    """`Group.reference_logprobs`, of prompts that have references."""

    def attach(group: Group, spellings: Sequence[Spelling], logprobs: Sequence[float]) -> Group:
        known = list(zip(spellings, logprobs, strict=True))
        totals = (total([x for spelling, x in known if spelling.text == text]) for text in group.prompt.references)
        return dataclasses.replace(group, reference_logprobs=tuple(totals))

    return _prepare(
        plan, groups, "reference", "logprobs", lambda group: _reference_spellings(group.prompt.references), attach
    )


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


def _choice_spellings(choices: Sequence[str]) -> list[tuple[str, str]]:
    return [(choice, space + writing) for writing, choice in spellings(choices).items() for space in SPACES]


def _reference_spellings(references: Sequence[str]) -> list[tuple[str, str]]:
    return [(text, space + text) for text in references for space in SPACES]


def _prepare(
    plan: Plan,
    groups: Groups,
    what: str,
    quantity: Quantity,
    spell: Callable[[Group], list[tuple[str, str]]],
    attach: Callable[[Group, Sequence[Spelling], Sequence[float]], Group],
) -> Prepared:
    scorings, obstacles = [], {}
    for arm in plan.arms:
        if not arm.is_raw:
            continue
        reader = plan.checkpoints[arm.checkpoint]
        if reader.checkpoint.is_remote:
            obstacles[arm.name] = f"{arm.checkpoint} is a server, and its weights are needed here"
            continue
        spellings = _spellings(reader, [spell(group) for group in groups[arm.name]])
        pairs = tuple(
            (prompt.token_ids, spelling.tokens)
            for prompt, group_spellings in zip(reader.rendered, spellings, strict=True)
            for spelling in group_spellings
        )  # fmt: skip
        obstacle = lacks_room(reader, pairs, what, "shorten it")
        if obstacle is None:
            scorings.append(Scoring(arm.name, Question(arm.checkpoint, quantity, pairs), _attacher(spellings, attach)))
        else:
            obstacles[arm.name] = obstacle
    return Prepared({}, scorings, obstacles)


def _attacher(
    spellings: Spellings, attach: Callable[[Group, Sequence[Spelling], Sequence[float]], Group]
) -> Callable[[Sequence[Group], Answer], list[Group]]:
    def attach_all(groups: Sequence[Group], answer: Answer) -> list[Group]:
        attached, start = [], 0
        for group, group_spellings in zip(groups, spellings, strict=True):
            attached.append(
                attach(group, group_spellings, answer[start : start + len(group_spellings)])
                if group_spellings
                else group
            )
            start += len(group_spellings)
        return attached

    return attach_all


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
