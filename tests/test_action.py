"""The GitHub action: its script runs, hands on the exit code, leaves a trace whatever happens, and no input becomes code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.gate.formats.markdown import marker
from tests.gate.test_baselines import write_run
from tests.sides import law, summary

ROOT = Path(__file__).parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEP, UPLOAD = ACTION["runs"]["steps"]
NEW, OLD = law(0)
GH = """\
import json, pathlib, subprocess, sys

asked, state = sys.argv[1:], pathlib.Path("comments.json")
comments = json.loads(state.read_text())
if asked[:2] == ["pr", "view"]:
    jq = ["jq", "-r", asked[asked.index("--jq") + 1]]
    subprocess.run(jq, input=json.dumps({"comments": comments}), text=True, check=True)
    raise SystemExit
file = next(part.removeprefix("body=@") for part in asked if part.startswith(("body=@", "/")))
body = pathlib.Path(file).read_text()
if asked[:2] == ["pr", "comment"]:
    comments.append({"body": body, "url": f"https://x/pull/7#issuecomment-{100 + len(comments)}", "viewerDidAuthor": True})
else:
    assert asked[:4] == ["api", "--silent", "--method", "PATCH"]
    target = next(part for part in asked if part.startswith("repos/o/r/issues/comments/")).rpartition("/")[2]
    next(one for one in comments if one["url"].endswith(f"-{target}"))["body"] = body
state.write_text(json.dumps(comments))
"""
"""As much of GitHub's program as the script uses; the jq is the real one."""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Runs old, new, worse and fewer (prompts), a lax policy, and a folder of programs."""
    for name, values in {"old": OLD, "new": NEW, "worse": NEW * 0.8, "fewer": NEW[:50]}.items():
        write_run(tmp_path / name, summary({"vendi": {"base": OLD[: len(values)], "tuned": values}}))
        (tmp_path / name / "report.html").write_text("a page", encoding="utf-8")
    (tmp_path / "lax.yaml").write_text("rules: [{metrics: vendi, allow: {relative: 0.5}}]", encoding="utf-8")
    (tmp_path / "bin").mkdir()
    program(tmp_path, "evalkit", f'exec "{sys.executable}" -m evalkit "$@"')
    return tmp_path


