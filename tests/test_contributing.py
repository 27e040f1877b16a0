"""CONTRIBUTING's walk, taken in a copy of the project: a metric is one file, and docs, listing and report follow."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with one file more: what CONTRIBUTING says to write, where it says to."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "evalkit", folder / "evalkit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("images"))
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    (folder / "evalkit" / "metrics" / "diversity" / "questions.py").write_text(
        f'"""Questions: how many completions ask."""\n\nfrom __future__ import annotations\n\n{code}', encoding="utf-8"
    )
    return folder


def done(copy: Path, *command: str) -> str:
    """What a command of the copy prints."""
    environment = os.environ | {"PYTHONPATH": str(copy), "COLUMNS": "80"}
    told = subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_the_metric_is_listed_and_explained(copy: Path) -> None:
    assert "question_share" in done(copy, "-m", "evalkit", "metrics")
    said = done(copy, "-m", "evalkit", "metrics", "question_share")
    assert "Share of completions that hold a question mark." in said
    assert "Undefined:" in said


def test_the_docs_have_a_section_of_it(copy: Path) -> None:
    done(copy, "docs/metrics_page.py")
    page = (copy / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert "### question_share" in page
    assert "side: neither" in page.split("### question_share")[1][:80]


def test_what_holds_of_all_metrics_is_tested_of_it_without_a_line_added(copy: Path) -> None:
    laws, registry = "tests/metrics/diversity/test_laws.py", "tests/metrics/test_registry.py"
    said = done(copy, "-m", "pytest", "-rp", "-p", "no:cacheprovider", "-k", "question_share or tables", laws, registry)
    passed = re.findall(r"PASSED \S+::(\w+)\[question_share\]", said)
    assert {"test_hostile_texts_too", "test_every_definition_explains_itself"} <= set(passed), said


def test_the_report_shows_it_in_its_own_words(copy: Path) -> None:
    rows = [
        {"prompt_id": f"p{place}", "prompt": f"Say {place}.", "arm": arm, "completion": f"Well{mark} {draw}"}
        for place in range(4)
        for arm, mark in (("base", "."), ("tuned", "?"))
        for draw in range(2)
    ]
    (copy / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done(
        copy, "-m", "evalkit", "score", "texts.jsonl", "--metrics", "question_share,distinct_n", "--report", "page.html"
    )
    page = (copy / "page.html").read_text(encoding="utf-8")
    assert "answers that ask something (question_share)" in page
    assert "Share of completions that hold a question mark." in page
