from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.preferences.annotation import Annotation, Choice
from evalkit.preferences.people import people
from evalkit.records import Arm
from tests.preferences.cast import run, vote

ARMS = (Arm("base", "base", "base", None, None), Arm("tuned", "tuned", "tuned", None, "base"))
GROUPS = run(3, 2)
SCORES = {
    "reward|model:lab:reward": {arm: [[0.0, 1.0]] * 3 for arm in GROUPS},
    "nobody_knows": {"base": [[0.0, 1.0]] * 3},
}


def on_run(prompt: str, choice: Choice, rater: str = "r", drawn: tuple[int, int] = (0, 0)) -> Annotation:
    """A vote on what the run drew."""
    at, (own, others) = int(prompt.removeprefix("p")), drawn
    texts = GROUPS["tuned"][at].texts[own], GROUPS["base"][at].texts[others]
    return vote(prompt, choice, rater, drawn=drawn, a=texts[0], b=texts[1])


def test_votes_are_counted_by_what_they_are_on() -> None:
    said = [
        on_run("p0", "a", "x"), on_run("p0", "a", "y"), on_run("p0", "b", "z"),
        on_run("p1", "skip", "x"),
        vote("p1", "a", "x", arms=("other", "base"), b=GROUPS["base"][1].texts[0]),
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
    said = [
        on_run(f"p{at}", choice, rater) for at in range(3) for rater, choice in (("x", "a"), ("y", "a"), ("z", "b"))
    ]
    found = people([*said, on_run("p0", "a", "zz", drawn=(1, 1))], ARMS, GROUPS, {})
    assert found is not None
    assert (found.raters, found.agreed.raters) == (4, 3)
    assert found.agreed.value == pytest.approx(1 / 3)


def test_votes_on_the_completions_of_another_run_are_left_out_though_its_arms_have_the_same_names() -> None:
    mine, theirs = on_run("p0", "a", "x"), vote("p0", "b", "x", a="of another run", b="so is this")
    gone, unnamed = on_run("p1", "b", "x"), vote("p2", "a", "x", drawn=None)
    fewer = {arm: [group for group in GROUPS[arm] if group.prompt.id != "p1"] for arm in GROUPS}
    found = people([mine, theirs, gone, unnamed], ARMS, fewer, {})
    assert found is not None
    assert (found.labels, found.unknown) == (2, 2)
    assert people([theirs, gone], ARMS, fewer, {}) is None


def test_a_pair_read_from_a_store_and_from_its_export_is_one_pair() -> None:
    """Files of annotations do not hold a prompt's answer."""
    one, two = on_run("p0", "a", "x"), on_run("p0", "a", "y")
    answered = replace(one.comparison.pair.prompt, answer="42", match="regex")
    stored = replace(one, comparison=replace(one.comparison, pair=replace(one.comparison.pair, prompt=answered)))
    found = people([stored, two], ARMS, GROUPS, {})
    assert found is not None
    assert found.rates[0].pairs == 1
