"""A survey is written as a suite of questions, with what groups of people answer in a file beside it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import yaml

from evalkit.errors import SuiteError
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.files import write_file
from evalkit.plumbing.typed_jsonl import write_rows
from evalkit.suite.opinion_layouts import Survey
from evalkit.suite.questions import Question

METRICS = ("opinion_distance", "opinion_order_effect", "off_choices")
MANY = 8
"""Groups of which a page still shows something."""


def write_suite(path: Path, survey: Survey, groups: Sequence[str], source: str) -> tuple[Path, list[Question]]:
    """Write the suite of these groups and their answers; gives the path of the latter, and the questions.

    Raises `StoreError`.
    """
    answers = path.with_name(f"{path.stem}-groups.jsonl")
    kept = [question for name, question in survey.questions.items() if set(groups) & survey.groups[name].keys()]
    write_rows(
        answers,
        (
            {"question": question.id, "group": group, "shares": survey.groups[question.id][group], "source": source}
            for question in kept
            for group in groups
            if group in survey.groups[question.id]
        ),
    )
    suite = _suite(path.stem, kept, answers.name, source)
    text = yaml.safe_dump(suite, allow_unicode=True, sort_keys=False, width=120)
    write_file(path, (HEAD + text).encode("utf-8", "replace"))
    return answers, kept


HEAD = """# Questions of a survey, and beside them what groups of people answered. The data are their makers': look at
# the licence before you hand this file on. Say `ordered: true` of a question whose choices are a scale.
# evalkit run THIS FILE --model base=DIR --model tuned=DIR
"""


def _suite(name: str, questions: Sequence[Question], answers: str, source: str) -> dict[str, Any]:
    return {
        "name": name if name.replace("-", "").replace("_", "").isalnum() else "opinions",
        "description": f"Questions of opinion from {source}",
        "checkpoints": {
            "base": {"path": "HuggingFaceTB/SmolLM2-135M", "kind": "base"},
            "tuned": {"path": "HuggingFaceTB/SmolLM2-135M-Instruct", "kind": "tuned"},
        },
        "baseline": "base",
        "sampling": {"n": 4, "temperature": 1.0, "max_tokens": 8, "seed": 0},
        "metrics": list(METRICS),
        "opinions_from": answers,
        "questions": [
            {"id": question.id, "text": question.text, "choices": list(question.choices)}
            | ({"ordered": True} if question.ordered else {})
            for question in questions
        ],
    }


def chosen_groups(survey: Survey, asked: Collection[str]) -> list[str]:
    """The groups to take: those asked for, else all. Raises `SuiteError` on one that nobody is in."""
    names = survey.group_names
    unknown = next((name for name in asked if name not in names), None)
    if unknown is not None:
        shown = ", ".join(names[:40])
        raise SuiteError(f"--group {unknown}: there is no such group{did_you_mean(unknown, names)}; groups: {shown}")
    return list(dict.fromkeys(asked)) or names
