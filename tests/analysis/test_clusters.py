"""Prompts that belong together are one draw, from the suite to the verdict; nothing changes where none are named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.analysis.clusters import clusters_of, shared_clusters, sized
from evalkit.analysis.comparison.curves import Traced, crossovers, curves
from evalkit.analysis.intervals import units
from evalkit.cli.main import main
from evalkit.errors import Incomparable, RecordsError, SuiteError
from evalkit.gate.compare import NamedSide, compare_sides
from evalkit.gate.decide import decide
from evalkit.gate.formats import words
from evalkit.gate.sequential_run import _in_random_order
from evalkit.gate.sides import Side
from evalkit.gate.stats.power import Cost, Spread, splits_for
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Prompt
from evalkit.report.content.merge import merge
from evalkit.report.content.read import read_content
from evalkit.report.page import build_report
from evalkit.runs.asked import version_of
from evalkit.score import score_file
from evalkit.suite.prompts import PromptSource, read_prompts
from evalkit.suite.schema import Suite
from tests.finished import PROMPTS, finished_run
from tests.sides import SAMPLING, allowing, law, side

PAIR = [("tuned", "tuned")]
AB = ("a", "b") * 4
FIVES = tuple(f"q{place // 5}" for place in range(100))


def clustered(found: Side, clusters: tuple[str, ...] = FIVES) -> Side:
    return replace(found, summary=replace(found.summary, clusters=clusters))


def questions(seed: int) -> tuple[Array, Array]:
    """Twenty questions in five wordings: nothing differs but by the question, and a little by its wording."""
    rng = np.random.default_rng(seed)
    base = np.repeat(rng.normal(10, 1, 20), 5)
    return base + np.repeat(rng.normal(0, 0.5, 20), 5) + 0.1 * rng.normal(size=100), base


def test_a_suite_without_clusters_is_the_suite_that_it_was() -> None:
    asked = [Prompt("b", "Name a colour.", answer="blue"), Prompt("a", "x", ("t",))]
    assert version_of(asked) == "977a42412d75ce9d78bc52a712ff55af"  # as it was before there were clusters
    assert version_of([replace(one, cluster="c") for one in asked]) == version_of(asked)
    assert clusters_of(asked) == ()


def test_a_prompt_without_a_cluster_is_one_of_its_own() -> None:
    asked = [Prompt("a", "x", cluster="q"), Prompt("b", "y", cluster="q"), Prompt("c", "z")]
    assert clusters_of(asked) == ("q", "q", "c")
    assert units(clusters_of(asked), 3) == 2
    assert [sized(3, clusters_of(asked)), sized(3, ()), sized(1, ())] == [
        "2 clusters of 3 prompts",
        "3 prompts",
        "1 prompt",
    ]


def test_clusters_are_read_from_files_with_numbers_as_names(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"text": "a", "question": 7}\n{"text": "b", "question": "x"}\n{"text": "c"}\n')
    (tmp_path / "p.csv").write_text("text,cluster\na,7\nb,\n")
    listed = read_prompts(PromptSource(file="p.jsonl", columns={"cluster": "question"}), tmp_path, "suite")
    table = read_prompts(PromptSource(file="p.csv"), tmp_path, "suite")
    assert [prompt.cluster for prompt in (*listed, *table)] == ["7", "x", None, "7", None]
    (tmp_path / "bad.jsonl").write_text('{"text": "a", "cluster": [1]}\n')
    with pytest.raises(SuiteError, match=r"bad\.jsonl:1: cluster: found \['1'\]; it must be text"):
        read_prompts(PromptSource(file="bad.jsonl"), tmp_path, "suite")


def test_the_gate_s_false_alarms_stay_at_the_level_where_wordings_are_many() -> None:
    wrong = {"prompts": 0, "clusters": 0}
    for seed in range(400):
        new, old = (side({"vendi": values}, place) for values, place in zip(questions(seed), "ab", strict=True))
        policy = allowing(absolute=0)
        wrong["prompts"] += decide(new, old, PAIR, policy).outcome == "regression"
        wrong["clusters"] += decide(clustered(new), clustered(old), PAIR, policy).outcome == "regression"
    assert wrong["prompts"] > 400 * 0.15
    # Three standard errors over 5 %.
    assert wrong["clusters"] <= 400 * 0.05 + 3 * (400 * 0.05 * 0.95) ** 0.5


def test_the_gate_judges_clusters_as_it_would_one_wording_each() -> None:
    (new, old), short = questions(0), slice(None, None, 5)
    new, old = np.repeat(new[short], 5), np.repeat(old[short], 5)
    for policy in (allowing(absolute=0.1), allowing(relative=0.01), allowing(standard_errors=1)):
        many = decide(clustered(side({"vendi": new})), clustered(side({"vendi": old})), PAIR, policy).judgements[0]
        few = decide(side({"vendi": new[short]}), side({"vendi": old[short]}), PAIR, policy).judgements[0]
        for key in ("change", "low", "high", "p_within", "p_beyond"):
            assert getattr(many, key) == pytest.approx(getattr(few, key)), key
        assert (many.prompts, many.units, many.needed) == (100, 20, few.needed)
        assert words.prompt_count(many) == "100 in 20 clusters"
        assert "clusters like these would settle it" in words.remark(many)


def test_one_cluster_alone_proves_nothing() -> None:
    new, old = law(0, prompts=6)
    one = tuple("q" * 6)
    found = decide(
        clustered(side({"vendi": new}), one), clustered(side({"vendi": old}), one), PAIR, allowing(absolute=5)
    )
    assert found.outcome == "inconclusive"
    assert found.judgements[0].note == "defined on one cluster alone: nothing says how much clusters vary"


def test_what_one_side_says_of_clusters_holds_for_both_and_two_sayings_are_refused() -> None:
    new, old = (side({"vendi": values}, place) for values, place in zip(questions(1), ("new", "old"), strict=True))
    one, both = (decide(clustered(new), other, PAIR, allowing(absolute=0.1)) for other in (old, clustered(old)))
    assert one.judgements == both.judgements
    renamed = tuple(f"question {name}" for name in FIVES)
    assert decide(clustered(new), clustered(old, renamed), PAIR, allowing(absolute=0.1)).judgements == both.judgements
    fours = tuple(f"q{place // 4}" for place in range(100))
    with pytest.raises(
        Incomparable, match="clusters: new takes 20 clusters of 100 prompts, old 25 clusters of 100 prompts"
    ):
        decide(clustered(new), clustered(old, fours), PAIR, allowing(absolute=0.1))


def test_a_side_cut_to_some_prompts_keeps_their_clusters() -> None:
    cut = clustered(side({"vendi": questions(0)[0]})).only(["p7", "p1", "p6"])
    assert cut.summary.clusters == ("q1", "q0", "q1")


def test_compare_takes_clusters_as_the_unit_and_says_so() -> None:
    new, old = (side({"vendi": values}, place) for values, place in zip(questions(2), ("new", "old"), strict=True))
    alone, together = (
        compare_sides(NamedSide(one, "tuned"), NamedSide(other, "tuned")).pairs[0].rows[0].difference
        for one, other in ((old, new), (clustered(old), clustered(new)))
    )
    assert alone is not None
    assert together is not None
    assert together.value == pytest.approx(alone.value)
    assert together.high - together.low > 1.7 * (alone.high - alone.low)  # type: ignore[operator]
    assert shared_clusters(old.summary.prompts, ["a"], [clustered(old).summary]) == FIVES


def test_curves_and_crossovers_resample_clusters() -> None:
    rng = np.random.default_rng(0)
    few = {arm: rng.normal(level, 1, (12, 3)) for arm, level in (("base", 0), ("tuned", 0.2))}
    few["base"] += [-1, 0, 1]
    arms = [Arm("base", "base", None, SAMPLING, None), Arm("tuned", "tuned", None, SAMPLING, "base")]
    many = {arm: np.repeat(own, 4, axis=0) for arm, own in few.items()}
    named = [f"{place // 4:02d}" for place in range(48)]
    one, four = (Traced("best_of", "m", "u", "s", (1, 2, 4), values) for values in (few, many))
    for got, wanted in zip(curves([four], arms, named), curves([one], arms), strict=True):
        assert (got.lows, got.highs) == (pytest.approx(wanted.lows), pytest.approx(wanted.highs))
    [got], [wanted] = crossovers([four], arms, named), crossovers([one], arms)
    assert (got.k, got.low, got.high) == (
        pytest.approx(wanted.k),
        pytest.approx(wanted.low),
        pytest.approx(wanted.high),
    )


def test_a_size_that_is_planned_in_clusters_is_told_in_prompts() -> None:
    spread, cost = Spread(5, 0.5, 1.0, 16), Cost(10, 20)
    alone = {split.samples: split.prompts for split in splits_for(spread, 0.2, 0.05, 0.9, cost)}
    fives = splits_for(spread, 0.2, 0.05, 0.9, cost, 5.0)
    assert {split.samples: split.prompts / 5 for split in fives} == alone
    assert all(split.tokens == split.prompts * (10 + 20 * split.samples) for split in fives)


def suite_of(prompts: list[dict[str, Any]]) -> Suite:
    checkpoints = {"base": {"path": "lab:base", "kind": "base"}}
    return Suite.model_validate({"name": "x", "checkpoints": checkpoints, "metrics": ["length"], "prompts": prompts})


def test_blocks_ask_clusters_together_in_an_order_of_chance() -> None:
    rows = [{"id": f"p{place}", "text": "x", "cluster": f"q{place % 4}"} for place in range(12)]
    asked = clusters_of(_in_random_order(suite_of(rows)).prompts)
    assert [asked[start : start + 3] for start in range(0, 12, 3)] == [(asked[start],) * 3 for start in range(0, 12, 3)]
    assert sorted(set(asked)) == ["q0", "q1", "q2", "q3"]
    alone = [
        prompt.id for prompt in _in_random_order(suite_of([{"id": f"p{i}", "text": "x"} for i in range(12)])).prompts
    ]
    assert alone == ["p1", "p9", "p8", "p5", "p10", "p2", "p3", "p7", "p4", "p0", "p11", "p6"]  # as before


def test_texts_may_name_clusters_and_the_page_counts_them(tmp_path: Path) -> None:
    rows = [
        {
            "prompt_id": f"p{place}",
            "prompt": f"Text {place}",
            "completions": ["a b", f"c d{place}"],
            "cluster": place // 2,
        }
        for place in range(8)
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    scored = score_file(path, ["distinct_n"], None, Quiet())
    assert scored.summary.clusters == ("0", "0", "1", "1", "2", "2", "3", "3")
    assert "only 4 clusters of 8 prompts" in scored.summary.alarms[-1].message
    page = scored.page.decode()
    assert "4 clusters of 8 prompts" in page
    assert "intervals over clusters of prompts" in page
    path.write_text("\n".join(json.dumps(one | {"prompt_id": "p", "prompt": "x"}) for one in rows))
    with pytest.raises(RecordsError, match="prompt_id 'p' stands in two clusters: '0' and '1'"):
        score_file(path, ["distinct_n"], None, Quiet())


def test_a_run_keeps_its_clusters_and_merged_runs_share_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    named = [one | {"cluster": "ab"[place % 2]} for place, one in enumerate(PROMPTS)]
    one = finished_run(tmp_path / "one", {"base": 8, "tuned": 2}, named)
    two = finished_run(tmp_path / "two", {"base": 8, "new": 3})
    assert read_content(one).summary.clusters == AB
    merged = merge([one, two], [read_content(one), read_content(two)])
    assert merged.summary.clusters == AB
    assert len(merged.summary.prompts) == len(PROMPTS) == len(AB)
    assert "2 clusters of 8 prompts" in build_report(merged)
    other = finished_run(tmp_path / "other", {"base": 8, "new": 3}, [row | {"cluster": "all"} for row in PROMPTS])
    with pytest.raises(Incomparable, match="clusters: one takes 2 clusters of 8 prompts, other 1 cluster of 8 prompts"):
        merge([one, other], [read_content(one), read_content(other)])
    gate = CliRunner().invoke(main, ["gate", str(one), "--baseline", str(other), "--arm", "base=base"])
    assert gate.exit_code == 2
    assert "clusters: " in gate.output
    again = finished_run(two, {"base": 8, "new": 3}, named)  # the same folder: clusters are no other run
    assert read_content(again).summary.clusters == AB
