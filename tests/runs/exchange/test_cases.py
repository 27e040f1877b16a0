"""Files as people have them are read rightly; their broken cousins get one line, and nothing is misread in silence."""

from __future__ import annotations

import json
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.errors import RecordsError
from evalkit.runs.exchange.read import Texts, read_texts
from tests import ROOT

CASES = ROOT / "tests" / "cases"
Row = dict[str, Any]


def read(*paths: Path, **how: Any) -> Texts:
    return read_texts(paths, lambda _: None, **how)


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def user(content: Any) -> Row:
    return {"role": "user", "content": content}


def assistant(content: Any) -> Row:
    return {"role": "assistant", "content": content}


@pytest.mark.parametrize(
    ("name", "layout", "read_as"),
    [
        ("texts.csv", "evalkit", [("1", "Name a colour", said, "a", {}) for said in ("Blue.", "Red.", "")]),
        ("texts-batch.jsonl", "openai-batch", [("p1", "p1", said, "m", {}) for said in ("Blue.", "Red.")]),
        ("texts-lm-eval.jsonl", "lm-eval", [("a", "Q: 2 + 2?\nA:", said, "texts-lm-eval", {}) for said in "454"]),
        (
            "texts-messages.jsonl",
            "trl",
            [("c13d70e0453c", "Name a colour", f"{said}.", "texts-messages", {}) for said in ("Blue", "Red", "Blue")],
        ),
        (
            "texts-novelty-bench.jsonl",
            "novelty-bench",
            [
                ("curated-1", "Name a colour", said, "m", {"generation_scores": score})
                for said, score in (("Blue.", 3.0), ("Red.", 4.0), ("A deep blue.", 2.0))
            ],
        ),
    ],
)
def test_files_as_people_have_them_are_read_rightly(name: str, layout: str, read_as: list[Any]) -> None:
    texts = read(CASES / name)
    assert texts.layouts == (layout,)
    found = zip(texts.rows, texts.arms, strict=True)
    assert [(row.prompt_id, row.prompt, row.completion, arm, dict(row.scores)) for row, arm in found] == read_as


LM: Row = {"doc_id": 0, "doc": {}, "target": "4", "arguments": [["Q", {}]], "resps": [["4", "5"]], "doc_hash": "a"}
NOVEL: Row = {"id": "c1", "prompt": "A", "generations": ["x", "y"], "partition": [0, 1], "generation_scores": [1, 2]}
BATCH: Row = {"custom_id": "p", "response": {"status_code": 200, "body": {"choices": [{"message": assistant("x")}]}}}
LIGHT: Row = {"doc": {"query": "Q", "choices": ["4"], "gold_index": 0}, "model_response": {"text": ["4"]}, "metric": {}}
OWN: Row = {"prompt_id": "p", "prompt": "A", "completion": "x"}


def within(row: Row, key: str, **changed: Any) -> Row:
    return row | {key: row[key] | changed}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (LM | {"doc_hash": []}, ":1: doc_hash is []; it must be a text or a number"),
        (LM | {"metrics": 3}, ":1: metrics is 3; it must be a list of names"),
        (NOVEL | {"partition": [0, 10**30]}, ":1: partition holds 1000"),
        (LM | {"resps": 3}, ":1: resps is 3; it must be a list"),
        (NOVEL | {"id": None}, ":1: id is None; it must be a text or a number"),
        (BATCH | {"custom_id": {}}, ":1: custom_id is {}; it must be a text or a number"),
        (within(BATCH, "response", body={"choices": 3}), ":1: the body's `choices` are 3; they must be a list"),
        (OWN | {"prompt_id": " "}, ":1: `prompt_id` is blank"),
        (OWN | {"prompt_id": float("nan")}, ":1: an id, a prompt or an arm is nan"),
        (OWN | {"finish_reason": "x" * 10**6}, ":1: finish_reason: found x"),
        (OWN | {"scores": {"s": True}}, ":1: score 's' is True, which is no number; write 1 or 0"),
        (OWN | {"scores": {"s": 10**400}}, ":1: score 's' is 1000"),
        (OWN | {"scores": {"s": -1e308}}, ":1: score 's' is -1e+308; allowed are scores from -1e+150 to 1e+150"),
        (NOVEL | {"generation_scores": [1e151, 1]}, ":1: score 'generation_scores' is 1e+151; allowed are"),
        ({"id": 1, "text": "A"}, "found: 'id', 'text'; name the keys so, or say which holds what, as in --columns"),
        ({"prompt": "A", "chosen": "x", "rejected": "y"}, "a file of preferences"),
    ],
)
def test_wrong_kinds_of_values_get_one_short_line(tmp_path: Path, row: Row, told: str) -> None:
    with pytest.raises(RecordsError) as caught:
        read(jsonl(tmp_path / "t.jsonl", row))
    assert told in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_largest_score_is_read(tmp_path: Path) -> None:
    [row] = read(jsonl(tmp_path / "t.jsonl", OWN | {"scores": {"s": -1e150}})).rows
    assert row.scores == {"s": -1e150}


