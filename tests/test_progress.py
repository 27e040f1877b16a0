"""Work says where it is: to people, to machines, or not at all."""

from __future__ import annotations

import io
import json

import pytest

from evalkit.progress import Bars, JsonLines, Listener, Quiet


def tell_a_story(tell: Listener) -> None:
    tell.stage("load", 1)
    tell.advance(1)
    tell.stage("sample [red]x", 10)
    tell.advance(4, 100)
    tell.note("[bold]mind[/bold]")
    tell.advance(6, 50)
    tell.close()


def test_json_lines_are_json_and_end_each_stage_whole() -> None:
    stream = io.StringIO()
    tell_a_story(JsonLines(stream))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    done = {event["stage"]: event["done"] for event in events if event["event"] == "progress"}
    assert done == {"load": 1, "sample [red]x": 10}
    assert events[-1]["tokens_per_second"] > 0
    assert {"event": "note", "text": "[bold]mind[/bold]"} in events


def test_quiet_says_notes_only(capsys: pytest.CaptureFixture[str]) -> None:
    tell_a_story(Quiet())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "note: [bold]mind[/bold]\n"


def test_bars_show_stages_rates_and_notes_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    tell_a_story(Bars())
    shown = capsys.readouterr().err
    assert "sample [red]x" in shown
    assert "10/10" in shown
    assert "tokens/s" in shown
    assert "note: [bold]mind[/bold]" in shown


def test_closing_twice_does_no_harm() -> None:
    bars = Bars()
    bars.close()
    bars.close()
