"""`evalkit gate` and `evalkit baseline` at the door: exit codes, files, and a line for every mistake."""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from tests.gate.test_baselines import write_run
from tests.sides import law, summary

NEW, OLD = law(0)


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs old, same, worse (a fifth of diversity gone) and unclear, and no CI around."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    for name, values in {"old": OLD, "same": NEW, "worse": NEW * 0.8, "unclear": NEW * 0.95}.items():
        write_run(tmp_path / name, summary({"vendi": {"base": OLD, "tuned": values}}))


@pytest.mark.parametrize(
    ("new", "options", "code", "words"),
    [
        ("same", [], 0, "Pass: 1 measure is within what may be lost."),
        ("worse", [], 1, "Regression: 1 of 1 measure lost more than is allowed (vendi of tuned)."),
        ("unclear", [], 3, "Inconclusive: 1 of 1 measure cannot be told (vendi of tuned)."),
        ("unclear", ["--inconclusive", "pass"], 0, "Inconclusive"),
        ("unclear", ["--inconclusive", "fail"], 1, "Inconclusive"),
        ("old", [], 3, "is it the same run"),
        ("nowhere", [], 2, "there is neither a run, a summary nor a baseline 'nowhere'"),
        ("same", ["--arm", "other=tuned"], 2, "arm: same has no arm 'other'; it has base, tuned"),
        ("same", ["--arm", "tuned"], 2, "--arm 'tuned' is not of the form NEW=OLD"),
        ("same", ["--policy", "none.yaml"], 2, "none.yaml: there is no such file"),
        ("same", ["--junit", "no/such/folder.xml"], 5, "no/such/folder.xml could not be written"),
    ],
)
def test_the_exit_code_and_the_line_say_the_same(new: str, options: list[str], code: int, words: str) -> None:
    result = call("gate", new, "--baseline", "old", *options)
    assert words in " ".join(result.output.split())
    assert result.exit_code == code
    assert "Traceback" not in result.output


def test_a_run_alone_is_gated_against_its_own_baseline() -> None:
    assert call("gate", "worse").exit_code == 1
    assert "tuned against base" in " ".join(call("gate", "worse").output.split())


def test_a_saved_baseline_gates_later_runs() -> None:
    assert call("baseline", "save", "old", "v1").output == "baselines/v1.json\n"
    assert call("gate", "same", "--baseline", "v1").exit_code == 0
    assert call("gate", "worse", "--baseline", "v1").exit_code == 1
    assert "v1  tiny, 60 prompts, arms base, tuned" in call("baseline", "list").output
    assert "vendi" in call("baseline", "show", "v1").output


def test_a_policy_in_the_suite_goes_before_the_default_and_a_file_before_both(tmp_path: Path) -> None:
    lax = {"rules": [{"metrics": ["vendi"], "allow": {"relative": 0.5}}]}
    write_run(tmp_path / "lax", summary({"vendi": {"base": OLD, "tuned": NEW * 0.8}}), suite={"gate": lax})
    assert call("gate", "lax", "--baseline", "old").exit_code == 0
    Path("strict.yaml").write_text("rules: [{metrics: vendi, allow: {relative: 0.01}}]", encoding="utf-8")
    result = call("gate", "lax", "--baseline", "old", "--policy", "strict.yaml")
    assert result.exit_code == 1
    assert "policy: strict.yaml" in " ".join(result.output.split())


def test_json_holds_all_and_nothing_else_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = call("gate", "worse", "--baseline", "old", "--json")
    told = json.loads(result.stdout)
    assert (told["outcome"], told["exit_code"], told["policy"]) == ("regression", 1, "the default")
    assert told["judgements"][0]["change"] == pytest.approx(-0.2, abs=0.01)
    assert result.stderr.startswith("::error title=Regression%3A vendi of tuned::")


def test_annotations_are_printed_on_github_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "::error" not in call("gate", "worse", "--baseline", "old").output
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    lines = call("gate", "worse", "--baseline", "old").output.splitlines()
    assert lines[-1].startswith("::error title=Regression%3A vendi of tuned::vendi, tuned: −19.8 %25 (")


def test_files_for_ci_are_written() -> None:
    call("gate", "worse", "--baseline", "old", "--junit", "out.xml", "--markdown", "out.md")
    assert '<failure message="vendi, tuned: −19.8 %' in Path("out.xml").read_text(encoding="utf-8")
    assert "❌ evalkit gate" in Path("out.md").read_text(encoding="utf-8")


REFUSED = [
    pytest.param(
        ["same:tuned", "--baseline", "old"],
        "baseline 'same:tuned'; saved baselines: none; for an arm of same say --arm NEW=OLD",
        id="an arm as compare takes it",
    ),
    pytest.param(["nowhere", "--baseline", "old"], "neither a run, a summary nor a baseline 'nowhere'", id="no run"),
    pytest.param(["same", "--baseline", "v9"], "neither a run, a summary nor a baseline 'v9'", id="no baseline"),
    pytest.param(["same", "--baseline", "other"], "suite: same is of 'tiny', other of 'strange'", id="not comparable"),
    pytest.param(["same", "--baseline", "old", "--arm", "tuned"], "is not of the form NEW=OLD", id="a bad pair"),
    pytest.param(["same", "--baseline", "old", "--policy", "none.yaml"], "there is no such file", id="no policy"),
]


