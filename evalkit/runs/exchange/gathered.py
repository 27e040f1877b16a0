"""Rows of completions gathered: what is asked, and every arm's completions of each prompt as a group.

All rows are looked at once, and of each no more is kept than numbers; where they lie on disk they are laid there anew,
those of one arm and prompt together, and a group is made of them when it is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast, get_args

import numpy as np

from evalkit.errors import MetricError, RecordsError
from evalkit.metrics.answer_match import check_answer
from evalkit.metrics.declaration import Need
from evalkit.metrics.task_checks import read_checks
from evalkit.metrics.valid_answers import read_valid
from evalkit.plumbing.lazily import each, is_lazy
from evalkit.plumbing.piles import Sorted, SortedLists
from evalkit.plumbing.prose import counted
from evalkit.records import Asking, Completion, Given, Group, Item, Message, Prompt, Role
from evalkit.runs.exchange.read import Texts
from evalkit.runs.exchange.rows import TextRow
from evalkit.runs.stored_groups import OfPrompts
from evalkit.runs.thinking import answers_apart

KEY_OF: Mapping[Need, str] = {
    "answer": "answer", "checks": "checks", "valid": "valid", "scores": "scores", "classes": "class",
    "thinking": "thinking", "stated": "asked.item.probability",
}  # fmt: skip
"""Needs of measures that some rows must meet -> the key of a row that meets it."""
OF_ROWS: frozenset[Need] = frozenset(KEY_OF)


class Gathered:
    """What rows hold together."""

    def __init__(self, on_disk: bool) -> None:
        self.prompts: list[Prompt] = []
        self.answers: dict[str, dict[str, int]] = {}
        """Arm -> prompt -> how many answers were asked for: of lists, as many as the run was to measure."""
        self.completions = 0
        self.empty = 0
        """Completions without a word, beside thinking that stands apart."""
        self.first_empty = ""
        self.meets: set[Need] = set()
        """Those of `OF_ROWS` that any row meets."""
        self.notes: list[str] = []
        """What must be said of prompts that were rendered in several ways."""
        self._rows: Sorted[tuple[str, str], TextRow] = Sorted(on_disk)
        self._scores: tuple[dict[str, None], dict[str, None]] = {}, {}
        self._questions: dict[str, str] = {}
        self._askings: dict[str, dict[str, Asking]] = {}
        self._measured: dict[tuple[str, str], int] = {}
        self._unclassed = 0
        self._all_answer = True
        self._given = False

    @property
    def scores(self) -> dict[str, bool]:
        """Score that the files hold -> whether it is of all of a prompt's completions together."""
        of_completions, of_prompts = self._scores
        names = dict.fromkeys(of_completions, False)
        return names | {name: True for name in of_prompts if name not in names}

    def questions(self) -> list[Prompt]:
        """The prompts, as what they ask: the question alone where the file has one of its own."""
        known = self._questions
        return [
            replace(prompt, text=known[prompt.id], messages=()) if prompt.id in known else prompt
            for prompt in self.prompts
        ]

    def asking(self, arm: str) -> Asking | None:
        """How an arm's completions were asked for; of several ways the first."""
        of_arm = self._askings.get(arm, {})
        return next((of_arm[prompt] for prompt in self.answers[arm] if prompt in of_arm), None)

    def groups(self, arm: str, samples: int) -> Sequence[Group]:
        """An arm's first `samples` answers of each prompt."""
        return each(self._lists(arm), AsGroup(tuple(self.prompts), samples))

    def with_given(self, arm: str, groups: Sequence[Group], tool: str) -> Sequence[Group]:
        """Groups of an arm, with what the files, written by `tool`, say of their completions besides their texts."""
        return each(groups, WithGiven(self._lists(arm), tool)) if self._given else groups

    def add(self, arm: str, row: TextRow) -> None:
        """Take in a row."""
        key = arm, row.prompt_id
        of_arm = self.answers.setdefault(arm, {})
        of_arm[row.prompt_id] = of_arm.get(row.prompt_id, 0) + 1
        self._rows.add(key, row, len(row.prompt) + len(row.completion) + len(row.thinking or ""))
        self.completions += 1
        if not row.completion.strip() and row.thinking is None:
            self.first_empty = self.first_empty or row.where
            self.empty += 1
        if row.question is not None:
            self._questions[row.prompt_id] = row.question
        if row.asked is not None:
            self._askings.setdefault(arm, {}).setdefault(row.prompt_id, row.asked.asking)
            if row.asked.n:
                self._measured[key] = min(self._measured.get(key, row.asked.n), row.asked.n)
        for known, names in zip(self._scores, (row.scores, row.prompt_scores), strict=True):
            known.update(dict.fromkeys(names))
        self.meets |= _met(row)
        self._unclassed += row.said is None
        self._given |= bool(row.scores or row.prompt_scores or row.said is not None)
        self._all_answer &= row.thinking is None and row.asked is None and row.finish_reason != "withheld"

    def close(self) -> None:
        """All rows are taken in."""
        if "classes" in self.meets and self._unclassed:
            self.notes.append(
                f"{self._unclassed:,} of {counted(self.completions, 'completion')} came without a class; prompts with "
                "any of them have no value in measures of classes that are given"
            )
        for (arm, prompt), most in self._measured.items():
            self.answers[arm][prompt] = min(self.answers[arm][prompt], most)

    def _lists(self, arm: str) -> Sequence[Sequence[TextRow]]:
        lists = self._rows.lists([(arm, prompt.id) for prompt in self.prompts])
        if not isinstance(lists, SortedLists):
            return lists
        return StoredRows(tuple(self.prompts), self._all_answer, lists)


