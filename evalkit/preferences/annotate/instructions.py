"""What the owner tells raters: a file of Markdown or plain text, as HTML that can do nothing."""

from __future__ import annotations

import html
from pathlib import Path

from markdown_it import MarkdownIt

from evalkit.errors import RecordsError
from evalkit.plumbing.prose import showable
from evalkit.plumbing.strangers import check_file

LONGEST = 100_000
"""Bytes of instructions; nobody reads more."""


def read_instructions(path: Path) -> str:
    """HTML of the file: Markdown where it is named `.md` or `.markdown`, else its text as it stands.

    HTML in it is shown as text, and pictures as their words. Raises `RecordsError`.
    """
    check_file(path)
    try:
        content = path.read_bytes()
        text = showable(content.decode("utf-8-sig"))
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecordsError(f"{path} is not UTF-8; save the file as UTF-8") from None
    if len(content) > LONGEST:
        raise RecordsError(f"{path} has {len(content):,} bytes; instructions have at most {LONGEST:,}")
    if path.suffix.lower() in (".md", ".markdown"):
        return _from_markdown(text)
    return f'<div class="as-written">{html.escape(text)}</div>'


def _from_markdown(text: str) -> str:
    # `html: False` escapes HTML; the parser itself refuses links to javascript:, vbscript:, file: and most of data:.
    made: str = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image").render(text)
    return made
