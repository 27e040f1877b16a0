from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.errors import RecordsError, StoreError
from evalkit.preferences.annotate.desk import Answer
from evalkit.preferences.annotate.store import AnswerStore, comparison_of, read_store, text_of
from evalkit.preferences.annotation import Annotation, Comparison
from evalkit.preferences.annotation_files import write_annotation_rows
from evalkit.preferences.pairs import Pair
from evalkit.preferences.read_annotations import read_annotations
from evalkit.records import Message, Prompt
from tests.preferences.annotate.served import comparisons, gold, make_desk


def test_an_answer_comes_back_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    talk = (
        Message("system", "Be brief."),
        Message("user", "Hi?"),
        Message("assistant", "Yes."),
        Message("user", "Go."),
    )
    prompt = Prompt("p", "transcript", tags=("x",), messages=talk, choices={"yes": 0.5, "no": 0.5})
    asked = Comparison(Pair(prompt, "ä \x00 <b>", "b\u2028"), ("tuned", "base"), (3, 0), 0.125)
    desk = make_desk(tmp_path / "a.sqlite", [asked], asks_strength=True, asks_reason=True)
    seat = desk.enter("ann")["pair"]
    desk.answer("ann", Answer(seat["seat"], 1, "second", 0.0, 3, "why not"))
    [told] = read_store(tmp_path / "a.sqlite")
    assert told == Annotation(
        asked, "ann", "readers", told.choice, told.first, 0.0, told.at, strength=3, reason="why not"
    )  # fmt: skip
    assert told.choice != told.first
    assert told.at.endswith("+00:00")


def test_a_comparison_is_kept_as_it_is() -> None:
    for one in (*comparisons(2), replace(comparisons(1)[0], gold="both_bad", probability=1e-9)):
        assert comparison_of(text_of(one)) == one


def test_every_transaction_is_on_the_disk_when_it_ends(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "a.sqlite")
    with store.transaction() as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert file.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    store.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "a.sqlite")
    ann = "INSERT INTO raters (rater_group, name) VALUES ('g', 'ann')"

    def write(then: str) -> None:
        with store.transaction() as file:
            file.execute(ann)
            file.execute(then)

    with pytest.raises(StoreError, match="could not be written"):
        write("INSERT INTO answers (seat) VALUES (1)")
    with pytest.raises(StoreError, match="could not be written"):
        write(ann)
    with store.transaction() as file:
        assert file.execute("SELECT count(*) FROM raters").fetchone() == (0,)
    store.close()


def test_answers_are_read_while_the_server_writes(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "a.sqlite", comparisons(3))
    view = desk.enter("ann")
    with desk.store.transaction():
        assert read_store(tmp_path / "a.sqlite") == []
    desk.answer("ann", Answer(view["pair"]["seat"], 1, "first", 1.0))
    assert len(read_store(tmp_path / "a.sqlite")) == 1


def test_what_people_said_is_read_as_any_file_of_annotations_and_survives_as_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    desk = make_desk(path, comparisons(12), gold(3), gold_every=3, repeats=0.5)
    view = desk.enter("ann")
    while view["pair"]:
        view = desk.answer("ann", Answer(view["pair"]["seat"], 1, "first", 0.0))
    assert {one.is_repeat for one in read_store(path)} == {True, False}
    assert read_annotations([path]) == read_store(path)
    write_annotation_rows(tmp_path / "a.jsonl", read_store(path))
    assert read_annotations([tmp_path / "a.jsonl"]) == read_store(path)


@pytest.mark.parametrize("content", [b"{}", b"SQLite format 3\x00 and then nothing", b"\x00" * 5000])
def test_another_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(content)
    with pytest.raises(RecordsError, match=r"a\.sqlite"):
        AnswerStore(path)
    with pytest.raises(RecordsError, match=r"a\.sqlite"):
        read_store(path)
    assert path.read_bytes() == content


def test_another_program_s_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (x)")
    before = path.read_bytes()
    for use in (AnswerStore, read_store):
        with pytest.raises(RecordsError, match="no file of answers that"):
            use(path)
    assert path.read_bytes() == before


def test_a_newer_evalkit_s_file_is_refused(tmp_path: Path) -> None:
    AnswerStore(tmp_path / "a.sqlite").close()
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as newer:
        newer.execute("PRAGMA user_version = 9")
    with pytest.raises(RecordsError, match="is of version 9"):
        read_store(tmp_path / "a.sqlite")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="is not there"):
        read_store(tmp_path / "a.sqlite")
    with pytest.raises(StoreError, match="could not be opened"):
        AnswerStore(tmp_path / "no folder" / "a.sqlite")


def test_a_damaged_file_is_called_so_and_not_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    AnswerStore(path).close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    store = AnswerStore(path)
    with pytest.raises(StoreError, match="is damaged"), store.transaction() as file:
        file.execute("SELECT * FROM raters").fetchall()
    store.close()