def test_half_of_a_character_is_replaced_and_told_with_its_place(tmp_path: Path) -> None:
    texts = read(jsonl(tmp_path / "t.jsonl", OWN, OWN | {"completion": "a\ud800b \U0001f600", "thinking": "\udfff"}))
    assert [row.completion for row in texts.rows] == [OWN["completion"], "a\ufffdb \U0001f600"]
    assert [row.thinking for row in texts.rows] == [None, "\ufffd"]
    [note] = texts.notes
    assert "half of a character (a lone surrogate) is replaced by \ufffd in 1 completion (first: " in note
    assert note.endswith("t.jsonl:2)")


def test_an_id_may_be_any_whole_number(tmp_path: Path) -> None:
    rows = read(jsonl(tmp_path / "t.jsonl", NOVEL | {"id": 10**400})).rows
    assert rows[0].prompt_id == str(10**400)


@pytest.mark.parametrize("choices", [True, 3, {"a": 1}])
def test_choices_of_lighteval_that_are_no_list_give_no_right_answer(tmp_path: Path, choices: Any) -> None:
    row = within(LIGHT, "doc", choices=choices)
    assert [one.answer for one in read(jsonl(tmp_path / "t.jsonl", row, LIGHT)).rows] == [None, "4"]


@pytest.mark.parametrize("target", ["", " ", "."])
def test_a_target_that_nothing_matches_is_no_answer(tmp_path: Path, target: str) -> None:
    assert {row.answer for row in read(jsonl(tmp_path / "t.jsonl", LM | {"target": target})).rows} == {None}


def test_draws_that_are_lost_are_counted(tmp_path: Path) -> None:
    texts = read(jsonl(tmp_path / "t.jsonl", LM | {"resps": [["4", None]]}, LM | {"doc_hash": "b"}, LM))
    assert [row.completion for row in texts.rows] == ["4", "4", "5"]
    assert "1 row left out beside 3 completions: a draw is no text" in texts.notes[0]
    assert "the same question and filter stand in the file before" in texts.notes[1]


def test_log_probs_that_lm_eval_writes_as_texts_are_no_completions(tmp_path: Path) -> None:
    choice = LM | {"doc_hash": "b", "resps": [[["-3.5", "False"]], [["-0.25", "True"]]]}
    texts = read(jsonl(tmp_path / "t.jsonl", LM, choice))
    assert [row.completion for row in texts.rows] == ["4", "5"]
    assert "log-probs of given choices" in texts.notes[0]


def test_scores_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    rows = [OWN | {"scores": {"stars": value}} for value in (3, "n/a", float("nan"), None)]
    texts = read(jsonl(tmp_path / "t.jsonl", *rows))
    assert [dict(row.scores) for row in texts.rows] == [{"stars": 3.0}, {}, {}, {}]
    assert "score 'stars' is not read in 2 rows, where it is no number, as in 'n/a'" in texts.notes[0]
    novel = read(jsonl(tmp_path / "n.jsonl", NOVEL | {"generation_scores": [1, "bad"]}))
    assert "not read in 1 row" in novel.notes[0]


def test_decimals_of_a_table_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    columns = {"prompt_id": ["p"], "prompt": ["A"], "completion": ["x"], "score/stars": [Decimal("3.5")]}
    pq.write_table(pa.table(columns), path)
    assert read(path).rows[0].scores == {"stars": 3.5}


def test_nulls_in_message_lists_say_nothing(tmp_path: Path) -> None:
    row = {"prompt": [user([{"type": "text", "text": "A"}, None]), None], "completion": [assistant([None, "x"])]}
    found = read(jsonl(tmp_path / "t.jsonl", row)).rows[0]
    assert (found.prompt, found.completion) == ("A", "x")


