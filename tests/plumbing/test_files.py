from __future__ import annotations

import errno
from pathlib import Path

import pytest

from evalkit.errors import StoreError
from evalkit.plumbing.files import unwritten, write_file, writing


def test_a_file_is_written_over_what_was_there_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old and longer")
    write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_place_that_is_no_folder_is_one_line_of_what_where_why_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as told:
        write_file(tmp_path / "no" / "a", b"x")
    place = tmp_path / "no" / "a"
    assert str(told.value) == (
        f"{place} could not be written: No such file or directory; choose a place in a folder that is there"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "No space left on device; make room and give the same command again",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied; choose a place that you may write to"),
        (
            IsADirectoryError(errno.EISDIR, "Is a directory"),
            "Is a directory; make room or choose another place, and give the same command again",
        ),
        (
            RuntimeError("disk (os error 28)"),
            "disk (os error 28); make room or choose another place, and give the same command again",
        ),
    ],
    ids=["a full disk", "a folder of others", "a folder in its place", "a library's own words"],
)
def test_each_reason_has_its_remedy(error: Exception, told: str) -> None:
    assert str(unwritten(Path("a"), error)) == f"a could not be written: {told}"


def test_what_is_kept_is_said_before_what_to_do() -> None:
    with (
        pytest.raises(StoreError, match=r"^a could not be written: full; the rows before are kept; make room and "),
        writing(Path("a"), "the rows before are kept"),
    ):
        raise OSError(errno.ENOSPC, "full")


def test_only_errors_of_the_system_are_taken_for_a_file_that_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="no number"), writing(Path("a")):
        raise ValueError("no number")


def test_a_rename_that_happened_although_its_reply_was_lost_is_a_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Path.replace

    def over_nfs(part: Path, path: Path) -> Path:
        really(part, path)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(Path, "replace", over_nfs)
    write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_rename_that_did_not_happen_leaves_the_old_file_and_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(part: Path, path: Path) -> Path:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", lost)
    with pytest.raises(StoreError, match="could not be written: No such file"):
        write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
