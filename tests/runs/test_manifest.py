"""run.json: what is read is written again, whoever wrote it, and what is wrong with it is one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import RecordsError
from evalkit.runs.manifest import Manifest, find_manifest, read_manifest
from tests.finished import finished_run

NEWER: dict[str, Any] = {"state": "complete", "weather": "rain", "identity": {"arms": {}, "moon": {"phase": [1, None]}}}
OLDEST: dict[str, Any] = {
    "evalkit": "0.1.0",
    "state": "complete",
    "started": "2026-11-01T02:00:00+01:00",
    "identity": {"suite": "tiny", "arms": {"base": {"n": 4, "temperature": 1.0}}},
    "shards": [{"arm": "base", "key": "k", "seed": 3, "prompts": 8}],
}
"""A run that began before hashes of prompts, growth and tags were written."""


def written(folder: Path, content: object) -> Path:
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize("content", [NEWER, OLDEST, {}])
def test_what_is_read_is_written_again_without_what_was_left_out(tmp_path: Path, content: dict[str, Any]) -> None:
    manifest = find_manifest(written(tmp_path, content))
    assert manifest is not None
    assert manifest.to_json() == content


def test_a_run_that_grew_is_written_as_it_is_read(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run", {"base": 8})
    finished_run(folder, {"base": 8, "tuned": 2}, sampling={"n": 6, "max_tokens": 8, "seed": 3})
    content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert [step["to"]["samples"] for step in content["grown"]] == [{"base": 6, "tuned": 6}]
    assert read_manifest(folder).to_json() == content


def test_of_an_older_run_all_is_known_that_it_wrote(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path, OLDEST))
    assert manifest.asked is None
    assert manifest.kept is None
    assert manifest.look is None
    assert [(row.prompts, row.slots, row.sampled) for row in manifest.shards] == [(8, None, None)]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ([], "it is no JSON object"),
        ({"identity": None}, "identity: Input should be a valid dictionary"),
        ({"identity": {"arms": {"base": {"n": "many"}}}}, "identity.arms.base.n: Input should be a valid integer"),
        ({"started": "2026-11-01T02:00:00"}, "started: Input should have timezone info"),
        ({"engines": ["vllm"]}, "engines: Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_its_key_and_what_to_do(
    tmp_path: Path, content: object, fault: str
) -> None:
    with pytest.raises(RecordsError) as error:
        find_manifest(written(tmp_path, content))
    assert str(error.value).startswith(f"{tmp_path / 'run.json'} is damaged ({fault}")
    assert "; move it away and give the run's `evalkit run` again" in str(error.value)


def test_a_manifest_that_is_not_there_or_not_complete_is_none_of_a_finished_run(tmp_path: Path) -> None:
    assert find_manifest(tmp_path) is None
    with pytest.raises(RecordsError, match=r"has no run\.json"):
        read_manifest(tmp_path)
    with pytest.raises(RecordsError, match="holds a run that is not complete: give its `evalkit run` again"):
        read_manifest(written(tmp_path, Manifest(state="running").to_json()))
