"""Prompts from files: tables are read whole or refused with their row; a file's mistakes name the file."""

from __future__ import annotations

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


def test_a_file_of_prompts_that_is_none_names_the_suites_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"suite\.yaml:1: .* cannot be read: File name too long"):
        prompts(tmp_path / ("a" * 300 + ".jsonl"))
    pq.write_table(pa.table({"text": ["A"], "when": pa.array([2**55], pa.timestamp("ms"))}), tmp_path / "p.parquet")
    with pytest.raises(InputError, match="cannot be read"):
        prompts(tmp_path / "p.parquet")
