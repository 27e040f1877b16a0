"""Files of rows from elsewhere: what is foreign, broken, doubled or without end gets one line that says what to do."""

from __future__ import annotations

import bz2
import io
import lzma
import os
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.errors import RecordsError
from evalkit.plumbing import jsonl
from evalkit.plumbing.jsonl import jsonl_rows
from evalkit.plumbing.strangers import check_file, refuse_stranger
from evalkit.plumbing.tables import csv_objects, parquet_objects

ROW = b'{"a": 1}\n'


def tar() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jsonl"))
    return sink.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (bz2.compress(ROW), "compressed by bzip2; unpack it"),
        (lzma.compress(ROW), "compressed by xz; unpack it"),
        ('{"a": 1}'.encode("utf-16"), "is UTF-16 and not UTF-8"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page"),
        (tar(), "is a tar archive"),
        ('{"a": 1}'.encode("utf-16-le"), ":1: not valid JSON: it holds bytes of value 0"),
        (b'{"a": ' + b"9" * 5000 + b"}", ":1: not valid JSON: a whole number in it has thousands of digits"),
        (b"[" * 100_000, ":1: not valid JSON: lists or objects in it are nested too deeply"),
    ],
)
def test_what_is_no_jsonl_says_what_it_is(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordsError) as caught:
        list(jsonl_rows(path))
    assert told in str(caught.value)
    assert "sys." not in str(caught.value)


def test_rows_that_begin_like_a_stranger_are_none(tmp_path: Path) -> None:
    refuse_stranger(tmp_path, b"prompt,completion\n<html>,x\n")
    refuse_stranger(tmp_path, b"\xef\xbb\xbf" + ROW)


def test_a_line_without_end_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "LONGEST", 1 << 20)
    path = tmp_path / "t.jsonl"
    path.write_bytes(ROW + b'{"a": "' + b"x" * (1 << 20) + b'"}\n')
    with pytest.raises(RecordsError, match=r"t\.jsonl:2: the line has more than 1 MiB"):
        list(jsonl_rows(path))


def test_places_that_are_no_files_are_named_and_never_waited_for(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    cases = {"": "is a folder", "loop": "symbolic links", "pipe": "is a pipe or a device", "a" * 300: "name too long",
             "none": "there is no file", "a\0b": "null byte"}  # fmt: skip
    for name, told in cases.items():
        with pytest.raises(RecordsError, match=rf"(?i){told}"):
            check_file(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a,b,a\n1,2,3\n", "two columns are called 'a'"),
        (b"a,b\r1,2\r", "a line ends in a carriage return alone"),
        (b'a,b\n1,"2\n', "row 1 is no CSV: a double quote is opened and not closed"),
        (b"a,b\n1,2,3\n", "row 1 has 3 cells under a header of 2"),
    ],
)
def test_broken_csv_is_refused_in_words_that_name_no_function_of_python(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(RecordsError, match=told) as caught:
        list(csv_objects(path))
    assert "universal-newline" not in str(caught.value)


@pytest.mark.parametrize("before", [b"", b"\n\r\n", b"sep=;\r\n", b"\xef\xbb\xbf"])
def test_blank_lines_and_excels_own_line_stand_before_a_header(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(before + b"a;b\r\n1;2,3\r\n")
    assert [row for _, row in csv_objects(path)] == [{"a": "1", "b": "2,3"}]


def test_parquet_with_doubled_columns_and_times_beyond_all_years_gets_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(RecordsError, match="two columns are called 'a'"):
        list(parquet_objects(path))
    pq.write_table(pa.table({"a": pa.array([2**55], pa.timestamp("ms"))}), path)
    with pytest.raises(RecordsError, match="cannot be read: date value out of range"):
        list(parquet_objects(path))