def program(here: Path, name: str, script: str) -> None:
    path = here / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def run(here: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    set_by_runner = {"GITHUB_STEP_SUMMARY": "summary.md", "GITHUB_OUTPUT": "outputs", "GITHUB_ACTIONS": "true"}
    (here / "outputs").write_text("", encoding="utf-8")
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", STEP["run"]],
        cwd=here,
        env=os.environ
        | dict.fromkeys(STEP["env"], "")
        | {"PATH": f"{here / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "GITHUB_REPOSITORY": "o/r"}
        | set_by_runner
        | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def outputs(here: Path) -> dict[str, str]:
    """As the runner reads them: KEY=VALUE, or KEY<<END, lines, END."""
    found: dict[str, str] = {}
    lines = iter((here / "outputs").read_text(encoding="utf-8").splitlines())
    for line in lines:
        key, heredoc, end = line.partition("<<")
        if heredoc:
            found[key] = "\n".join(takewhile(end.__ne__, lines))
        else:
            key, _, value = line.partition("=")
            found[key] = value
    return found


def test_inputs_reach_the_script_as_variables_alone() -> None:
    assert "${{" not in STEP["run"]
    used = " ".join([*STEP["env"].values(), *UPLOAD["with"].values(), UPLOAD["if"]])
    for name in ACTION["inputs"]:
        assert f"inputs.{name} " in used


@pytest.mark.parametrize(
    ("variables", "code", "summarised"),
    [
        ({"RUN": "new", "BASELINE": "old"}, 0, "Pass"),
        ({"RUN": "new", "ARMS": "tuned=base\n"}, 0, "Pass"),
        ({"RUN": "worse", "BASELINE": "old", "JUNIT": "gate.xml"}, 1, "Regression"),
        ({"RUN": "worse", "BASELINE": "old", "POLICY": "lax.yaml"}, 0, "Pass"),
        ({"RUN": "$(touch hacked)", "BASELINE": "`touch hacked`", "ARMS": "a=b; touch hacked"}, 2, "could not judge"),
        ({"RUN": "--help"}, 2, "could not judge"),
        ({"RUN": "fewer", "BASELINE": "old"}, 2, "could not judge"),
        ({"RUN": "fewer", "BASELINE": "old", "COMMON_PROMPTS": "true"}, 0, "the 50 prompts that both asked alike"),
        ({"RUN": "fewer", "BASELINE": "old", "COMMON_PROMPTS": "true", "LEAST_COMMON": "0.9"}, 3, "needs 90 %"),
    ],
)
def test_the_script_runs_the_gate(here: Path, variables: dict[str, str], code: int, summarised: str) -> None:
    result = run(here, **variables)
    assert result.returncode == code, result.stdout + result.stderr
    assert summarised in (here / "summary.md").read_text(encoding="utf-8")
    assert not (here / "hacked").exists()
    assert (here / "gate.xml").exists() == ("JUNIT" in variables)


@pytest.mark.parametrize(
    ("variables", "verdict", "code", "report"),
    [
        ({"RUN": "new", "BASELINE": "old"}, "pass", "0", "new/report.html"),
        ({"RUN": "worse/summary.json", "BASELINE": "old"}, "regression", "1", "worse/report.html"),
        ({"RUN": "old", "BASELINE": "old", "INCONCLUSIVE": "pass"}, "inconclusive", "0", "old/report.html"),
        ({"RUN": "nowhere", "BASELINE": "old"}, "error", "2", ""),
        ({"RUN": "new", "INCONCLUSIVE": "perhaps"}, "error", "2", ""),
        ({"RUN": "x\nverdict=pass\nend"}, "error", "2", ""),
    ],
)
def test_later_steps_are_told_the_verdict(
    here: Path, variables: dict[str, str], verdict: str, code: str, report: str
) -> None:
    run(here, **variables)
    assert outputs(here) == {"verdict": verdict, "exit-code": code, "report": report}
    assert list(ACTION["outputs"]) == list(outputs(here))
    for name, told in ACTION["outputs"].items():
        assert told["value"] == f"${{{{ steps.{STEP['id']}.outputs.{name} }}}}"


def test_a_gate_that_dies_leaves_a_summary_and_an_annotation(here: Path) -> None:
    program(here, "evalkit", "kill -9 $$")
    result = run(here, RUN="new", BASELINE="old")
    assert result.returncode == 137
    assert "::error title=evalkit gate::The gate ended with exit code 137 and wrote no result" in result.stdout
    assert "neither a pass nor a regression" in (here / "summary.md").read_text(encoding="utf-8")
    assert outputs(here)["verdict"] == "error"


def test_the_report_is_kept_whatever_the_verdict() -> None:
    assert UPLOAD["uses"].startswith("actions/upload-artifact@")
    assert UPLOAD["if"].startswith("always()")
    assert "steps.gate.outputs.report" in UPLOAD["with"]["path"]
    assert UPLOAD["with"]["name"] == "${{ inputs.artifact }}"


def test_it_installs_the_versions_that_were_tested(here: Path) -> None:
    (here / "bin" / "evalkit").unlink()
    program(here, "python", 'echo "$@" > installed')
    paths = [part for part in os.environ["PATH"].split(":") if not (Path(part) / "evalkit").exists()]
    result = run(here, RUN="new", ACTION="/action", PATH=":".join([str(here / "bin"), *paths]))
    assert "--constraint /action/constraints.txt" in (here / "installed").read_text(encoding="utf-8")
    assert result.returncode == 127  # the program above installs nothing


def comment(place: int, body: str, own: bool = True) -> dict[str, Any]:
    return {"body": body, "url": f"https://x/pull/7#issuecomment-{place}", "viewerDidAuthor": own}


MARKER, NAMELESS = marker("tiny"), marker("")
STALE = f"{MARKER}\n### ✅ evalkit gate"
CASES = [
    pytest.param("worse", [], {100: "Regression"}, id="none yet"),
    pytest.param("worse", [comment(1, STALE)], {1: "Regression"}, id="its own"),
    pytest.param("worse", [comment(1, STALE), comment(2, "thanks!")], {1: "Regression", 2: "thanks!"}, id="not the last"),
    pytest.param("worse", [comment(1, f"{marker('other')}\n✅")], {1: "✅", 101: "Regression"}, id="another suite's"),
    pytest.param("worse", [comment(1, STALE, own=False)], {1: "✅", 101: "Regression"}, id="a stranger's copy"),
    pytest.param("worse", [comment(1, f"see {STALE}")], {1: "✅", 101: "Regression"}, id="a quotation"),
    pytest.param("worse", [comment(1, STALE.replace("\n", "\r\n"))], {1: "Regression"}, id="with line ends of the web"),
    pytest.param("worse", [comment(1, f"{NAMELESS}\n⛔")], {1: "Regression"}, id="a failure that named no suite"),
    pytest.param("nowhere", [comment(1, STALE)], {1: "could not judge"}, id="a failure that names none"),
    pytest.param("--help", [comment(1, STALE)], {1: "could not judge"}, id="wrong use"),
]  # fmt: skip


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
@pytest.mark.parametrize(("new", "comments", "after"), CASES)
def test_the_comment_is_found_by_what_it_is(
    here: Path, new: str, comments: list[dict[str, Any]], after: dict[int, str]
) -> None:
    program(here, "gh", f'exec "{sys.executable}" bin/gh.py "$@"')
    (here / "bin" / "gh.py").write_text(GH, encoding="utf-8")
    (here / "comments.json").write_text(json.dumps(comments), encoding="utf-8")
    result = run(here, RUN=new, BASELINE="old", COMMENT="true", PULL_REQUEST="7")
    assert "::warning" not in result.stdout, result.stderr
    found = json.loads((here / "comments.json").read_text(encoding="utf-8"))
    assert len(found) == len(after)
    for one in found:
        assert after[int(one["url"].rpartition("-")[2])] in one["body"]