@pytest.mark.parametrize(("asked", "reason"), REFUSED)
def test_what_cannot_be_judged_leaves_its_reason_wherever_a_verdict_would_stand(
    monkeypatch: pytest.MonkeyPatch, asked: list[str], reason: str
) -> None:
    write_run(Path("other"), summary({"vendi": {"base": OLD, "tuned": NEW}}, suite="strange"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", "outputs")
    for stale in ("out.md", "out.xml"):
        Path(stale).write_text("yesterday's pass", encoding="utf-8")
    result = call("gate", *asked, "--markdown", "out.md", "--junit", "out.xml")
    assert result.exit_code == 2
    assert reason in result.stderr
    page = html.unescape(Path("out.md").read_text(encoding="utf-8"))
    assert page.startswith("<!-- evalkit gate: tiny -->\n### ⛔ evalkit gate\n")
    assert reason in page
    [case] = ElementTree.parse("out.xml").getroot().iter("testcase")
    assert [reason in (child.text or "") for child in case if child.tag == "error"] == [True]
    [annotation] = [line for line in result.stdout.splitlines() if line.startswith("::")]
    assert annotation.startswith("::error title=evalkit gate%3A The gate could not judge::")
    assert reason in annotation
    assert "error\n" in Path("outputs").read_text(encoding="utf-8")


def test_a_refusal_is_json_where_json_was_asked_for() -> None:
    result = call("gate", "nowhere", "--baseline", "old", "--json")
    told = json.loads(result.stdout)
    assert (told["outcome"], told["exit_code"], told["suite"]) == ("error", 2, "tiny")
    assert "neither a run" in told["reasons"][0]


def test_a_file_that_cannot_be_written_leaves_the_others_and_no_verdict() -> None:
    result = call("gate", "same", "--baseline", "old", "--junit", "no/such/folder.xml", "--markdown", "out.md")
    assert result.exit_code == 5
    assert result.stderr.count("no/such/folder.xml could not be written") == 1
    assert "Pass" not in Path("out.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    [
        ["gate", "same", "--baseline", "old"],
        ["gate", "worse", "--baseline", "old", "--json"],
        ["gate", "--help"],
        ["metrics"],
    ],
    ids=" ".join,
)
def test_a_reader_that_goes_away_is_no_verdict(command: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    files = (
        ["--junit", "out.xml", "--markdown", "out.md"] if command[:1] == ["gate"] and "--help" not in command else []
    )
    ended = subprocess.run(
        [sys.executable, "-m", "evalkit", *command, *files], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")
    for file in files[1::2]:
        assert Path(file).stat().st_size > 0


def test_a_baseline_of_another_engine_is_named_in_every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name, engine in {"slow": "transformers 5.1", "newer": "vllm 0.33", "fast": "vllm 0.32"}.items():
        values = {"vendi": {"base": OLD, "tuned": OLD if name == "slow" else NEW}}
        write_run(Path(name), summary(values), engines={"base": engine, "tuned": engine})
    call("baseline", "save", "slow", "v1")
    said = "Note: tuned: sampled with vllm 0.32, the baseline with transformers 5.1;"
    told = call("gate", "fast", "--baseline", "v1", "--markdown", "out.md", "--junit", "out.xml")
    assert told.exit_code == 0
    assert said in " ".join(told.output.split("::warning")[0].split())
    assert f"::warning title=evalkit gate::{said}" in told.output
    assert said in html.unescape(Path("out.md").read_text(encoding="utf-8"))
    assert said in Path("out.xml").read_text(encoding="utf-8")
    assert said[6:] in json.loads(call("gate", "fast", "--baseline", "v1", "--json").stdout)["notes"][0]
    for silent in (
        ["fast", "--baseline", "newer"],
        ["fast", "--baseline", "old"],
        ["same", "--baseline", "v1"],
        ["fast"],
    ):
        assert "Note:" not in call("gate", *silent).output


@pytest.mark.parametrize("damage", ["", "{", "{}", "[]", "null", '{"schema": 2}'])
def test_a_damaged_summary_is_exit_code_2_and_never_a_pass(damage: str) -> None:
    Path("same/summary.json").write_text(damage, encoding="utf-8")
    result = call("gate", "same", "--baseline", "old")
    assert result.exit_code == 2
    assert "same/summary.json" in result.output


def test_arms_of_a_temperature_sweep_are_named_though_their_names_hold_the_sign(tmp_path: Path) -> None:
    sweep = summary({"vendi": {"base@T=1": OLD, "tuned@T=0.7": NEW}})
    write_run(tmp_path / "sweep", sweep)
    result = call("gate", "sweep", "--arm", "tuned@T=0.7=base@T=1")
    assert result.exit_code == 0


@pytest.mark.parametrize("command", ["gate", "compare"])
def test_help_names_other_tools_files(command: str) -> None:
    told = " ".join(CliRunner().invoke(main, [command, "--help"]).output.split())
    assert "completions that another tool wrote" in told
