"""The list of metrics can be read in a terminal of 80 columns, and a program gets a metric a line."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from evalkit.cli.metric_list import catalogue
from evalkit.metrics.registry import definitions

KNOWN = definitions()


@pytest.mark.parametrize("width", [40, 80, 100])
def test_no_word_is_broken_and_nothing_is_lost(width: int) -> None:
    lines = catalogue(KNOWN.values(), width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for definition in KNOWN.values():
        assert definition.name in words
        assert " ".join(definition.summary.split()) in " ".join(words)


def test_a_sentence_is_not_broken_every_few_letters() -> None:
    assert len(catalogue(KNOWN.values(), 80)) <= 4 * len(KNOWN)


def test_a_wide_terminal_and_a_pipe_have_a_metric_a_line() -> None:
    table = catalogue(KNOWN.values(), None)
    assert table == catalogue(KNOWN.values(), 1000)
    assert len(table) == 1 + len(KNOWN)
    row = next(line for line in table if line.startswith("self_bleu "))
    assert row.split()[1:4] == ["lower", "BLEU", "n=4,"]
    assert row.endswith(KNOWN["self_bleu"].summary)


def test_the_command_keeps_to_the_terminal_and_tells_a_pipe_whole_lines() -> None:
    command = [sys.executable, "-m", "evalkit", "metrics"]
    piped = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert piped == catalogue(KNOWN.values(), None)
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs, env=os.environ | {"COLUMNS": "80"}) as child:
        os.close(theirs)
        shown = b""
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            while chunk := _read(terminal.fileno()):
                shown += chunk
    assert child.returncode == 0
    assert shown.decode().split("\r\n")[:-1] == catalogue(KNOWN.values(), 80)


def _read(terminal: int) -> bytes:
    """Linux tells the end of a terminal by an error."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""
