from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import RecordsError
from evalkit.preferences.annotate.run_pairs import read_run_pairs
from tests.finished import PROMPTS, finished_run
from tests.preferences.annotate.runs import run_pairs


def test_each_draw_of_an_arm_stands_beside_each_of_its_baseline() -> None:
    pairs = run_pairs(n=3, prompts=4)
    assert pairs.size("best") == 4 * 3 * 3
    assert pairs.equal("best") == 4
    one = pairs.comparison("best", 9 + 3 * 1 + 2)
    assert (one.pair.prompt_id, one.pair.a, one.pair.b) == ("p1", "best 1 1", "base 1 2")
    assert one.arms == ("best", "base")
    assert one.sample_indices == (2, 4)


def test_a_pair_s_number_is_found_again() -> None:
    pairs = run_pairs()
    for number in range(pairs.size("other")):
        one = pairs.comparison("other", number)
        assert one.sample_indices is not None
        assert pairs.number("other", one.pair.prompt_id, *one.sample_indices) == number
    assert pairs.number("other", "p0", 1, 0) is None
    assert pairs.number("other", "elsewhere", 0, 0) is None


def test_a_finished_run_s_pairs_are_its_completions(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", {"base": 8, "tuned": 3}, metrics=["length"])
    pairs = read_run_pairs(run)
    assert pairs.arms == ["tuned"]
    assert pairs.baselines == {"tuned": "base"}
    assert pairs.size("tuned") == len(PROMPTS) * 4 * 4
    one = pairs.comparison("tuned", 5)
    own, other = pairs.groups["tuned"][0], pairs.groups["base"][0]
    assert (one.pair.a, one.pair.b) == (own.texts[1], other.texts[1])


def test_a_run_of_one_checkpoint_is_refused(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", {"base": 8}, metrics=["length"])
    with pytest.raises(RecordsError, match="nothing to choose between"):
        read_run_pairs(run)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match=r"has no run\.json"):
        read_run_pairs(tmp_path)
