from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import EvalkitError
from evalkit.preferences.annotate.desk import Answer
from evalkit.preferences.annotate.settings import TaskSettings
from evalkit.preferences.annotate.store import read_store
from evalkit.preferences.annotate.task import Task, answers_path, open_task, read_gold
from tests.finished import finished_run

SETTINGS = TaskSettings("readers")


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(number: int, a: str = "x", b: str = "y", **more: Any) -> dict[str, Any]:
    return {"prompt_id": f"p{number}", "prompt": f"Say {number}.", "completions": [a, b]} | more


def answer_all(task: Task, rater: str = "ann", most: int = 1000) -> int:
    view, count = task.desk.enter(rater), 0
    while view["pair"] and count < most:
        view = task.desk.answer(rater, Answer(view["pair"]["seat"], view["pair"]["opening"], "first", 3.0))
        count += 1
    return count


def opened(source: Path, notes: list[str] | None = None, gold: Path | None = None, **settings: Any) -> Task:
    return open_task(source, TaskSettings("readers", **settings), gold, (notes if notes is not None else []).append)


def test_a_file_of_pairs_is_asked_about_once_and_its_answers_lie_beside_it(tmp_path: Path) -> None:
    notes: list[str] = []
    source = jsonl(tmp_path / "pairs.jsonl", *(row(i) for i in range(4)), row(9, "same", " same "))
    assert answer_all(opened(source, notes)) == 4
    assert answers_path(source) == tmp_path / "pairs.annotations.sqlite"
    assert len(read_store(answers_path(source))) == 4
    assert notes == [f"{source}: 1 pair of equal completions left out"]


def test_the_same_command_goes_on_and_pairs_that_were_added_are_asked_about_too(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "pairs.jsonl", *(row(i) for i in range(6)))
    first = opened(source)
    assert answer_all(first, most=4) == 4
    first.store.close()
    jsonl(source, *(row(i) for i in range(8)))
    assert answer_all(opened(source)) == 4
    assert len({one.comparison.id for one in read_store(answers_path(source))}) == 8


def test_a_conversation_is_shown_as_turns(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Go"},
    ]
    source = jsonl(tmp_path / "pairs.jsonl", row(0, messages=turns))
    shown = opened(source).desk.enter("ann")["pair"]["turns"]
    assert [(turn["role"], turn["text"]) for turn in shown] == [("user", "Hi"), ("assistant", "Yes?"), ("user", "Go")]


def test_preferences_of_others_are_put_to_new_raters(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "hh.jsonl", {"prompt": "Hi?", "chosen": "Yes.", "rejected": "No."})
    assert answer_all(opened(source)) == 1


def test_a_run_s_pairs_are_drawn_with_their_chances_and_its_answers_lie_in_it(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", {"base": 8, "tuned": 3}, metrics=["length"])
    first = opened(run)
    assert first.desk.enter("ann")["progress"]["wanted"] is None
    assert answer_all(first, most=5) == 5
    first.store.close()
    assert answer_all(opened(run), most=5) == 5
    answers = read_store(run / "annotations.sqlite")
    assert len({(one.comparison.pair.prompt_id, one.comparison.sample_indices) for one in answers}) == 10
    assert [round(1 / one.comparison.probability) for one in answers] == list(range(128, 118, -1))
    assert {one.comparison.arms for one in answers} == {("tuned", "base")}


def test_active_choice_asks_no_pair_twice_and_goes_on_where_it_was(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", {"base": 8, "tuned": 3}, metrics=["length"])
    for _ in range(2):
        task = open_task(run, SETTINGS, None, lambda _: None, is_active=True)
        assert answer_all(task, most=5) == 5
        task.store.close()
    answers = read_store(run / "annotations.sqlite")
    assert len({(one.comparison.pair.prompt_id, one.comparison.sample_indices) for one in answers}) == 10
    asked = Counter(one.comparison.pair.prompt_id for one in answers)
    assert max(asked.values()) - min(asked.values()) <= 1, "prompts take turns"
    assert all(0 < one.comparison.probability <= 1 for one in answers)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({**row(0), "gold": "left"}, "gold"),
        ({**row(0), "gold": "skip"}, "cannot be chosen"),
        (row(0), "gold"),
        ({**row(0), "gold": "a", "completions": ["x"]}, "completions"),
    ],
)
def test_a_check_that_is_none_is_refused(tmp_path: Path, content: dict[str, Any], why: str) -> None:
    gold = jsonl(tmp_path / "gold.jsonl", content)
    with pytest.raises(EvalkitError, match=rf"gold\.jsonl:1.*{why}"):
        read_gold(gold, SETTINGS, lambda _: None)


def test_a_check_whose_answer_raters_may_not_give_is_refused(tmp_path: Path) -> None:
    gold = jsonl(tmp_path / "gold.jsonl", {**row(0), "gold": "tie"})
    assert len(read_gold(gold, SETTINGS, lambda _: None)) == 1
    with pytest.raises(EvalkitError, match="allowed: a, b or both_bad"):
        read_gold(gold, TaskSettings("readers", allows_tie=False), lambda _: None)


def test_pairs_of_equal_texts_alone_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "pairs.jsonl", row(0, "same", "same"))
    with pytest.raises(EvalkitError, match="nothing to choose between"):
        opened(source)
    assert not answers_path(source).exists()
