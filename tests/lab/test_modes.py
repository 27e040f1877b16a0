"""suites/modes.yaml: at least forty choices, whose stated distributions are the world's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.lab.world import load
from evalkit.metrics.answer_match import matcher
from evalkit.suite.schema import load_suite

CHOICES = {prompt.id: prompt for prompt in load().of_kind("choice")}


@pytest.fixture(scope="module")
def asked(request):
    return load_suite(request.config.rootpath / "suites" / "modes.yaml").prompts


def test_it_asks_at_least_forty_prompts_64_times(request, asked):
    assert len(asked) >= 40
    assert load_suite(request.config.rootpath / "suites" / "modes.yaml").sampling.n == 64


def test_its_prompts_and_groups_are_the_worlds(asked):
    assert {p.id: (p.text, p.tags) for p in asked} == {p.id: (p.text, (p.group,)) for p in CHOICES.values()}


def test_its_laws_are_the_worlds_to_seven_places(asked):
    for prompt in asked:
        assert list(prompt.choices) == list(CHOICES[prompt.id].choices)
        assert prompt.choices == pytest.approx(CHOICES[prompt.id].choices, abs=1e-7), prompt.id


def test_a_completion_matches_the_answer_it_gives_and_no_other(asked):
    for prompt in asked:
        (branch,) = CHOICES[prompt.id].branches
        (slot,) = branch.slots
        for given in slot.options:
            found = [answer for answer in prompt.choices if matcher(replace(prompt, answer=answer))(f" {given}.")]
            assert found == [given]


def test_close_choices_are_51_to_49_and_the_likelier_is_not_always_named_first():
    close = [prompt for prompt in CHOICES.values() if prompt.group == "close"]
    assert all(sorted(prompt.choices.values()) == pytest.approx([0.49, 0.51]) for prompt in close)
    words = [[prompt.text.lower().find(answer.lower()) for answer in prompt.choices] for prompt in close]
    assert {likelier < other for likelier, other in words} == {True, False}
