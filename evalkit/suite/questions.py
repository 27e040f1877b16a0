"""Questions of opinion: what a suite asks of them, which groups of people answered how, and the prompts they become.

A question is put once for every choice, the choices moved on by one place each time, so that every choice stands once
at every place (`metrics.estimators.opinions` says what that takes out).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Any

from annotated_types import MinLen
from pydantic import Field, TypeAdapter, model_validator

from evalkit.errors import RecordsError, SuiteError
from evalkit.metrics.estimators.opinions import UNIFORM
from evalkit.plumbing.as_text import texts_given
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.typed_jsonl import Label, typed_rows
from evalkit.plumbing.typed_yaml import Part
from evalkit.plumbing.unread import Notice
from evalkit.records import Opinion, Prompt

ANSWER = "Answer with the letter of one choice and nothing else."
"""What stands below the choices."""
MOST = len(ascii_uppercase)
ROUNDING = 0.02
"""By how much shares may miss 1: surveys print whole percents."""
Text = Annotated[str, MinLen(1)]


class Question(Part):
    """One question of opinion, to which no answer is right."""

    id: Annotated[str, MinLen(1)]
    text: Text
    """What is asked, without the choices."""
    choices: tuple[Text, ...] = Field(min_length=2, max_length=MOST)
    """A scale from one end to the other, or in any order."""
    ordered: bool = False
    """Whether the choices are a scale, so that some are nearer to each other than others."""
    listed: bool = True
    """Whether the choices are written below the text with letters, once in every order. Where the text itself says what
    can be answered, put false: it is asked as it stands, once, and an answer begins with one of the choices."""
    tags: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, given: Any) -> Any:
        return texts_given(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _says_different_things(self) -> Question:
        blank = [text for text in (self.text, *self.choices) if not text.strip()]
        if blank:
            raise ValueError(f"question {self.id!r} has a blank text; give it one")
        lines = [choice for choice in self.choices if len(choice.splitlines()) > 1]
        if lines:
            raise ValueError(f"question {self.id!r} has a choice of several lines, {lines[0]!r}; write it in one")
        twice = [choice for index, choice in enumerate(self.choices) if choice in self.choices[:index]]
        if twice:
            raise ValueError(f"question {self.id!r} has the choice {twice[0]!r} twice; say it once")
        return self


Groups = Mapping[str, Mapping[str, tuple[float, ...]]]
"""Question -> group of people -> the share of them that gave each of its choices."""


class GroupRow(Part):
    """One line of a file of groups' answers."""

    question: Label
    """The id of one of the suite's questions."""
    group: Label
    """What these people are called."""
    shares: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(min_length=1)
    """Choice -> the share of them that gave it, adding up to 1."""
    source: str = ""
    """Where the figures are from, in words; for whoever reads the file."""


def prompts_of(questions: Sequence[Question], groups: Groups) -> Iterator[Prompt]:
    """The prompts that put the questions, all orders of one after the other, as one cluster each."""
    for question in questions:
        orders = range(len(question.choices)) if question.listed else range(1)
        for order in orders:
            yield _prompt(question, order, groups.get(question.id, {}))


def _prompt(question: Question, order: int, groups: Mapping[str, tuple[float, ...]]) -> Prompt:
    m = len(question.choices)
    answers = question.choices
    text, name = question.text, question.id
    if question.listed:
        # Choice c stands at place c + order.
        answers = tuple(ascii_uppercase[(choice + order) % m] for choice in range(m))
        shown = [question.choices[(place - order) % m] for place in range(m)]
        lines = [f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, shown, strict=False)]
        text, name = "\n".join([question.text, *lines, ANSWER]), f"{question.id}~{order + 1}"
    return Prompt(
        name,
        text,
        tags=question.tags,
        choices=dict.fromkeys(sorted(answers) if question.listed else answers, 1 / m),
        cluster=question.id,
        opinion=Opinion(question.id, question.choices, answers, question.ordered, groups),
    )


def first_asked(prompts: Sequence[Prompt], most: int) -> tuple[Prompt, ...]:
    """The first `most` prompts, all orders of a question counting as one."""
    units: dict[str, None] = {}
    kept = []
    for prompt in prompts:
        units.setdefault(prompt.opinion.question if prompt.opinion else prompt.id)
        if len(units) > most:
            break
        kept.append(prompt)
    return tuple(kept)


def check_questions(questions: Sequence[Question], line_of: Callable[[int], str]) -> None:
    """Refuse equal ids. `line_of(index)` names where a question stands. Raises `SuiteError`."""
    seen: dict[str, int] = {}
    for index, question in enumerate(questions):
        if question.id in seen:
            first = line_of(seen[question.id])
            raise SuiteError(
                f"{line_of(index)}: question id {question.id!r} is used twice (first at {first}); ids must be unique"
            )
        seen[question.id] = index


def read_groups(path: Path, questions: Sequence[Question], yaml_line: str, notice: Notice) -> Groups:
    """What groups of people answered, from a JSONL file of {question, group, shares}.

    `yaml_line` names the suite's line that asks for it. Raises `SuiteError` with file, line and key.
    """
    by_id = {question.id: question for question in questions}
    groups: dict[str, dict[str, tuple[float, ...]]] = {}
    keys = list(GroupRow.model_fields)
    try:
        for where, _, row in typed_rows(path, TypeAdapter(GroupRow), "question, group and shares", keys, notice):
            question = by_id.get(row.question)
            if question is None:
                meant = did_you_mean(row.question, by_id)
                raise SuiteError(f"{where}: question: the suite has no question {row.question!r}{meant}")
            _check_group(row.group, where)
            of_question = groups.setdefault(row.question, {})
            if row.group in of_question:
                raise SuiteError(f"{where}: group {row.group!r} answers {row.question!r} a second time; keep one row")
            of_question[row.group] = shares_in_order(row.shares, question.choices, where)
    except RecordsError as error:
        raise SuiteError(f"{yaml_line}: opinions_from: {error}") from None
    return groups


def _check_group(group: str, where: str) -> None:
    if set(group) & set("|:") or not group.strip():
        raise SuiteError(f"{where}: group: found {group!r}; a group's name is not blank and holds no | and no :")
    if group == UNIFORM:
        raise SuiteError(
            f"{where}: group: {UNIFORM!r} stands for nobody's opinion, every choice alike; call the group otherwise"
        )


def shares_in_order(shares: Mapping[str, float], choices: Sequence[str], where: str) -> tuple[float, ...]:
    """The share of each choice, adding up to 1. Raises `SuiteError` on other choices, or where they do not add up."""
    unknown = next((choice for choice in shares if choice not in choices), None)
    if unknown is not None:
        meant = did_you_mean(unknown, choices)
        raise SuiteError(f"{where}: shares: there is no choice {unknown!r}{meant}; choices: {', '.join(choices)}")
    missing = next((choice for choice in choices if choice not in shares), None)
    if missing is not None:
        raise SuiteError(
            f"{where}: shares: {missing!r} is missing; give every choice its share, 0 where nobody gave it"
        )
    total = math.fsum(shares.values())
    if abs(total - 1) > ROUNDING:
        raise SuiteError(f"{where}: shares: they add up to {total:g}; they must add up to 1")
    return tuple(shares[choice] / total for choice in choices)


def group_names(groups: Groups) -> list[str]:
    """All groups, in the order in which they are first named."""
    return list(dict.fromkeys(group for of_question in groups.values() for group in of_question))
