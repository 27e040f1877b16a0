"""A package of somebody else's that registers a metric is found, listed, explained and used, with nothing else done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "plugin_package"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed in it, as pip leaves one, whose metadata name its entry point."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    done = subprocess.run([*command, str(folder), str(PACKAGE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def evalkit(site: Path, *arguments: object) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), *sys.path]), "COLUMNS": "200"}
    command = [sys.executable, "-m", "evalkit", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_listed_and_explained(site: Path) -> None:
    assert "question_share" in evalkit(site, "metrics")
    said = evalkit(site, "metrics", "question_share")
    assert "unit: share" in said
    assert "Range: [0, 1]; 1 when every completion asks." in said


def test_it_measures_texts_with_its_parameter(site: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"prompt_id": "p", "prompt": "Say.", "completions": ["Who?", "Me!"]}), encoding="utf-8")
    said = evalkit(site, "score", texts, "--metrics", "question_share,question_share|mark:!!", "--json", "--quiet")
    values = {found["metric"]: found["value"] for found in json.loads(said)["estimates"]}
    assert values == {"question_share": 0.5, "question_share|mark:!!": 0.0}
