"""Arrays say what annotations said, whichever way round a pair was written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evalkit.preferences.agreement.ratings import as_annotations, gold_passed, ratings_of
from evalkit.preferences.annotation import SWAPPED, Annotation, Comparison
from evalkit.preferences.from_annotations import as_preference
from evalkit.preferences.pairs import Pair
from evalkit.records import Prompt
from tests.preferences.annotations import honest, labelled

RATERS = {("x", "1"): honest(), ("x", "2"): honest(ties=0.3), ("y", "1"): honest(-1)}


def turned(row: Annotation) -> Annotation:
    """The same answer, of a pair written the other way round."""
    pair = row.comparison.pair
    comparison = Comparison(Pair(pair.prompt, pair.b, pair.a))
    return replace(row, comparison=comparison, choice=SWAPPED[row.choice], first="b" if row.first == "a" else "a")


def test_which_completion_a_file_calls_a_changes_nothing() -> None:
    rows = labelled(RATERS, 30, repeats=0.5)
    one, other = ratings_of(rows), ratings_of([turned(row) if i % 2 else row for i, row in enumerate(rows)])
    assert one.pairs == other.pairs
    for name in ("answers", "again", "left", "seconds"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_arms_have_no_part_in_chance() -> None:
    """Who always prefers the tuned arm, which is always b, does not by that agree by chance."""
    rows = labelled({("x", "1"): lambda *_: "b"}, 400, repeats=0)
    share = (ratings_of(rows).answers == 0).mean()
    assert 0.4 < share < 0.6


def test_one_name_in_two_groups_is_two_raters() -> None:
    ratings = ratings_of(labelled(RATERS, 5))
    assert list(zip(ratings.groups, ratings.raters, strict=True)) == [("x", "1"), ("x", "2"), ("y", "1")]
    assert ratings.members("x").tolist() == [0, 1]


def test_a_repeat_is_consistent_where_the_same_completion_won() -> None:
    rows = labelled({("x", "1"): honest()}, 50, repeats=1)
    ratings = ratings_of(rows)
    firsts = [row.choice for row in rows if not row.is_repeat]
    seconds = [row.choice for row in rows if row.is_repeat]
    assert ratings.consistent[0].tolist() == [one == two for one, two in zip(firsts, seconds, strict=True)]


def test_checks_skips_and_the_excluded_are_no_votes() -> None:
    rows = labelled({("x", "1"): honest()}, 4, repeats=0)
    check = replace(rows[0].comparison, gold="a")
    rows[0] = replace(rows[0], comparison=check, choice="a")
    rows[1] = replace(rows[1], choice="skip")
    rows.append(replace(rows[1], comparison=replace(rows[1].comparison, gold="b")))
    rows[2] = replace(rows[2], is_excluded=True)
    ratings = ratings_of(rows)
    assert len(ratings.pairs) == 1
    assert gold_passed(rows, ratings).tolist() == [[1.0]]


def test_preferences_that_name_their_raters_are_annotations() -> None:
    rows = labelled(RATERS, 20, repeats=0.5)
    told = as_annotations([as_preference(row) for row in rows])
    one, other = ratings_of(rows), ratings_of(told)
    for name in ("answers", "again", "left", "seconds"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert as_annotations([replace(as_preference(rows[0]), rater=None)]) == []


def test_a_conversation_is_another_pair_than_its_transcript() -> None:
    from evalkit.records import Message

    row = labelled({("x", "1"): honest()}, 1, repeats=0)[0]
    prompt = Prompt(
        "p", "Say 0.", messages=(Message("user", "Hm?"), Message("assistant", "?"), Message("user", "Say."))
    )
    talk = replace(row, comparison=Comparison(replace(row.comparison.pair, prompt=prompt)))
    assert len(ratings_of([row, talk]).pairs) == 2
