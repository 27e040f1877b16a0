"""A suite grows in its folder: what is new is sampled, all else stays, and another run is refused by what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import InputError, StoreError
from evalkit.gate.baselines import read_side
from evalkit.gate.decide import decide
from evalkit.inference.engines.transformers import TransformersEngine
from evalkit.inference.plan import make_plan
from evalkit.inference.settle import begin
from evalkit.inference.workers import calls
from evalkit.plumbing.progress import Quiet
from evalkit.report.content.read import read_content
from evalkit.report.page import build_report
from evalkit.run import run_suite
from evalkit.runs.folder import open_store
from evalkit.runs.manifest import Manifest
from evalkit.suite.gate_policy import DEFAULT
from evalkit.suite.schema import Suite, load_suite
from tests import ROOT
from tests.finished import PROMPTS, finished_run
from tests.killed_at import killed_at
from tests.test_run import shards

CHECKPOINTS = {
    "base": {"path": "lab:base", "kind": "base"},
    "tuned": {"path": "lab:tuned", "kind": "tuned"},
    "ppo": {"path": "lab:ppo-0.1", "kind": "tuned"},
}
STEPS = ((60, 16, 2), (61, 16, 2), (61, 32, 2), (61, 32, 3))
"""Prompts, samples and checkpoints of a suite that grows."""
NEW = (60 * 16 * 2, 16 * 2, 61 * 16 * 2, 61 * 32)
"""What each step lacks."""


def prompts() -> list[dict[str, str]]:
    found = yaml.safe_load((ROOT / "suites" / "creative.yaml").read_text(encoding="utf-8"))["prompts"]
    texts = [one["text"] for one in found]
    # The longest comes last: the room that all of a suite's prompts need must not matter.
    texts = sorted(texts, key=len)
    return [{"id": f"p{place}", "text": texts[place * len(texts) // 61]} for place in range(60)] + [
        {"id": "longest", "text": texts[-1]}
    ]


def write(folder: Path, step: tuple[int, int, int]) -> Path:
    asked, samples, checkpoints = step
    suite = {
        "name": "grows",
        "checkpoints": dict(list(CHECKPOINTS.items())[:checkpoints]),
        "sampling": {"n": samples, "max_tokens": 6, "seed": 3},
        "metrics": ["distinct_n", "length"],
        "variants": [],
        "prompts": prompts()[:asked],
    }
    path = folder / f"suite-{asked}-{samples}-{checkpoints}.yaml"
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return path


def go_on(suite: Path, folder: Path, engine: str = "transformers") -> tuple[int, bytes]:
    """How many completions were sampled, and the summary."""
    made = run_suite(load_suite(suite), engine, folder, Quiet())
    return made.sampled, (folder / "summary.json").read_bytes()


@contextmanager
def open_here(
    _name: str, checkpoint: Checkpoint, max_length: int, *others: Checkpoint, **_: object
) -> Iterator[TransformersEngine]:
    """The engine in this process, which is faster."""
    yield TransformersEngine(checkpoint, max_length, *others)


def killed_at_its_first_shard(suite: Path, folder: Path, cache: Path, engine: str) -> None:
    before = shards(folder)
    run = ["run", suite, "--engine", engine, "--out", folder, "--quiet"]
    killed_at("shard", run, {"XDG_CACHE_HOME": str(cache)})
    assert len(shards(folder)) == len(before) + 1


def grow(folder: Path, engine: str, monkeypatch: pytest.MonkeyPatch, first: int = len(STEPS)) -> None:
    """Grow through the `first` so many of the steps, unbroken and killed in the middle of each."""
    suites = [write(folder, step) for step in STEPS[:first]]
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    unbroken = [go_on(suite, folder / "run", engine) for suite in suites]
    assert [sampled for sampled, _ in unbroken] == list(NEW[:first])
    steps = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))["grown"]
    assert [step["to"]["prompts"] for step in steps] == [61, 61, 61][: first - 1]
    for step in steps[1:2]:
        assert step["from"]["samples"] == {"base": 16, "tuned": 16}
        assert step["to"]["samples"] == {"base": 32, "tuned": 32}
    # In a new folder, the cache has all of it.
    assert go_on(suites[-1], folder / "new", engine) == (0, unbroken[-1][1])
    # Killed in the middle of each step, and resumed.
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "second"))
    assert go_on(suites[0], folder / "killed", engine) == unbroken[0]
    for suite, (new, summary) in zip(suites[1:], unbroken[1:], strict=True):
        killed_at_its_first_shard(suite, folder / "killed", folder / "second", engine)
        sampled, resumed = go_on(suite, folder / "killed", engine)
        assert 0 < sampled < new
        assert resumed == summary


def test_each_step_of_a_growing_suite_samples_what_is_missing_also_when_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "open_engine", open_here)
    grow(tmp_path, "transformers", monkeypatch)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(900)  # runs of vLLM, which loads anew for every checkpoint of each
def test_vllm_too_samples_only_what_a_growing_suite_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vllm")
    grow(tmp_path, "vllm", monkeypatch, first=2)


def grows(folder: Path, **changes: Any) -> tuple[list[str], Manifest]:
    """Begin a suite in the folder of a finished run; what is noted, and the manifest."""
    asked = {
        "name": "tiny",
        "checkpoints": {"base": {"path": "lab:base", "kind": "base"}},
        "sampling": {"n": 4, "max_tokens": 8, "seed": 3},
        "metrics": ["distinct_n|n:1", "length", "accuracy"],
        "prompts": list(PROMPTS),
    }
    notes: list[str] = []
    with open_store(folder, notes.append) as store:
        _, manifest = begin(store, make_plan(Suite.model_validate(asked | changes), "transformers"), [])
    return notes, manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return finished_run(tmp_path / "run", {"base": 8})


def sampling(**changes: Any) -> dict[str, Any]:
    return {"sampling": {"n": 4, "max_tokens": 8, "seed": 3} | changes}


WORDED = ({**PROMPTS[0], "text": "Write a line about fog."}, *PROMPTS[1:])
ANOTHER: dict[str, tuple[dict[str, Any], str]] = {
    "a law": (sampling(max_tokens=9), "arms.base.max_tokens was 8, is 9"),
    "a seed": (sampling(seed=4), "arms.base.seed was 3, is 4"),
    "fewer samples": (sampling(n=3), "arms.base.n was 4, is 3"),
    "another temperature": (sampling(temperature=[0.5]), "arms.base.temperature was 1.0, is 0.5"),
    "a prompt in other words": ({"prompts": list(WORDED)}, "prompts.p0 was "),
    "another frame": (
        {"checkpoints": {"base": {"path": "lab:base", "kind": "base", "frame": {"template": "{prompt} :"}}}},
        "checkpoints.base.rendered.p0 was ",
    ),
    "other weights": (
        {"checkpoints": {"base": {"path": "lab:ppo-0.1", "kind": "base"}}},
        "checkpoints.base.fingerprint",
    ),
    "a checkpoint less": (
        {"checkpoints": {"other": {"path": "lab:base", "kind": "base"}}},
        "checkpoints.base",
    ),
    "another name": ({"name": "small"}, "suite was tiny, is small"),
}  # fmt: skip


@pytest.mark.parametrize("change", ANOTHER)
def test_another_run_s_folder_is_refused_by_what_differs_also_when_prompts_are_new(folder: Path, change: str) -> None:
    changes, words = ANOTHER[change]
    more = {"id": "new", "text": "Write a line about dew.", "answer": "dew"}
    asked = {"prompts": [*changes.get("prompts", PROMPTS), more]}
    before = (folder / "run.json").read_bytes()
    with pytest.raises(InputError, match="holds another run") as refused:
        grows(folder, **changes | asked)
    assert words in str(refused.value)
    assert "new" not in str(refused.value)
    assert (folder / "run.json").read_bytes() == before


def test_a_second_temperature_renames_the_arm_that_is_there(folder: Path) -> None:
    notes, manifest = grows(folder, **sampling(temperature=[0.5, 1.0]))
    assert notes == [f"the run in {folder} grows: new: base@T=0.5"]
    rows = {row.arm for row in manifest.shards}
    assert rows == {"base@T=0.5", "base@T=1"}
    with open_store(folder, pytest.fail) as store:
        there = [row.arm for row in manifest.shards if store.holds(row.key)]
    assert set(there) == {"base@T=1"}


def test_a_sweep_that_is_added_renames_the_arm_that_is_there(folder: Path) -> None:
    notes, manifest = grows(folder, sweeps=[{"min_p": [0, 0.1]}])
    assert notes == [f"the run in {folder} grows: new: base@min_p=0.1"]
    assert {row.arm for row in manifest.shards} == {"base@min_p=0", "base@min_p=0.1"}


def test_prompts_that_are_left_out_stay_on_disk_and_are_out_of_the_run(folder: Path) -> None:
    before = set(shards(folder))
    finished_run(folder, {"base": 8}, PROMPTS[2:])
    assert set(shards(folder)) >= before
    content = read_content(folder)
    assert [group.prompt.id for group in content.groups["base"]] == [str(one["id"]) for one in PROMPTS[2:]]
    assert {len(group.completions) for group in content.groups["base"]} == {4}


def test_a_folder_that_grew_is_read_gated_and_reported_as_any_other(folder: Path) -> None:
    more = [*PROMPTS, {"id": "new", "text": "Write a line about dew.", "answer": "dew"}]
    finished_run(folder, {"base": 8, "tuned": 2}, more, **sampling(n=6))
    content = read_content(folder)
    for groups in content.groups.values():
        assert [[one.sample_index for one in group.completions] for group in groups] == [list(range(6))] * 9
    assert build_report(content).encode("utf-8", "replace") == (folder / "report.html").read_bytes()
    verdict = decide(read_side(str(folder)), read_side(str(folder)), [("tuned", "tuned")], DEFAULT)
    assert {judgement.change for judgement in verdict.judgements} == {0}
    [step] = content.provenance["grown"]
    assert (step["from"], step["to"]) == (
        {"prompts": 8, "samples": {"base": 4}},
        {"prompts": 9, "samples": {"base": 6, "tuned": 6}},
    )


DAMAGE: dict[str, dict[str, Any]] = {
    "shards.0.arm": {"shards": [{"arm": 3}]},
    "shards": {"shards": 7},
    "asked": {"asked": []},
    "identity": {"identity": 3},
}


def test_a_manifest_that_was_spoiled_is_one_line(folder: Path) -> None:
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for key, damage in DAMAGE.items():
        (folder / "run.json").write_text(json.dumps(manifest | damage), encoding="utf-8")
        with pytest.raises(StoreError, match=rf"run\.json is damaged \({key}: .*\); move it away and give"):
            grows(folder, **sampling(n=5))
