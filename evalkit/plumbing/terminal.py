"""Text from strangers in a terminal: no name may move its cursor, turn the direction of a line, or hide."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's general categories of controls, directions and signs without width, lone surrogates, line separators."""
KEPT = ("\n", "\t", "\u200c", "\u200d")
"""What breaks our own lines, and what joins or parts letters and emoji, as scripts need it."""


def visible(text: str) -> str:
    r"""The text with an escape such as `\u202e` in place of each sign that steers a terminal or is not seen."""
    return "".join(map(_visible, text)) if not text.isprintable() else text


def visible_text(text: str, style: str = "", *, no_wrap: bool | None = None) -> Text:
    """The same for rich, without markup."""
    from rich.text import Text

    return Text(visible(text), style=style, no_wrap=no_wrap)


def _visible(sign: str) -> str:
    is_seen = sign in KEPT or unicodedata.category(sign) not in UNSEEN
    return sign if is_seen else ascii(sign)[1:-1]
