"""What a training says of its raters' disagreement is what stated utilities make it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.plumbing.progress import Quiet
from evalkit.preferences.agreement.ratings import ratings_of
from evalkit.preferences.annotation_files import write_annotation_rows
from evalkit.preferences.files import read_preferences
from evalkit.preferences.from_annotations import as_preference
from evalkit.preferences.pairs import Pair
from evalkit.preferences.preference import Preference
from evalkit.records import Prompt
from evalkit.training.group_disagreement import (
    Margins,
    between_groups,
    keep_margins,
    parted_by_models,
    parted_by_votes,
    ratings_in,
)
from evalkit.training.output.disagreement_tables import tables_of
from evalkit.training.raters.config import SimulatedLabelling
from evalkit.training.raters.simulate import annotate_pairs
from evalkit.training.raters.values import Values, value_pairs
from tests.preferences.annotations import honest, labelled
from tests.preferences.pairs import config

GROUPS = {
    "long": {"values": {"utility": {"words": 0.5}}, "raters": 6},
    "short": {"values": {"utility": {"words": -0.5}}, "raters": 6},
}


def test_noise_and_values_are_those_of_the_stated_utilities() -> None:
    """Of groups without personal taste all is known: noise 2 p (1 - p), values the rest, whoever is asked."""
    lengths = np.random.default_rng(0).integers(1, 8, (200, 2))
    pairs = [
        Pair(Prompt(f"p{i % 20}", f"Say {i % 20}."), f"a{i}" + " a" * a, f"b{i}" + " b" * b)
        for i, (a, b) in enumerate(lengths)
    ]
    p = 1 / (1 + np.exp(-0.5 * (lengths[:, 0] - lengths[:, 1])))
    noise = (2 * p * (1 - p)).mean()
    truth = {"total": (p**2 + (1 - p) ** 2).mean(), "noise": noise, "persons": 0.0, "values": ((2 * p - 1) ** 2).mean()}
    values = value_pairs(config(GROUPS).groups, pairs, Quiet())
    found = [_parts(pairs, values, seed) for seed in range(8)]
    for part, value in truth.items():
        assert np.mean([row[part]["value"] for row in found]) == pytest.approx(value, abs=0.02), part
    held = [row[part]["low"] <= value <= row[part]["high"] for row in found for part, value in truth.items()]
    assert sum(held) >= 28  # of 32: fewer in 2 of 100 cases if each holds in 95
    assert all(row["values"]["low"] > 0.1 for row in found)


def _parts(pairs: list[Pair], values: Values, seed: int) -> dict[str, Any]:
    asked, labelling = config(GROUPS, every_group=True, seed=seed), SimulatedLabelling(overlap=3, repeats=0.5)
    [found] = between_groups(ratings_of(annotate_pairs(asked, labelling, pairs, values, Quiet())))
    return found


def test_annotations_are_learned_as_votes_and_repeats_only_tell_the_noise(tmp_path: Path) -> None:
    rows = labelled({("x", "1"): honest(), ("y", "2"): honest(-1)}, 30, repeats=0.5)
    write_annotation_rows(tmp_path / "annotations.jsonl", rows)
    notes: list[str] = []
    learned = read_preferences([tmp_path / "annotations.jsonl"], notes.append)
    assert learned == [as_preference(row) for row in rows if not row.is_repeat]
    assert f"{sum(row.is_repeat for row in rows)} repeated" in notes[0]
    assert (ratings_in([str(tmp_path / "annotations.jsonl")]).again >= 0).sum() == sum(row.is_repeat for row in rows)


def test_the_prompt_on_which_votes_part_stands_first(tmp_path: Path) -> None:
    """Two groups of one mind, but for prompt p3."""
    rows = labelled({("x", f"x{n}"): honest(9) for n in range(4)} | {("y", f"y{n}"): honest(9) for n in range(4)}, 60)
    turned = {"a": "b", "b": "a"}
    rows = [
        row if row.group == "x" or row.comparison.pair.prompt_id != "p3" else type(row)(
            row.comparison, row.rater, row.group, turned[row.choice], row.first, row.seconds, "", is_repeat=row.is_repeat
        )
        for row in rows
    ]  # fmt: skip
    write_annotation_rows(tmp_path / "a.jsonl", rows)
    first, second, *_ = parted_by_votes(ratings_in([str(tmp_path / "a.jsonl")]))
    assert (first["name"], first["by"], first["groups"]) == ("p3", "prompt", ["x", "y"])
    assert first["low"] > second["high"]


def test_models_part_where_their_margins_do_and_each_pair_is_told_once(tmp_path: Path) -> None:
    preferences = [
        Preference("Say.", "one", "two", prompt_id="p"),
        Preference("Say.", "two", "one", prompt_id="p"),  # the same pair, another vote
        Preference("Sing.", "la", "lo", prompt_id="q"),
    ]
    for group, log_odds in (("x", [2.0, -2.0, 1.0]), ("y", [-2.0, 2.0, 1.0])):
        (tmp_path / f"reward-{group}.work").mkdir()
        keep_margins(tmp_path / f"reward-{group}", Margins([0, 1, 2], log_odds))
    found = parted_by_models({group: tmp_path / f"reward-{group}" for group in "xy"}, preferences)
    sure = 1 / (1 + math.exp(-2))
    assert [(row["prompt"], row["a"]) for row in found["pairs"]] == [("p", "one"), ("q", "la")]
    assert found["pairs"][0]["prefers_a"] == pytest.approx([sure, 1 - sure])
    assert [row["value"] for row in found["prompts"]] == pytest.approx([2 * sure - 1, 0])
    tables = tables_of({"models": found})
    assert [len(table.rows) for table in tables] == [2, 2]
    assert tables[1].rows[0][-1] == "x 88%, y 12%"


def test_a_model_whose_margins_were_not_kept_is_passed_over(tmp_path: Path) -> None:
    assert parted_by_models({"x": tmp_path / "x", "y": tmp_path / "y"}, []) == {"prompts": [], "pairs": []}
    assert tables_of({}) == []
