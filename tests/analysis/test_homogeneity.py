"""How alike arms are: the mean cosine over all pairs, by a double loop; laws that hold; intervals that hold."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.analysis.figure_data import FILE, FigureData, read_figure_data, to_json
from evalkit.analysis.homogeneity import BOUNDS, accords, homogeneity, mean_cosines
from evalkit.analysis.intervals import mean_intervals
from evalkit.metrics.diversity.semantic import embedding_distance, unit_rows
from evalkit.metrics.summary import Homogeneity, Likeness, Summary
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.lazily import Made
from evalkit.records import Arm, Completion, Group, Groups, Kind, Prompt, Sampling
from evalkit.report.content.merge import merge
from evalkit.report.content.read import read_content
from evalkit.report.verdicts.verdict import verdict
from evalkit.runs.summary import parse_summary, read_summary
from evalkit.runs.summary import to_json as summary_json
from tests.finished import finished_run

D = 5


def rows_of(seed: int, k: int, about: Array | None = None) -> Array:
    rows = np.random.default_rng(seed).normal(size=(k, D)) + (0.0 if about is None else about)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def group(prompt: str, rows: Array, name: str = "") -> Group:
    texts = [f"{name} {prompt} {slot}" for slot in range(len(rows))]
    completions = tuple(Completion(prompt, slot, text, (), (), "stop") for slot, text in enumerate(texts))
    return Group(Prompt(prompt, f"About {prompt}?"), completions, rows.astype(np.float32))


def sampling(temperature: float = 1.0) -> Sampling:
    return Sampling(4, temperature, 1.0, 0.0, 8, (), 0)


def arm(name: str, kind: Kind = "tuned", temperature: float = 1.0, checkpoint: str = "") -> Arm:
    return Arm(name, checkpoint or name, kind, sampling(temperature), None)


def found(arms: list[Arm], groups: Groups, clusters: tuple[str, ...] = ()) -> Homogeneity:
    result = homogeneity(arms, groups, clusters, "encoder")
    assert result is not None
    return result


def cell(result: Homogeneity, one: str, other: str) -> Likeness:
    return next(each for each in result.cells if {each.arm, each.other} == {one, other})


@pytest.fixture
def four() -> tuple[list[Arm], dict[str, list[Group]]]:
    """Two various bases, and two tuned arms near one place, on 12 prompts."""
    arms = [arm("base", "base"), arm("base-2", "base"), arm("tuned"), arm("tuned-2")]
    place = np.array([4.0, 0, 0, 0, 0])
    about = {"base": None, "base-2": None, "tuned": place, "tuned-2": place}
    groups = {
        name: [group(f"p{p}", rows_of(100 * place + p, 3 + place, near), name) for p in range(12)]
        for place, (name, near) in enumerate(about.items())
    }
    return arms, groups


def test_each_cell_is_the_mean_over_all_pairs_and_then_over_prompts(
    four: tuple[list[Arm], dict[str, list[Group]]],
) -> None:
    arms, groups = four
    result = found(arms, groups)
    assert len(result.cells) == 10
    for one in groups:
        for other in groups:
            by_prompt = []
            for a, b in zip(groups[one], groups[other], strict=True):
                pairs = [(i, j) for i in range(len(a.texts)) for j in range(len(b.texts)) if one != other or i != j]
                u, v = unit_rows(a), unit_rows(b)
                by_prompt.append(np.mean([u[i] @ v[j] for i, j in pairs]))
            assert cell(result, one, other).value == pytest.approx(np.mean(by_prompt), abs=1e-12)
            [mean] = mean_intervals(np.array([by_prompt]), 0.95, (), BOUNDS)
            assert cell(result, one, other).low == pytest.approx(mean.low, abs=1e-9)
            assert cell(result, one, other).high == pytest.approx(mean.high, abs=1e-9)


def test_an_arm_s_own_is_what_its_distance_in_meaning_leaves(four: tuple[list[Arm], dict[str, list[Group]]]) -> None:
    arms, groups = four
    own = cell(found(arms, groups), "tuned", "tuned").value
    assert own == pytest.approx(1 - np.mean([embedding_distance(each) for each in groups["tuned"]]), abs=1e-12)


counts = st.lists(st.integers(0, 6), min_size=2, max_size=4)


@settings(max_examples=60, deadline=None)
@given(counts, st.integers(0, 10_000))
def test_the_matrix_is_symmetric_bounded_and_blind_to_the_order_of_completions(ks: list[int], seed: int) -> None:
    rows = [rows_of(seed + place, k) for place, k in enumerate(ks)]
    cosines = mean_cosines(rows)
    assert np.array_equal(cosines, cosines.T, equal_nan=True)
    assert np.nanmax(np.abs(cosines), initial=0) <= 1
    shuffled = [np.random.default_rng(seed).permutation(of_arm) for of_arm in rows]
    assert mean_cosines(shuffled) == pytest.approx(cosines, abs=1e-12, nan_ok=True)
    for one, other in combinations(range(len(ks)), 2):
        assert np.isnan(cosines[one, other]) == (ks[one] == 0 or ks[other] == 0)
    assert [np.isnan(own) for own in np.diag(cosines)] == [k < 2 for k in ks]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.integers(0, 10_000))
def test_one_arm_twice_differs_from_its_own_by_the_pairs_with_itself(k: int, seed: int) -> None:
    rows = rows_of(seed, k)
    cosines = mean_cosines([rows, rows])
    assert cosines[0, 1] == pytest.approx((1 + (k - 1) * cosines[0, 0]) / k, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10_000))
def test_no_two_arms_are_more_alike_than_the_two_are_to_themselves_on_average(k: int, n: int, seed: int) -> None:
    """|mean(u) - mean(v)|^2 is not negative; here with each completion paired with itself too."""
    one, other = rows_of(seed, k), rows_of(seed + 1, n)
    means = one.mean(axis=0), other.mean(axis=0)
    assert mean_cosines([one, other])[0, 1] <= (means[0] @ means[0] + means[1] @ means[1]) / 2 + 1e-12


def test_equal_texts_are_as_alike_as_can_be() -> None:
    rows = np.tile(rows_of(1, 1), (4, 1))
    assert mean_cosines([rows, rows]) == pytest.approx(np.ones((2, 2)), abs=1e-12)


def test_tuned_arms_are_held_against_base_ones(four: tuple[list[Arm], dict[str, list[Group]]]) -> None:
    arms, groups = four
    result = found(arms, groups)
    contrast = result.contrast
    assert contrast is not None
    assert contrast.beside == "bases"
    assert contrast.tuned == pytest.approx(cell(result, "tuned", "tuned-2").value)
    assert contrast.others == pytest.approx(cell(result, "base", "base-2").value)
    assert contrast.value == pytest.approx(contrast.tuned - contrast.others)
    assert contrast.low is not None
    assert contrast.low > 0.5
    assert contrast.p is not None
    assert contrast.p < 0.01


def test_of_one_base_tuned_arms_are_held_against_their_pairs_with_it(
    four: tuple[list[Arm], dict[str, list[Group]]],
) -> None:
    arms, groups = four
    result = found([arms[0], *arms[2:]], groups)
    assert result.contrast is not None
    assert result.contrast.beside == "base"
    pairs = [cell(result, "base", tuned).value for tuned in ("tuned", "tuned-2")]
    assert result.contrast.others == pytest.approx(np.mean([pair for pair in pairs if pair is not None]))


def test_nothing_is_said_of_tuned_arms_drawn_otherwise(four: tuple[list[Arm], dict[str, list[Group]]]) -> None:
    arms, groups = four
    colder = [*arms[:2], *(arm(each.name, "tuned", 0.5) for each in arms[2:])]
    assert found(colder, groups).contrast is None
    unknown = [replace(each, kind=None) for each in arms]
    assert found(unknown, groups).contrast is None


def test_temperatures_of_one_checkpoint_are_no_two_models(four: tuple[list[Arm], dict[str, list[Group]]]) -> None:
    arms, groups = four
    swept = [arms[0], arm("tuned", "tuned", 1.0, "one"), arm("tuned-2", "tuned", 0.5, "one")]
    result = found(swept, {name: groups[name] for name in ("base", "tuned", "tuned-2")})
    between = [mean_cosines([unit_rows(groups["base"][0]), unit_rows(groups[name][0])])[0, 1]
               for name in ("tuned", "tuned-2")]  # fmt: skip
    assert result.by_prompt[0] == pytest.approx(np.mean(between))
    assert result.contrast is None


def test_paraphrases_are_one_draw(four: tuple[list[Arm], dict[str, list[Group]]]) -> None:
    arms, groups = four
    twice = {name: [each for each in of_arm for _ in range(2)] for name, of_arm in groups.items()}
    clusters = tuple(each.prompt.id for each in twice["base"])
    once, clustered = found(arms, groups), found(arms, twice, clusters)
    for one, other in zip(once.cells, clustered.cells, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-9)


def test_groups_that_are_made_on_every_look_give_the_same(four: tuple[list[Arm], dict[str, list[Group]]]) -> None:
    arms, groups = four
    lazy = {name: Made(len(of_arm), of_arm.copy) for name, of_arm in groups.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalkit.plumbing.by_row.cores", lambda: 1)
        assert found(arms, lazy) == found(arms, groups)


def test_work_on_a_prompt_can_go_to_another_process() -> None:
    from evalkit.analysis.homogeneity import _Cosines
    from evalkit.plumbing.by_row import is_portable

    assert is_portable(_Cosines(("base", "tuned")))


def test_one_arm_or_none_that_is_embedded_has_no_matrix(four: tuple[list[Arm], dict[str, list[Group]]]) -> None:
    arms, groups = four
    assert homogeneity(arms[:1], groups, (), "encoder") is None
    bare = {name: [each.having(embeddings=None) for each in of_arm] for name, of_arm in groups.items()}
    assert homogeneity(arms, bare, (), "encoder") is None
    assert accords(None, bare) == ()


def test_a_prompt_without_answers_of_an_arm_counts_for_the_others(
    four: tuple[list[Arm], dict[str, list[Group]]],
) -> None:
    arms, groups = four
    groups["tuned"][3] = group("p3", np.empty((0, D)))
    result = found(arms, groups)
    assert cell(result, "base", "tuned").prompts == 11
    assert cell(result, "base", "base-2").prompts == 12
    assert result.by_prompt[3] is None
    assert "p3" not in [accord.prompt for accord in accords(result, groups, most=12)]


def test_the_prompts_they_agree_on_most_come_first_with_an_answer_of_each(
    four: tuple[list[Arm], dict[str, list[Group]]],
) -> None:
    arms, groups = four
    place = np.array([0, 9.0, 0, 0, 0])
    for name in groups:
        groups[name][7] = group("p7", rows_of(7, 20, place), name)
        odd = unit_rows(groups[name][7])
        odd[0] = [0, 0, 1, 0, 0]
        groups[name][7] = groups[name][7].having(embeddings=odd.astype(np.float32))
    result = found(arms, groups)
    first, *_ = told = accords(result, groups)
    assert len(told) == 5
    assert [accord.value for accord in told] == sorted((accord.value for accord in told), reverse=True)
    assert (first.prompt, first.text) == ("p7", "About p7?")
    assert [name for name, _ in first.examples] == list(groups)
    assert not any(text.endswith(" 0") for _, text in first.examples), "the one that says something else is no example"


def test_intervals_hold_the_mean_over_all_prompts_that_could_be_asked() -> None:
    """300 suites of 20 prompts, whose subjects and whose models' leaning differ by prompt; 4 completions each."""
    rng = np.random.default_rng(20)
    spread = (0.4, 1.0)

    def values(prompts: int, k: int) -> Array:
        """(prompts, 2): between the arms, and the second's own."""
        subject = rng.normal(size=(prompts, 1, D))
        arms = [subject + 0.5 * rng.normal(size=(prompts, 1, D)) + s * rng.normal(size=(prompts, k, D)) for s in spread]
        units = [rows / np.linalg.norm(rows, axis=2, keepdims=True) for rows in arms]
        every = [mean_cosines(pair) for pair in zip(*units, strict=True)]
        return np.array([(cosines[0, 1], cosines[1, 1]) for cosines in every])

    truth = values(20_000, 2).mean(axis=0)
    suites = values(300 * 20, 4).reshape(300, 20, 2)
    for column, mean in enumerate(truth):
        intervals = mean_intervals(suites[:, :, column], 0.95, (), BOUNDS)
        held = np.mean([interval.low <= mean <= interval.high for interval in intervals])
        assert 0.92 <= held <= 0.98
        assert suites[:, :, column].mean() == pytest.approx(mean, abs=0.01)


