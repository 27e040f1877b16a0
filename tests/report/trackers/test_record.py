"""What trackers are told is bounded, and named so that each of them takes it."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from evalkit.report.trackers.record import LONGEST_NAME, Table, flat, unique_names
from tests.report.trackers.told import training_told


@given(
    st.lists(st.text("aB7_ü|:/. -", max_size=6) | st.text("x/", min_size=240, max_size=300), unique=True, max_size=12)
)
def test_every_name_stays_one_of_its_own_and_is_plain(names: list[str]) -> None:
    made = unique_names(names)
    assert list(made) == names
    assert len(set(made.values())) == len(names)
    assert all(re.fullmatch(r"[\w./-]+", name) and len(name) <= LONGEST_NAME for name in made.values())
    assert not any("//" in name or name.startswith("/") for name in made.values())


def test_a_plain_name_is_left_alone() -> None:
    assert unique_names(["estimate/tuned/distinct_n"]) == {"estimate/tuned/distinct_n": "estimate/tuned/distinct_n"}


def test_names_that_would_become_one_are_told_apart() -> None:
    assert unique_names(["a|b", "a:b", "a_b"]) == {"a|b": "a_b", "a:b": "a_b_2", "a_b": "a_b_3"}


def test_a_table_says_how_many_rows_it_leaves_out() -> None:
    table = Table(("prompt_id",), (("a",), ("b",), ("c",)))
    assert table.first(2) == ([("a",), ("b",)], "the table holds the first 2 of 3 rows")
    assert table.first(3) == ([("a",), ("b",), ("c",)], "")


def test_settings_are_laid_flat_and_no_more_than_asked_for() -> None:
    config = {"suite": {"n": 4, "name": "x", "stop": ["a"], "none": None, "empty": {}}}
    assert flat(config, 9) == {
        "suite.n": "4", "suite.name": "x", "suite.stop": '["a"]', "suite.none": "null", "suite.empty": "{}",
    }  # fmt: skip
    assert list(flat(config, 2)) == ["suite.n", "suite.name"]


def test_curves_go_along_their_own_axis_without_what_is_undefined() -> None:
    told = training_told(Path("x"))
    assert told.counted == "update"
    assert list(told.points())[1:3] == [(1, {"reward": 0.25, "kl": 0.5}), (2, {"reward": 0.5})]
