"""Rater groups: what each values, and what the plug-in `lab:GROUP` says of prompts and completions."""

from __future__ import annotations

import random
from importlib.metadata import entry_points

import pytest

from evalkit import records
from evalkit.errors import InputError
from evalkit.lab.rater import GROUPS, Rater, utility_of
from evalkit.lab.recipe import Recipe
from evalkit.lab.world import load

GRAMMAR = load()
CAPITAL = records.Prompt("mine", "What is the capital of France?")
WEATHER = records.Prompt("story", GRAMMAR.of_kind("creative")[0].text)


def said_by(voice: str, prompt: str = WEATHER.text) -> list[str]:
    rng = random.Random(1)
    branches = [branch for branch in GRAMMAR.by_text[prompt].branches if branch.voice == voice]
    return [branch.sample(rng) for branch in branches for _ in range(200)]


def ranking(group: str) -> list[str]:
    """Voices by mean utility of what they say to a creative prompt, best first."""
    utility = utility_of(group)
    means = {v: sum(utility(WEATHER, t) for t in said_by(v)) / len(said_by(v)) for v in GROUPS[group].manner}
    return sorted(means, key=means.__getitem__, reverse=True)


def test_the_scholars_are_the_default_rater():
    assert Recipe().raters["scholars"] == GROUPS["scholars"] == Rater()


@pytest.mark.parametrize(
    ("group", "voices"),
    [("scholars", ["professor", "poet", "student", "rude"]), ("friends", ["poet", "student", "rude", "professor"])],
)
def test_each_group_has_its_own_order_of_voices(group, voices):
    assert ranking(group) == voices


def test_truth_is_worth_more_to_scholars_than_to_friends():
    right, wrong = "The capital of France is Paris.", "The capital of France is Lyon."
    lead = {group: utility_of(group)(CAPITAL, right) - utility_of(group)(CAPITAL, wrong) for group in GROUPS}
    assert lead["scholars"] > 3 * lead["friends"] > 0


def test_the_plug_in_says_what_the_rater_says_whatever_the_prompts_id_and_white_space():
    for kind in ("creative", "fact", "choice", "riddle"):
        for prompt in GRAMMAR.of_kind(kind)[::10]:
            text = prompt.sample(random.Random(2))
            for group, rater in GROUPS.items():
                found = utility_of(group)(records.Prompt("any", prompt.text), f" {text}\n")
                assert found == rater.utility(GRAMMAR, prompt.text, text)


def test_a_text_that_no_voice_says_is_garbled():
    assert utility_of("friends")(CAPITAL, "Paris Paris") == GROUPS["friends"].garbled


def test_it_is_found_by_name():
    (plugin,) = entry_points(group="evalkit.utilities", name="lab")
    assert plugin.value == "evalkit.lab.rater:utility_of"


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        ("", r"utility 'lab:': a group is missing; write one of lab:scholars, lab:friends"),
        ("Scholars", r"utility 'lab:Scholars': there is no group 'Scholars'; write one of lab:scholars, lab:friends"),
    ],
)
def test_a_group_that_is_not_there_lists_those_that_are(rest, line):
    with pytest.raises(InputError) as caught:
        utility_of(rest)
    assert str(caught.value) == line


def test_a_prompt_that_is_not_the_labs_is_named():
    with pytest.raises(InputError, match=r"'lab:scholars': prompt 'fox' \('Describe a fox.'\) is not one of the lab's"):
        utility_of("scholars")(records.Prompt("fox", "Describe a fox."), "It is red.")
