"""A page becomes a file: one encoding, one way to write it, one error where that fails."""

from __future__ import annotations

from pathlib import Path

from evalkit.plumbing.files import write_file


def page_bytes(page: str) -> bytes:
    """A page as UTF-8. Half of a surrogate pair, which models may write and which is no text, becomes `?`."""
    return page.encode("utf-8", "replace")


def write_page(path: Path, page: str) -> None:
    """Write a page, whole or not at all. Raises `StoreError`; `path` is then as it was."""
    write_file(path, page_bytes(page))
