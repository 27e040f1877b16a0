"""Preferences in the layouts that people have are the same pairs; what is no pair is counted with its reason."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.errors import RecordsError
from evalkit.plumbing import sources
from evalkit.preferences.files import Preference, read_preferences, write_preferences
from evalkit.preferences.layouts.read import layout_of, read_file
from tests import ROOT

DATA = ROOT / "tests" / "data" / "preferences"
Row = dict[str, Any]
PAIRS = [("Name a colour.", "Blue.", "No."), ("Name a\n\nfruit.", 'An apple, "red".', "Eh."), ("Say ja.", "Ja.", "Nö.")]


def user(text: str) -> Row:
    return {"role": "user", "content": text}


def assistant(text: str) -> Row:
    return {"role": "assistant", "content": text}


def vote(prompt: str, a: str, b: str, winner: str) -> Row:
    return {
        "conversation_a": [user(prompt), assistant(a)], "conversation_b": [user(prompt), assistant(b)], "winner": winner
    }  # fmt: skip


WAYS: dict[str, Any] = {
    "own": lambda p, c, r: {"prompt": p, "chosen": c, "rejected": r},
    "messages": lambda p, c, r: {"prompt": [user(p)], "chosen": [assistant(c)], "rejected": [assistant(r)]},
    "messages repeated": lambda p, c, r: {"prompt": p, "chosen": [user(p), assistant(c)], "rejected": [user(p), assistant(r)]},
    "conversations": lambda p, c, r: {"chosen": [user(p), assistant(c)], "rejected": [user(p), assistant(r)]},
    "parts": lambda p, c, r: {
        "chosen": [{"role": "user", "name": None, "content": [{"type": "text", "text": p}, None]}, assistant(c), None],
        "rejected": [user(p), assistant(r)],
    },
    "hh": lambda p, c, r: {
        "chosen": f"\n\nHuman: {p}\n\nAssistant: {c}", "rejected": f"\n\nHuman: {p}\n\nAssistant: {r}"
    },
    "sharegpt": lambda p, c, r: {
        "conversations": [{"from": "human", "value": p}],
        "chosen": {"from": "gpt", "value": c}, "rejected": {"from": "gpt", "value": r},
    },
    "arena": lambda p, c, r: vote(p, c, r, "model_a") if len(p) % 2 else vote(p, r, c, "model_b"),
}  # fmt: skip


def written(path: Path, rows: list[Row]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.name.endswith(".jsonl.gz"):
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            for row in rows:
                table.writerow({k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()})
    else:
        path.write_text(text, encoding="utf-8")
    return path


def refuse(text: str) -> None:
    raise AssertionError(text)


def test_two_texts_without_a_prompt_are_refused_since_where_it_ends_is_not_told(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", [{"chosen": "A colour is blue.", "rejected": "A colour is no."}])
    with pytest.raises(RecordsError, match="do not tell where the prompt ends and the answers begin"):
        read_preferences([path], refuse)


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet", "jsonl.gz"])
@pytest.mark.parametrize("way", WAYS)
def test_the_same_pairs_come_out_of_every_layout_in_every_kind_of_file(tmp_path: Path, way: str, ending: str) -> None:
    if (way, ending) == ("parts", "parquet"):
        pytest.skip("a column of Parquet has one type")
    path = written(tmp_path / f"p.{ending}", [WAYS[way](*pair) for pair in PAIRS])
    assert read_preferences([path], refuse) == [Preference(*pair) for pair in PAIRS]


@pytest.mark.parametrize("name", ["conversations", "messages", "hh", "arena"])
def test_a_layout_is_seen_from_the_first_row(name: str) -> None:
    path = DATA / f"{name}.jsonl"
    assert layout_of(path) == name
    first = read_file(path, lambda _: None).preferences[0]
    assert (first.prompt, first.chosen, first.rejected) == ("Name a colour.", "Blue is a colour.", "No.")


def test_the_prompt_of_a_conversation_is_all_up_to_the_last_answer() -> None:
    found = read_preferences([DATA / "hh.jsonl"], refuse)[1]
    assert found.turns == (("user", "Hello"), ("assistant", "Hello, how can I help?"), ("user", "Name a fruit."))
    assert found.prompt == "User: Hello\n\nAssistant: Hello, how can I help?\n\nUser: Name a fruit."
    assert (found.chosen, found.rejected) == ("An apple.", "Eh.")


@pytest.mark.parametrize("name", ["conversations", "messages", "hh", "arena"])
def test_what_is_imported_is_read_back_as_it_was(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.jsonl"
    found = read_preferences([DATA / f"{name}.jsonl"], lambda _: None)
    write_preferences(out, found)
    assert read_preferences([out], lambda _: None) == found


def test_ties_are_kept_by_their_kind() -> None:
    told: list[str] = []
    found = read_preferences([DATA / "arena.jsonl"], told.append)
    assert [(p.winner, p.target, p.rater) for p in found] == [
        ("chosen", 1.0, "j-1"), ("tie", 0.5, "j-1"), ("both_bad", 0.5, "j-2")
    ]  # fmt: skip
    assert told == [f"{DATA / 'arena.jsonl'}: 2 ties: each completion is held to be preferred with probability 1/2"]


def conversations(*rows: tuple[list[Row], list[Row]]) -> list[Row]:
    return [{"chosen": chosen, "rejected": rejected} for chosen, rejected in rows]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (([user("p"), assistant("a")], [user("p"), assistant("a")]), "the two answers are the same"),
        (([user("p"), assistant("a ")], [user("p"), assistant("a")]), "the two answers are the same"),
        (([user("p"), assistant(" ")], [user("p"), assistant("a")]), "an answer is empty"),
        (([user("p"), assistant("a")], [user("p"), {"role": "assistant", "content": None}]), "an answer is empty"),
        (([user(""), assistant("a")], [user(""), assistant("b")]), "the prompt is empty"),
        (([user("p"), assistant("a")], [user("q"), assistant("b")]), "the two conversations share no prompt"),
        (([user("p"), assistant("a")], [user("p"), assistant("b"), user("q"), assistant("c")]), "part before their last"),
        (([user("p"), user("a")], [user("p"), user("b")]), "roles out of order: an answer is the user's"),
        (([assistant("p"), assistant("a")], [assistant("p"), assistant("b")]), "roles out of order: a prompt is user"),
        (([user("p"), {"role": "tool", "content": "a"}], [user("p"), assistant("b")]), "a role that is none of"),
        (([user("p"), {"role": "assistant", "content": [{"type": "image"}]}], [user("p"), assistant("b")]), "an image"),
        (([], [user("p"), assistant("b")]), "chosen is an empty message list"),
        ((["p", "a"], [user("p"), assistant("b")]), "a message that is no object"),
        (("text", [user("p"), assistant("b")]), "chosen is a text where other rows have a message list"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_counted_with_its_reason_and_lines(tmp_path: Path, row: Any, reason: str) -> None:
    good = ([user("p"), assistant("a")], [user("p"), assistant("b")])
    account = read_file(written(tmp_path / "p.jsonl", conversations(good, row, good, row)), refuse)
    assert (account.rows, len(account.preferences)) == (4, 2)
    [sentence] = account.losses()
    assert reason in sentence
    assert "2 rows left out" in sentence
    assert "line 2 and line 4" in sentence


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def test_import_says_what_it_understood_and_what_is_no_pair(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (DATA / "arena.jsonl").read_text(encoding="utf-8").splitlines()]
    path = written(tmp_path / "p.jsonl", [*rows, vote("p", "a", "b", "nobody")])
    out = tmp_path / "new" / "out.jsonl"
    result = call("prefs", "import", path, "--to", out)
    assert result.exit_code == 0, result.output
    assert "Layout: arena; rows: 4; pairs: 3; ties: 1; both bad: 1; prompts of several turns: 0 (0%)" in result.stdout
    assert "1 row left out: winner is none of model_a, model_b, tie and both_bad (line 4)" in result.output
    assert len(read_preferences([out], lambda _: None)) == 3


def test_columns_are_named_and_a_layout_is_forced(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", [{"q": "p", "better": "a", "worse": "b"}])
    out = tmp_path / "out.jsonl"
    result = call("prefs", "import", path, "--to", out, "--columns", "prompt=q,chosen=better,rejected=worse")
    assert result.exit_code == 0, result.output
    assert read_preferences([out], refuse) == [Preference("p", "a", "b")]
    wrong = call("prefs", "import", path, "--to", out, "--columns", "prompt=q,chosen=bettr,rejected=worse")
    assert wrong.exit_code == 2
    assert "there is no column 'bettr' (did you mean 'better'?)" in wrong.output
    forced = call("prefs", "import", DATA / "hh.jsonl", "--to", out, "--format", "arena")
    assert forced.exit_code == 2
    assert "hh.jsonl:1: conversation_a: this key is missing" in forced.output


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.jsonl", b"", "holds no rows"),
        ("p.json", b"[]", "holds no rows"),
        ("p.csv", b"prompt,chosen,rejected\n", "holds no rows"),
        ("p.csv", b"prompt,chosen,rejected\na,b\n", "row 1 has 2 cells under a header of 3"),
        ("p.json", b'[{"prompt": "a", ', "not valid JSON"),
        ("p.jsonl", b'{"chosen": [{"role": "user", "content": "p"}]}\n', ":1: rejected: this key is missing"),
        ("p.jsonl", b'{"prompt": "p", "chosen": "a"}\n', ":1: rejected: this key is missing"),
        ("p.jsonl", b'{"prompt": "p", "chosen": "a", "rejected": "b", "winner": "a"}', ":1: winner: found a; it must be"),
        ("p.jsonl", b'{"prompt": "p", "chosen": "a", "rejected": "a"}', "left out: the two answers are the same"),
        ("p.jsonl", b'{"prompt": "p", "chosen": "\xff"}\n', ":1: not UTF-8"),
        ("p.jsonl.gz", gzip.compress(b'{"prompt": "p", "chosen": "a", "rejected": "b"}\n' * 99)[:60], "cut short or damaged"),
        ("p.jsonl.gz", gzip.compress(b'{"prompt": "' + b"a" * (65 << 20)), ":1: the line has more than 64 MiB"),
        ("p.parquet", b"PAR1 and no more", "cannot be read"),
        ("p.zip", b"PK\x03\x04", "is a zip; unpack it"),
    ],
    ids=range(14),
)  # fmt: skip
def test_a_broken_file_is_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    result = call("prefs", "import", tmp_path / name, "--to", tmp_path / "out.jsonl")
    assert message in result.output
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert not (tmp_path / "out.jsonl").exists()


def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "FREE", 1 << 20)
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "p", "chosen": "a", "rejected": "b"}\n' * 100_000))
    with pytest.raises(RecordsError, match="as no text does"):
        read_preferences([path])


def test_turns_that_python_wrote_into_cells_are_refused_and_not_taken_for_texts(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    row = {"prompt": "A", "chosen": str([assistant("x")]), "rejected": str([assistant("y")])}
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(row))
        table.writeheader()
        table.writerow(row)
    with pytest.raises(RecordsError, match="row 1: chosen: the cell begins like a list of turns and is no JSON"):
        read_preferences([path], refuse)


def test_a_missing_key_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", [{"prompt": "A", "better": "x"}])
    with pytest.raises(RecordsError, match="chosen: this key is missing; it must be given; found: 'prompt', 'better'"):
        read_preferences([path], refuse)
