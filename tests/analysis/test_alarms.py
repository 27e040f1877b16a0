"""Alarms: seed bugs are heard, honest draws are not, whatever the distribution; and the rest is said in plain words."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from evalkit.analysis.alarms import FALSE_ALARMS, alarms
from evalkit.metrics.diversity.lexical import length
from evalkit.metrics.summary import Alarm
from evalkit.records import Arm, Completion, Group, Prompt, Sampling

RAW = Sampling(n=16, temperature=1.0, top_p=1.0, min_p=0.0, max_tokens=64, stop=(), seed=0)
WARM = Sampling(n=16, temperature=0.7, top_p=1.0, min_p=0.0, max_tokens=64, stop=(), seed=0)
DISTRIBUTIONS = {
    "flat": np.full(5000, 1 / 5000),
    "Zipf": (1 / np.arange(1, 2001)) / (1 / np.arange(1, 2001)).sum(),
    "coin": np.array([0.51, 0.49]),
    "peaked": np.array([0.9, 0.06, 0.03, 0.01]),
    "one text": np.array([1.0]),
    "peak on a flat ground": np.concatenate([[0.5], np.full(4000, 0.5 / 4000)]),
}


def arm(sampling: Sampling | None = RAW, name: str = "base", baseline: str | None = None) -> Arm:
    return Arm(name, "base", "base", sampling, baseline)


def group_of(prompt: int, draws: Sequence[int], distribution: np.ndarray) -> Group:
    completions = tuple(
        Completion(f"p{prompt}", slot, f"text {x}", (x, 0), (math.log(distribution[x]), 0.0), "stop")
        for slot, x in enumerate(draws)
    )
    return Group(Prompt(f"p{prompt}", "?"), completions)


def honest(distribution: np.ndarray, prompts: int, k: int, rng: np.random.Generator) -> list[Group]:
    return [
        group_of(prompt, rng.choice(len(distribution), k, p=distribution).tolist(), distribution)
        for prompt in range(prompts)
    ]


def kinds(found: Sequence[Alarm]) -> list[str]:
    return [alarm.kind for alarm in found]


def texts_of(texts: Sequence[str], finish: str = "stop") -> list[Group]:
    completions = tuple(
        Completion("p", slot, text, (), (), "length" if finish == "length" else "stop")
        for slot, text in enumerate(texts)
    )
    return [Group(Prompt("p", "?"), completions)]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS.keys())
def test_honest_draws_raise_no_alarm_more_often_than_once_in_a_thousand_runs(distribution: np.ndarray) -> None:
    rng = np.random.default_rng(11)
    runs = 800
    false = sum(bool(alarms([arm()], {"base": honest(distribution, 4, 12, rng)})) for _ in range(runs))
    # With a true rate of 1e-3, 5 or more of 800 happen with probability 0.0014.
    assert FALSE_ALARMS == 1e-3
    assert false < 5


@pytest.mark.parametrize(
    "distribution", [DISTRIBUTIONS["flat"], DISTRIBUTIONS["Zipf"], DISTRIBUTIONS["coin"]], ids=["flat", "Zipf", "coin"]
)
def test_honest_draws_of_a_large_run_raise_no_alarm(distribution: np.ndarray) -> None:
    groups = honest(distribution, 400, 64, np.random.default_rng(12))
    assert alarms([arm(), arm(WARM, "warm")], {"base": groups, "warm": groups}) == []


@pytest.mark.parametrize("name", ["flat", "Zipf", "peak on a flat ground"])
def test_two_replicas_with_one_seed_are_heard(name: str) -> None:
    rng = np.random.default_rng(13)
    groups = [
        group_of(
            prompt,
            np.tile(rng.choice(len(DISTRIBUTIONS[name]), 8, p=DISTRIBUTIONS[name]), 2).tolist(),
            DISTRIBUTIONS[name],
        )
        for prompt in range(20)
    ]
    found = alarms([arm()], {"base": groups})
    assert kinds(found) == ["duplicates", "seeds"]
    assert "8 samples apart" in found[1].message


def test_a_doubled_draw_here_and_there_is_heard_through_log_probs() -> None:
    rng = np.random.default_rng(14)
    distribution = DISTRIBUTIONS["flat"]
    groups = honest(distribution, 50, 16, rng)
    for prompt in range(10):
        draws = [completion.token_ids[0] for completion in groups[prompt].completions]
        one, other = rng.choice(16, 2, replace=False)
        draws[one] = draws[other]
        groups[prompt] = group_of(prompt, draws, distribution)
    [found] = alarms([arm()], {"base": groups})
    assert found.kind == "duplicates"
    assert "of 800 completions repeat" in found.message
    assert "seed bug" in found.message


def test_log_probs_of_half_precision_raise_no_alarm() -> None:
    # The sampler drew from p, the stored log-probs say 5 % less.
    rng = np.random.default_rng(15)
    distribution = np.full(20, 0.05)
    groups = [group_of(prompt, rng.choice(20, 32).tolist(), distribution * 0.95) for prompt in range(300)]
    assert alarms([arm()], {"base": groups}) == []


def test_log_probs_that_claim_half_the_probability_are_heard() -> None:
    rng = np.random.default_rng(16)
    distribution = np.full(200, 0.005)
    groups = [group_of(prompt, rng.choice(200, 32).tolist(), distribution / 2) for prompt in range(100)]
    assert kinds(alarms([arm()], {"base": groups})) == ["duplicates"]


@pytest.mark.parametrize("sampling", [WARM, None], ids=["temperature 0.7", "texts made elsewhere"])
@pytest.mark.parametrize("shift", [1, 3, 8])
def test_overlapping_seeds_are_heard_at_any_temperature(sampling: Sampling | None, shift: int) -> None:
    # Two requests of 8 whose child seeds are seed + index: slot 8 + i draws what slot shift + i drew.
    rng = np.random.default_rng(17)
    groups = []
    for prompt in range(20):
        stream = rng.choice(5000, 24)
        draws = [*stream[:8], *stream[8 - shift : 16 - shift]]
        groups.append(group_of(prompt, draws, DISTRIBUTIONS["flat"]))
    if shift == 8:
        assert kinds(alarms([arm(sampling)], {"base": groups})) == ["seeds"]
    else:
        [found] = alarms([arm(sampling)], {"base": groups})
        assert f"{shift} samples apart" in found.message


def test_mode_collapse_is_not_a_seed_bug() -> None:
    distribution = DISTRIBUTIONS["peaked"]
    groups = honest(distribution, 200, 32, np.random.default_rng(18))
    assert alarms([arm(WARM)], {"base": groups}) == []
    assert alarms([arm(WARM)], {"base": [group_of(prompt, [0] * 32, distribution) for prompt in range(200)]}) == []


def test_duplicates_are_not_judged_where_the_law_is_not_known() -> None:
    doubled = [0, 1, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8]
    groups = [group_of(prompt, doubled, DISTRIBUTIONS["flat"]) for prompt in range(1)]
    assert kinds(alarms([arm(RAW)], {"base": groups})) == ["duplicates"]
    assert alarms([arm(WARM)], {"base": groups}) == []
    assert alarms([arm(RAW)], {"base": texts_of(["a", "b", "b", "c", "d", "d", "e", "f", "f"])}) == []


def test_groups_of_unequal_size_and_without_completions() -> None:
    rng = np.random.default_rng(19)
    distribution = DISTRIBUTIONS["flat"]
    groups = [
        *honest(distribution, 5, 12, rng),
        *honest(distribution, 5, 7, rng),
        group_of(99, [], distribution),
        group_of(98, [3], distribution),
    ]
    assert alarms([arm()], {"base": groups}) == []
    assert alarms([arm()], {"base": [group_of(99, [], distribution)]}) == []
    assert alarms([arm()], {"base": []}) == []
    assert alarms([arm()], {}) == []
    assert alarms([], {}) == []


def test_cut_and_empty_completions_are_said() -> None:
    cut = texts_of([f"text {number}" for number in range(20)], "length")
    [found] = alarms([arm()], {"base": cut})
    assert (found.arm, found.kind) == ("base", "truncated")
    assert found.message.startswith("100% of the completions were cut at max_tokens")
    [found] = alarms([arm()], {"base": texts_of([*"abcdefgh", "", " \n"])})
    assert found.kind == "empty"
    assert found.message.startswith("20% of the completions are empty")
    assert alarms([arm()], {"base": texts_of([*"abcdefghijklmnopqrstuvwxyz", ""])}) == []


@pytest.mark.parametrize(("words", "heard"), [(8, False), (10, False), (12, False), (7, True), (13, True)])
def test_lengths_more_than_a_fifth_apart_are_said(words: int, heard: bool) -> None:
    base = texts_of([f"{number} " + "word " * 9 for number in range(8)])
    tuned = texts_of([f"{number + 8} " + "word " * (words - 1) for number in range(8)])
    found = alarms([arm(), arm(name="tuned", baseline="base")], {"base": base, "tuned": tuned})
    assert kinds(found) == (["length"] if heard else [])
    if heard:
        assert found[0].arm == "tuned"
        assert f"have {words}.0 words on average, those of base 10.0" in found[0].message


def test_the_alarm_of_length_counts_words_as_the_measure_of_length_does() -> None:
    base = texts_of(["It is, as ever, so: yes!"] * 4)
    tuned = texts_of(["It is as ever so yes"] * 4)
    [found] = alarms([arm(), arm(name="tuned", baseline="base")], {"base": base, "tuned": tuned})
    assert length(base[0]) == 10
    assert f"have 6.0 words on average, those of base {length(base[0]):.1f}" in found.message


def test_the_alarm_of_length_names_what_splits_words_where_that_is_not_13a() -> None:
    base, tuned = ([replace(one, tokenizer="zh") for one in texts_of([text] * 4)] for text in ("大海是蓝的", "大海是"))
    [found] = alarms([arm(), arm(name="tuned", baseline="base")], {"base": base, "tuned": tuned})
    assert "have 3.0 words (tokenizer zh) on average, those of base 5.0" in found.message


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("སྐད་ཡིག་འདི་ནི་བར་སྟོང་མེད་པའི་ཡི་གེ་ཡིན།", True),  # Tibetan puts dots between syllables
        ("我喜欢在清晨的公园里散步，听鸟儿歌唱。", True),
        ("Rechtsschutzversicherungsgesellschaften sind teuer.", False),
        ("En juoksentelisi kaupungilla epäjärjestelmällisesti.", False),
        ("see https://example.org/a/b?c=d for more", False),
        ("Paris", False),
        ("", False),
    ],
)
def test_words_that_are_none_are_said(text: str, heard: bool) -> None:
    found = alarms([arm(None)], {"base": texts_of([text] * 4)})
    assert ("words" in kinds(found)) is heard


def test_words_that_are_none_are_said_from_a_twentieth_of_the_prompts_on() -> None:
    spaced, not_spaced = texts_of(["It is so."] * 4), texts_of(["我喜欢在清晨的公园里散步，听鸟儿歌唱。"] * 4)
    assert kinds(alarms([arm(None)], {"base": spaced * 19 + not_spaced})) == []
    [found] = alarms([arm(None)], {"base": spaced * 18 + not_spaced * 2})
    assert found.message.startswith("on 2 of 20 prompts a word has 19 characters or more on average")


def test_a_full_run_is_checked_in_about_a_second() -> None:
    rng = np.random.default_rng(20)
    groups = []
    for prompt in range(500):
        ids, logprobs = rng.integers(0, 50_000, (64, 64)).tolist(), (-rng.exponential(2, (64, 64))).tolist()
        texts = [" ".join(map(str, row)) for row in ids]
        completions = tuple(
            Completion(f"p{prompt}", slot, texts[slot], tuple(ids[slot]), tuple(logprobs[slot]), "stop")
            for slot in range(64)
        )
        groups.append(Group(Prompt(f"p{prompt}", "?"), completions))
    arms = [arm(name=f"arm {number}") for number in range(6)]
    began = time.process_time()
    assert alarms(arms, {each.name: groups for each in arms}) == []
    assert time.process_time() - began < 4  # about 0.7 s alone on a core


@pytest.mark.parametrize(
    ("texts", "heard"),
    [
        pytest.param(["I am sorry, I cannot help."] * 8, True, id="a refusal on every prompt"),
        pytest.param([f"Here is line {place} of a poem." for place in range(8)], False, id="every prompt its own"),
        pytest.param(["heads"] * 8, False, id="a short answer may fit many prompts"),
        pytest.param([f"Here is line {place} of a poem." for place in range(4)], False, id="one of four is not many"),
        pytest.param(["Here it rains again."] * 2 + ["A tram went by."] * 2, False, id="two of four are not many"),
        pytest.param(["Here it rains again."] * 3 + ["A tram went by."], True, id="three of four are"),
    ],
)
def test_one_answer_to_many_prompts_is_said(texts: list[str], heard: bool) -> None:
    groups = [
        Group(
            Prompt(f"p{place}", f"Write about {place}."),
            tuple(Completion(f"p{place}", i, text, (), (), "stop") for i in range(4)),
        )
        for place, text in enumerate(texts)
    ]
    assert ("same answer" in kinds(alarms([arm(None)], {"base": groups}))) == heard


def test_what_a_provider_withheld_is_counted_and_said() -> None:
    [group] = texts_of(["one", "two", "thr", "four"])
    withheld = replace(group.completions[2], finish_reason="withheld")
    held = replace(group, completions=(*group.completions[:2], withheld, group.completions[3]))
    [alarm] = [alarm for alarm in alarms([arm(WARM)], {"base": [held]}) if alarm.kind == "withheld"]
    assert alarm.message.startswith("1 of the 4 completions end where the provider refused or filtered the rest")
    assert "withheld" not in kinds(alarms([arm(WARM)], {"base": [group]}))


def test_of_answers_that_as_many_prompts_get_the_first_is_named() -> None:
    """In every process: what stands first in a set follows the seed of its hashes, and not the order of the texts."""
    answers = [f"I cannot help you with number {number}." for number in range(8)]
    for start in range(len(answers)):
        in_order = answers[start:] + answers[:start]
        groups = [
            Group(
                Prompt(f"p{prompt}", f"Write about {prompt}."),
                tuple(Completion(f"p{prompt}", i, text, (), (), "stop") for i, text in enumerate(in_order)),
            )
            for prompt in range(4)
        ]
        [message] = [alarm.message for alarm in alarms([arm(None)], {"base": groups}) if alarm.kind == "same answer"]
        assert f"such as “{in_order[0]}”" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rain fell", "all 3 completions are those of base, draw by draw: most likely one file given twice"),
        (" ", "all 3 completions are empty, as are those of base: neither says anything that could be compared."),
    ],
)
def test_texts_of_the_baseline_are_one_file_twice_unless_all_are_empty(text: str, words: str) -> None:
    arms = [arm(None), arm(None, "tuned", "base")]
    groups = {name: texts_of([text] * 3) for name in ("base", "tuned")}
    [same] = [alarm for alarm in alarms(arms, groups) if alarm.kind == "same texts"]
    assert same.arm == "tuned"
    assert same.message.startswith(words)
