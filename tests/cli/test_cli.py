"""The door: it opens at once, names mistakes without a traceback, and exits with the documented codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit import __version__
from evalkit.cli.main import main

Write = Callable[..., Path]


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def test_help_needs_no_heavy_import() -> None:
    code = "import sys, evalkit.cli.main; print(sorted({'torch', 'numpy', 'pandas', 'pydantic', 'vllm', 'rich'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_command_has_help() -> None:
    for command in [
        [],
        ["run"],
        ["score"],
        ["suite"],
        ["suite", "schema"],
        ["suite", "check"],
        ["prefs"],
        ["prefs", "sample"],
        ["prefs", "simulate"],
        ["prefs", "choose"],
        ["prefs", "import"],
        ["train"],
        ["train", "reward"],
        ["train", "sft"],
        ["train", "ppo"],
        ["train", "dpo"],
        ["train", "best-of-n"],
        ["gate"],
        ["power"],
        ["log"],
        ["publish"],
        ["baseline"],
        ["baseline", "save"],
        ["baseline", "list"],
        ["baseline", "show"],
        ["metrics"],
        ["doctor"],
        ["lab"],
        ["lab", "build"],
    ]:
        result = call(*command, "--help")
        assert result.exit_code == 0
        assert result.output.startswith("Usage:")


def test_the_version_is_told() -> None:
    assert __version__ in call("--version").output


def test_the_schema_is_printed_as_json() -> None:
    assert json.loads(call("suite", "schema").output)["title"] == "Suite"


def test_a_suite_is_checked_without_running(write_suite: Write) -> None:
    result = call("suite", "check", write_suite())
    assert result.exit_code == 0
    assert "all right (2 prompts, 2 checkpoints, 2 metrics)" in result.output


def test_metrics_are_listed_and_explained() -> None:
    assert "self_bleu" in call("metrics").output
    told = call("metrics", "self_bleu").output
    assert "Zhu" in told
    assert "side: diversity; family: words" in told


@pytest.mark.parametrize(
    ("command", "message", "code"),
    [
        (["run", "nowhere.yaml"], "evalkit: nowhere.yaml: there is no such file", 2),
        (["score", "nowhere.jsonl"], "evalkit: there is no file nowhere.jsonl", 2),
        (["metrics", "self_blue"], "(did you mean 'self_bleu'?)", 2),
        (["rnu"], "No such command 'rnu'. Did you mean 'run'?", 2),
        (["run", "x.yaml", "--model", "base", "--model", "a=b"], "'base' is not of the form NAME=PATH", 2),
        (["run", "suites/creative.yaml", "--model", "base"], "write --model base=base", 2),
    ],
)
def test_a_mistake_is_a_line_and_exit_code_2(command: list[str], message: str, code: int) -> None:
    result = call(*command)
    assert message in result.output
    assert result.exit_code == code
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (("n: 4", "m: 4"), [], "unknown key 'sampling.m'"),
        (("lab:base", "/no/such/folder"), [], "checkpoint 'base': there is no folder '/no/such/folder'"),
        (("n: 4", "n: 4"), ["--engine", "vlm"], "there is no engine 'vlm' (did you mean 'vllm'?)"),
        (("n: 4", "n: 4"), ["--samples", "0"], "--samples: found 0"),
        (("length]", "accuracy]"), [], "metric accuracy needs prompts with `answer`"),
        (("length]", "length]\ntokenizer: klingon"), [], "tokenizer"),
    ],
)
def test_what_cannot_be_run_is_named_before_anything_is_loaded(
    write_suite: Write, tmp_path: Path, change: tuple[str, str], arguments: list[str], message: str
) -> None:
    result = call("run", write_suite(change), "--out", tmp_path / "out", *arguments)
    assert message in result.output
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_is_not_installed_is_named_before_anything_is_sampled(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.tokenizers.tokenizer_ko_mecab", None)
    result = call("run", write_suite(("length]", "length]\ntokenizer: ko-mecab")), "--out", tmp_path / "out")
    assert "tokenizer 'ko-mecab' is not installed here: python -m pip install 'sacrebleu[ko]'" in result.output
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    rows = [
        {"prompt_id": f"p{i}", "prompt": "Say.", "completions": [f"one {i}", f"two {i} {arm}"], "arm": arm}
        for arm in ("old", "new")
        for i in range(3)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_score_prints_a_summary_that_a_gate_can_read(texts: Path) -> None:
    result = call("score", texts, "--metrics", "distinct_n,distinct_n|n:1,distinct-2", "--json", "--quiet")
    assert result.exit_code == 0
    summary = json.loads(result.stdout)
    assert summary["schema"] == 3
    metrics = {estimate["metric"] for estimate in summary["estimates"]}
    assert metrics == {"distinct_n", "distinct_n|n:1", "pooled/distinct_n", "pooled/distinct_n|n:1"}


def test_score_takes_names_of_columns_and_scores_of_which_less_is_better(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("question;reply;insults\nA;x;3\nB;y;1\n", encoding="utf-8")
    columns = ("--columns", "text=question,completion=reply", "--columns", "score/insults=insults")
    found = call("score", sheet, *columns, "--lower", "insults", "--metrics", "score/insults", "--json")
    [estimate] = json.loads(found.stdout)["estimates"]
    assert (estimate["metric"], estimate["value"], estimate["better"]) == ("score/insults", 2, "lower")
    wrong = call("score", sheet, *columns, "--lower", "insolts")
    assert wrong.exit_code == 2
    assert (
        "--lower insolts: no row holds a number as score 'insolts' (did you mean 'insults'?); scores that rows hold: insults"
        in wrong.stderr
    )
    bare = call("score", sheet, "--columns", "question")
    assert bare.exit_code == 2
    assert "'question' is not of the form FIELD=COLUMN" in bare.stderr


def test_score_splits_words_as_asked(texts: Path) -> None:
    result = call("score", texts, "--metrics", "length", "--tokenizer", "char", "--json", "--quiet")
    assert json.loads(result.output)["estimates"][0]["signature"] == "length|tok:char|k:2|v:1.0"
    assert "'klingon' is not one of 'auto', '13a', 'zh'" in call("score", texts, "--tokenizer", "klingon").output


def test_score_writes_a_report(texts: Path, tmp_path: Path) -> None:
    report = tmp_path / "out.html"
    result = call("score", texts, "--metrics", "distinct_n", "--report", report)
    assert result.exit_code == 0
    assert f"Report: {report}" in result.output
    assert "</html>" in report.read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_exit_code_5(texts: Path, tmp_path: Path) -> None:
    result = call("score", texts, "--metrics", "distinct_n", "--report", tmp_path / "no" / "out.html")
    assert result.exit_code == 5
    assert "could not be written: No such file or directory" in result.output


def test_the_doctor_names_engine_device_memory_and_encoder() -> None:
    result = call("doctor")
    assert result.exit_code == 0
    for subject in ("engine", "device", "memory", "cache", "encoder", "built-in checkpoints"):
        assert f"  {subject}: " in result.output
