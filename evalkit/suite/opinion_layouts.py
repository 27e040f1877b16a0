"""Surveys as others publish them become a suite's questions and what groups of people answer to them.

`globalopinionqa`: a row a question, with `question`, `selections` (country -> shares, as Python shows a dict) and
`options` (as Python shows a list). (Durmus et al. 2023; the data set is Anthropic/llm_global_opinions on the hub.)
`opinionqa`: a row a question and group, with `question`, `options` (or `references`), `group` (and perhaps `attribute`,
what it is a group by), `responses` (or `D_H`, shares) and perhaps `ordinal` (or `option_ordinal`), a number a choice
where they are a scale. (As made of the surveys of Santurkar et al. 2023.)
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, get_args

from evalkit.errors import SuiteError
from evalkit.metrics.estimators.opinions import UNIFORM
from evalkit.plumbing.arrays import is_number_in_file
from evalkit.suite.questions import MOST, ROUNDING, Question

Row = Mapping[str, Any]
Layout = Literal["globalopinionqa", "opinionqa"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
NO_OPINION = re.compile(
    r"(dk|don.?t know|do not know|not sure|refused|no answer|no opinion|missing|other missing|not asked|unsure)\b",
    re.IGNORECASE,
)
"""Beginnings of choices that interviewers note and nobody is offered; they are left out, and shares made to add up."""
LONGEST = 1_000_000
"""Characters of a cell that is read as Python shows a value."""


class NotAQuestion(Exception):  # noqa: N818 - it is a reason, and no error of a file
    """Why a row is none; the message is the reason, the same for all rows of a kind."""


@dataclass(slots=True)
class Survey:
    """What was understood of a file, and what was not."""

    questions: dict[str, Question] = field(default_factory=dict)
    groups: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Question -> group -> choice -> share."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> where each row stands that is left out for it."""
    answers_left_out: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> where, and of which group, an answer stands that is left out while its row is not."""
    made_to_add_up: list[str] = field(default_factory=list)
    """Where, and of which group, shares are neither shares of 1 nor percents, and what they add up to."""
    not_offered: set[str] = field(default_factory=set)
    """Choices that were taken for no opinion."""

    @property
    def group_names(self) -> list[str]:
        """Those who answer the most questions first."""
        counts: dict[str, int] = {}
        for of_question in self.groups.values():
            for group in of_question:
                counts[group] = counts.get(group, 0) + 1
        return sorted(counts, key=lambda group: -counts[group])


def read_survey(rows: Iterable[tuple[str, Row]], layout: Layout | None = None) -> Survey:
    """The survey in (`file:line`, object)s; the layout is seen from the first unless it is given.

    Raises `SuiteError` where a column is missing; rows that cannot be used are counted by their reason.
    """
    survey = Survey()
    by_text: dict[tuple[str, tuple[str, ...]], str] = {}
    known: Layout | None = layout
    for where, row in rows:
        known = known or layout_of(where, row)
        try:
            text, choices, is_scale, answers = READERS[known](where, row, survey)
            name = by_text.setdefault((text, choices), f"q{len(by_text) + 1:04d}")
            if name not in survey.questions:
                survey.questions[name] = Question(id=name, text=text, choices=choices, ordered=is_scale)
            _add(survey, where, survey.groups.setdefault(name, {}), answers)
        except NotAQuestion as why:
            survey.left_out.setdefault(str(why), []).append(where)
    return survey


def _add(survey: Survey, where: str, of_question: dict[str, dict[str, float]], answers: Answers) -> None:
    for group, shares in answers:
        if group in of_question:
            _leave_out(survey, f"{where}, {group}", "the group has answered the question before, and that is kept")
        else:
            of_question[group] = shares


def _leave_out(survey: Survey, place: str, why: str) -> None:
    survey.answers_left_out.setdefault(why, []).append(place)


def layout_of(where: str, row: Row) -> Layout:
    """The layout of a file, by its first row. Raises `SuiteError`."""
    if "selections" in row:
        return "globalopinionqa"
    if "group" in row:
        return "opinionqa"
    raise SuiteError(
        f"{where}: found the columns {', '.join(map(str, row)) or 'none'}; a survey is read as globalopinionqa "
        "(question, selections, options) or as opinionqa (question, options, group, responses)"
    )


Answers = Sequence[tuple[str, dict[str, float]]]
"""(group, choice -> share) as they stand in a row."""
Read = tuple[str, tuple[str, ...], bool, Answers]
"""A question's text, its choices, whether they are a scale, and what groups answer."""


def _global_opinions(where: str, row: Row, survey: Survey) -> Read:
    text, choices = _question(where, row, ("options",))
    selections = _shown(_column(where, row, ("selections",)))
    if not isinstance(selections, Mapping):
        raise NotAQuestion("selections is no mapping of groups to shares")
    kept, offered = _offered(choices, survey.not_offered)
    answers: list[tuple[str, dict[str, float]]] = []
    for group, given in selections.items():
        place = f"{where}, {group}"
        try:
            answers.append((_name(group), _shares(given, len(choices), kept, offered, place, survey)))
        except NotAQuestion as why:
            _leave_out(survey, place, str(why))
    if not answers:
        raise NotAQuestion("no group's answer can be read")
    return text, offered, False, answers


