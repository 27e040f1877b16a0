from __future__ import annotations

import pytest

from evalkit.preferences.people import people
from evalkit.records import Arm
from tests.preferences.cast import run, vote

ARMS = (Arm("base", "base", "base", None, None), Arm("tuned", "tuned", "tuned", None, "base"))
GROUPS = run(3, 2)
SCORES = {
    "reward|model:lab:reward": {arm: [[0.0, 1.0]] * 3 for arm in GROUPS},
    "nobody_knows": {"base": [[0.0, 1.0]] * 3},
}


def test_votes_are_counted_by_what_they_are_on() -> None:
    said = [
        vote("p0", "a", "x"), vote("p0", "a", "y"), vote("p0", "b", "z"),
        vote("p1", "skip", "x"),
        vote("p1", "a", "x", arms=("other", "base")),
    ]  # fmt: skip
    found = people(said, ARMS, GROUPS, SCORES)
    assert found is not None
    assert (found.labels, found.raters, found.aside, found.unknown) == (3, 3, 1, 1)
    assert (found.agreed.value, found.agreed.pairs) == (pytest.approx(1 / 3), 1)
    assert [rate.proxy for rate in found.proxies] == ["reward|model:lab:reward"]
    assert found.standings is not None  # base, tuned and another


def test_nobody_was_asked() -> None:
    assert people([vote("p0", "skip"), vote("p0", "a", arms=None)], ARMS, GROUPS, SCORES) is None


def test_raters_who_share_no_pair_with_others_do_not_stop_the_agreement_of_those_who_do() -> None:
    """The last raters have no couple of answers: there were three who agreed on pairs, and one alone."""
    said = [vote(f"p{at}", choice, rater) for at in range(3) for rater, choice in (("x", "a"), ("y", "a"), ("z", "b"))]
    found = people([*said, vote("p0", "a", "zz", drawn=(1, 1), a="three", b="four")], ARMS, GROUPS, {})
    assert found is not None
    assert (found.raters, found.agreed.raters) == (4, 3)
    assert found.agreed.value == pytest.approx(1 / 3)
