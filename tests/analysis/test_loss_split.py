"""A loss of diversity, split: parts that add up, equal numbers, which prompts take part, intervals that hold."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.analysis.estimates import Measured
from evalkit.analysis.intervals import mean_intervals
from evalkit.analysis.loss_split import SplitOf, corrected, expected_on, loss_splits, split_of
from evalkit.analysis.measure import Fairness, measure_groups
from evalkit.analysis.prompt_measures import Passing
from evalkit.analysis.ratios import ratio_intervals
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.metrics.diversity.semantic_classes import distinct_k
from evalkit.metrics.registry import parse
from evalkit.metrics.summary import LossSplit, Summary
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.by_row import is_portable
from evalkit.plumbing.progress import QUIET
from evalkit.records import Arm, Asking, Better, Completion, Given, Group, Prompt
from evalkit.report.content.merge import merge
from evalkit.report.content.read import read_content
from evalkit.runs.summary import parse_summary, read_summary
from evalkit.runs.summary import to_json as summary_json
from evalkit.score import Reading, score_file, score_files
from tests.finished import finished_run

KINDS = 12


def group(prompt: str, kinds: list[int], good: list[bool]) -> Group:
    """A text of seven words a kind; equal embeddings for equal texts, at right angles for others."""
    texts = [f"What is said here is of kind{kind}" for kind in kinds]
    completions = tuple(Completion(prompt, slot, text, (), (), "stop") for slot, text in enumerate(texts))
    rows = np.eye(KINDS, dtype=np.float32)[kinds]
    given = Given({"right": np.array(good, dtype=np.float64)})
    return Group(Prompt(prompt, f"About {prompt}?"), completions, rows, given=given)


def split(
    monkeypatch: pytest.MonkeyPatch, arms: dict[str, list[Group]], metrics: tuple[str, ...] = ("embedding_distance",)
) -> list[LossSplit]:
    """Of arms that are all held against the first."""
    from evalkit.metrics.given_scores import given_score

    monkeypatch.setattr("evalkit.analysis.measure.embed_groups", lambda groups, *_: groups)
    first = next(iter(arms))
    every = [Arm(name, name, None, None, None if name == first else first) for name in arms]
    quality = given_score("right", "a tool", "higher", of_prompts=False)
    measures = [quality, *map(parse, metrics)]
    sampled = SampledArms(every, arms, max(len(each.texts) for of_arm in arms.values() for each in of_arm))
    return loss_splits(measure_groups(measures, sampled, QUIET, fairness=Fairness(quality, 1.0)), ())


def world(seed: int, prompts: int = 12, k: int = 8, kinds: int = KINDS, right: float = 0.6) -> list[Group]:
    rng = np.random.default_rng(seed)
    return [
        group(f"p{p}", rng.integers(0, kinds, k).tolist(), (rng.random(k) < right).tolist()) for p in range(prompts)
    ]


levels_of_prompts = st.lists(
    st.one_of(st.just([float("nan")] * 6), st.lists(st.floats(0, 1), min_size=6, max_size=6)), min_size=3, max_size=20
)
MEASURED = Measured("embedding_distance", "s", "higher", {}, 8, bounds=(0.0, 2.0))


@settings(max_examples=60, deadline=None)
@given(levels_of_prompts, st.sampled_from(["higher", "lower"]))
def test_parts_add_up_on_every_prompt_and_in_the_mean_and_turn_with_the_arms(
    rows: list[list[float]], better: Better
) -> None:
    levels = np.array(rows)
    measured = replace(MEASURED, better=better)
    found = split_of(levels, measured, ("tuned", "base"), "")
    sign = -1 if better == "lower" else 1
    for row, total, narrowing in zip(levels, found.total_by_prompt, found.narrowing_by_prompt, strict=True):
        if total is not None and narrowing is not None:
            quality_control = sign * ((row[0] - row[1]) - (row[2] - row[3]))
            assert quality_control + narrowing == pytest.approx(total, abs=1e-12)
    assert found.prompts + found.left_out == len(rows)
    if found.prompts and (found.baseline_bad or found.arm_bad):
        assert found.total.value is not None
        total = (found.quality_control.value or 0) + (found.narrowing.value or 0)
        assert total == pytest.approx(found.total.value, abs=1e-12)
    turned = split_of(levels[:, [2, 3, 0, 1, 5, 4]], measured, ("base", "tuned"), "")
    for one, other in ((found.total, turned.total), (found.quality_control, turned.quality_control),
                       (found.narrowing, turned.narrowing), (found.fewer_bad, turned.fewer_bad)):  # fmt: skip
        assert one.value == pytest.approx(None if other.value is None else -other.value, abs=1e-12)
        assert one.low == pytest.approx(None if other.high is None else -other.high, abs=1e-9)


def test_where_no_answer_is_bad_nothing_is_split_and_no_correction_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    good = [group(f"p{place}", [0, 1, 2, 3, 4, place], [True] * 6) for place in range(4)]
    narrow = [group(f"p{place}", [0, 0, 0, 0, 1, 1], [True] * 6) for place in range(4)]
    some_bad = [group(f"p{place}", [0, 0, 2, 3, 1, 1], [True] * 4 + [False] * 2) for place in range(4)]
    without, whole = split(monkeypatch, {"base": good, "narrow": narrow, "some bad": some_bad})
    assert (without.prompts, without.baseline_bad, without.arm_bad, without.share) == (4, 0.0, 0.0, None)
    for part in (without.total, without.quality_control, without.narrowing):
        assert (part.value, part.low, part.high, part.p_adjusted) == (None,) * 4
    assert without.total_by_prompt == without.narrowing_by_prompt == (None,) * 4
    assert whole.total.p_adjusted == whole.total.p


def test_each_part_is_what_the_definition_says_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right answers are alike in both arms; the base's wrong ones are various, and the tuned arm has none."""
    base = [group("p", [0, 0, 1, 2, 3, 4], [True, True, True, False, False, False])] * 4
    tuned = [group("p", [0, 0, 1, 0, 0, 1], [True] * 6)] * 4
    [found] = split(monkeypatch, {"base": base, "tuned": tuned})
    pairs, good = 14 / 15, 2 / 3
    assert found.baseline_all == pytest.approx(pairs)
    assert found.baseline_good == pytest.approx(good)
    assert found.arm_all == found.arm_good == pytest.approx(8 / 15)
    assert found.total.value == pytest.approx(pairs - 8 / 15)
    assert found.quality_control.value == pytest.approx(pairs - good)
    assert found.narrowing.value == pytest.approx(good - 8 / 15)
    assert (found.baseline_bad, found.arm_bad, found.fewer_bad.value) == (0.5, 0, 0.5)


