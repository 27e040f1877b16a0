"""Across prompts: the estimate is the pooled metric itself, and its interval covers as often as it says."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from evalkit.analysis.comparison import cross_prompt
from evalkit.analysis.comparison.cross_prompt import common_samples, design_of, influence_values
from evalkit.analysis.intervals import mean_intervals
from evalkit.metrics.registry import parse
from evalkit.records import Group, Prompt
from tests.analysis.comparison.worlds import cross_prompt_values, group, texts

METRICS = ["distinct_n|n:1", "self_bleu|n:2", "ngram_entropy", "compression_ratio"]


def asked(count: int, cluster_of: int = 0) -> list[Prompt]:
    """`cluster_of`: prompts that belong together, one after the other; 0: none do."""
    clusters = [f"c{place // cluster_of}" if cluster_of else None for place in range(count)]
    return [Prompt(f"p{place}", "?", cluster=cluster) for place, cluster in enumerate(clusters)]


@pytest.mark.parametrize("metric", METRICS)
def test_influence_values_average_to_the_mean_over_slots(metric: str) -> None:
    groups = texts(np.random.default_rng(0), prompts=7, samples=3)
    measure = parse(metric)
    slots = [group([g.texts[slot] for g in groups]) for slot in range(3)]
    found = cross_prompt_values(measure, {"a": groups})["a"]
    assert found.mean() == pytest.approx(np.mean([measure(one) for one in slots]), abs=1e-12)


def test_a_mean_has_its_own_values_as_influences() -> None:
    # For a plain mean the jackknife gives back what was averaged (Tukey 1958): here the mean number of words.
    groups = [group(["a b c"]), group(["a"]), group(["a b"]), group([""])]
    assert cross_prompt_values(parse("length"), {"a": groups})["a"] == pytest.approx([3, 1, 2, 0])


def test_the_same_answer_to_every_prompt_is_as_little_diverse_as_can_be() -> None:
    groups = {"a": [group(["yes it is", "no it is not"]) for _ in range(5)]}
    assert cross_prompt_values(parse("self_bleu|n:2"), groups)["a"] == pytest.approx(np.ones(5))


def test_prompts_that_some_arm_did_not_answer_count_for_none() -> None:
    groups = {"a": [group(["x y"]), group(["y z"]), group(["z x"]), group(["z"])],
              "b": [group(["x y"]), group([]), group(["z x"]), group(["z"])]}  # fmt: skip
    found = cross_prompt_values(parse("distinct_n|n:1"), groups)
    assert [list(np.isnan(values)) for values in found.values()] == [[False, True, False, False]] * 2


def test_slots_are_as_many_as_the_work_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"a": texts(np.random.default_rng(0), prompts=10, samples=4)}
    assert common_samples(groups) == 4
    monkeypatch.setattr(cross_prompt, "EVALUATIONS", 25)
    assert common_samples(groups) == 2
    monkeypatch.setattr(cross_prompt, "EVALUATIONS", 1)
    assert common_samples(groups) == 1
    assert common_samples({"a": [group([])]}) == 0


def test_embeddings_are_pooled_as_words_are() -> None:
    rows = np.eye(3, 8, dtype=np.float32)
    groups = [group(["x"], rows=rows[[place]]) for place in (0, 1, 0, 2)]
    # Pairs: 5 of 6 are orthogonal.
    assert cross_prompt_values(parse("embedding_distance"), {"a": groups})["a"].mean() == pytest.approx(5 / 6)


@pytest.mark.parametrize("metric", ["distinct_n|n:1", "ngram_entropy|correction:none"])
def test_the_interval_covers_the_expected_pooled_value(metric: str) -> None:
    # Each prompt has a topic of its own: its answers use 6 of 400 words, so prompts differ and answers hang together.
    rng = np.random.default_rng(1)
    measure, prompts, trials = parse(metric), 30, 150

    def draw() -> list[Group]:
        topics = rng.integers(0, 400, size=(prompts, 6))
        return [group([" ".join(f"w{w}" for w in rng.choice(topic, 5)) for _ in range(2)]) for topic in topics]

    drawn = [cross_prompt_values(measure, {"a": draw()})["a"] for _ in range(trials)]
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
    influences = influence_values(measure, pool, design_of(measure, asked(40)))
    assert influences.mean() == pytest.approx(measure(pool))
    assert influences.std(ddof=1) / math.sqrt(40) > 0


def test_a_closed_form_gives_the_influences_of_leaving_each_prompt_out() -> None:
    measure = parse("self_bleu|n:2")
    definition = dataclasses.replace(measure.definition, without_each=None)
    taken_anew = dataclasses.replace(measure, definition=definition)
    groups = {"a": texts(np.random.default_rng(3), prompts=30, samples=2)}
    assert cross_prompt_values(measure, groups)["a"] == pytest.approx(
        cross_prompt_values(taken_anew, groups)["a"], abs=1e-10
    )


def test_work_is_bounded_however_many_prompts_there_are() -> None:
    for prompts in (256, 300, 1_000, 5_000, 50_000):
        design = design_of(parse("compression_ratio"), asked(prompts))
        assert design.groups <= 256
        assert design.groups == 20 or prompts * design.groups <= 256**2
        assert sorted(np.concatenate([*itertools.chain(*design.pools)])) == list(range(prompts))
    assert design_of(parse("compression_ratio"), asked(256)).groups == 256
    assert design_of(parse("distinct_n"), asked(5_000)).groups == 5_000


def test_pairs_are_taken_within_pools_of_bounded_size() -> None:
    design = design_of(parse("rouge_l_homogenization"), asked(1_100))
    assert [len(part) for part in design.pools] == [367, 367, 366]
    assert not design.in_groups
    meanings = design_of(parse("distinct_k"), asked(10_000))
    assert {sum(map(len, part)) for part in meanings.pools} == {500}
    assert {len(part) for part in meanings.pools} == {6}


def test_prompts_of_one_cluster_are_left_out_together() -> None:
    prompts = asked(600, cluster_of=4)
    for metric in ("compression_ratio", "distinct_k"):
        [*parts] = itertools.chain(*design_of(parse(metric), prompts).pools)
        homes = [{prompts[place].cluster for place in part} for part in parts]
        assert sum(map(len, homes)) == 150


def test_groups_do_not_depend_on_the_order_of_prompts() -> None:
    prompts = asked(700)
    found = []
    for order in (prompts, prompts[::-1]):
        [part] = design_of(parse("compression_ratio"), order).pools
        found.append([[order[place].id for place in group] for group in part])
    assert found[0] == found[1]


def test_a_group_s_value_stands_at_one_prompt_and_all_average_to_the_estimate() -> None:
    groups = texts(np.random.default_rng(4), prompts=400, samples=1)
    measure = parse("compression_ratio")
    found = cross_prompt_values(measure, {"a": groups})["a"]
    assert np.count_nonzero(~np.isnan(found)) == 256**2 // 400
    assert np.nanmean(found) == pytest.approx(measure(group([g.texts[0] for g in groups])), abs=1e-12)


def test_larger_groups_show_no_influence_of_their_size() -> None:
    # A figure that falls by the same with every text, whichever it is: no group tells more of it than another.
    definition = dataclasses.replace(
        parse("length").definition, function=lambda pool: len(pool.completions), without_each=None
    )
    measure = dataclasses.replace(parse("length"), definition=definition)
    found = cross_prompt_values(measure, {"a": texts(np.random.default_rng(5), prompts=390, samples=1)})["a"]
    assert found[~np.isnan(found)] == pytest.approx(np.full(168, 390))


def test_clusters_that_are_few_give_one_value_each() -> None:
    groups = [group([f"w{place % 7} x"], f"p{place}") for place in range(300)]
    groups = [dataclasses.replace(g, prompt=p) for g, p in zip(groups, asked(300, cluster_of=50), strict=True)]
    found = cross_prompt_values(parse("compression_ratio"), {"a": groups})["a"]
    assert np.count_nonzero(~np.isnan(found)) == 6


@pytest.mark.parametrize("metric", ["self_repetition|n:1", "compression_ratio", "rouge_l_homogenization"])
def test_groups_cover_as_often_as_prompts_left_out_one_by_one(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    measure, prompts, trials = parse(metric), 60, 100

    def draw() -> list[Group]:
        topics = rng.integers(0, 400, size=(prompts, 6))
        return [group([" ".join(f"w{w}" for w in rng.choice(topic, 5))], f"p{i}") for i, topic in enumerate(topics)]

    drawn = [draw() for _ in range(trials)]
    one_by_one = np.stack([cross_prompt_values(measure, {"a": one})["a"] for one in drawn])
    monkeypatch.setattr(cross_prompt, "EVALUATIONS", 59)
    monkeypatch.setattr(cross_prompt, "TEXTS", 20 * prompts)
    definition = dataclasses.replace(measure.definition, without_each=None)
    in_groups = [
        cross_prompt_values(dataclasses.replace(measure, definition=definition), {"a": one})["a"] for one in drawn
    ]
    assert np.nanmean(in_groups, axis=1) == pytest.approx(one_by_one.mean(axis=1), abs=1e-12)
    truth = one_by_one.mean()
    covered, widths = [], []
    for values in (one_by_one, np.stack(in_groups)):
        means = mean_intervals(values, 0.95)
        covered.append(np.mean([mean.low <= truth <= mean.high for mean in means]))
        widths.append(np.mean([mean.high - mean.low for mean in means]))
    # 100 trials tell coverage to within 4.4 % (two standard errors); Student's t with 19 degrees of freedom is wider
    # than with 59 by 4.6 %.
    assert min(covered) >= 0.9
    assert 0.95 <= widths[1] / widths[0] <= 1.15
