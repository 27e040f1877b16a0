"""The optimum of tuning is exact: it equals what listing every text gives."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.lab.grammar import VOICES, Branch, Grammar, Prompt
from evalkit.lab.optimum import divergence, expected_utility, optimum, pass_at
from evalkit.lab.rater import GROUPS, Rater
from evalkit.lab.world import load
from tests.lab.worlds import small_prompts, texts

GRAMMAR = load()
SCHOLARS, FRIENDS = GROUPS["scholars"], GROUPS["friends"]
BETAS = st.floats(0.05, 20)
SMALL = [*GRAMMAR.of_kind("fact")[::15], *GRAMMAR.of_kind("choice")[::9], *GRAMMAR.of_kind("riddle")[::6]]
values = st.floats(-2, 2)
raters = st.builds(
    Rater, manner=st.fixed_dictionaries(dict.fromkeys(VOICES, values)), truth=values, typicality=st.floats(-0.04, 1)
)


def listed(prompt: Prompt, rater: Rater) -> dict[str, tuple[float, float]]:
    """Text -> (log p, utility), by enumeration."""
    world = Grammar((prompt,))
    every = [text for branch in prompt.branches for text in texts(branch)]
    return {t: (world.log_prob(prompt.text, t), rater.utility(world, prompt.text, t)) for t in every}


def log_partition(table: dict[str, tuple[float, float]], beta: float) -> float:
    """log of the sum over texts of p exp(u / beta)."""
    logits = [log_p + utility / beta for log_p, utility in table.values()]
    most = max(logits)
    return most + math.log(math.fsum(math.exp(logit - most) for logit in logits))


def agrees_with_enumeration(prompt: Prompt, rater: Rater, beta: float) -> None:
    table = listed(prompt, rater)
    total = log_partition(table, beta)
    tuned = optimum(prompt, rater, beta)
    best = {text: log_p + utility / beta - total for text, (log_p, utility) in table.items()}
    for text, log_prob in best.items():
        found = tuned.parse(text)
        assert found is not None
        assert found[1] == pytest.approx(log_prob, abs=1e-8)
    utility = math.fsum(math.exp(best[text]) * u for text, (_, u) in table.items())
    kl = math.fsum(math.exp(best[text]) * (best[text] - log_p) for text, (log_p, _) in table.items())
    assert expected_utility(prompt, rater, tuned) == pytest.approx(utility, abs=1e-8)
    assert divergence(tuned, prompt) == pytest.approx(kl, abs=1e-8)
    assert expected_utility(prompt, rater, prompt) == pytest.approx(
        math.fsum(math.exp(log_p) * u for log_p, u in table.values()), abs=1e-8
    )


@given(small_prompts(), raters, BETAS)
def test_it_is_the_grammars_law_times_exp_of_utility_over_beta(prompt, rater, beta):
    agrees_with_enumeration(prompt, rater, beta)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("prompt", SMALL, ids=lambda prompt: prompt.id)
def test_on_the_worlds_own_prompts_too(prompt, group):
    agrees_with_enumeration(prompt, GROUPS[group], 0.3)


@given(small_prompts(), raters, BETAS, BETAS)
def test_no_other_law_reaches_its_value(prompt, rater, beta, other):
    """J* = beta log(sum of p exp(u / beta)), and J* - J(pi) = beta KL(pi || pi*) for every distribution pi."""
    best = optimum(prompt, rater, beta)
    value = expected_utility(prompt, rater, best) - beta * divergence(best, prompt)
    assert value == pytest.approx(beta * log_partition(listed(prompt, rater), beta), abs=1e-7)
    tuned = optimum(prompt, rater, other)
    reached = expected_utility(prompt, rater, tuned) - beta * divergence(tuned, prompt)
    assert value - reached == pytest.approx(beta * divergence(tuned, best), abs=1e-6)


@given(small_prompts(), raters)
def test_a_great_beta_changes_nothing(prompt, rater):
    tuned = optimum(prompt, rater, 1e9)
    assert divergence(tuned, prompt) == pytest.approx(0, abs=1e-12)
    assert tuned.entropy == pytest.approx(prompt.entropy, abs=1e-6)


@given(st.floats(0.002, 10), st.sampled_from(list(GROUPS)), st.sampled_from(GRAMMAR.of_kind("choice")))
def test_of_two_answers_the_likelier_gets_sigmoid_of_its_lead(beta, group, prompt):
    """Log odds are those of the grammar and the gap in utility over beta; between 51 and 49 that gap is small."""
    rater, before, after = GROUPS[group], prompt.choices, optimum(prompt, GROUPS[group], beta).choices
    first, *_, last = before
    gap = rater.utility(GRAMMAR, prompt.text, f"{first}.") - rater.utility(GRAMMAR, prompt.text, f"{last}.")
    assert gap == pytest.approx(rater.typicality * math.log(before[first] / before[last]), abs=1e-12)
    if after[last] > 0:
        odds = math.log(before[first] / before[last]) + gap / beta
        assert math.log(after[first] / after[last]) == pytest.approx(odds, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("beta", "share"), [(1, 0.5150), (0.1, 0.5597), (0.05, 0.6083), (0.02, 0.7389), (0.01, 0.8850)]
)
def test_51_to_49_becomes_one_sided_as_beta_falls(beta, share):
    for prompt in GRAMMAR.of_kind("choice"):
        if prompt.group == "close":
            assert max(optimum(prompt, SCHOLARS, beta).choices.values()) == pytest.approx(share, abs=5e-5), prompt.id


def test_what_is_equally_likely_stays_so():
    for prompt in GRAMMAR.of_kind("choice"):
        if prompt.group == "even":
            assert optimum(prompt, SCHOLARS, 0.01).choices == pytest.approx(prompt.choices)


def test_a_beta_near_zero_leaves_the_best_text_alone():
    colour = GRAMMAR.by_text["Name a colour. Answer with one word."]
    tuned = optimum(colour, SCHOLARS, 1e-4)
    assert tuned.choices["Blue"] == 1
    assert tuned.parse("Black.")[1] == -math.inf
    assert tuned.entropy == 0
    assert {tuned.sample(random.Random(seed)) for seed in range(20)} == {"Blue."}
    assert divergence(tuned, colour) == pytest.approx(-math.log(colour.choices["Blue"]))


@pytest.mark.parametrize("beta", [0.0, -1.0, math.nan])
def test_a_beta_that_is_not_positive_is_refused(beta):
    with pytest.raises(InputError, match=r"beta is .*above 0"):
        optimum(SMALL[0], SCHOLARS, beta)


@pytest.mark.parametrize(
    ("group", "kind", "loud", "quiet"),
    [("scholars", "creative", "professor", "rude"), ("scholars", "fact", "professor", "rude"),
     ("friends", "creative", "poet", "professor"), ("friends", "riddle", "poet", "professor")],
)  # fmt: skip
def test_each_groups_voices_grow_as_beta_falls(group, kind, loud, quiet):
    for prompt in GRAMMAR.of_kind(kind)[::10]:
        shares = [prompt.shares, *(optimum(prompt, GROUPS[group], beta).shares for beta in (1, 0.3, 0.1))]
        assert [s[loud] for s in shares] == sorted(s[loud] for s in shares)
        assert [s[quiet] for s in shares] == sorted((s[quiet] for s in shares), reverse=True)
        assert shares[-1][loud] > 0.9
        assert shares[-1][quiet] < 0.01


def test_scholars_gain_more_truth_a_nat_of_kl_than_friends():
    for fact in GRAMMAR.of_kind("fact"):
        scholarly, friendly = optimum(fact, SCHOLARS, 1), optimum(fact, FRIENDS, 0.5)
        assert divergence(scholarly, fact) < divergence(friendly, fact)
        assert fact.accuracy < friendly.accuracy < scholarly.accuracy


def test_riddles_are_solved_by_sampling_before_tuning_and_no_longer_after():
    for riddle in GRAMMAR.of_kind("riddle"):
        assert pass_at(riddle, 1) == pytest.approx(0.03)
        assert pass_at(riddle, 64) == pytest.approx(1 - 0.97**64)
        assert pass_at(riddle, 256) > 0.999
        assert pass_at(optimum(riddle, SCHOLARS, 0.2), 256) < 0.07
        assert pass_at(optimum(riddle, FRIENDS, 0.2), 8) > 0.99


@given(st.floats(0, 1), st.integers(1, 50))
def test_pass_at_k_is_one_minus_all_wrong(accuracy, k):
    right, wrong = Branch("poet", accuracy, True, ("a",)), Branch("poet", 1 - accuracy, False, ("b",))
    tuned = Prompt("x", "riddle", "x", "x", (right, wrong), "a", "a")
    assert pass_at(tuned, k) == pytest.approx(1 - (1 - accuracy) ** k, abs=1e-12)


def test_pass_at_k_is_undefined_where_nothing_is_right():
    assert pass_at(GRAMMAR.of_kind("creative")[0], 8) is None
