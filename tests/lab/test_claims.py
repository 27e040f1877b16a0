"""What tuning does, held against the lab's exact truth; the page docs/claims.md tells it with figures."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest

from bench.lab_figures import LADDER, distances, figures, leans, said, shares, solved
from evalkit.checkpoints.training_log import read_curves
from evalkit.lab import resolve
from evalkit.lab.optimum import pass_at
from evalkit.lab.probe import KINDS
from evalkit.lab.recipe import LADDER as TUNED
from evalkit.lab.recipe import Recipe
from evalkit.lab.world import load


def rising(values: list[float], slack: float = 0.0) -> bool:
    return all(later > earlier - slack for earlier, later in pairwise(values))


def test_the_looser_the_leash_the_further_from_the_base_and_the_higher_the_reward() -> None:
    reached = [figures(name)["reached"] for name in LADDER[1:]]
    assert rising([0.0, *(one["kl"] for one in reached)])
    assert rising([one["reward"] for one in reached])
    assert rising([-one["entropy"] for one in reached])


def test_answers_grow_reliable_and_the_professor_loud() -> None:
    base, last = said("base"), said("ppo-0.1")
    assert rising([said(name)["fact"].accuracy for name in LADDER], slack=0.03)
    assert rising([said(name)["creative"].voices["professor"] for name in LADDER], slack=0.03)
    assert last["fact"].accuracy > base["fact"].accuracy + 0.25
    assert last["creative"].voices["rude"] < base["creative"].voices["rude"] / 10


def test_variety_is_the_price() -> None:
    assert rising([-said(name)["creative"].entropy for name in LADDER], slack=0.1)
    assert said("ppo-0.1")["creative"].entropy < said("base")["creative"].entropy - 2


def test_diversity_within_a_prompt_falls_more_than_across_prompts() -> None:
    """As Kirk et al. (2023) found of RLHF; both are mean embedding distances."""
    base, tuned = distances("base"), distances("ppo-0.1")
    within, across = (after / before for before, after in zip(base, tuned, strict=True))
    assert within < across - 0.1
    assert within < 0.8


def test_the_raters_who_were_asked_speak_through_the_model() -> None:
    base, scholars, friends = (said(name)["creative"].voices for name in ("base", "ppo-0.2", "friends"))
    assert scholars["professor"] > base["professor"] + 0.2 > friends["professor"] + 0.2
    assert friends["poet"] + friends["student"] > base["poet"] + base["student"] + 0.2
    assert scholars["poet"] + scholars["student"] < base["poet"] + base["student"]
    for group, other in (("scholars", "friends"), ("friends", "scholars")):
        tuned = {"scholars": "ppo-0.2", "friends": "friends"}
        assert said(tuned[group], group)["creative"].utility > said(tuned[other], group)["creative"].utility + 0.5


def test_a_stepping_stone_vanishes() -> None:
    """Riddles that only a rare voice answers: at k = 256 the base solves nearly all, the tuned model few."""
    riddles = load().of_kind("riddle")
    assert min(pass_at(riddle, 256) or 0 for riddle in riddles) > 0.999
    assert solved("base") >= len(riddles) - 1
    assert solved("ppo-0.1") <= len(riddles) / 3


@pytest.mark.parametrize("kind", KINDS)
def test_tuned_policies_still_speak_the_grammar(kind: str) -> None:
    assert all(said(name)[kind].outside < 0.08 for name in LADDER)


def test_fifty_one_to_forty_nine_becomes_a_lean_to_the_side_that_the_reward_favours() -> None:
    """The optimum is sigma(log(51/49) + gap / beta), the gap in units of the reward's deviation on the base.

    Nine choices of 51 to 49; the reward model has no reason to tell their sides apart, but it does, a little.
    """
    means = {
        name: statistics.fmean(abs(share - 0.5) for share in shares(name)) for name in ("base", "ppo-1", "ppo-0.1")
    }
    assert means["base"] < 0.04
    assert means["ppo-0.1"] > means["ppo-1"] + 0.1
    far = [(best - 0.5, share - 0.5) for best, share in zip(leans(), shares("ppo-0.1"), strict=True)]
    far = [(best, reached) for best, reached in far if abs(best) > 0.2]
    assert far
    assert all(reached / best > 0.5 for best, reached in far)


@pytest.mark.parametrize("name", [checkpoint.name for checkpoint in TUNED])
def test_a_shipped_policy_carries_the_curves_of_its_training(name: str) -> None:
    rows = read_curves(resolve(name))
    assert [row["update"] for row in rows] == list(range(Recipe().tuning.updates))
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-4)
    assert rows[-1]["reward"] > rows[0]["reward"] + 0.5
