"""The commands as Python functions: what they take, what they give and raise, and what importing them costs."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import evalkit as ek
from tests import ROOT
from tests.finished import PROMPTS, finished_run
from tests.served import Server
from tests.served import server as server

HEAVY = (
    "torch",
    "transformers",
    "vllm",
    "sklearn",
    "pandas",
    "plotly",
    "nltk",
    "numpy",
    "pydantic",
    "click",
    "yaml",
    "jinja2",
)
ARMS = {"one": {"p": ["a b c", "a b d"], "q": ["x y", "z w"]}, "two": {"p": ["a b c", "a b c"], "q": ["x y", "x y"]}}
METRICS = ["distinct_n", "length"]
POLICY = "rules: [{metrics: [length], better: higher, allow: {absolute: 100}}]\n"


def child(code: str, **options: Any) -> str:
    """What code prints in a Python of its own."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, **options).stdout.strip()


def values(results: ek.Results) -> dict[tuple[str, str], float]:
    rows = results.estimates.to_dict("records")
    return {(row["arm"], row["metric"]): row["value"] for row in rows if row["variant"] == "whole"}


class TestImport:
    def test_nothing_heavy_is_loaded(self) -> None:
        code = f"import sys, evalkit; dir(evalkit); print([name for name in {HEAVY} if name in sys.modules])"
        assert child(code) == "[]"

    def test_no_more_than_one_module_of_evalkit_is_loaded(self) -> None:
        code = "import sys, evalkit; print([name for name in sys.modules if name.startswith('evalkit')])"
        assert child(code) == "['evalkit']"

    @pytest.mark.parametrize(
        "code",
        [
            "import evalkit as ek; print(ek.score(['a'], 'length', progress=False).arms)",
            "import evalkit.score, evalkit as ek; print(ek.score(['a'], 'length', progress=False).arms)",
            "from evalkit import score; print(score(['a'], 'length', progress=False).arms)",
            "import evalkit; from evalkit.score import score_file; print(evalkit.score(['a'], 'length').arms)",
        ],
    )
    def test_a_function_with_the_name_of_a_module_is_both(self, code: str) -> None:
        assert child(code) == "['texts']"

    @pytest.mark.parametrize("name", ["score", "run", "gate", "metrics"])
    def test_such_a_module_has_the_functions_signature_and_words(self, name: str) -> None:
        import evalkit.api

        function = getattr(evalkit.api, name)
        assert inspect.signature(getattr(ek, name)) == inspect.signature(function)
        assert getattr(ek, name).__doc__ == function.__doc__

    def test_the_stub_names_what_is_there(self) -> None:
        stub = (ROOT / "evalkit" / "__init__.pyi").read_text(encoding="utf-8")
        stated = {line.rsplit(" ", 1)[-1] for line in stub.splitlines() if line.startswith("from ")}
        assert stated == {name for name in dir(ek) if not name.startswith("_")} & stated
        assert stated == {*ek._API, *ek._COMMANDS, *ek._ERRORS}  # type: ignore[attr-defined]

    def test_a_name_that_is_not_there_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="module 'evalkit' has no attribute 'skore'"):
            ek.skore  # type: ignore[attr-defined]  # noqa: B018


