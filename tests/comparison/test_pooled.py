"""Across prompts: the estimate is the pooled metric itself, and its interval covers as often as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.comparison import pooled
from evalkit.comparison.pooled import influence_values, pooled_values, slots_of
from evalkit.measure import parse
from evalkit.records import Group
from evalkit.stats import mean_intervals

from .worlds import group, texts

METRICS = ["distinct_n|n:1", "self_bleu|n:2", "ngram_entropy", "compression_ratio"]


@pytest.mark.parametrize("metric", METRICS)
def test_influence_values_average_to_the_mean_over_slots(metric: str) -> None:
    groups = texts(np.random.default_rng(0), prompts=7, samples=3)
    measure = parse(metric)
    slots = [group([g.texts[slot] for g in groups]) for slot in range(3)]
    found = pooled_values(measure, {"a": groups})["a"]
    assert found.mean() == pytest.approx(np.mean([measure(one) for one in slots]), abs=1e-12)


def test_a_mean_has_its_own_values_as_influences() -> None:
    # For a plain mean the jackknife gives back what was averaged (Tukey 1958): here the mean number of words.
    groups = [group(["a b c"]), group(["a"]), group(["a b"]), group([""])]
    assert pooled_values(parse("length"), {"a": groups})["a"] == pytest.approx([3, 1, 2, 0])


def test_the_same_answer_to_every_prompt_is_as_little_diverse_as_can_be() -> None:
    groups = {"a": [group(["yes it is", "no it is not"]) for _ in range(5)]}
    assert pooled_values(parse("self_bleu|n:2"), groups)["a"] == pytest.approx(np.ones(5))


def test_prompts_that_some_arm_did_not_answer_count_for_none() -> None:
    groups = {"a": [group(["x y"]), group(["y z"]), group(["z x"]), group(["z"])],
              "b": [group(["x y"]), group([]), group(["z x"]), group(["z"])]}  # fmt: skip
    found = pooled_values(parse("distinct_n|n:1"), groups)
    assert [list(np.isnan(values)) for values in found.values()] == [[False, True, False, False]] * 2


def test_slots_are_as_many_as_the_work_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"a": texts(np.random.default_rng(0), prompts=10, samples=4)}
    assert slots_of(groups) == 4
    monkeypatch.setattr(pooled, "EVALUATIONS", 25)
    assert slots_of(groups) == 2
    monkeypatch.setattr(pooled, "EVALUATIONS", 1)
    assert slots_of(groups) == 1
    assert slots_of({"a": [group([])]}) == 0


def test_embeddings_are_pooled_as_words_are() -> None:
    rows = np.eye(3, 8, dtype=np.float32)
    groups = [group(["x"], rows=rows[[place]]) for place in (0, 1, 0, 2)]
    # Pairs: 5 of 6 are orthogonal.
    assert pooled_values(parse("embedding_distance"), {"a": groups})["a"].mean() == pytest.approx(5 / 6)


@pytest.mark.parametrize("metric", ["distinct_n|n:1", "ngram_entropy|correction:none"])
def test_the_interval_covers_the_expected_pooled_value(metric: str) -> None:
    # Each prompt has a topic of its own: its answers use 6 of 400 words, so prompts differ and answers hang together.
    rng = np.random.default_rng(1)
    measure, prompts, trials = parse(metric), 30, 150

    def draw() -> list[Group]:
        topics = rng.integers(0, 400, size=(prompts, 6))
        return [group([" ".join(f"w{w}" for w in rng.choice(topic, 5)) for _ in range(2)]) for topic in topics]

    drawn = [pooled_values(measure, {"a": draw()})["a"] for _ in range(trials)]
    truth = np.mean([values.mean() for values in drawn])
    means = mean_intervals(np.stack(drawn), 0.95)
    covered = np.mean([mean.low <= truth <= mean.high for mean in means])
    # 150 trials tell coverage to within 3.6 % (two standard errors).
    assert covered >= 0.91
    widths = np.array([mean.high - mean.low for mean in means])
    spread = np.std([values.mean() for values in drawn], ddof=1)
    # The jackknife errs on the wide side (Efron & Stein 1981); measured here: by 1.15 and 1.12, known to 0.06.
    assert widths.mean() < 1.3 * 2 * 1.96 * spread


def test_bootstrapping_the_prompts_would_have_missed_it() -> None:
    # Why there is an influence at all: a resample of prompts holds the same text twice, which distinct_n counts.
    rng = np.random.default_rng(2)
    pool = group([g.texts[0] for g in texts(rng, prompts=40, samples=1, vocabulary=200)])
    measure = parse("distinct_n|n:1")
    resampled = [measure(pool.only(rng.integers(0, 40, 40).tolist())) for _ in range(200)]
    assert np.quantile(resampled, 0.975) < measure(pool)
    influences = influence_values(measure, [pool])
    assert influences.mean() == pytest.approx(measure(pool))
    assert influences.std(ddof=1) / math.sqrt(40) > 0
