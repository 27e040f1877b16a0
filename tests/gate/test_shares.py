"""A share of nothing decides nothing: such measures are set aside, unless they got worse or are named."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.errors import InputError
from evalkit.gate.decide import GateDecision, decide
from evalkit.gate.formats import words
from evalkit.gate.shares import share_of
from evalkit.gate.stats.group_sequential import Look, looks_of
from evalkit.plumbing.arrays import Array
from evalkit.suite.gate_policy import DEFAULT, Policy
from tests.sides import allowing, law, side

PAIR = [("tuned", "tuned")]
NOTHING = np.zeros(60)
SELDOM = np.where(np.arange(60) < 2, 0.3, 0.0)
"""So few prompts have anything that the mean is not shown to be above 0."""


def gated(new: dict[str, Array], old: dict[str, Array], policy: Policy = DEFAULT) -> GateDecision:
    return decide(side(new), side(old, "old"), PAIR, policy)


@pytest.mark.parametrize("old", [NOTHING, SELDOM])
def test_a_share_of_nothing_is_set_aside_with_both_means_and_the_rest_is_judged(old: Array) -> None:
    new, was = law(0)
    found = gated({"vendi": new, "self_bleu": SELDOM[::-1]}, {"vendi": was, "self_bleu": old})
    assert found.outcome == "pass"
    assert [judgement.metric for judgement in found.judgements] == ["vendi"]
    [note] = words.notes(found)
    assert f"not judged: self_bleu of tuned (0.01 against {old.mean():.3g})" in note


@pytest.mark.parametrize("new", [np.ones(60), np.linspace(0, 0.5, 60)])
def test_a_collapse_from_nothing_is_not_passed_over(new: Array) -> None:
    kept, was = law(0)
    found = gated({"vendi": kept, "self_bleu": new}, {"vendi": was, "self_bleu": NOTHING})
    assert found.outcome == "inconclusive"
    [unclear] = [judgement for judgement in found.judgements if judgement.outcome == "inconclusive"]
    assert unclear.metric == "self_bleu"
    assert "got worse" in unclear.note


def test_a_rule_that_names_it_is_refused_as_ever() -> None:
    with pytest.raises(InputError, match="allow an absolute loss"):
        gated({"self_bleu": NOTHING}, {"self_bleu": NOTHING}, allowing("self_bleu", relative=0.05))


def test_what_is_nowhere_defined_is_set_aside_and_what_one_side_lost_is_not() -> None:
    (new, was), gone = law(0), np.full(60, math.nan)
    both = gated({"vendi": new, "ead_n": gone}, {"vendi": was, "ead_n": gone})
    assert both.outcome == "pass"
    assert "not defined on any prompt" in words.notes(both)[0]
    assert gated({"vendi": new, "ead_n": gone}, {"vendi": was, "ead_n": was}).outcome == "inconclusive"


def test_where_nothing_is_left_to_judge_it_is_said() -> None:
    with pytest.raises(InputError, match="there is nothing to judge: not judged: self_bleu of tuned"):
        gated({"self_bleu": SELDOM}, {"self_bleu": NOTHING})


def test_a_run_in_blocks_sets_aside_by_all_that_the_baseline_asked() -> None:
    """Within one run the prompts to come may have what these have not, so that nothing passes on the first of them."""
    new, was = law(0)
    early = Look(looks_of([30, 60]), 0)
    first, half = side({"vendi": new, "self_bleu": NOTHING}), tuple(f"p{i}" for i in range(30))
    part = first.only(half)
    part = type(part)(part.summary, "new", look=early)
    by_saved = decide(part, side({"vendi": was, "self_bleu": NOTHING}, "old"), PAIR, DEFAULT)
    assert [judgement.metric for judgement in by_saved.judgements] == ["vendi"]
    within = decide(part, side({"vendi": was, "self_bleu": NOTHING}, "old").only(half), PAIR, DEFAULT)
    assert within.outcome == "inconclusive"
    allowed = decide(part, side({"vendi": was, "self_bleu": NOTHING + 1e-9 * new}, "old").only(half), PAIR,
                     allowing("diversity", absolute=1))  # fmt: skip
    assert {judgement.metric for judgement in allowed.judgements} == {"vendi", "self_bleu"}
    assert all("so far" not in judgement.note for judgement in allowed.judgements)
    alone = decide(type(part)(side({"self_bleu": NOTHING}).only(half).summary, "new", look=early),
                   side({"self_bleu": NOTHING}, "old").only(half), PAIR, DEFAULT)  # fmt: skip
    assert alone.outcome == "inconclusive"
    later = np.where(np.arange(60) < 30, 0.0, 0.2)
    judged = decide(part, side({"vendi": was, "self_bleu": later}, "old"), PAIR, DEFAULT)
    assert {judgement.metric for judgement in judged.judgements} == {"vendi", "self_bleu"}


@pytest.mark.parametrize(
    ("base", "share"),
    [
        ([1.0, 3.0], "of something"),  # two prompts show nothing by a test, and are above 0 all the same
        ([0.0, 0.0, 1.0], "of nothing"),
        ([-1.0, -2.0, 0.5], "of nothing"),
        ([math.nan] * 3, "of the undefined"),
        ([0.0] * 40 + [1.0] * 20, "of something"),
    ],
)
def test_of_what_it_is_a_share(base: list[float], share: str) -> None:
    assert share_of(np.array(base), (), 0.05) == share