def test_it_is_written_and_read_back_and_older_files_lack_it(
    four: tuple[list[Arm], dict[str, list[Group]]], tmp_path: Path
) -> None:
    arms, groups = four
    result = found(arms, groups)
    summary = Summary("s", tuple(f"p{p}" for p in range(12)), tuple(arms), (), (), homogeneity=result)
    fields = json.loads(summary_json(summary))
    assert parse_summary(fields, "there").homogeneity == result
    del fields["homogeneity"]
    assert parse_summary(fields, "there").homogeneity is None
    figures = FigureData(accords=accords(result, groups))
    (tmp_path / FILE).write_bytes(to_json(figures))
    assert read_figure_data(tmp_path) == figures
    older = json.loads(to_json(figures))
    del older["accords"]
    (tmp_path / FILE).write_text(json.dumps(older), encoding="utf-8")
    assert read_figure_data(tmp_path) == FigureData()


def test_a_finished_run_says_it_in_summary_page_and_headline(tmp_path: Path) -> None:
    paths = {"base": "base", "base-2": "base", "tuned": "ppo-1", "tuned-2": "ppo-0.2"}
    checkpoints = {name: {"path": f"lab:{path}", "kind": name.split("-")[0]} for name, path in paths.items()}
    various = {"base": 8, "base-2": 8, "tuned": 1, "tuned-2": 1}
    folder = finished_run(
        tmp_path / "run", various, checkpoints=checkpoints, baseline="base", metrics=["embedding_distance"]
    )
    summary = read_summary(folder / "summary.json")
    result = summary.homogeneity
    assert result is not None
    own = {e.arm: e.value for e in summary.estimates if e.metric == "embedding_distance"}
    assert {name: cell(result, name, name).value for name in paths} == pytest.approx(
        {name: 1 - (value or 0) for name, value in own.items()}
    )
    assert result.contrast is not None
    assert result.contrast.tuned == pytest.approx(1)
    claim = "Tuned checkpoints are more like each other than base ones are: answers of two of them to the same prompt"
    assert any(said.startswith(claim) for said in verdict(summary).besides)
    assert len(read_figure_data(folder).accords) == 5
    assert "Do the arms say the same as each other?" in (folder / "report.html").read_text(encoding="utf-8")


def test_arms_of_several_runs_are_held_against_each_other_too(tmp_path: Path) -> None:
    folders = [
        finished_run(tmp_path / name, {"base": various}, metrics=["embedding_distance"])
        for name, various in (("one", 1), ("two", 8))
    ]
    content = merge(folders, [read_content(folder) for folder in folders])
    result = content.summary.homogeneity
    assert result is not None
    assert [each.arm for each in result.cells] == ["one/base", "one/base", "two/base"]
    assert cell(result, "one/base", "one/base").value == pytest.approx(1)
    assert cell(result, "one/base", "two/base").value == pytest.approx(np.mean([v or 0 for v in result.by_prompt]))
    assert len(content.figure_data.accords) == 5
    assert [name for name, _ in content.figure_data.accords[0].examples] == ["one/base", "two/base"]
