"""All readings of a run's paths: which arm they are against, in which sign, with clusters, and in the lab the exact ones."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bench.decoding import TEMPERATURES, exact, of_bends, of_crossings, of_lab, truths
from evalkit.analysis.decoding import read_decoding
from evalkit.analysis.decoding.zeros import zeros
from evalkit.analysis.estimates import Measured
from evalkit.metrics.decoding import Crossing, Decoding, Trade
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import Array
from evalkit.records import Arm
from evalkit.runs.summary import parse_summary, to_json
from tests.analysis.comparison.worlds import arm

HEATS = (0.6, 1.0, 1.4)
ARMS = [
    *(arm(f"base@T={t:g}", "base", t, None if t == 0.6 else "base@T=0.6") for t in HEATS),
    *(arm(f"tuned@T={t:g}", "tuned", t, f"base@T={t:g}") for t in HEATS),
]


def measured(better: str = "higher", prompts: int = 80, seed: int = 1) -> tuple[Measured, Measured]:
    """Quality 2 - T, 1 more when tuned; diversity 5 T, 1 less when tuned: equal to base's at T = 1.2, where 0.8 is left."""
    rng = np.random.default_rng(seed)
    sway = rng.normal(size=(2, prompts))

    def about(mean: float, row: int) -> Array:
        noise = 0.05 * rng.normal(size=prompts)
        return mean + sway[row] + noise - noise.mean()

    quality, diversity = {}, {}
    for one in ARMS:
        assert one.sampling is not None
        heat, is_tuned = one.sampling.temperature, one.checkpoint == "tuned"
        quality[one.name] = about(2 - heat + is_tuned, 0)
        diversity[one.name] = about(5 * heat - is_tuned, 1)
    if better == "lower":
        diversity = {name: -values for name, values in diversity.items()}
    return Measured("reward", "reward|v:1", "higher", quality, 4), Measured("d", "d|v:1", better, diversity, 4)  # type: ignore[arg-type]


def read(better: str = "higher", clusters: tuple[str, ...] = (), arms: list[Arm] = ARMS) -> Decoding:
    quality, diversity = measured(better)
    found = read_decoding(arms, quality, [diversity], clusters)
    assert found is not None
    return found


def crossing(found: Decoding, metric: str) -> Crossing:
    [one] = [each for each in found.crossings if each.metric == metric]
    return one


def trade(found: Decoding, metric: str) -> Trade:
    [one] = [each for each in found.trades if each.metric == metric]
    return one


def test_a_checkpoint_is_held_against_the_baseline_as_it_is() -> None:
    found = read()
    assert (found.quality, found.references, found.starts) == ("reward", {"tuned": "base@T=1"}, {"tuned": "tuned@T=1"})
    assert [(path.checkpoint, path.values) for path in found.paths] == [("base", HEATS), ("tuned", HEATS)]
    assert {each.path for each in (*found.crossings, *found.trades)} == {1}


def test_crossings_and_trades_are_those_of_the_straight_lines() -> None:
    found = read()
    assert crossing(found, "d").at == pytest.approx((1.2,))
    [span] = crossing(found, "d").spans
    assert span.low is not None
    assert span.high is not None
    assert span.low < 1.2 < span.high
    at_diversity, at_quality = trade(found, "reward"), trade(found, "d")
    assert (at_diversity.at_equal, at_diversity.setting) == ("d", pytest.approx(1.2))
    assert at_diversity.against_baseline.value == pytest.approx(0.8)
    assert at_diversity.against_start.value == pytest.approx(-0.2)
    assert (at_quality.setting, at_quality.against_baseline.value) == (None, None)


def test_a_level_that_is_not_reached_says_on_which_side_it_stays() -> None:
    one = crossing(read(), "reward")
    assert (one.at, one.elsewhere) == ((), "more")
    quality, diversity = measured()
    worse = {name: values - 9 * name.startswith("tuned") for name, values in quality.values.items()}
    found = read_decoding(ARMS, replace(quality, values=worse), [diversity])
    assert found is not None
    assert crossing(found, "reward").elsewhere == "less"


def test_a_measure_that_is_better_low_reads_the_same_in_its_own_sign() -> None:
    high, low = read(), read("lower")
    assert crossing(low, "d").at == pytest.approx(crossing(high, "d").at)
    assert low.recoveries[0].settings == high.recoveries[0].settings
    quality, diversity = measured("lower")
    near = {name: values - 1 * name.startswith("tuned") for name, values in quality.values.items()}
    found = read_decoding(ARMS, replace(quality, values=near), [diversity])
    assert found is not None
    # At equal quality, which is T = 1, tuned has 1 less diversity, so 1 more of a measure of sameness.
    assert trade(found, "d").against_baseline.value == pytest.approx(1.0)


def test_what_each_setting_gives_back_is_counted_from_the_checkpoint_s_own_start() -> None:
    [one] = read().recoveries
    assert (one.start, one.reference, one.prompts) == ("tuned@T=1", "base@T=1", 80)
    assert one.lost.value == pytest.approx(1.0)
    assert [(each.arm, each.share.value) for each in one.settings] == [
        ("tuned@T=0.6", pytest.approx(-2.0)),
        ("tuned@T=1.4", pytest.approx(2.0)),
    ]
    assert (one.settings[1].is_worse, one.free, one.full) == (True, None, "tuned@T=1.4")


