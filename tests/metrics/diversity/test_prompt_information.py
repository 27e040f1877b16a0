"""What answers tell of their question: by hand, within its bounds for every law, exact in the lab."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.analysis.intervals import mean_intervals
from evalkit.lab.optimum import optimum
from evalkit.lab.rater import GROUPS
from evalkit.lab.world import load
from evalkit.metrics.diversity.prompt_information import (
    information,
    prompt_information,
    with_shares,
    without_each,
)
from evalkit.metrics.other_prompts import others_of
from evalkit.metrics.registry import parse
from evalkit.plumbing.arrays import Array
from evalkit.records import Completion, Group, Prompt
from tests.metrics.diversity.groups import surprised

LAWS = st.integers(2, 5).flatmap(
    lambda answers: st.lists(
        st.lists(st.floats(0.01, 1), min_size=answers, max_size=answers).map(lambda row: np.array(row) / sum(row)),
        min_size=3,
        max_size=6,
    )
)
"""Chances of answers, a row a prompt."""


def asked(names: Sequence[str]) -> list[Prompt]:
    return [Prompt(name, name) for name in names]


def drawn(laws: Array, answers: Sequence[Sequence[int]], most: int = 8) -> list[Group]:
    """Groups that gave these answers, under `laws`, (P, answers), read after their others as a run has it."""
    prompts = asked([f"p{row}" for row in range(len(laws))])
    with np.errstate(divide="ignore"):
        logs = np.log(laws)
    found = []
    for place, others in enumerate(others_of(prompts, most).others):
        given_answers = list(answers[place])
        completions = tuple(
            Completion(prompts[place].id, slot, "x", (answer,), (float(logs[place, answer]),), "stop")
            for slot, answer in enumerate(given_answers)
        )
        under = logs[list(others)][:, given_answers].T
        found.append(Group(prompts[place], completions, other_prompt_logprobs=under))
    return found


def expected(laws: Array, others: int) -> float:
    """The figure's expectation: each answer weighs what its chance is."""
    design = others_of(asked([f"p{row}" for row in range(len(laws))]), others)
    logs, parts = np.log(laws), []
    for place, row in enumerate(design.others):
        parts.append(laws[place] @ information(logs[place], logs[list(row)].T))
    return float(np.mean(parts))


def test_a_value_by_hand() -> None:
    """The chances' mean is 0.4, 0.2, 0.4: an answer of chance 0.6 tells log(0.6 / 0.4), one of 0.1 log(0.1 / 0.2)."""
    groups = drawn(np.array([[0.6, 0.1, 0.3], [0.2, 0.3, 0.5], [0.4, 0.2, 0.4]]), [[0, 1], [0, 0, 1], [0, 2]])
    first = (math.log(1.5) + math.log(0.5)) / 2
    second = (2 * math.log(0.5) + math.log(1.5)) / 3
    third = 0.0
    assert prompt_information(groups).mean() == pytest.approx((first + second + third) / 3)


def test_two_questions_have_one_figure_between_them_and_so_none() -> None:
    laws = np.array([[0.6, 0.1, 0.3], [0.2, 0.3, 0.5], [0.4, 0.2, 0.4]])
    assert np.isnan(prompt_information(drawn(laws[:2], [[0, 1], [0, 0, 1]]))).all()
    values = prompt_information(drawn(laws, [[0, 1], [0, 0, 1], [0, 2]]))
    assert len(set(values)) == 3
    assert not np.isnan(prompt_information(drawn(laws, [[0, 1], [0, 0, 1], [0, 2]], 1), others=1)).any()


def test_each_others_share_goes_to_that_other_by_hand() -> None:
    """Three prompts against two others each; the mean stays, and what an other adds counts as its own."""
    told = np.array([[0.5, 0.3, 0.1], [0.2, 0.0, 0.0], [0.8, 0.2, 0.6]])
    others = np.array([[1, 2], [2, 0], [0, 1]])
    mean = 1.2 / 6
    assert with_shares(told, others) == pytest.approx(
        [0.5 + 0.0 + 0.2 - 2 * mean, 0.2 + 0.3 + 0.6 - 2 * mean, 0.8 + 0.1 + 0.0 - 2 * mean]
    )
    assert with_shares(told, others).mean() == pytest.approx(told[:, 0].mean())
    told[1] = np.nan
    partly = with_shares(told, others)
    assert math.isnan(partly[1])
    assert np.nanmean(partly) == pytest.approx(0.65)


@given(LAWS, st.integers(1, 6))
def test_its_expectation_lies_between_0_and_the_log_of_the_prompts_compared(laws: list[Array], others: int) -> None:
    compared = 1 + min(others, len(laws) - 1)
    assert -1e-12 <= expected(np.array(laws), others) <= math.log(compared) + 1e-12


@given(st.lists(st.lists(st.floats(-50, 0), min_size=4, max_size=4), min_size=1, max_size=5))
def test_no_completion_tells_more_than_the_log_of_the_prompts_compared(rows: list[list[float]]) -> None:
    every = np.array(rows)
    assert (information(every[:, 0], every[:, 1:]) <= math.log(4) + 1e-12).all()


@given(st.lists(st.lists(st.floats(-900, 0) | st.just(-math.inf), min_size=1, max_size=5), min_size=1, max_size=4))
def test_leaving_each_other_out_is_what_leaving_it_out_gives(rows: list[list[float]]) -> None:
    others = min(map(len, rows))
    under, own = np.array([row[:others] for row in rows]), np.linspace(-30, -1, len(rows))
    one_by_one = [information(own, np.delete(under, other, axis=1)) for other in range(others)]
    assert without_each(own, under) == pytest.approx(np.column_stack(one_by_one))