def _opinion_qa(where: str, row: Row, survey: Survey) -> Read:
    text, choices = _question(where, row, ("options", "references"))
    shares = _shown(_column(where, row, ("responses", "D_H")))
    ordinal = _shown(next((row[name] for name in ("ordinal", "option_ordinal") if row.get(name) is not None), None))
    if isinstance(shares, Sequence) and len(choices) == len(shares) + 1 and NO_OPINION.match(choices[-1]):
        survey.not_offered.add(choices[-1])
        choices = choices[:-1]
    kept, offered = _offered(choices, survey.not_offered)
    group = _name(_column(where, row, ("group",)))
    if row.get("attribute") not in (None, ""):
        group = _name(f"{row['attribute']}: {group}")
    made = _shares(shares, len(choices), kept, offered, f"{where}, {group}", survey)
    return text, offered, _is_scale(ordinal, kept), [(group, made)]


READERS: Mapping[Layout, Callable[[str, Row, Survey], Read]] = {
    "globalopinionqa": _global_opinions,
    "opinionqa": _opinion_qa,
}


def _column(where: str, row: Row, names: Sequence[str]) -> Any:
    name = next((name for name in names if name in row), None)
    if name is None:
        raise SuiteError(f"{where}: {' or '.join(names)}: this column is missing; found: {', '.join(map(str, row))}")
    return row[name]


def _question(where: str, row: Row, of_choices: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    text, choices = _column(where, row, ("question",)), _shown(_column(where, row, of_choices))
    if not isinstance(text, str) or not text.strip():
        raise NotAQuestion("the question is empty")
    if not isinstance(choices, list | tuple) or not all(str(choice).strip() for choice in choices):
        raise NotAQuestion("its choices are no list of texts")
    return _whole(text.strip()), tuple(_whole(" ".join(str(choice).split())) for choice in choices)


def _whole(text: str) -> str:
    """The text. Raises `NotAQuestion` where it is none that a file can hold."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise NotAQuestion("it holds half of a character (a lone surrogate)")
    return text


def _shown(cell: Any) -> Any:
    """A cell's value, where it is a text as JSON or Python shows one: a list, a dict or a defaultdict. Never run."""
    if hasattr(cell, "tolist"):
        return cell.tolist()
    if not isinstance(cell, str) or len(cell) > LONGEST:
        return cell
    shown = cell.strip()
    start = re.match(r"defaultdict\([^{]*(?=\{)", shown)
    if start:
        shown = shown[start.end() :].rstrip().removesuffix(")")
    for read in (json.loads, ast.literal_eval):
        try:
            return read(shown)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
    return cell


def _offered(choices: Sequence[str], not_offered: set[str]) -> tuple[list[int], tuple[str, ...]]:
    """Places of the choices that people were offered, and these choices."""
    kept = [place for place, choice in enumerate(choices) if not NO_OPINION.match(choice)]
    not_offered.update(choice for choice in choices if NO_OPINION.match(choice))
    offered = tuple(choices[place] for place in kept)
    if len(offered) < 2 or len(offered) > MOST:
        raise NotAQuestion(f"it has fewer than 2 choices, or more than {MOST}")
    if len(set(offered)) < len(offered):
        raise NotAQuestion("it has a choice twice")
    return kept, offered


def _shares(
    given: Any, choices: int, kept: Sequence[int], offered: Sequence[str], place: str, survey: Survey
) -> dict[str, float]:
    """Choice -> share, adding up to 1. Raises `NotAQuestion` where they are no shares, or not one a choice."""
    if not isinstance(given, list | tuple) or len(given) != choices:
        raise NotAQuestion("its shares are not as many as its choices")
    if not all(is_number_in_file(share) and share >= 0 for share in given):
        raise NotAQuestion("its shares are not all numbers from 0 on")
    total, of_kept = math.fsum(given), [float(given[place]) for place in kept]
    if math.fsum(of_kept) <= 0:
        raise NotAQuestion("none of its shares is above 0")
    if min(abs(total - 1), abs(total / 100 - 1)) > ROUNDING:
        survey.made_to_add_up.append(f"{place}: {total:g}")
    return {choice: share / math.fsum(of_kept) for choice, share in zip(offered, of_kept, strict=True)}


def _name(group: Any) -> str:
    """A group's name as measures can hold it. Raises `NotAQuestion` where it has none, or that of no group."""
    name = _whole(" ".join(re.sub(r"[|:]", " ", str("" if group is None else group)).split()))
    if not name:
        raise NotAQuestion("the group has no name")
    if name == UNIFORM:
        raise NotAQuestion(f"the group is called {UNIFORM!r}, which stands for every choice alike; call it otherwise")
    return name


def _is_scale(ordinal: Any, kept: Sequence[int]) -> bool:
    """Whether the choices have numbers that all rise or all fall."""
    if not isinstance(ordinal, list | tuple) or not all(is_number_in_file(number) for number in ordinal):
        return False
    numbers = [ordinal[place] for place in kept if place < len(ordinal)]
    steps = [b - a for a, b in pairwise(numbers)]
    return len(numbers) == len(kept) and bool(steps) and (all(s > 0 for s in steps) or all(s < 0 for s in steps))