class TestScore:
    def test_every_form_of_the_same_texts_gives_the_same_numbers(self, tmp_path: Path) -> None:
        rows = [
            {"arm": arm, "prompt_id": prompt, "prompt": prompt, "completion": text}
            for arm, by_prompt in ARMS.items()
            for prompt, texts in by_prompt.items()
            for text in texts
        ]
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        truth = values(ek.score(ARMS, METRICS, progress=False))
        assert truth["one", "distinct_n"] == pytest.approx((3 / 4 + 1) / 2)
        assert truth["two", "distinct_n"] == 0.5
        for form in (rows, pd.DataFrame(rows), file, str(file), [file]):
            assert values(ek.score(form, METRICS, progress=False)) == truth

    def test_one_metric_may_be_named_by_itself(self) -> None:
        assert {metric for _, metric in values(ek.score(["a b", "c"], "length", progress=False))} == {"length"}

    def test_the_baseline_and_the_name_are_as_asked(self) -> None:
        found = ek.score(ARMS, METRICS, "two", suite="mine", progress=False)
        assert found.name == "mine"
        assert set(found.differences.baseline) == {"two"}

    def test_scores_of_which_less_is_better_are_named(self) -> None:
        rows = [{"prompt": "p", "completion": text, "scores": {"toxicity": 0.5}} for text in "ab"]
        [better] = set(ek.score(rows, lower="toxicity", progress=False).estimates.query("side == 'quality'").better)
        assert better == "lower"

    def test_columns_of_a_file_are_named(self, tmp_path: Path) -> None:
        file = tmp_path / "answers.csv"
        file.write_text("question,answer_text\nWhy?,because\nWhy?,so\n", encoding="utf-8")
        found = ek.score(file, "length", columns={"text": "question", "completion": "answer_text"}, progress=False)
        assert found.completions.completion.tolist() == ["because", "so"]

    @pytest.mark.parametrize(
        ("call", "error", "said"),
        [
            (lambda: ek.score([], progress=False), ek.RecordsError, "there are no texts; give one completion at least"),
            (lambda: ek.score({"a": []}), ek.RecordsError, "texts['a']: prompt '(prompt not given)' has an empty list"),
            (lambda: ek.score("no.jsonl"), ek.RecordsError, "there is no file no.jsonl"),
            (lambda: ek.score([{"prompt": "p"}]), ek.RecordsError, "texts[0]: a row has either `completion`"),
            (lambda: ek.score(["a"], "lenght"), ek.MetricError, "did you mean 'length'"),
            (lambda: ek.score(["a"], "accuracy"), ek.MetricError, "metric accuracy needs rows with `answer`"),
            (lambda: ek.score(["a"], "sequence_entropy"), ek.MetricError, "which texts alone do not tell"),
            (lambda: ek.score(ARMS, "length", "three"), ek.RecordsError, "there is no arm 'three'"),
            (lambda: ek.score(["a"], layout="trl"), ek.RecordsError, "`layout` and `columns` say how a file is to be"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_one_line_and_never_an_exit(self, call: Any, error: type[Exception], said: str) -> None:
        with pytest.raises(error) as caught:
            call()
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value, ek.EvalkitError)

    def test_nothing_is_printed(self, capfd: pytest.CaptureFixture[str]) -> None:
        ek.score(ARMS, METRICS)
        assert capfd.readouterr() == ("", "")


class TestMetric:
    def test_it_measures_one_prompts_texts(self) -> None:
        assert ek.metric("distinct_n", n=2)(["a b c", "a b d"]) == 0.75
        assert ek.metric("distinct-2")(["a b c", "a b d"]) == 0.75

    def test_of_several_prompts_it_gives_the_mean_with_its_interval(self) -> None:
        found = ek.metric("distinct_n", n=2)({"p": ["a b c", "a b d"], "q": ["x y", "x y"]})
        assert isinstance(found, ek.Estimate)
        assert found.value == pytest.approx((0.75 + 0.5) / 2)
        assert found.prompts == 2

    def test_it_says_what_it_is(self) -> None:
        assert repr(ek.metric("distinct_n", n=2)).startswith("<evalkit metric distinct_n (share, higher is better): ")
        assert ek.metric("distinct_n", n=1).name == "distinct_n|n:1"
        assert ek.metric("length").description

    @pytest.mark.parametrize(
        ("texts", "said"),
        [("a text", "texts: found str"), ({}, "there are no texts"), (["a", 3], "texts[1]: found int 3")],
    )
    def test_what_is_no_list_of_texts_is_one_line(self, texts: Any, said: str) -> None:
        with pytest.raises(ek.RecordsError) as caught:
            ek.metric("length")(texts)
        assert str(caught.value).startswith(said)

    def test_all_of_them_are_listed(self) -> None:
        rows = ek.metrics()
        assert set(map(str, rows.dtypes)) == {"string"}
        assert {"distinct_n", "length", "reward"} <= set(rows.metric)
        assert rows.description.str.len().min() > 0


class TestRuns:
    @pytest.fixture(scope="class")
    def folders(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
        home = tmp_path_factory.mktemp("runs")
        return finished_run(home / "old", {"base": 8, "tuned": 6}), finished_run(home / "new", {"base": 8, "tuned": 2})

    def test_a_run_is_read_back_whole(self, folders: tuple[Path, Path]) -> None:
        found = ek.load(folders[0])
        assert found.folder == folders[0]
        assert found.arms == ["base", "tuned"]
        assert len(found.completions) == 2 * len(PROMPTS) * 4

    def test_several_runs_are_read_as_their_comparison(self, folders: tuple[Path, Path]) -> None:
        assert len(ek.load(*folders).arms) > 2

    def test_what_is_no_run_is_one_line(self, tmp_path: Path) -> None:
        for call in (ek.load, lambda place: ek.load(place / "gone")):
            with pytest.raises(ek.EvalkitError) as caught:
                call(tmp_path)
            assert str(tmp_path) in str(caught.value)
        with pytest.raises(ek.RecordsError, match="name a run's folder to load"):
            ek.load()

    def test_the_gate_takes_folders_and_results_alike(self, folders: tuple[Path, Path], tmp_path: Path) -> None:
        old, new = folders
        file = tmp_path / "policy.yaml"
        file.write_text(POLICY, encoding="utf-8")
        for run, baseline in ((new, old), (str(new), str(old)), (ek.load(new), ek.load(old))):
            found = ek.gate(run, baseline, policy=file, inconclusive="pass")
            assert found
            assert set(found.rows.metric) == {"length"}

    def test_a_lost_variety_is_a_verdict_and_no_error(self, folders: tuple[Path, Path]) -> None:
        old, new = folders
        found = ek.gate(new, old, arms={"tuned": "tuned"})
        assert not found
        assert found.exit_code == 1
        assert "distinct_n|n:1" in set(found.rows[found.rows.outcome == "regression"].metric)

    def test_texts_are_gated_against_their_own_baseline(self, tmp_path: Path) -> None:
        file = tmp_path / "policy.yaml"
        file.write_text(POLICY, encoding="utf-8")
        assert ek.gate(ek.score(ARMS, METRICS, progress=False), policy=file, inconclusive="pass")

    def test_a_comparison_is_of_the_arms_that_are_named(self, folders: tuple[Path, Path]) -> None:
        old, new = folders
        found = ek.compare(ek.load(old), new, "length", arms=("base", "tuned"))
        assert found.rows[["metric", "a", "b"]].to_numpy().tolist() == [["length", "base", "tuned"]]
        assert ek.compare(f"{old}:base", f"{new}:tuned", "length").rows.equals(found.rows)

    def test_an_arm_that_is_not_there_is_one_line(self, folders: tuple[Path, Path]) -> None:
        with pytest.raises(ek.InputError, match="has no arm 'x'; it has base, tuned"):
            ek.compare(*folders, arms=("x", "base"))


class TestRun:
    @pytest.fixture
    def suite(self, tmp_path: Path, server: Server) -> Path:
        path = tmp_path / "suite.yaml"
        path.write_text(
            json.dumps(
                {
                    "name": "served",
                    "checkpoints": {"a": {"path": f"{server.url}/v1", "kind": "base"}},
                    "sampling": {"n": 2, "max_tokens": 4},
                    "metrics": ["length"],
                    "prompts": [{"id": "p", "text": "Say hello."}, {"id": "q", "text": "Say it again."}],
                }
            ),
            encoding="utf-8",
        )
        return path

    def test_a_server_is_asked_from_inside_a_running_loop(self, suite: Path, tmp_path: Path, server: Server) -> None:
        async def cell() -> ek.Results:
            return ek.run(suite, engine="openai", out=tmp_path / "out", progress=False)

        found = asyncio.run(cell())
        assert found.completions.completion.tolist() == [" hello"] * 4
        assert found.folder == tmp_path / "out"
        assert len(server.requests) == 2

    def test_the_manifest_holds_the_command_that_does_the_same(self, suite: Path, tmp_path: Path) -> None:
        ek.run(suite, engine="openai", samples=3, tags=["x"], out=tmp_path / "out", progress=False)
        command = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["command"]
        for words in (["run", str(suite)], ["--samples", "3"], ["--engine", "openai"], ["--tag", "x"]):
            place = command.index(words[0])
            assert command[place : place + 2] == words

    def test_a_baseline_without_a_stopping_policy_is_one_line(self, suite: Path) -> None:
        with pytest.raises(ek.InputError, match="`baseline` goes with `until_decided`"):
            ek.run(suite, baseline="v1")

    def test_a_suite_that_is_not_there_is_one_line(self) -> None:
        with pytest.raises(ek.SuiteError, match=r"gone\.yaml"):
            ek.run("gone.yaml")


def test_the_wheel_says_that_it_is_typed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    [wheel] = tmp_path.glob("*.whl")
    assert {"evalkit/py.typed", "evalkit/__init__.pyi", "evalkit/api.py"} <= set(zipfile.ZipFile(wheel).namelist())


USER = """\
from pathlib import Path
import pandas as pd
import evalkit as ek

results: ek.Results = ek.score({"before": ["a", "b"], "after": ["a", "a"]}, ["distinct_n"], baseline="before")
frame: pd.DataFrame = results.differences
results.figure("frontier", diversity="distinct_n")
one: float = ek.metric("distinct_n", n=2)(["a b", "a c"])
several: ek.Estimate = ek.metric("distinct_n")({"p": ["a b", "a c"]})
verdict: ek.GateResult = ek.gate(ek.run("suite.yaml", {"tuned": Path("tonight")}), ek.load("reports/old"))
if not verdict:
    raise SystemExit(verdict.exit_code)
ek.compare("old", "new", arms=("a", "b")).rows
"""


@pytest.mark.slow
def test_a_users_file_is_checked_strictly_and_its_mistakes_are_seen(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(USER, encoding="utf-8")
    (tmp_path / "bad.py").write_text("import evalkit as ek\nek.score(['a'], temprature=1)\n", encoding="utf-8")
    # The package's own settings leave libraries of gigabytes unread, and its cache is there after `make lint`.
    command = [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "good.py"), str(tmp_path / "bad.py")]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    problems = [line for line in told.stdout.splitlines() if "error:" in line]
    assert len(problems) == 1, told.stdout + told.stderr
    assert "bad.py:2: error: " in problems[0]
    assert "temprature" in problems[0]


WRONG: dict[str, tuple[Any, str]] = {
    "a metric that is None": (lambda: ek.metric(None), "found None; a metric is named by a text"),  # type: ignore[arg-type]
    "metrics that are a number": (lambda: ek.score(["a"], 5), "found 5; a metric is named by a text"),  # type: ignore[arg-type]
    "an unknown layout": (lambda: ek.score("x.jsonl", layout="nope"), "layout='nope': it is one of evalkit, inspect"),  # type: ignore[arg-type]
    "an unknown tokenizer": (lambda: ek.score(["a"], tokenizer="nope"), "tokenizer='nope': it is one of auto"),  # type: ignore[arg-type]
    "a frame with a null": (
        lambda: ek.score(pd.DataFrame({"prompt": ["a", "b"], "completion": ["x", float("nan")]})),
        "row 1 of the frame: completion is empty",
    ),
    "a frame with doubled columns": (
        lambda: ek.score(pd.DataFrame([["a", "x", "y"]], columns=["prompt", "completion", "completion"])),
        "two columns of the frame are called 'completion'",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_get_one_line(what: str) -> None:
    call, told = WRONG[what]
    with pytest.raises(ek.EvalkitError, match=told):
        call()


def test_frames_of_arrow_and_numbers_of_numpy_are_taken_as_they_are() -> None:
    table = pa.table({"prompt": ["a", "a"], "completion": ["x y", "z"]})
    assert ek.score(table, "length").estimates["value"].tolist() == [1.5]
    [row] = ek.score([{"prompt": np.int64(3), "completion": "x"}], "length").values.to_dict("records")
    assert row["prompt_id"] == "3"
