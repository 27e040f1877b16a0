"""A page is written whole or not at all, in UTF-8 whatever a model wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import StoreError
from evalkit.report.html.page_file import page_bytes, write_page


def test_a_page_is_utf8_and_half_a_surrogate_pair_is_a_question_mark(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", "<p>√\ud800</p>")
    assert (tmp_path / "page.html").read_bytes() == "<p>√?</p>".encode() == page_bytes("<p>√\ud800</p>")


def test_a_page_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    write_page(page, "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"page\.html could not be written: No space left on device; make room"):
        write_page(page, "new")
    assert page.read_text() == "old"
    assert list(tmp_path.iterdir()) == [page]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    said = r"gone/page\.html could not be written: No such file or directory; choose a place in a folder that is there$"
    with pytest.raises(StoreError, match=said):
        write_page(tmp_path / "gone" / "page.html", "")