def gather(texts: Texts) -> Gathered:
    """Look once at all rows. Raises `RecordsError` where they say different things of one prompt, or nonsense."""
    gathered = Gathered(is_lazy({"": texts.rows}))
    prompts: dict[str, tuple[str, Prompt]] = {}
    reread: dict[str, None] = {}
    for row, arm in zip(texts.rows, texts.arms, strict=True):
        prompt = _prompt(row)
        if row.prompt_id not in prompts:
            _check_prompt(prompt, row.where)
            prompts[row.prompt_id] = row.where, prompt
            gathered.prompts.append(prompt)
        where, known = prompts[row.prompt_id]
        if texts.are_rendered and prompt.text != known.text:
            reread[prompt.id] = None
            prompt = replace(prompt, text=known.text, messages=known.messages)
        _refuse_another(row.where, prompt, where, known)
        gathered.add(arm, row)
    if reread:
        gathered.notes.append(
            f"{counted(len(reread), 'prompt')} were put in other words to some arms (examples or a template around "
            "them); they are paired by their hashes, and shown as the first arm saw them"
        )
    gathered.close()
    return gathered


@dataclass(frozen=True, eq=False)
class StoredRows(OfPrompts[Sequence[TextRow]]):
    """One arm's rows on disk, a prompt's together."""

    prompts: tuple[Prompt, ...]
    all_answer: bool
    lists: SortedLists[TextRow]

    def __len__(self) -> int:
        return len(self.prompts)

    def make(self, index: int) -> Sequence[TextRow]:
        return self.lists[index]


@dataclass(frozen=True)
class AsGroup:
    """A prompt's rows become a group, of so many answers at most."""

    prompts: tuple[Prompt, ...]
    samples: int

    def __call__(self, index: int, rows: Sequence[TextRow]) -> Group:
        prompt = self.prompts[index]
        completions = tuple(
            Completion(prompt.id, place, row.completion, (), (), row.finish_reason, row.thinking, item=_item(row))
            for place, row in enumerate(_first(rows, self.samples))
        )
        return answers_apart([Group(prompt, completions)])[0]


