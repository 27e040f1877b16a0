"""What other tools wrote is read as it stands in their files; what is broken gets one line and no memory."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.cli.run import LAYOUTS as OFFERED
from evalkit.errors import RecordsError
from evalkit.plumbing import sources
from evalkit.runs.exchange.layouts import LAYOUTS
from evalkit.runs.exchange.read import Texts, read_texts
from tests import ROOT

DATA = ROOT / "tests" / "data" / "exchange"
BATCH = [
    {"custom_id": "p2", "response": {"status_code": 200, "body": {"model": "m", "choices": [{"index": 1, "message": {"content": "Red."}}, {"index": 0, "finish_reason": "length", "message": {"content": "Blue", "reasoning_content": "Hm."}}]}}, "error": None},
    {"custom_id": "p1", "response": {"status_code": 500, "body": {"error": {"message": "overloaded"}}}, "error": None},
]  # fmt: skip
NOVEL = {"id": "c1", "prompt": "Name a colour", "model": "m", "generations": ["Blue.", "Red.", "A deep blue."], "partition": [0, 1, 0], "generation_scores": [3, 4, 0]}  # fmt: skip
TRL = {"prompt": [{"role": "user", "content": "A colour"}], "completion": [{"role": "assistant", "content": "Blue."}]}
LM = {"doc_id": 0, "doc": {}, "target": "4", "arguments": [["Q", {}]], "resps": [["4", "5"]], "doc_hash": "a"}


def read(*paths: Path, **how: Any) -> Texts:
    return read_texts(paths, lambda _: None, **how)


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["inspect.eval", "inspect.json", "inspect-chunked.eval"])
def test_inspect_logs_of_every_shape_say_the_same(name: str) -> None:
    texts = read(DATA / name)
    sums = [row for row in texts.rows if row.prompt_id == "7"]
    assert [row.completion for row in sums] == ["It is 4.", "It is 5.", "4", "4"]
    assert [row.scores["includes"] for row in sums] == [1, 0, 1, 1]
    assert [row.finish_reason for row in sums] == ["stop", "length", "stop", "stop"]
    assert sums[2].thinking == "Two and two make four."
    assert sums[0].messages == (("system", "Answer in few words."), ("user", "What is 2 + 2?"))
    assert len(texts.rows) == 11
    assert set(texts.arms) == {"mockllm/model"}
    [note] = texts.notes
    assert "1 row left out beside 11 completions: the sample failed" in note


def test_lm_eval_lines_of_two_filters_are_one_question_with_all_its_draws() -> None:
    texts = read(DATA / "lm-eval-plain.jsonl", DATA / "lm-eval-chat.jsonl")
    assert texts.arms == ["lm-eval-plain"] * 6 + ["lm-eval-chat"] * 6
    assert [row.completion for row in texts.rows[:3]] == ["4", "It is 5", "It is 4"]
    assert texts.rows[6].prompt_scores == {"exact_match/strict": 0.0, "exact_match/number": 1.0}
    assert texts.rows[0].prompt_id == texts.rows[6].prompt_id == "bf95ce0888375694"


@pytest.mark.parametrize("are_underscored", [False, True])
def test_lighteval_details_are_read_under_either_name(tmp_path: Path, are_underscored: bool) -> None:
    table = pq.read_table(DATA / "lighteval.parquet").replace_schema_metadata(None)
    path = tmp_path / "details.parquet"
    pq.write_table(table.rename_columns([f"__{n}__" for n in table.column_names]) if are_underscored else table, path)
    texts = read(path)
    assert texts.layouts == ("lighteval",)
    assert [row.completion for row in texts.rows[:3]] == ["4", "It is 5", "It is 4"]
    assert texts.rows[0].thinking == "Let me see."
    assert texts.rows[3].prompt_scores == {"exact_match": 0.5, "pass@k": 1.0}


@pytest.mark.parametrize("name", ["trl-text", "trl-messages"])
def test_what_a_grpo_trainer_logs_is_read_with_its_rewards(name: str) -> None:
    texts = read(DATA / f"{name}.parquet")
    assert texts.layouts == ("trl",)
    assert {row.prompt for row in texts.rows} == {"name a colour", "what colour is the sky"}
    assert set(texts.rows[0].scores) == {"colours", "brevity"}
    assert set(texts.arms) == {"step-1"}


def test_batch_results_are_put_in_order_with_their_requests(tmp_path: Path) -> None:
    asked = [{"custom_id": c, "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": "A colour?"}]}} for c in ("p1", "p2")]  # fmt: skip
    texts = read(jsonl(tmp_path / "out.jsonl", *BATCH), jsonl(tmp_path / "in.jsonl", *asked))
    assert [(row.prompt_id, row.prompt, row.completion) for row in texts.rows] == [
        ("p1", "A colour?", "Blue"),
        ("p1", "A colour?", "Red."),
    ]
    assert (texts.rows[0].thinking, texts.rows[0].finish_reason) == ("Hm.", "length")
    assert "status 500: 'overloaded'" in texts.notes[0]
    alone = read(tmp_path / "out.jsonl")
    assert alone.rows[0].prompt == "p2"
    assert "name the file of requests too" in alone.notes[1]


def test_a_repeat_has_the_score_of_its_class_in_novelty_bench(tmp_path: Path) -> None:
    for of_repeat in (0, None):  # as in version 1, and from 1.1 on
        rows = read(jsonl(tmp_path / "n.jsonl", NOVEL | {"generation_scores": [3, 4, of_repeat]})).rows
        assert [(row.said, row.scores["generation_scores"]) for row in rows] == [("0", 3), ("1", 4), ("0", 3)]


def test_classes_of_novelty_bench_whose_texts_were_left_out_are_refused_with_what_to_do(tmp_path: Path) -> None:
    slim = {key: value for key, value in NOVEL.items() if key != "generations"}
    with pytest.raises(
        RecordsError, match=r"n.jsonl:1: the texts were left out of this file of classes; add generations"
    ):
        read(jsonl(tmp_path / "n.jsonl", slim))


def test_a_row_may_say_its_class_by_a_number_or_a_name(tmp_path: Path) -> None:
    row = {"prompt_id": "p", "prompt": "A colour?"}
    rows = [
        row | {"completion": text, "class": one} for text, one in (("Blue", "cold"), ("Red", "warm"), ("Navy", "cold"))
    ]
    assert [one.said for one in read(jsonl(tmp_path / "t.jsonl", *rows)).rows] == ["cold", "warm", "cold"]
    (tmp_path / "t.csv").write_text("prompt_id,prompt,completion,class\np,A?,Blue,1\np,A?,Red,2\np,A?,Pink,\n")
    assert [one.said for one in read(tmp_path / "t.csv").rows] == ["1", "2", None]
    alike = [row | {"completion": "Blue", "class": one} for one in (1, "1", 1.0, 2, None)]
    assert [one.said for one in read(jsonl(tmp_path / "t.jsonl", *alike)).rows] == ["1", "1", "1", "2", None]
    with pytest.raises(RecordsError, match=r"t.jsonl:1: `class` is True; it is a text or a number"):
        read(jsonl(tmp_path / "t.jsonl", rows[0] | {"class": True}))
    with pytest.raises(RecordsError, match=r"t.jsonl:1: `class` is \[1\]; it is a text or a number"):
        read(jsonl(tmp_path / "t.jsonl", rows[0] | {"class": [1]}))
    with pytest.raises(RecordsError, match="`class` go with one `completion`"):
        read(jsonl(tmp_path / "t.jsonl", row | {"completions": ["Blue", "Red"], "class": 1}))


def test_compressed_files_are_read_by_content(tmp_path: Path) -> None:
    plain = jsonl(tmp_path / "t.jsonl", NOVEL).read_bytes()
    (tmp_path / "a").write_bytes(gzip.compress(plain))
    (tmp_path / "b").write_bytes(pa.Codec("zstd").compress(plain, asbytes=True))
    assert [row.completion for row in read(tmp_path / "a").rows] == NOVEL["generations"]
    assert [row.completion for row in read(tmp_path / "b").rows] == NOVEL["generations"]


def test_a_spreadsheet_is_read_with_its_mark_line_ends_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        b'\xef\xbb\xbfprompt_id;prompt;completion;arm;score/stars\r\n1;A;"one\r\n; two";a;3\r\n1;A;;a;\r\n'
    )
    texts = read(path)
    assert [(row.prompt_id, row.completion, row.scores) for row in texts.rows] == [
        ("1", "one\r\n; two", {"stars": 3.0}),
        ("1", "", {}),
    ]


def test_a_spreadsheet_without_ids_is_paired_by_its_prompts_where_its_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("question,reply\nA,x\nA,y\nB,z\n", encoding="utf-8")
    rows = read(path, columns={"prompt": "question", "completion": "reply"}).rows
    assert rows[0].prompt_id == rows[1].prompt_id != rows[2].prompt_id
    path.write_text("prompt,completion\nA,x\nA,y\n", encoding="utf-8")
    with pytest.raises(RecordsError, match=r"the key 'prompt_id' is missing; .* add --format trl"):
        read(path)
    assert len({row.prompt_id for row in read(path, layout="trl").rows}) == 1


def test_texts_of_inspect_that_stand_apart_are_put_in_their_place(tmp_path: Path) -> None:
    """In a sample by their hash, beside its chunks by their number; what is nowhere stays as it is written."""
    sample = {
        "id": "a", "epoch": 1, "input": "See attachment://0 and attachment://9.",
        "output": {"choices": [{"message": {"content": "attachment://1"}}]},
    }  # fmt: skip
    texts = ["a long question", "a long answer"]
    whole = sample | {"attachments": {"0": texts[0], "1": texts[1]}}
    log = {"version": 2, "status": "success", "eval": {"model": "m"}, "samples": [whole]}
    (tmp_path / "log.json").write_text(json.dumps(log), encoding="utf-8")
    zipped(tmp_path / "log.eval", {"samples/a_epoch_1.json": json.dumps(whole).encode()})
    chunks = {"samples/a_epoch_1/sample.json": sample, "samples/a_epoch_1/attachments/0.json": texts[:1],
              "samples/a_epoch_1/attachments/1.json": texts[1:]}  # fmt: skip
    zipped(tmp_path / "chunked.eval", {name: json.dumps(content).encode() for name, content in chunks.items()})
    for name in ("log.json", "log.eval", "chunked.eval"):
        [row] = read(tmp_path / name).rows
        assert row.prompt == "See a long question and attachment://9."
        assert row.completion == "a long answer"


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "t.jsonl", {"question": "Q", "reply": "R", "stars": 2})
    columns = {"prompt": "question", "completion": "reply", "score/stars": "stars"}
    [row] = read(path, columns=columns).rows
    assert (row.prompt, row.completion, row.scores) == ("Q", "R", {"stars": 2.0})
    with pytest.raises(RecordsError, match=r"there is no column 'replly' \(did you mean 'reply'\?\)"):
        read(path, columns=columns | {"completion": "replly"})


def test_two_logs_of_one_model_are_two_arms_named_after_their_files(tmp_path: Path) -> None:
    one, two = jsonl(tmp_path / "old.jsonl", NOVEL), jsonl(tmp_path / "new.jsonl", NOVEL)
    assert set(read(one, two).arms) == {"old", "new"}
    assert set(read(one, jsonl(two, NOVEL | {"id": "c2"})).arms) == {"m"}


def without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


BROKEN: list[tuple[list[Any], str]] = [
    ([NOVEL | {"partition": [0]}], "partition has 1 entries for 3 generations"),
    ([without(NOVEL, "id")], "the key 'id' is missing"),
    ([NOVEL, TRL], ":2: the key 'id' is missing"),
    ([TRL, {"prompt": "x"}], ":2: the key 'completion' is missing"),
    ([TRL | {"completion": [3]}], "a message is 3"),
    ([without(LM, "arguments")], "the key 'arguments' is missing"),
    ([LM | {"resps": [[[-1.5, False]]]}], "log-probs of given choices, not completions"),
    ([BATCH[0], NOVEL], ":2: no batch result"),
    ([BATCH[1]], "1 row left out beside 0 completions: status 500"),
    ([{"custom_id": "p", "body": {"messages": [{"role": "user", "content": "x"}]}}], "name the file of their results"),
    ([{"prompt_id": "p", "prompt": [], "completion": "x"}], "expected a list of messages"),
]


@pytest.mark.parametrize(("rows", "told"), BROKEN, ids=[told for _, told in BROKEN])
def test_half_broken_rows_get_one_line(tmp_path: Path, rows: list[Any], told: str) -> None:
    with pytest.raises(RecordsError) as caught:
        read(jsonl(tmp_path / "t.jsonl", *rows))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def zipped(path: Path, entries: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return path.read_bytes()


def test_cut_and_foreign_files_get_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t"
    whole = (DATA / "inspect.eval").read_bytes()
    cases: list[tuple[bytes, str]] = [
        (gzip.compress(json.dumps(NOVEL).encode())[:-12], "cut short"),
        (whole[:-30], "cut short or damaged"),
        ((DATA / "inspect.json").read_bytes()[:-30], "not valid JSON"),
        ((DATA / "trl-text.parquet").read_bytes()[:-30], "cannot be read"),
        (zipped(path, {"../../x.txt": b"x"}), "is a zip, and no log of Inspect's"),
        (zipped(path, {"header.json": b"{}"}), "holds no samples"),
        (zipped(path, {"samples/a_epoch_1.json": b"[]"}), "it must be an object"),
        (zipped(path, {"samples/a_epoch_1.json": b'{"id": 1}'}), "the key 'input' is missing"),
        (b"prompt_id,prompt,completion\n1,2\n", "row 1 has 2 cells under a header of 3"),
        (b'prompt_id,prompt,completion\n1,2,"x\n', "is no CSV: a double quote is opened and not closed"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"prompt_id":' + b"[" * 50_000, "not valid JSON"),
        (b"", "holds no rows"),
        (b"[]", "holds no rows"),
    ]
    for content, told in cases:
        path.write_bytes(content)
        with pytest.raises(RecordsError) as caught:
            read(path)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_expands_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LARGEST", 1 << 20)
    monkeypatch.setattr(sources, "LONGEST", 1 << 20)
    monkeypatch.setattr(sources, "FREE", 1 << 22)
    path = tmp_path / "bomb"
    zipped(path, {"samples/a_epoch_1.json": b" " * (1 << 21)})
    with pytest.raises(RecordsError, match="expands to more than 1 MiB"):
        read(path)
    path.write_bytes(b'{"prompt_id": "' + b"x" * (1 << 21))
    with pytest.raises(RecordsError, match="bomb:1: the line has more than 1 MiB"):
        read(path)
    path.write_bytes(gzip.compress((b" " * 1000 + b"\n") * 10_000))
    with pytest.raises(RecordsError, match=r"expands to more than \d+ MiB from"):
        read(path)


def test_the_command_line_offers_the_layouts_that_are_read() -> None:
    assert OFFERED == LAYOUTS
