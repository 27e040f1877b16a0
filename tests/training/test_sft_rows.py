"""Fine-tuning reads prompts and completions in the layouts in which people have them, and what preferences prefer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.errors import RecordsError
from evalkit.training.sft_rows import Row, read_rows

ASKED = [{"role": "user", "content": "A colour?"}]
SAID = [{"role": "assistant", "content": "Blue."}]
LAYOUTS: dict[str, dict[str, Any]] = {
    "texts": {"prompt": "A colour?", "completion": "Blue."},
    "messages": {"prompt": ASKED, "completion": SAID},
    "a text and a message": {"prompt": "A colour?", "completion": SAID},
    "dialogue": {"messages": [*ASKED, *SAID]},
    "sharegpt": {"conversations": [{"from": "human", "value": "A colour?"}, {"from": "gpt", "value": "Blue."}]},
    "preference": {"prompt": "A colour?", "chosen": "Blue.", "rejected": "No."},
    "conversations": {"chosen": [*ASKED, *SAID], "rejected": [*ASKED, {"role": "assistant", "content": "No."}]},
    "hh": {"chosen": "\n\nHuman: A colour?\n\nAssistant: Blue.", "rejected": "\n\nHuman: A colour?\n\nAssistant: No."},
}


def jsonl(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def refuse(text: str) -> None:
    raise AssertionError(text)


@pytest.mark.parametrize("row", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_the_same_example(tmp_path: Path, row: dict[str, Any]) -> None:
    [found] = read_rows([jsonl(tmp_path / "rows.jsonl", row)], refuse)
    assert (found.prompt, found.answer, found.turns) == ("A colour?", "Blue.", ())


def test_tables_are_read_and_a_conversation_keeps_its_turns(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, *ASKED]
    pq.write_table(pa.Table.from_pylist([{"prompt": turns, "completion": SAID}]), tmp_path / "rows.parquet")
    (tmp_path / "rows.csv").write_text("prompt,completion\nA colour?,Blue.\n", encoding="utf-8")
    talk, plain = read_rows([str(tmp_path / "rows.parquet"), str(tmp_path / "rows.csv")], refuse)
    assert talk == Row(
        "System: Be brief.\n\nUser: A colour?", "Blue.", turns=(("system", "Be brief."), ("user", "A colour?"))
    )
    assert plain == Row("A colour?", "Blue.")


def test_what_teaches_nothing_is_counted_with_its_reason(tmp_path: Path) -> None:
    told: list[str] = []
    open_ended = {"messages": ASKED}
    rows = read_rows([jsonl(tmp_path / "rows.jsonl", LAYOUTS["dialogue"], open_ended)], told.append)
    assert len(rows) == 1
    assert "1 row left out: roles out of order: an answer is the user's" in told[0]
    tied = LAYOUTS["conversations"] | {"winner": "tie"}
    assert len(read_rows([jsonl(tmp_path / "p.jsonl", LAYOUTS["conversations"], tied)], told.append)) == 1
    assert "1 tie left out: neither completion was chosen" in told[1]
    with pytest.raises(RecordsError, match="1 row left out: roles out of order"):
        read_rows([jsonl(tmp_path / "rows.jsonl", open_ended)], refuse)
    with pytest.raises(RecordsError, match="completion: this key is missing"):
        read_rows([jsonl(tmp_path / "rows.jsonl", {"prompt": ASKED})], refuse)