@given(LAWS)
def test_the_same_law_after_every_prompt_tells_nothing(laws: list[Array]) -> None:
    same = np.tile(laws[0], (len(laws), 1))
    groups = drawn(same, [range(same.shape[1])] * len(same))
    assert prompt_information(groups) == pytest.approx(np.zeros(len(same)), abs=1e-12)


def test_answers_that_no_other_prompt_gives_tell_all_there_is_to_tell() -> None:
    groups = drawn(np.eye(5), [[row] * 3 for row in range(5)])
    assert prompt_information(groups) == pytest.approx([math.log(5)] * 5)
    assert prompt_information(groups, others=2) == pytest.approx([math.log(3)] * 5)


@given(LAWS)
def test_all_others_give_the_mutual_information_and_fewer_give_less_on_average(laws: list[Array]) -> None:
    """H(answer) - H(answer | prompt), by another formula; the mean over all choices of others rises with their number."""
    table = np.array(laws)

    def entropy(rows: Array) -> Array:
        return np.asarray(-(rows * np.log(rows)).sum(axis=-1))

    whole = float(entropy(table.mean(axis=0)) - entropy(table).mean())
    assert expected(table, len(laws)) == pytest.approx(whole, abs=1e-9)
    means = []
    for size in range(2, len(laws) + 1):
        subsets = [table[list(chosen)] for chosen in combinations(range(len(laws)), size)]
        means.append(np.mean([entropy(rows.mean(axis=0)) - entropy(rows).mean() for rows in subsets]))
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(means))
    assert means[-1] == pytest.approx(whole, abs=1e-9)


def test_it_is_undefined_where_a_log_prob_is_unknown() -> None:
    laws = np.array([[0.6, 0.4], [0.2, 0.8], [0.2, 0.8]])
    groups = drawn(laws, [[0, 1], [0], [0]])
    unread = dataclasses.replace(groups[0], other_prompt_logprobs=None)
    without = dataclasses.replace(surprised([-1.0], []), other_prompt_logprobs=np.zeros((2, 2)))
    empty = drawn(laws, [[], [0], [0]])[0]
    for group in (unread, without, empty):
        values = prompt_information([dataclasses.replace(group, prompt=groups[0].prompt), *groups[1:]])
        assert math.isnan(values[0])
        assert values[1:].mean() == pytest.approx(math.log(0.2 * 3))
    assert np.isnan(prompt_information([unread])).all()
    assert len(prompt_information([])) == 0


def test_its_name_and_signature_say_how_many_others() -> None:
    assert str(parse("prompt_information")) == "prompt_information"
    assert str(parse({"prompt_information": {"others": 4}})) == "prompt_information|others:4"
    assert parse("prompt_information").signature(8, "e", "base") == "prompt_information|others:8|k:8|v:1.0"


WORLD = load()
CHOICES = WORLD.of_kind("choice")


def lab_laws(beta: float | None = None) -> Array:
    """(46, answers) exact chances of the lab's choices, as the grammar has them or as tuning to `beta` makes them."""
    prompts = CHOICES if beta is None else [optimum(prompt, GROUPS["scholars"], beta) for prompt in CHOICES]
    answers = sorted({answer for prompt in prompts for answer in prompt.choices})
    return np.array([[prompt.choices.get(answer, 0.0) for answer in answers] for prompt in prompts])


def lab_information(laws: Array, others: int) -> float:
    design = others_of(asked([f"p{row}" for row in range(len(laws))]), others)
    mixed = np.array([laws[[place, *row]].mean(axis=0) for place, row in enumerate(design.others)])
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.nansum(np.where(laws > 0, laws * np.log(laws / mixed), 0), axis=1).mean())


@pytest.mark.parametrize("beta", [None, 0.2])
@pytest.mark.parametrize("others", [8, 45])
def test_in_the_lab_it_is_exact_and_its_interval_holds_the_truth(beta: float | None, others: int) -> None:
    laws = lab_laws(beta)
    exact = lab_information(laws, others)
    rng, found = np.random.default_rng(0), []
    for _ in range(20):
        answers = [rng.choice(laws.shape[1], size=16, p=row / row.sum()).tolist() for row in laws]
        found.append(prompt_information(drawn(laws, answers, others), others=others))
    means = np.mean(found, axis=1)
    assert abs(means.mean() - exact) < 4 * means.std() / math.sqrt(len(means))
    # The prompts are the same in every draw, and intervals are for prompts that are drawn too: they are wide enough.
    held = [mean.low <= exact <= mean.high for mean in mean_intervals(np.stack(found), 0.95)]
    assert np.mean(held) > 0.95
    if others == 45:
        p, mixed = laws[laws > 0], laws.mean(axis=0)
        within = -(p * np.log(p)).sum() / len(laws)
        assert exact == pytest.approx(-(mixed * np.log(mixed)).sum() - within)


def test_creative_prompts_of_the_lab_share_no_answer_and_are_told_apart_entirely() -> None:
    prompts = WORLD.of_kind("creative")[:9]
    rng = random.Random(0)
    for prompt in prompts:
        text = prompt.sample(rng)
        assert all(other is prompt or other.parse(text) is None for other in prompts)
