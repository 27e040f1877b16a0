"""What strangers wrote cannot steer a terminal, and stays readable where it does not try to."""

from __future__ import annotations

import pytest
from rich.console import Console

from evalkit.plumbing.progress import Lines
from evalkit.plumbing.terminal import visible, visible_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("new\u202egnp", r"new\u202egnp"),
        ("n\u200bew", r"n\u200bew"),
        ("\x1b[2Jx\r\x07", r"\x1b[2Jx\r\x07"),
        ("\ud800", r"\ud800"),
        ("a\u2028b\u2066c", r"a\u2028b\u2066c"),
        ("95\u00a0% of naïve 日本 שלום\n\tnext", "95\u00a0% of naïve 日本 שלום\n\tnext"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_signs_that_steer_or_hide_are_shown_as_escapes_and_letters_as_they_are(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_rich_shows_the_same_without_markup() -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(visible_text("[red]\u202ex"))
    assert captured.get() == "[red]\\u202ex\n"


def test_notes_are_visible(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().note("arm '\u202eold'")
    assert capsys.readouterr().err == "note: arm '\\u202eold'\n"
