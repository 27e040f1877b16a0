"""Numbers and texts as pandas frames: columns and dtypes are a promise, and rows say what the summary says."""

from __future__ import annotations

import pandas as pd
import pytest

import evalkit as ek
from evalkit.plumbing.frames import Columns, frame
from tests.finished import finished_run

COLUMNS = {
    "estimates": "arm metric variant value:float64 low:float64 high:float64 prompts:int64 samples:int64 side better unit "
    "signature",
    "differences": "arm metric variant baseline value:float64 low:float64 high:float64 p:float64 p_adjusted:float64 "
    "outcome signature",
    "values": "arm metric variant prompt_id value:float64",
    "completions": "arm prompt_id prompt slot:int64 completion tokens:Int64 logprob:float64 finish_reason",
    "scores": "arm prompt_id slot:int64 score value:float64",
    "curves": "arm curve measure k:int64 value:float64 low:float64 high:float64 prompts:int64 unit signature",
    "alarms": "arm kind message",
}
"""Frame -> its columns; those without a dtype are text."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ek.Results:
    return ek.load(finished_run(tmp_path_factory.mktemp("run") / "r", {"base": 8, "tuned": 2}))


@pytest.fixture(scope="module")
def texts() -> ek.Results:
    return ek.score({"one": {"p": ["a b", "c d"]}}, ["distinct_n"], progress=False)


def stated(columns: str) -> dict[str, str]:
    return {name: dtype or "string" for name, _, dtype in (word.partition(":") for word in columns.split())}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_and_dtypes_are_the_same_with_and_without_rows(name: str, run: ek.Results, texts: ek.Results) -> None:
    for results in (run, texts):
        found: pd.DataFrame = getattr(results, name)
        assert {column: str(dtype) for column, dtype in found.dtypes.items()} == stated(COLUMNS[name])
    assert len(run.completions) == 2 * 8 * 4
    assert texts.differences.empty
    assert texts.scores.empty


def test_estimates_are_the_summarys(run: ek.Results) -> None:
    rows = run.estimates
    assert len(rows) == len(run.summary.estimates)
    for row, estimate in zip(rows.to_dict("records"), run.summary.estimates, strict=True):
        assert (row["metric"], row["arm"], row["prompts"]) == (estimate.metric, estimate.arm, estimate.prompts)
        assert row["value"] == pytest.approx(float("nan") if estimate.value is None else estimate.value, nan_ok=True)
    whole = rows[rows.variant == "whole"]
    assert {"distinct_n|n:1", "length", "accuracy"} <= set(whole.metric)


def test_an_estimate_is_the_mean_of_its_values(run: ek.Results) -> None:
    means = run.values.groupby(["arm", "metric"]).value.mean()
    for row in run.estimates.to_dict("records"):
        if row["metric"].startswith(("distinct_n", "length", "accuracy")):
            assert means[row["arm"], row["metric"]] == pytest.approx(row["value"])


def test_a_difference_is_arm_minus_baseline_by_prompt(run: ek.Results) -> None:
    values = run.values.set_index(["arm", "metric", "prompt_id"]).sort_index().value
    [row] = run.differences[run.differences.metric == "distinct_n|n:1"].to_dict("records")
    paired = values[row["arm"], row["metric"]] - values[row["baseline"], row["metric"]]
    assert row["value"] == pytest.approx(paired.mean())
    assert row["low"] < row["value"] < row["high"] < 0
    assert row["outcome"] == "lost"


def test_completions_of_a_run_have_tokens_and_ends_and_those_of_texts_have_none(
    run: ek.Results, texts: ek.Results
) -> None:
    assert set(run.completions.tokens) == {3}
    assert set(run.completions.finish_reason) == {"stop"}
    assert texts.completions.completion.tolist() == ["a b", "c d"]
    assert texts.completions[["tokens", "logprob", "finish_reason"]].isna().all(axis=None)


def test_a_score_has_a_row_a_completion() -> None:
    rows = [{"prompt": p, "completion": c, "scores": {"stars": s}} for p, c, s in [("p", "a", 1), ("p", "b", 4)]]
    found = ek.score(rows, progress=False)
    [mean] = found.estimates[found.estimates.metric.str.contains("stars")].value.unique()
    assert mean == 2.5


def test_missing_cells_are_missing_and_not_words() -> None:
    columns: Columns = {"name": "string", "number": "float64", "count": "Int64"}
    found = frame(columns, [("a", 1.0, 2), (None, None, None)])
    assert found.iloc[1].isna().all()
    assert len(frame(columns, [])) == 0