@dataclass(frozen=True)
class WithGiven:
    """Groups get what the files say of their completions."""

    rows: Sequence[Sequence[TextRow]]
    tool: str

    def __call__(self, index: int, group: Group) -> Group:
        rows = self.rows[index]
        given = _given([rows[completion.sample_index] for completion in group.completions], self.tool)
        return group.having(given=given)


def _met(row: TextRow) -> set[Need]:
    """Those of `OF_ROWS` that a row meets."""
    is_met: dict[Need, bool] = {
        "answer": bool(row.answer),
        "checks": bool(row.checks),
        "valid": bool(row.valid),
        "scores": bool(row.scores or row.prompt_scores),
        "classes": row.said is not None,
        "thinking": row.thinking is not None,
        "stated": row.asked is not None and row.asked.item.probability is not None,
    }
    return {need for need in OF_ROWS if is_met[need]}


def _prompt(row: TextRow) -> Prompt:
    return Prompt(
        id=row.prompt_id,
        text=row.prompt,
        tags=row.tags,
        answer=row.answer,
        match=row.match,
        references=row.references,
        cluster=row.cluster,
        checks=row.checks,
        valid=row.valid,
        messages=_conversation(row),
    )


def _conversation(row: TextRow) -> tuple[Message, ...]:
    """A row's turns, where there are several, all of them text of roles that prompts have; else its text says it."""
    roles = get_args(Role)
    if len(row.messages) < 2 or not all(role in roles and content for role, content in row.messages):
        return ()
    return tuple(Message(cast(Role, role), content) for role, content in row.messages)


def _check_prompt(prompt: Prompt, where: str) -> None:
    """Refuse checks, answers and valid sets that no completion could be held against."""
    try:
        read_checks(prompt)
        check_answer(prompt)
        read_valid(prompt)
    except MetricError as error:
        raise RecordsError(f"{where}: {error}") from None


SAID_TWICE = {
    "text": "stands for two prompts",
    "tags": "has two lists of tags",
    "cluster": "stands in two clusters",
    "answer": "has two answers",
    "match": "has two ways to match",
    "checks": "has two lists of checks",
    "valid": "has two sets of valid answers",
    "references": "has two lists of references",
}


def _refuse_another(where: str, prompt: Prompt, first: str, known: Prompt) -> None:
    """Refuse rows of one prompt that say different things of it: which of them holds is not for us to choose."""
    for key, what in SAID_TWICE.items():
        was, now = getattr(known, key), getattr(prompt, key)
        if was != now:
            shown = " and ".join(repr(list(value) if isinstance(value, tuple) else value)[:60] for value in (was, now))
            raise RecordsError(
                f"{where}: prompt_id {prompt.id!r} {what}: {shown} (the first at {first}); give all of its rows the "
                "same"
            )


def _first(rows: Sequence[TextRow], samples: int) -> list[TextRow]:
    """The first so many answers; of lists, with all that could not be told before them, and without what is beyond."""
    there = [row for row in rows if row.asked is None or row.asked.item.fault is None]
    kept = set(map(id, there[:samples]))
    return [row for row in rows if id(row) in kept or (row.asked is not None and row.asked.item.fault is not None)]


def _item(row: TextRow) -> Item | None:
    return None if row.asked is None else row.asked.item


def _given(rows: Sequence[TextRow], tool: str) -> Given | None:
    """What the files say of the completions besides their texts."""
    names = dict.fromkeys(name for row in rows for name in row.scores)
    scores = {name: np.array([row.scores.get(name, np.nan) for row in rows], dtype=np.float64) for name in names}
    of_prompt: dict[str, float] = {}
    for row in rows:
        of_prompt |= row.prompt_scores
    classes = [row.said for row in rows if row.said is not None]
    is_divided = bool(rows) and len(classes) == len(rows)
    numbers: dict[str, int] = {}
    numbered = [numbers.setdefault(one, len(numbers)) for one in classes]
    if not (scores or of_prompt or is_divided):
        return None
    return Given(scores, of_prompt, np.array(numbered, dtype=np.int64) if is_divided else None, tool)