def test_without_a_quality_diversity_alone_is_read() -> None:
    found = read_decoding(ARMS, None, [measured()[1]])
    assert found is not None
    assert (found.quality, found.trades, found.recoveries) == (None, (), ())
    assert [one.metric for one in found.crossings] == ["d"]


def test_paraphrases_are_one_draw() -> None:
    quality, diversity = measured()

    def twice(one: Measured) -> Measured:
        return replace(one, values={name: np.repeat(values, 2) for name, values in one.values.items()})

    clusters = tuple(str(place // 2) for place in range(160))
    once = read_decoding(ARMS, quality, [diversity])
    doubled = read_decoding(ARMS, twice(quality), [twice(diversity)], clusters)
    assert once is not None
    assert doubled is not None
    for one, other in zip(once.crossings, doubled.crossings, strict=True):
        for span, same in zip(one.spans, other.spans, strict=True):
            assert (span.low, span.high) == pytest.approx((same.low, same.high))
    assert once.recoveries[0].settings[1].share.low == pytest.approx(doubled.recoveries[0].settings[1].share.low)


def test_a_prompt_without_a_value_counts_nowhere_on_the_path_and_an_undefined_arm_has_no_path() -> None:
    quality, diversity = measured()
    hole = {name: values.copy() for name, values in diversity.values.items()}
    hole["tuned@T=1.4"][0] = np.nan
    found = read_decoding(ARMS, quality, [replace(diversity, values=hole)])
    assert found is not None
    assert (crossing(found, "d").prompts, crossing(found, "reward").prompts) == (79, 80)
    gone = diversity.values | {"tuned@T=1.4": np.full(80, np.nan)}
    found = read_decoding(ARMS, quality, [replace(diversity, values=gone)])
    assert found is not None
    assert [one.metric for one in found.crossings] == ["reward"]
    assert found.trades == ()


def test_one_setting_of_each_is_no_path() -> None:
    quality, diversity = measured()
    assert (
        read_decoding([arm("base@T=1", "base"), arm("tuned@T=1", "tuned", 1.0, "base@T=1")], quality, [diversity])
        is None
    )
    assert read_decoding(ARMS[:3], quality, [diversity]) is None


def test_it_is_written_and_read_back_and_older_files_lack_it() -> None:
    summary = Summary("s", tuple(f"p{place}" for place in range(80)), tuple(ARMS), (), (), decoding=read())
    fields = json.loads(to_json(summary))
    assert parse_summary(fields, "there").decoding == summary.decoding
    del fields["decoding"]
    assert parse_summary(fields, "there").decoding is None


def test_in_the_lab_readings_hold_the_exact_ones() -> None:
    """Facts and riddles under the exact base and its exact optimum: the truth is that of the curves between settings."""
    # 200 trials tell coverage to within 3 % (two standard errors) ...
    for one in of_crossings(prompts=24, trials=200):
        assert 0.92 <= one.held <= 0.99
        assert one.told == 1
    # ... and of 30 whose intervals hold in 95 % fewer than 25 do in one of 300 runs.
    found = of_lab(prompts=64, trials=30, temperatures=TEMPERATURES[1:-1])
    assert {name for name, one in found.items() if one.held < 25 / 30} == set()
    assert found["quality there, against base"].told > 0.7


def test_straight_lines_between_settings_meet_the_base_near_where_the_exact_curves_do() -> None:
    for heats, most in (((1.2, 1.4, 1.6), 0.015), ((1.3, 1.35, 1.4, 1.45, 1.5), 0.001)):
        base, along = exact(False, 1.0), [exact(True, heat) for heat in heats]
        [diversity] = zeros(heats, np.stack([one.different - base.different for one in along])).points
        [quality] = zeros(heats, np.stack([one.right - base.right for one in along])).points
        assert diversity == pytest.approx(truths()["T where diversity is the base's"], abs=most)
        assert quality == pytest.approx(truths()["T where quality is the base's"], abs=most)


def test_true_crossings_are_in_the_spans_as_often_as_is_said() -> None:
    for name in ("three crossings", "a crossing where it bends"):
        held, _ = of_bends(name, prompts=24, trials=150)
        assert held >= 0.92, name


def test_measures_that_are_read_together_read_as_each_alone() -> None:
    quality, diversity = measured()
    hole = {name: values.copy() for name, values in diversity.values.items()}
    hole["tuned@T=1.4"][0] = np.nan
    others = [
        replace(diversity, measure="e", values=measured(seed=2)[1].values),
        replace(diversity, measure="f", values=hole),
    ]
    together = read_decoding(ARMS, quality, [diversity, *others])
    assert together is not None
    for one in (diversity, *others):
        alone = read_decoding(ARMS, quality, [one])
        assert alone is not None
        assert alone.trades == tuple(each for each in together.trades if one.measure in (each.metric, each.at_equal))
