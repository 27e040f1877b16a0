"""Questions of opinion in a suite: every order of their choices, groups' answers beside them, mistakes with their line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import SuiteError
from evalkit.suite.questions import Question, prompts_of
from evalkit.suite.schema import Suite, load_suite, overrides

TEXT = """name: tiny
checkpoints:
  base: {path: "lab:base", kind: base}
metrics: [length, opinion_distance]
opinions_from: groups.jsonl
questions:
  - {id: drink, text: 'Which one?', choices: [Tea, Coffee, Water]}
  - {id: often, text: 'How often?', choices: [Never, Often], ordered: true}
"""
ROWS: list[dict[str, Any]] = [
    {"question": "drink", "group": "East", "shares": {"Tea": 0.5, "Coffee": 0.25, "Water": 0.25}},
    {"question": "often", "group": "East", "shares": {"Often": 0.9, "Never": 0.1}, "source": "a poll"},
    {"question": "drink", "group": "West", "shares": {"Tea": 0.0, "Coffee": 1, "Water": 0}},
]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str = TEXT, rows: list[Any] = ROWS) -> Path:
        (tmp_path / "groups.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        path = tmp_path / "suite.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("m", [2, 3, 5])
def test_every_choice_stands_once_at_every_place(m: int) -> None:
    question = Question(id="q", text="Which?", choices=tuple(f"choice {c}" for c in range(m)))
    prompts = list(prompts_of([question], {}))
    places = set()
    for prompt in prompts:
        assert prompt.opinion is not None
        lines = prompt.text.splitlines()[1:-1]
        for choice, letter in zip(question.choices, prompt.opinion.answers, strict=True):
            assert lines["ABCDE".index(letter)] == f"{letter}. {choice}"
            places.add((choice, letter))
    assert len(places) == m * m
    assert [prompt.id for prompt in prompts] == [f"q~{order}" for order in range(1, m + 1)]
    assert {prompt.cluster for prompt in prompts} == {"q"}


def test_a_question_that_names_its_choices_itself_is_asked_as_it_stands() -> None:
    question = Question(id="q", text="Tea or coffee? One word.", choices=("Tea", "Coffee"), listed=False)
    [prompt] = prompts_of([question], {})
    assert (prompt.id, prompt.text, dict(prompt.choices)) == ("q", question.text, {"Tea": 0.5, "Coffee": 0.5})


def test_groups_stand_with_the_questions_and_every_measure_of_opinions_is_taken_of_each(
    write: Callable[..., Path],
) -> None:
    suite = load_suite(write())
    assert [str(measure) for measure in suite.metrics] == [
        "length", "opinion_distance", "opinion_distance|group:East", "opinion_distance|group:West",
    ]  # fmt: skip
    of_often = suite.prompts[-1].opinion
    assert of_often is not None
    assert dict(of_often.groups) == {"East": (0.1, 0.9)}
    assert of_often.ordered
    assert Suite.model_validate(suite.model_dump() | {"metrics": suite.metrics, "prompts": suite.prompts}) == suite


def test_a_suite_that_lists_no_measure_of_opinions_gets_the_distance(write: Callable[..., Path]) -> None:
    suite = load_suite(write(TEXT.replace(", opinion_distance", "")))
    assert str(suite.metrics[-1]) == "opinion_distance|group:West"


def test_a_number_of_prompts_keeps_questions_whole(write: Callable[..., Path]) -> None:
    suite = load_suite(write(), overrides({}, None, None, 1))
    assert [prompt.id for prompt in suite.prompts] == ["drink~1", "drink~2", "drink~3"]


def test_other_answers_of_groups_are_another_prompt(write: Callable[..., Path]) -> None:
    first, again = (load_suite(write(TEXT, rows)).prompts[0] for rows in (ROWS, ROWS[:1]))
    assert first.content() != again.content()
    plain = load_suite(write(TEXT.replace("opinions_from: groups.jsonl\n", "")))
    assert plain.prompts[0].text == first.text


def changed(place: int, **fields: Any) -> list[Any]:
    return [row | fields if index == place else row for index, row in enumerate(ROWS)]


MISTAKES = [
    ("an unknown question", changed(0, question="drinks"), "groups.jsonl:1: question: the suite has no question 'drinks' (did you mean 'drink'?)"),
    ("an unknown choice", changed(1, shares={"Oft": 1.0}), "groups.jsonl:2: shares: there is no choice 'Oft' (did you mean 'Often'?); choices: Never, Often"),
    ("a choice without its share", changed(1, shares={"Often": 1.0}), "groups.jsonl:2: shares: 'Never' is missing"),
    ("shares that do not add up", changed(1, shares={"Often": 0.9, "Never": 0.2}), "shares: they add up to 1.1; they must add up to 1"),
    ("a negative share", changed(1, shares={"Often": 1.5, "Never": -0.5}), "groups.jsonl:2: shares.Never: found -0.5"),
    ("a row twice", [*ROWS, ROWS[0]], "groups.jsonl:4: group 'East' answers 'drink' a second time"),
    ("a name that a measure could not hold", changed(0, group="a|b"), "a group's name is not blank and holds no | and no :"),
    ("nobody's name", changed(0, group="uniform"), "'uniform' stands for nobody's opinion"),
    ("an unknown key", changed(0, n=100), "groups.jsonl:1: n: this key is unknown; allowed here: question, group, shares, source"),
    ("an empty file", [], "holds no rows; each line is one JSON object with question, group and shares"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "said"), [pytest.param(rows, said, id=name) for name, rows, said in MISTAKES])
def test_a_mistake_in_the_groups_file_names_its_line(write: Callable[..., Path], rows: list[Any], said: str) -> None:
    with pytest.raises(SuiteError) as error:
        load_suite(write(TEXT, rows))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "[Never, Often]",
            "[Never]",
            "suite.yaml:8: questions[1].choices: found [Never]; it must have at least 2 items, not 1",
        ),
        ("[Never, Often]", "[Never, Never]", "question 'often' has the choice 'Never' twice"),
        ("'How often?'", "' '", "question 'often' has a blank text"),
        ("id: often", "id: drink", "suite.yaml:8: question id 'drink' is used twice (first at"),
        (TEXT[TEXT.index("  - {id") :], "  - x\n", "questions[0]: found x; it must be a mapping of keys to values\n"),
        ("[Never, Often]", '["Not\\never", Often]', "question 'often' has a choice of several lines, 'Not\\never'"),
        (
            "opinion_distance]",
            "opinion_distance: {group: Est}]",
            "suite.yaml:4: metrics[1].opinion_distance.group: nobody in opinions_from is called 'Est' "
            "(did you mean 'East'?); groups: uniform, East, West",
        ),
        ("ordered: true", "orderd: true", "suite.yaml:8: unknown key 'questions[1].orderd' (did you mean 'ordered'?)"),
        ("groups.jsonl", "none.jsonl", "suite.yaml:5: opinions_from: "),
        (TEXT[TEXT.index("questions:") :], "prompts: [{id: p, text: Say.}]\n", "opinions_from says what people answer"),
    ],
)
def test_a_mistake_in_a_question_names_its_line(write: Callable[..., Path], old: str, new: str, said: str) -> None:
    with pytest.raises(SuiteError) as error:
        load_suite(write(TEXT.replace(old, new)))
    assert said in f"{error.value}\n"
