"""What a side's measures say together, and how seldom that is said of nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from evalkit.gate.stats.power import prompts_for, spread_of
from evalkit.metrics.summary import Alarm, Difference, Estimate, Summary
from evalkit.plumbing.arrays import Array
from evalkit.records import Arm, Margin
from evalkit.report.verdicts.joint import forms_for_all, joint_statements
from evalkit.report.verdicts.side_words import words_for
from evalkit.report.verdicts.verdict import verdict
from tests.report.example import traits_of

QUALITY = ("reward|model:x", "accuracy")
WORDS = ("distinct_n", "self_bleu", "ngram_entropy", "compression_ratio", "ead_n")
MEANING = ("embedding_distance", "vendi", "distinct_k")
PROBABILITY = ("nats_per_byte", "branching_factor")
MEASURES = (*WORDS, *MEANING, *PROBABILITY, *QUALITY)
LOWER = ("self_bleu", "compression_ratio")
TRIALS = 400

Law = Callable[[Array, np.random.Generator], Array]


def summary(values: dict[str, tuple[Array, Array]], **changes: object) -> Summary:
    """Measure -> the base's and the tuned arm's values, one a prompt."""
    arms = (Arm("base", "base", "base", None, None), Arm("tuned", "tuned", "tuned", None, "base"))
    estimates = tuple(
        Estimate(
            measure, measure, arm.name, None if np.isnan(own).all() else float(np.nanmean(own)), None, None, 0.95, len(own), 8,
            "lower" if measure.rpartition("/")[2] in LOWER else "higher",
            tuple(None if np.isnan(value) else float(value) for value in own), traits_of(measure),
        )
        for measure, both in values.items() for arm, own in zip(arms, both, strict=True)
    )  # fmt: skip
    prompts = len(next(iter(values.values()))[0])
    return dataclasses.replace(Summary("s", tuple(map(str, range(prompts))), arms, estimates, ()), **changes)  # type: ignore[arg-type]


def normal(scores: Array, _: np.random.Generator) -> Array:
    return 10 + scores


def skewed(scores: Array, _: np.random.Generator) -> Array:
    return np.asarray(np.exp(scores))


def rare(scores: Array, rng: np.random.Generator) -> Array:
    return np.asarray(rng.binomial(8, 0.05, size=scores.shape) / 8)


def drawn(rng: np.random.Generator, prompts: int, law: Law) -> dict[str, tuple[Array, Array]]:
    """Two draws of one law: prompts differ, measures of an arm move together."""
    of_prompts, of_measures = rng.normal(size=prompts), rng.normal(size=(len(MEASURES), prompts))

    def arm() -> Array:
        noise = 0.4 * rng.normal(size=prompts) + 0.4 * rng.normal(size=(len(MEASURES), prompts))
        return law(0.6 * of_prompts + 0.5 * of_measures + noise, rng)

    base, tuned = arm(), arm()
    return {measure: (base[row], tuned[row]) for row, measure in enumerate(MEASURES)}


def is_claimed(of: Summary) -> bool:
    told = joint_statements(of).values()
    return any(joint.together.outcome != "unclear" or joint.clear for joint in told)


@pytest.mark.parametrize("law", [normal, skewed, rare])
@pytest.mark.parametrize("prompts", [12, 64])
def test_of_two_draws_of_one_law_something_is_claimed_in_at_most_one_trial_of_twenty(prompts: int, law: Law) -> None:
    rng = np.random.default_rng(1)
    false = sum(is_claimed(summary(drawn(rng, prompts, law))) for _ in range(TRIALS))
    assert false <= 0.05 * TRIALS


def test_a_loss_of_a_tenth_is_found_at_the_size_that_the_power_analysis_names() -> None:
    rng = np.random.default_rng(2)

    def arm(level: Array, loss: float) -> Array:
        return np.asarray(level * (1 - loss) * np.exp(0.1 * rng.normal(size=level.shape)))

    pilot = 10 + rng.normal(size=(3, 60))
    halves = np.stack([np.stack([arm(pilot[0], 0), arm(pilot[0], 0)]) for _ in range(4)])
    spread = spread_of(arm(pilot[0], 0), arm(pilot[0], 0), (halves, halves), Margin("relative", 0.0), 8, False)
    size = prompts_for(spread, 8, 0.1 * 10, 0.05, 0.9)
    assert size is not None
    found = 0
    for _ in range(TRIALS):
        level = 10 + rng.normal(size=(3, size))
        names = ("distinct_n", "vendi", "nats_per_byte")
        told = summary({name: (arm(own, 0), arm(own, 0.1)) for name, own in zip(names, level, strict=True)})
        found += joint_statements(told)["tuned", "diversity"].together.outcome == "lost"
    assert found >= 0.9 * TRIALS


def moved(by: dict[str, float], prompts: int = 64, seed: int = 3) -> dict[str, tuple[Array, Array]]:
    """Two draws of one law, with these measures of the tuned arm moved by so many standard deviations."""
    values = drawn(np.random.default_rng(seed), prompts, normal)
    return {measure: (base, tuned + by.get(measure, 0.0)) for measure, (base, tuned) in values.items()}


def claim(of: Summary) -> str:
    told = joint_statements(of)
    assert told
    differences = tuple(
        dataclasses.replace(NOTHING, metric=e.metric, signature=e.signature) for e in of.estimates if e.arm == "tuned"
    )
    return verdict(dataclasses.replace(of, differences=differences)).headline


NOTHING = Difference("m", "m", "tuned", "base", 0.1, 0.0, 0.2, 0.5, 1.0)


def passed(rng: np.random.Generator, prompts: int, chance: float) -> Array:
    """Share of 32 completions that pass, a prompt."""
    return np.asarray(rng.binomial(32, chance, size=prompts) / 32)


def checked(base: Array, tuned: Array, by: float = 1.0) -> Summary:
    """These shares of checks passed, beside a reward that has risen by so many standard deviations."""
    rng = np.random.default_rng(4)
    reward = rng.normal(size=(2, len(base)))
    return summary({"reward|model:x": (reward[0], reward[1] + by), "task_checks": (base, tuned)})


def test_one_check_failed_does_not_stand_against_a_reward() -> None:
    base, once = np.ones(64), np.ones(64)
    once[7] -= 1 / 32
    told = joint_statements(checked(base, once))["tuned", "quality"]
    assert told.outcome == "gained"
    assert told.together.measures == ("reward|model:x",)


@pytest.mark.parametrize(
    ("chances", "speaks"),
    [
        pytest.param((1.0, 0.9), True, id="one in ten fails"),
        pytest.param((0.97, 0.97), True, id="not nearly all pass"),
        pytest.param((0.003, 0.001), True, id="hardly any passes: rare successes count"),
        pytest.param((0.999, 0.998), False, id="nearly all pass"),
    ],
)
def test_checks_speak_where_anything_of_note_may_lie_between_the_arms(
    chances: tuple[float, float], speaks: bool
) -> None:
    rng = np.random.default_rng(5)
    base, tuned = (passed(rng, 64, chance) for chance in chances)
    assert ("task_checks" in joint_statements(checked(base, tuned))["tuned", "quality"].together.measures) is speaks


def test_few_prompts_do_not_show_that_there_is_nothing_of_note() -> None:
    base, tuned = np.ones(4), np.array([1.0, 1.0, 1.0, 31 / 32])
    assert "task_checks" in joint_statements(checked(base, tuned))["tuned", "quality"].together.measures


def test_checks_that_nearly_all_pass_speak_where_nothing_else_does() -> None:
    once = np.ones(64)
    once[7] -= 1 / 32
    told = joint_statements(summary({"task_checks": (np.ones(64), once)}))
    assert told["tuned", "quality"].outcome == "unclear"


def test_beside_checks_that_nearly_all_pass_as_little_is_claimed_of_nothing() -> None:
    rng = np.random.default_rng(6)
    false = 0
    for _ in range(TRIALS):
        rewards = rng.normal(size=(2, 20))
        shares = (passed(rng, 20, 0.998), passed(rng, 20, 0.998))
        false += is_claimed(summary({"reward|model:x": (rewards[0], rewards[1]), "task_checks": shares}))
    assert false <= 0.05 * TRIALS


def test_five_measures_of_words_are_one_voice() -> None:
    told = joint_statements(summary(moved(dict.fromkeys(WORDS, 0.0) | dict.fromkeys(MEANING, -1.0))))
    families = {voice.family: voice for voice in told["tuned", "diversity"].families}
    assert set(families) == {"words", "meaning", "probability"}
    whole = told["tuned", "diversity"].together.value
    assert whole == pytest.approx(np.mean([voice.value for voice in families.values()]))


def test_the_headline_says_where_families_disagree() -> None:
    apart = {m: (-1.0 if m in LOWER else 1.0) for m in WORDS} | dict.fromkeys(MEANING, -1.0)
    assert "is wider in words and narrower in meaning" in claim(summary(moved(apart)))


def test_one_family_alone_is_named() -> None:
    assert "narrower" in (said := claim(summary(moved(dict.fromkeys(MEANING, -1.2)))))
    assert "in meaning" in said


def test_swapping_the_arms_turns_every_number_around() -> None:
    values = moved(dict.fromkeys(MEANING, -0.5))
    one = joint_statements(summary(values))["tuned", "diversity"].together
    other = joint_statements(summary({m: (b, a) for m, (a, b) in values.items()}))["tuned", "diversity"].together
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.p == pytest.approx(other.p)


def test_a_measure_that_moves_with_length_gives_way_where_lengths_differ() -> None:
    values = moved({"self_bleu": 2.0}) | moved({"sequence_entropy": -3.0}, seed=5)
    plain = dict(values) | {"sequence_entropy": (values["vendi"][0], values["vendi"][0] - 3)}
    longer = summary(plain, alarms=(Alarm("tuned", "length", "longer"),))
    told = joint_statements(longer)["tuned", "diversity"]
    assert "sequence_entropy" in told.by_length
    assert "self_bleu" in told.by_length
    assert "sequence_entropy" not in told.together.measures
    assert "have no say" in claim(longer)
    matched = summary(plain | {"matched/self_bleu": values["vendi"]})
    assert "matched/self_bleu" in joint_statements(matched)["tuned", "diversity"].together.measures
    assert "self_bleu" not in joint_statements(matched)["tuned", "diversity"].together.measures


def test_counts_of_tokens_have_no_say_between_tokenizers() -> None:
    of = summary(moved({"branching_factor": -3.0}))
    base, tuned = of.arms
    unlike = dataclasses.replace(base, tokenizer="a"), dataclasses.replace(tuned, tokenizer="b")
    told = joint_statements(dataclasses.replace(of, arms=unlike))["tuned", "diversity"]
    assert told.by_tokenizer == ("branching_factor",)
    assert "nats_per_byte" in told.together.measures
    assert told.together.outcome == "unclear"


def test_a_wider_range_of_unknown_quality_may_be_noise() -> None:
    garbage = {m: (-3.0 if m in LOWER else 3.0) for m in (*WORDS, *MEANING, *PROBABILITY)}
    without = {m: both for m, both in moved(garbage).items() if m not in QUALITY}
    assert "noise is various too" in claim(summary(without))
    worse = claim(summary(moved(garbage | dict.fromkeys(QUALITY, -3.0))))
    assert worse.startswith("tuned gives much worse answers than base")
    assert "noise" not in worse


def test_one_collapsed_prompt_is_no_narrower_range() -> None:
    values = moved({})
    for measure in (*WORDS, *MEANING, *PROBABILITY):
        values[measure][1][0] += 12.0 if measure in LOWER else -12.0
    assert joint_statements(summary(values))["tuned", "diversity"].together.outcome == "unclear"


def test_five_prompts_are_called_a_first_impression() -> None:
    few = summary(moved({}, prompts=5), alarms=(Alarm("all arms", "few prompts", "only 5"),))
    assert "neither clearly wider nor clearly narrower" in claim(few)
    assert "5 prompts can give no more than a first impression" in claim(few)


def test_an_undefined_reward_leaves_quality_to_what_is_defined() -> None:
    values = moved({"accuracy": 2.0})
    values["reward|model:x"] = (values["reward|model:x"][0], np.full(64, np.nan))
    told = joint_statements(summary(values))["tuned", "quality"]
    assert told.together.measures == ("accuracy",)
    assert told.together.outcome == "gained"


def test_measures_that_never_vary_have_no_voice() -> None:
    same = np.full(64, 8.0)
    assert joint_statements(summary({"distinct_k": (same, same)})) == {}


def test_uses_rest_on_the_forms_that_may_stand_beside_each_other() -> None:
    values = moved({"sequence_entropy": 3.0}) | {"sequence_entropy": moved({})["vendi"]}
    assert forms_for_all(summary(values)) == {metric: metric for metric in values}
    matched = forms_for_all(summary(values | {"matched/vendi": values["vendi"]}))
    assert matched["vendi"] == "matched/vendi"
    assert "sequence_entropy" not in matched
    assert matched["nats_per_byte"] == "nats_per_byte"


def test_one_family_alone_is_held_to_the_level_of_its_side() -> None:
    rng = np.random.default_rng(0)
    base, noise = rng.normal(size=24), rng.normal(size=24)
    shifts = np.linspace(0.1, 1.5, 141)
    told = [summary({"distinct_k": (base, base - shift + noise)}) for shift in shifts]
    between = [one for one in told if 0.012 < joint_statements(one)["tuned", "diversity"].together.p < 0.028]
    assert between
    for one in between:
        joint = joint_statements(one)["tuned", "diversity"]
        assert [voice.outcome for voice in joint.clear] == [joint.together.outcome] == ["lost"]
        assert "though" not in verdict(one).claim


def test_a_measure_that_is_equal_everywhere_says_that_there_is_no_difference() -> None:
    rng = np.random.default_rng(0)
    equal, moved = np.full(24, 0.5), rng.normal(size=24)
    values = dict.fromkeys(WORDS[:4], (equal, equal)) | {"ead_n": (moved, moved + 0.2)}
    alone = joint_statements(summary({"ead_n": values["ead_n"]}))["tuned", "diversity"].together.value
    assert joint_statements(summary(values))["tuned", "diversity"].together.value == pytest.approx(alone / 5)


def test_a_measure_at_its_bound_everywhere_tells_nothing() -> None:
    full, moved = np.full(24, 1.0), np.random.default_rng(0).normal(size=24)
    both = joint_statements(summary({"distinct_n": (full, full), "ead_n": (moved, moved + 0.2)}))["tuned", "diversity"]
    assert both.together.measures == ("ead_n",)


def test_three_hundredths_of_all_answers_are_never_much() -> None:
    rng = np.random.default_rng(0)
    near = 0.99 + 0.002 * rng.normal(size=64)
    joint = joint_statements(summary({"accuracy": (near, near - 0.03)}))["tuned", "quality"]
    assert joint.shift == pytest.approx(-0.03)
    assert joint.together.value < -1.5
    assert words_for(joint).clause(joint, "") == "gives slightly worse answers"
