"""The GitHub action: its script runs, hands on the exit code, and no input can become a part of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.sides import law, summary
from tests.test_baselines import write_run

ROOT = Path(__file__).parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
[STEP] = ACTION["runs"]["steps"]
NEW, OLD = law(0)


def test_inputs_reach_the_script_as_variables_alone() -> None:
    assert "${{" not in STEP["run"]
    used = " ".join(STEP["env"].values())
    for name in ACTION["inputs"]:
        assert f"inputs.{name} " in used


@pytest.mark.parametrize(
    ("variables", "code", "summarised"),
    [
        ({"RUN": "new", "BASELINE": "old"}, 0, "Pass"),
        ({"RUN": "new", "ARMS": "tuned=base\n"}, 0, "Pass"),
        ({"RUN": "worse", "BASELINE": "old", "JUNIT": "gate.xml"}, 1, "Regression"),
        ({"RUN": "worse", "BASELINE": "old", "POLICY": "lax.yaml"}, 0, "Pass"),
        ({"RUN": "$(touch hacked)", "BASELINE": "`touch hacked`", "ARMS": "a=b; touch hacked"}, 2, ""),
        ({"RUN": "--help"}, 2, ""),
    ],
)
def test_the_script_runs_the_gate(tmp_path: Path, variables: dict[str, str], code: int, summarised: str) -> None:
    for name, values in {"old": OLD, "new": NEW, "worse": NEW * 0.8}.items():
        write_run(tmp_path / name, summary({"vendi": {"base": OLD, "tuned": values}}))
    (tmp_path / "lax.yaml").write_text("rules: [{metrics: vendi, allow: {relative: 0.5}}]", encoding="utf-8")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "evalkit").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m evalkit "$@"\n', encoding="utf-8")
    (programs / "evalkit").chmod(0o755)
    result = subprocess.run(
        ["bash", "-e", "-c", STEP["run"]],
        cwd=tmp_path,
        env=os.environ
        | dict.fromkeys(STEP["env"], "")
        | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "GITHUB_STEP_SUMMARY": "summary.md"}
        | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code, result.stdout + result.stderr
    assert summarised in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert not (tmp_path / "hacked").exists()
    assert (tmp_path / "gate.xml").exists() == ("JUNIT" in variables)