def test_two_images_with_one_question_are_not_one_prompt(tmp_path: Path) -> None:
    def asked(number: int) -> Row:
        parts = [{"type": "image_url", "image_url": {"url": f"{number}.png"}}, {"type": "text", "text": "What is it?"}]
        return {"custom_id": f"p{number}", "body": {"messages": [user(parts)]}}

    answers = [BATCH | {"custom_id": f"p{number}"} for number in (1, 2, 3)]
    requests = [asked(1), asked(2), asked(1) | {"custom_id": "p3"}]
    texts = read(jsonl(tmp_path / "out.jsonl", *answers), jsonl(tmp_path / "in.jsonl", *requests))
    assert [row.prompt_id for row in texts.rows] == ["p1", "p2", "p1"]
    trl = [{"prompt": [user("A")], "completion": "x"}, {"prompt": asked(1)["body"]["messages"], "completion": "y"}]
    left = read(jsonl(tmp_path / "trl.jsonl", *trl))
    assert [row.completion for row in left.rows] == ["x"]
    assert "1 row left out beside 1 completion: the prompt holds what is no text (image_url)" in left.notes[0]


def test_what_is_no_text_among_the_choices_of_a_batch_is_counted(tmp_path: Path) -> None:
    choices = [
        {"index": 0, "message": assistant("Blue.")},
        {"index": 1, "message": assistant(None) | {"tool_calls": [{"id": "1"}]}},
        {"index": 2, "message": assistant(None) | {"refusal": "I cannot."}},
    ]
    texts = read(jsonl(tmp_path / "t.jsonl", within(BATCH, "response", body={"choices": choices})))
    assert [row.completion for row in texts.rows] == ["Blue.", "I cannot."]
    assert "a choice without a text, such as a call of tools" in texts.notes[0]


def test_a_message_list_without_an_answer_is_no_completion(tmp_path: Path) -> None:
    texts = read(jsonl(tmp_path / "t.jsonl", OWN, OWN | {"completion": [user("Not an answer.")]}))
    assert [row.completion for row in texts.rows] == ["x"]
    assert "none of its messages is the assistant's" in texts.notes[0]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_turns_in_the_cells_of_a_table_are_turns_in_answers_too(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t.{ending}"
    cells = {"prompt": json.dumps([user("A")]), "completion": json.dumps([assistant("x")])}
    write_table(path, {"prompt_id": "p"} | cells)
    assert [(row.prompt, row.completion) for row in read(path).rows] == [("A", "x")]
    write_table(path, cells)
    assert read(path).layouts == ("trl",)
    write_table(path, {"prompt_id": "p", "prompt": str([user("A")]), "completion": "x"})
    with pytest.raises(RecordsError, match="row 1: prompt: the cell begins like a list of turns and is no JSON"):
        read(path)


def write_table(path: Path, cells: dict[str, str]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: [cell] for name, cell in cells.items()}), path)
    else:
        quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells.values()]
        path.write_text(f"{','.join(cells)}\n{','.join(quoted)}\n", encoding="utf-8")


def test_names_in_a_log_that_hold_thousands_of_digits_and_encrypted_entries_get_one_line(tmp_path: Path) -> None:
    sample = json.dumps({"id": 1, "input": "A", "output": {"choices": [{"message": assistant("x")}]}})
    cases = {
        f"samples/a_epoch_{'9' * 5000}.json": "holds no samples",
        "samples/a_epoch_1/attachments/0.json": "attachments are 5; they must be a list",
    }
    for entry, told in cases.items():
        path = tmp_path / "t.eval"
        with zipfile.ZipFile(path, "w") as log:
            log.writestr("header.json", "{}")
            log.writestr(entry, "5")
            if "attachments" in entry:
                log.writestr("samples/a_epoch_1/sample.json", sample)
        with pytest.raises(RecordsError, match=told):
            read(path)
    content = path.read_bytes().replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
    path.write_bytes(content)
    with pytest.raises(RecordsError, match="is encrypted; unpack the archive with its password") as caught:
        read(path)
    assert "ZipInfo" not in str(caught.value)


def test_thinking_that_a_provider_encrypted_is_told_by_its_summary(tmp_path: Path) -> None:
    parts = [{"type": "reasoning", "reasoning": "Zm9v", "redacted": True, "summary": "Short."}, {"type": "text", "text": "x"}]  # fmt: skip
    sample = {"id": 1, "input": "A", "output": {"choices": [{"message": assistant(parts)}]}}
    log = {"version": 2, "status": "success", "eval": {"model": "m"}, "samples": [sample]}
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log), encoding="utf-8")
    assert [(row.thinking, row.completion) for row in read(path).rows] == [("Short.", "x")]
