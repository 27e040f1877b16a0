"""`evalkit prefs stats` says who answered and whom to doubt, to people and to programs; mistakes are lines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.cli.prefs import prefs
from evalkit.preferences.annotation_files import write_annotation_rows
from tests.preferences.annotations import always_left, honest, labelled

RATERS = {(group, f"{group}{n}"): honest(sign) for group, sign in (("x", 1), ("y", -1)) for n in range(4)}


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["prefs", "stats", *map(str, words)], catch_exceptions=False)


def test_the_figures_are_told_to_people_and_to_programs(tmp_path: Path) -> None:
    assert "stats" in prefs.commands
    path = tmp_path / "annotations.jsonl"
    write_annotation_rows(path, labelled(RATERS | {("x", "lazy"): always_left}, 120, repeats=0.2))
    told = call(path)
    assert told.exit_code == 0
    assert "1,080 answers of 9 raters in 2 groups to 120 pairs; 0 skipped, 0 of excluded raters" in told.stdout
    assert "x: lazy: always left" in told.stdout
    found = json.loads(call(path, "--json").stdout)
    [between] = found["between"]
    assert between["groups"] == ["x", "y"]
    assert between["disagreement"]["values"]["low"] > 0.05
    assert between["cohen"]["high"] < 0 < found["within"][2]["krippendorff"]["low"]
    assert [doubt["rater"] for doubt in found["doubts"]] == ["lazy"]
    lazy = next(row for row in found["raters"] if row["rater"] == "lazy")
    assert (lazy["left"]["value"], lazy["consistent"]["value"]) == (1, 0)
    assert found["everybody"]["gold"]["value"] is None


def test_names_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "annotations.jsonl"
    write_annotation_rows(path, labelled({("[bold]g", "[red]r\x1b[2J"): honest()}, 3))
    told = call(path).stdout
    assert "[bold]g" in told
    assert "\x1b[2J" not in told


def test_a_mistake_is_a_line(tmp_path: Path) -> None:
    missing = call(tmp_path / "no.jsonl")
    assert (missing.exit_code, "there is no file" in missing.output) == (2, True)
    path = tmp_path / "annotations.jsonl"
    write_annotation_rows(path, [replace(row, choice="skip") for row in labelled(RATERS, 2)])
    empty = call(path)
    assert (empty.exit_code, "there are no votes" in empty.output) == (2, True)