def test_one_arm_twice_loses_nothing_in_either_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though half of its answers are bad, and various."""
    names = ("embedding_distance", "distinct_k", "vendi", "distinct_n")
    for found in split(monkeypatch, {"one": world(1), "two": world(1)}, names):
        assert found.total.value == found.quality_control.value == found.narrowing.value == 0
        assert found.share is None


def test_the_count_of_different_things_is_the_mean_over_all_subsets_of_equal_size() -> None:
    asked = group("p", [0, 0, 1, 2, 2, 2, 3], [True] * 7)
    for m in range(2, 8):
        [value] = expected_on([parse("distinct_k")], asked, m, 0)
        by_hand = [distinct_k(asked.only(kept)) for kept in combinations(range(7), m)]
        assert value == pytest.approx(np.mean(by_hand))


def test_all_and_good_answers_are_measured_at_equal_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """All answers are different: the more there are, the more different ones; a loss would be one of numbers."""
    base = [group("p", list(range(8)), [True] * 8)] * 4
    few = [group("p", list(range(8)), [True] * 3 + [False] * 5)] * 4
    for found in split(monkeypatch, {"base": base, "few": few}, ("distinct_k", "vendi", "distinct_n")):
        assert found.total.value == pytest.approx(0, abs=1e-9)
        assert found.narrowing.value == pytest.approx(0, abs=1e-9)


def test_a_k_of_the_suite_s_own_stays() -> None:
    asked = group("p", [0, 0, 1, 2, 2, 2, 3], [True] * 7)
    [value] = expected_on([parse("distinct_k|k:2")], asked, 5, 0)
    assert value == pytest.approx(distinct_k(asked, k=2))


def test_a_prompt_takes_part_by_the_good_answers_of_its_two_arms_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    base, tuned = world(1), world(2, kinds=3)
    tuned[4] = group("p4", [0] * 8, [True] + [False] * 7)
    [found] = split(monkeypatch, {"base": base, "tuned": tuned})
    assert (found.prompts, found.left_out) == (11, 1)
    assert found.total_by_prompt[4] is found.narrowing_by_prompt[4] is None
    hopeless = [group(f"p{p}", [0] * 8, [False] * 8) for p in range(12)]
    [beside, other] = split(monkeypatch, {"base": base, "tuned": tuned, "hopeless": hopeless})
    assert beside.total_by_prompt == found.total_by_prompt
    assert beside.narrowing_by_prompt == found.narrowing_by_prompt
    assert (other.prompts, other.left_out, other.total.value, other.share) == (0, 12, None, None)


def test_without_a_quality_or_independent_draws_there_is_no_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.analysis.measure.embed_groups", lambda groups, *_: groups)
    arms = [Arm("base", "base", None, None, None), Arm("tuned", "tuned", None, None, "base")]
    groups = {"base": world(1), "tuned": world(2)}
    measures = [parse("embedding_distance")]
    assert loss_splits(measure_groups(measures, SampledArms(arms, groups, 8), QUIET), ()) == []
    listed = [arms[0], replace(arms[1], asking=Asking("list", 8))]
    quality = parse("task_checks")
    measurements = measure_groups(
        [quality, *measures], SampledArms(listed, groups, 8), QUIET, fairness=Fairness(quality)
    )
    assert loss_splits(measurements, ()) == []


def test_the_work_of_a_prompt_can_go_to_another_process() -> None:
    passing = Passing({"base": [np.ones(3)], "tuned": [np.ones(3)]}, 1.0)
    assert is_portable(SplitOf((parse("vendi"),), (("tuned", "base"),), passing))


def test_p_values_are_corrected_for_all_parts_of_all_arms() -> None:
    rng = np.random.default_rng(3)
    splits = [split_of(rng.normal([0.5, 0.3, 0.4, 0.25, 0.5, 0.3], 0.2, (20, 6)), MEASURED, (name, "base"), "")
              for name in ("a", "b", "c")]  # fmt: skip
    for before, after in zip(splits, corrected(splits), strict=True):
        assert before.narrowing.p is not None
        assert after.narrowing.p_adjusted is not None
        assert before.narrowing.p <= after.narrowing.p_adjusted <= min(1.0, 6 * before.narrowing.p) + 1e-12
    smallest = min(p for each in splits for p in (each.quality_control.p, each.narrowing.p) if p is not None)
    told = [p for each in corrected(splits) for p in (each.quality_control.p_adjusted, each.narrowing.p_adjusted)]
    assert min(p for p in told if p is not None) == pytest.approx(min(1.0, 6 * smallest))


def laws(rng: np.random.Generator, prompts: int) -> tuple[Array, Array]:
    """(prompts, 40) chances of base and tuned: 20 good kinds, 20 bad ones that are more even; fewer bad ones when tuned."""
    ranks = np.arange(1, 21)

    def zipf(steepness: Array) -> Array:
        weights = ranks ** -steepness[:, None]
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    good, steep = rng.beta(5, 5, prompts), rng.gamma(8, 0.2, prompts)
    tuned = good + (1 - good) * rng.beta(6, 2, prompts)
    bad = zipf(rng.gamma(2, 0.2, prompts))
    among_good = zipf(steep), zipf(steep + rng.gamma(2, 0.1, prompts))
    return tuple(  # type: ignore[return-value]
        np.concatenate([share[:, None] * kinds, (1 - share)[:, None] * bad], axis=1)
        for share, kinds in zip((good, tuned), among_good, strict=True)
    )


def apart(counts: Array) -> Array:
    """Chance that two of the draws differ, from how often each kind was drawn; NaN below two draws."""
    n = counts.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(n < 2, np.nan, 1 - (counts * (counts - 1)).sum(axis=-1) / (n * (n - 1))))


def test_intervals_of_the_loss_its_parts_and_their_share_hold_in_simulated_suites() -> None:
    """400 suites of 20 prompts with 16 draws an arm."""
    rng = np.random.default_rng(20)

    def exactly(law: Array, good: bool) -> Array:
        law = law[:, :20] / law[:, :20].sum(axis=1, keepdims=True) if good else law
        return np.asarray(1 - (law**2).sum(axis=1))

    every = laws(rng, 100_000)
    total = float(np.mean(exactly(every[0], False) - exactly(every[1], False)))
    narrowing = float(np.mean(exactly(every[0], True) - exactly(every[1], True)))
    counts = [rng.multinomial(16, law).astype(np.float64) for law in laws(rng, 400 * 20)]
    levels = np.stack([row for each in counts for row in (apart(each), apart(each[:, :20]))])
    levels[:, np.isnan(levels).any(axis=0)] = np.nan
    losses, among = (levels[0] - levels[2]).reshape(400, 20), (levels[1] - levels[3]).reshape(400, 20)
    assert np.isnan(losses).mean() < 0.02
    truths = {"total": (losses, total), "narrowing": (among, narrowing), "rest": (losses - among, total - narrowing)}
    for name, (rows, truth) in truths.items():
        held = np.mean([mean.low <= truth <= mean.high for mean in mean_intervals(rows, 0.95)])
        assert 0.92 <= held <= 0.98, name
    share = 1 - narrowing / total
    assert 0.2 < share < 0.8
    told = [mean for mean in ratio_intervals(losses - among, losses, 0.95) if np.isfinite(mean.low)]
    assert len(told) > 350
    assert 0.92 <= np.mean([mean.low <= share <= mean.high for mean in told]) <= 0.98


CHECKED = [{"id": f"p{i}", "text": f"Write a line, the {i}th.", "checks": ["mentions:rain|tram"]} for i in range(8)]


def checked_run(folder: Path, various: dict[str, int]) -> Path:
    """Words at random: those that hold one of the first two are good."""
    metrics = ["task_checks", "embedding_distance", "distinct_n|n:1"]
    return finished_run(folder, various, CHECKED, metrics=metrics)


def test_a_finished_run_has_it_in_summary_and_page_and_reads_it_back(tmp_path: Path) -> None:
    folder = checked_run(tmp_path / "run", {"base": 6, "tuned": 2})
    summary = read_summary(folder / "summary.json")
    assert {each.metric for each in summary.splits} == {"embedding_distance", "distinct_n|n:1"}
    assert parse_summary(json.loads(summary_json(summary)), "there") == summary
    fields = json.loads(summary_json(summary))
    del fields["splits"]
    assert parse_summary(fields, "there").splits == ()
    for each in summary.splits:
        assert len(each.total_by_prompt) == len(summary.prompts)
        assert "task_checks" in each.signature
    assert "Was it bad answers that went?" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("base", "told"), [(6, {"one/tuned", "two/tuned"}), (5, {"one/tuned"})])
def test_several_runs_keep_splits_against_the_baseline_that_arms_have_together(
    tmp_path: Path, base: int, told: set[str]
) -> None:
    """The second run's base is the first one's very answers, or others."""
    runs = {"one": {"base": 6, "tuned": 2}, "two": {"base": base, "tuned": 3}}
    folders = [checked_run(tmp_path / name, various) for name, various in runs.items()]
    merged = merge(folders, [read_content(folder) for folder in folders]).summary
    own = {arm.name: arm.baseline for arm in merged.arms}
    assert all(own[each.arm] == each.baseline for each in merged.splits)
    assert {each.arm for each in merged.splits} == told


def test_texts_with_scores_are_split_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    rows = [
        {"prompt_id": f"p{p}", "prompt": f"Question {p}?", "arm": arm, "scores": {"right": right},
         "completion": f"It is answer number {rng.integers(0, kinds)} of this many"}
        for p in range(10)
        for arm, kinds in (("base", 9), ("tuned", 2))
        for right in (1, 1, 1, 0)
    ]  # fmt: skip
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = score_file(path, ["score/right", "distinct_n"], "base", QUIET).summary
    assert isinstance(found, Summary)
    [each] = found.splits
    assert (each.metric, each.arm, each.prompts, each.left_out) == ("distinct_n", "tuned", 10, 0)
    assert each.baseline_bad == each.arm_bad == 0.25
    errors = score_files([path], ["score/right", "distinct_n"], "base", QUIET, reading=Reading(lower=["right"])).summary
    assert errors.bar is None, "of errors the lower half is the good one"
    assert errors.splits == ()
