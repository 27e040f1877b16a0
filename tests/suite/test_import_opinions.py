"""Surveys in others' layouts, with rows of our own, become a suite that can be loaded and run."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli.main import main
from evalkit.suite.opinion_layouts import read_survey
from evalkit.suite.schema import load_suite


def selections(**groups: list[float]) -> str:
    """As the data set shows them."""
    shown: defaultdict[str, list[float]] = defaultdict(list)
    shown.update({name.replace("_", " "): shares for name, shares in groups.items()})
    return str(shown)


GLOBAL = [
    {
        "question": "Is tea better than coffee?",
        "selections": selections(Old_Land=[0.5, 0.3, 0.2], New_Land=[0.1, 0.9, 0.0]),
        "options": "['Yes, much better', \"No, it's not\", 'DK/Refused']",
        "source": "A",
    },
    {
        "question": "How often do you sing?",
        "selections": selections(New_Land=[0.25, 0.75]),
        "options": "['Never', 'Often']",
        "source": "B",
    },
    {"question": "", "selections": selections(New_Land=[1.0, 0.0]), "options": "['A', 'B']", "source": "B"},
    {"question": "One?", "selections": selections(New_Land=[1.0, 0.0]), "options": "['A', 'DK']", "source": "B"},
]
PEW = [
    {
        "qkey": "K1",
        "attribute": "AGE",
        "group": group,
        "responses": shares,
        "refusal_rate": 0.01,
        "ordinal": [1.0, 2.0, 3.0],
        "question": "How worried are you?",
        "options": ["Very", "A little", "Not at all", "Refused"],
    }
    for group, shares in (("18-29", [0.2, 0.3, 0.5]), ("65+", [0.6, 0.2, 0.2]))
]


def as_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["suite", "import-opinions", *arguments])
    return result.exit_code, result.output


def test_global_opinions_become_questions_and_groups(tmp_path: Path) -> None:
    out = tmp_path / "world.yaml"
    code, said = run(str(as_csv(tmp_path / "global_opinions.csv", GLOBAL)), "--to", str(out))
    assert code == 0, said
    assert "2 questions, 0 ordered" in said
    assert "1 row left out: the question is empty" in said
    assert "1 row left out: it has fewer than 2 choices" in said
    assert "taken for no opinion and left out: DK and DK/Refused" in said
    suite = load_suite(out)
    tea = suite.prompts[0].opinion
    assert tea is not None
    assert tea.choices == ("Yes, much better", "No, it's not")
    assert tea.groups["Old Land"] == pytest.approx((0.625, 0.375))  # without those who did not know
    assert tea.groups["New Land"] == pytest.approx((0.1, 0.9))
    assert len(suite.prompts) == 4
    assert "opinion_distance|group:Old Land" in map(str, suite.metrics)


def test_groups_can_be_chosen_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    file, out = str(as_csv(tmp_path / "g.csv", GLOBAL)), tmp_path / "s.yaml"
    assert run(file, "--to", str(out), "--group", "Old Land")[0] == 0
    assert [prompt.id for prompt in load_suite(out).prompts] == ["q0001~1", "q0001~2"]
    code, said = run(file, "--to", str(out), "--group", "Oldland")
    assert code == 2
    assert "--group Oldland: there is no such group (did you mean 'Old Land'?)" in said


def test_opinion_qa_has_a_row_a_group_and_says_what_is_a_scale(tmp_path: Path) -> None:
    file = tmp_path / "pew.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in PEW), encoding="utf-8")
    code, said = run(str(file), "--to", str(tmp_path / "pew.yaml"))
    assert code == 0, said
    opinion = load_suite(tmp_path / "pew.yaml").prompts[0].opinion
    assert opinion is not None
    assert (opinion.ordered, opinion.choices) == (True, ("Very", "A little", "Not at all"))
    assert dict(opinion.groups) == {"AGE 18-29": (0.2, 0.3, 0.5), "AGE 65+": (0.6, 0.2, 0.2)}


def test_cells_are_read_and_never_run() -> None:
    bomb = "__import__('os').system('echo no')"
    survey = read_survey([("f:1", GLOBAL[0] | {"selections": bomb}), ("f:2", GLOBAL[0] | {"options": bomb})])
    assert list(survey.left_out) == ["selections is no mapping of groups to shares", "its choices are no list of texts"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"question": "Q", "answer": "A"}], "a survey is read as globalopinionqa (question, selections, options)"),
        ([{"question": "Q", "selections": "{}"}], "options: this column is missing; found: question, selections"),
        ([GLOBAL[2]], "holds no question with choices and groups' answers"),
    ],
)
def test_what_is_no_survey_is_refused_and_nothing_written(tmp_path: Path, rows: list[Any], said: str) -> None:
    out = tmp_path / "s.yaml"
    code, output = run(str(as_csv(tmp_path / "g.csv", rows)), "--to", str(out))
    assert code == 2
    assert said in output
    assert not out.exists()


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        (["x", "y"], "its shares are not all numbers from 0 on"),
        ([[1], [2]], "its shares are not all numbers from 0 on"),
        ("[1j, 2]", "its shares are not all numbers from 0 on"),
        ([10**400, 1], "its shares are not all numbers from 0 on"),
        ([True, False], "its shares are not all numbers from 0 on"),
        ([-0.2, 1.2], "its shares are not all numbers from 0 on"),
        ([1.0], "its shares are not as many as its choices"),
        ([0.0, 0.0], "none of its shares is above 0"),
    ],
)
def test_an_answer_that_is_no_shares_is_left_out_and_said_and_its_question_kept(shares: Any, why: str) -> None:
    good = GLOBAL[1] | {"selections": {"Here": [0.5, 0.5], "There": shares}}
    if isinstance(shares, str):
        good["selections"] = f"{{'Here': [0.5, 0.5], 'There': {shares}}}"
    survey = read_survey([("f:1", good)])
    assert survey.answers_left_out == {why: ["f:1, There"]}
    assert survey.group_names == ["Here"]
    alone = read_survey([("f:1", PEW[0] | {"options": ["A", "B"], "responses": shares})])
    assert alone.left_out == {why: ["f:1"]}


def test_a_question_that_no_group_answers_is_left_out_and_nothing_written(tmp_path: Path) -> None:
    out = tmp_path / "s.yaml"
    row = GLOBAL[1] | {"selections": selections(Here=[1.0])}
    code, said = run(str(as_csv(tmp_path / "g.csv", [row])), "--to", str(out))
    assert code == 2
    assert "1 row left out: no group's answer can be read" in said
    assert "1 group answer left out: its shares are not as many as its choices (first: " in said
    assert not out.exists()


def test_a_group_that_answers_twice_keeps_its_first_answer_and_the_second_is_named() -> None:
    rows = [("f:1", PEW[0]), ("f:2", PEW[0] | {"responses": [0.9, 0.05, 0.05]})]
    survey = read_survey(rows)
    assert survey.groups["q0001"]["AGE 18-29"]["Very"] == pytest.approx(0.2)
    assert list(survey.answers_left_out.values()) == [["f:2, AGE 18-29"]]
    alike = {"A:B": [0.5, 0.5], "A|B": [0.1, 0.9]}  # one name, as measures hold it
    twice = read_survey([("f:1", GLOBAL[1] | {"selections": alike})])
    assert twice.groups == {"q0001": {"A B": {"Never": 0.5, "Often": 0.5}}}
    assert list(twice.answers_left_out.values()) == [["f:1, A B"]]


@pytest.mark.parametrize(("group", "why"), [("uniform", "which stands for every choice alike"), (" ", "has no name")])
def test_a_group_without_a_name_of_its_own_is_left_out(tmp_path: Path, group: str, why: str) -> None:
    row = GLOBAL[1] | {"selections": {group: [0.5, 0.5], "Here": [0.5, 0.5]}}
    (tmp_path / "g.jsonl").write_text(json.dumps(row), encoding="utf-8")
    code, said = run(str(tmp_path / "g.jsonl"), "--to", str(tmp_path / "s.yaml"))
    assert code == 0, said
    assert why in said
    opinion = load_suite(tmp_path / "s.yaml").prompts[0].opinion
    assert opinion is not None
    assert list(opinion.groups) == ["Here"]


def test_a_row_of_opinion_qa_without_its_group_is_left_out() -> None:
    assert list(read_survey([("f:1", PEW[0] | {"group": None})]).left_out) == ["the group has no name"]


def test_shares_that_do_not_add_up_are_said(tmp_path: Path) -> None:
    given = {"Here": [0.2, 0.2], "There": [20, 80], "Off by rounding": [0.33, 0.66]}
    (tmp_path / "g.jsonl").write_text(json.dumps(GLOBAL[1] | {"selections": given}), encoding="utf-8")
    code, said = run(str(tmp_path / "g.jsonl"), "--to", str(tmp_path / "s.yaml"))
    assert code == 0, said
    assert "shares of 1 group answer add up neither to 1 nor to 100; they were made to (first: " in said
    assert "g.jsonl:1, Here: 0.4)" in said


def test_questions_are_counted_as_they_are_written(tmp_path: Path) -> None:
    file, out = str(as_csv(tmp_path / "g.csv", GLOBAL)), tmp_path / "s.yaml"
    assert "1 question, 0 ordered" in run(file, "--to", str(out), "--group", "Old Land")[1]


def test_half_a_character_is_told_and_a_choice_becomes_one_line() -> None:
    survey = read_survey(
        [
            ("f:1", GLOBAL[1] | {"question": "What \ud800?"}),
            ("f:2", GLOBAL[1] | {"options": ["Not\u2028at all", "Of\nten"]}),
        ]
    )
    assert list(survey.left_out) == ["it holds half of a character (a lone surrogate)"]
    assert [question.choices for question in survey.questions.values()] == [("Not at all", "Of ten")]
