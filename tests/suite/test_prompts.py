"""Prompts from files: tables are read whole or refused with their row; a file's mistakes name the file."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.errors import InputError
from evalkit.records import Prompt
from evalkit.suite.prompts import PromptSource, read_prompts
from tests import ROOT

TURNS = [{"role": "user", "content": "A?"}]


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def prompts(path: Path) -> tuple[Prompt, ...]:
    return read_prompts(PromptSource(file=path.name), path.parent, "suite.yaml:1")


def test_ids_may_be_numbers(tmp_path: Path) -> None:
    path = Path(shutil.copy(ROOT / "tests" / "cases" / "prompts-numeric-ids.jsonl", tmp_path))
    assert [(prompt.id, prompt.text) for prompt in prompts(path)] == [("1", "Name a colour."), ("2", "Name a fruit.")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_is_read_with_each_of_its_separators(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"id{separator}text\na{separator}One?\n", encoding="utf-8-sig")
    assert [(prompt.id, prompt.text) for prompt in prompts(path)] == [("a", "One?")]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("p.csv", "id,text\na,One, or two?\n", r"p\.csv: row 1 has 3 cells under a header of 2"),
        ("p.csv", "id,text,answer\na,One?\n", r"p\.csv: row 1 has 2 cells under a header of 3"),
        ("p.csv", "id,text,text\na,One?,Two?\n", "two columns are called 'text'"),
        ("p.csv", "id,text\na,One?\na,Two?\n", r"p\.csv: row 2: prompt id 'a' is used twice \(first at .*p\.csv: row 1\)"),
        ("p.csv", "id,text\na,\n", r"p\.csv: row 1: text is empty"),
        ("p.csv", f'id,text\na,"{json.dumps(TURNS)}"\n'.replace('"role"', '""role""'), "is no CSV"),
        ("p.csv", f'id,prompt\na,"{TURNS}"\n', "row 1: the cell begins like a list of turns and is no JSON"),
        ("p.csv", f'id,text\na,"{TURNS}"\n', "row 1: text: the cell holds turns; call the column `messages`"),
        ("p.jsonl", '{"id": "a", "messages": [{"role": "user", "content": "\\ud800"}]}', r":1: messages\[0\]\.content: it holds half"),
        ("p.jsonl", '{"id": "a", "text": 1.5}', ":1: text: found 1.5; it must be text"),
    ],
)  # fmt: skip
def test_half_broken_files_of_prompts_name_file_and_row(tmp_path: Path, name: str, content: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=told) as caught:
        prompts(path)
    assert "\n" not in str(caught.value)


def test_null_is_absent_and_numbers_are_their_texts(tmp_path: Path) -> None:
    row = {"id": 1.0, "text": "One?", "tags": [7, "x"], "cluster": 3.0, "answer": 7, "references": None}
    (tmp_path / "p.jsonl").write_text(json.dumps(row))
    [prompt] = prompts(tmp_path / "p.jsonl")
    assert (prompt.id, prompt.tags, prompt.cluster, prompt.answer) == ("1", ("7", "x"), "3", "7")
    (tmp_path / "p.jsonl").write_text(json.dumps(row | {"choices": {"A": True}}))
    with pytest.raises(InputError, match=r":1: choices.A: found true; it must be a number"):
        prompts(tmp_path / "p.jsonl")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.jsonl.gz", packed(b'{"id": "a", "text": "One?"}\n')),
        ("p.csv.gz", packed(b"id,text\na,One?\n")),
        ("p.jsonl.zst", pa.compress(b'{"id": "a", "text": "One?"}\n', "zstd", asbytes=True)),
    ],
    ids=["gzip", "gzip of CSV", "zstd"],
)
def test_compressed_files_of_prompts_are_read(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert [(prompt.id, prompt.text) for prompt in prompts(path)] == [("a", "One?")]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("p.jsonl.gz", packed(b'{"id": "a", "text": "One?"}\n')[:-9], "is cut short or damaged"),
        ("p.jsonl.gz", packed(b"PK\x05\x06"), "is a zip without anything in it"),
        ("p.parquet.gz", b"", r"suite\.yaml:1: p\.parquet\.gz is neither .* the first two may be compressed"),
    ],
    ids=["cut", "a zip within", "Parquet"],
)
def test_broken_compressed_files_of_prompts_get_one_line(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=told) as caught:
        prompts(path)
    assert "\n" not in str(caught.value)


def test_a_bomb_of_prompts_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.plumbing.sources.FREE", 1 << 20)
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(packed(b" " * (8 << 20) + b"\n"))
    with pytest.raises(InputError, match="expands to more than"):
        prompts(path)


def test_a_file_of_prompts_that_is_none_names_the_suites_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"suite\.yaml:1: .* cannot be read: File name too long"):
        prompts(tmp_path / ("a" * 300 + ".jsonl"))
    pq.write_table(pa.table({"text": ["A"], "when": pa.array([2**55], pa.timestamp("ms"))}), tmp_path / "p.parquet")
    with pytest.raises(InputError, match="cannot be read"):
        prompts(tmp_path / "p.parquet")
