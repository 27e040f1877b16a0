"""Work says where it is: to people, to machines, or not at all."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evalkit.plumbing.progress import Bars, JsonLines, Lines, Listener, Quiet, Scaled


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


def test_lines_are_one_at_each_end_of_a_stage() -> None:
    stream = io.StringIO()
    tell_a_story(Lines(stream))
    told = re.sub(r"[\d,.]+ (s|tokens)\b", r"N \1", stream.getvalue())
    assert told.splitlines() == [
        "load: begins",
        "load: done after N s",
        "sample [red]x: begins",
        "note: [bold]mind[/bold]",
        "sample [red]x: done after N s, N tokens/s",
    ]


def test_lines_say_now_and_then_how_far_a_long_stage_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("evalkit.plumbing.progress.time.monotonic", lambda: now)
    stream = io.StringIO()
    tell = Lines(stream)
    tell.stage("sample", 2000)
    for _ in range(1500):
        now += 1 / 64
        tell.advance(1, 10)
    tell.close()
    assert stream.getvalue().splitlines() == [
        "sample: begins",
        "sample: 640 of 2,000 (32%), 640 tokens/s, 0:00:21 left",
        "sample: 1,280 of 2,000 (64%), 640 tokens/s, 0:00:11 left",
        "sample: left at 1,500 of 2,000 after 23.4 s, 640 tokens/s",
    ]


def test_redirected_output_is_plain_lines(tmp_path: Path) -> None:
    """Not the frames of a bar: no escape sequences, no line that is drawn over."""
    row = {"prompt_id": "a", "prompt": "?", "completions": ["one word", "two words"]}
    (tmp_path / "t.jsonl").write_text(json.dumps(row), encoding="utf-8")
    command = [sys.executable, "-m", "evalkit", "score", "t.jsonl", "--metrics", "distinct_n"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert lines[lines.index("measure: begins") - 1].startswith("look over: done after ")
    assert re.fullmatch(r"measure: done after \d+\.\d s", lines[lines.index("measure: begins") + 1])
    assert "\x1b" not in done.stderr + done.stdout
    assert "━" not in done.stderr


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


def test_time_left_goes_by_the_share_of_time_where_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short texts come first: half of them are a quarter of the work. The stage after it begins anew."""
    now = 0.0
    monkeypatch.setattr("evalkit.plumbing.progress.time.monotonic", lambda: now)
    stream, lines = io.StringIO(), io.StringIO()
    for tell in (JsonLines(stream), Lines(lines), Bars()):
        now = 0.0
        tell.stage("sample", 8)
        now = 10.0
        tell.reached(0.25)
        tell.advance(4)
        tell.stage("measure", 8)
        now = 20.0
        tell.advance(4)
        tell.close()
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["seconds_left"] for event in told if event["done"] == 4][::2] == [30.0, 10.0]
    assert "sample: 4 of 8 (50%), 0:00:30 left" in lines.getvalue()


def test_time_left_is_by_what_the_stage_took_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("evalkit.plumbing.progress.time.monotonic", lambda: now)
    stream = io.StringIO()
    tell = JsonLines(stream)
    tell.stage("sample", 8)
    for _ in range(8):
        now += 2
        tell.advance(1)
    left = [json.loads(line).get("seconds_left") for line in stream.getvalue().splitlines()]
    assert left == [None, 14, 12, 10, 8, 6, 4, 2, None]


def test_time_left_leaves_out_what_loading_took(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("evalkit.plumbing.progress.time.monotonic", lambda: now)
    lines, json_lines = io.StringIO(), io.StringIO()
    for tell in (Lines(lines), JsonLines(json_lines)):
        tell.stage("score", 10)
        now += 100
        tell.ready()
        now += 20
        tell.advance(2)
        tell.ready()  # another model, in the middle: not told apart
        now += 20
        tell.advance(2)
    told = [json.loads(line) for line in json_lines.getvalue().splitlines()]
    assert [(event["seconds"], event.get("seconds_left")) for event in told] == [(0, None), (120, 80), (140, 60)]
    assert [line.split(", ")[-1] for line in lines.getvalue().splitlines()[1:]] == ["0:01:20 left", "0:01:00 left"]


def test_a_bar_leaves_out_what_loading_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("evalkit.plumbing.progress.time.monotonic", lambda: now)
    bars = Bars()
    bars._progress.get_time = lambda: now  # type: ignore[method-assign]
    bars.ready()  # before there is any stage
    bars.stage("score", 10)
    now += 100
    bars.ready()
    now += 20
    bars.advance(2)
    bars.close()
    assert "0:01:20 left" in capsys.readouterr().err


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(0, 500))
def test_scaled_units_are_all_told_and_evenly(amounts: list[int], whole: int) -> None:
    assume(sum(amounts))
    told: list[int] = []
    advance = Scaled(told.append, sum(amounts), whole)
    for amount in amounts:
        advance(amount)
        done = sum(amounts[: len(told)])
        assert sum(told) <= whole * done / sum(amounts) < sum(told) + 1
    assert sum(told) == whole
