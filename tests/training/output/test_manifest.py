"""A folder belongs to one training; its manifest says which, by what it was made, and whether it is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.errors import InputError, StoreError
from evalkit.training.config import PpoConfig, SftConfig
from evalkit.training.output import manifest
from tests.training.full_disk import room_for


def config(**changes: object) -> PpoConfig:
    given = {
        "name": "tiny", "policy": {"path": "x", "kind": "base"}, "reward": {"utility": {"words": 1}}, "beta": 0.5,
        "prompts": [{"id": "a", "text": "b"}],
    }  # fmt: skip
    return PpoConfig.model_validate(given | changes)


def read(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    return found


def test_a_manifest_says_what_was_asked_by_what_and_whether_it_is_done(tmp_path: Path) -> None:
    begun = manifest.begin(tmp_path / "run", config(), ["evalkit", "train", "ppo", "x.yaml"])
    told = read(tmp_path / "run")
    assert told == begun
    assert told["state"] == "running"
    assert told["command"] == ["evalkit", "train", "ppo", "x.yaml"]
    assert isinstance(told["config"], dict)
    assert told["config"]["beta"] == [0.5]
    assert {"torch", "transformers", "accelerate"} <= set(told["versions"])  # type: ignore[call-overload]
    manifest.finish(tmp_path / "run", begun)
    done = read(tmp_path / "run")
    assert done["state"] == "complete"
    assert done["ended"]


def test_the_same_training_goes_on_and_keeps_the_time_it_began(tmp_path: Path) -> None:
    manifest.begin(tmp_path, config(), [])
    known = read(tmp_path) | {"started": "2001-02-03T04:05:06+00:00"}
    (tmp_path / "train.json").write_text(json.dumps(known), encoding="utf-8")
    assert manifest.begin(tmp_path, config(), [])["started"] == "2001-02-03T04:05:06+00:00"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"beta": 0.4}, "beta"),
        ({"seed": 1}, "seed"),
        ({"prompts": [{"id": "a", "text": "c"}]}, "prompts"),
        ({"updates": 7, "batch": 512}, "batch, updates"),
        ({"reward": {"utility": {"words": 2}}}, "reward"),
    ],
)
def test_another_training_in_the_same_folder_is_refused(tmp_path: Path, change: dict[str, object], named: str) -> None:
    manifest.begin(tmp_path, config(), [])
    before = (tmp_path / "train.json").read_bytes()
    with pytest.raises(InputError, match=rf"holds another training \(different: {named}\); choose another .* --out"):
        manifest.begin(tmp_path, config(**change), [])
    assert (tmp_path / "train.json").read_bytes() == before


def test_a_training_of_another_kind_is_refused(tmp_path: Path) -> None:
    manifest.begin(tmp_path, config(), [])
    sft = SftConfig.model_validate({"name": "tiny", "model": {"path": "x", "kind": "base"}, "data": "a.jsonl"})
    with pytest.raises(InputError, match="holds another training"):
        manifest.begin(tmp_path, sft, [])


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"state": "running"}', '{"config": 3}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, damage: str) -> None:
    (tmp_path / "train.json").write_text(damage, encoding="utf-8")
    with pytest.raises(StoreError, match=r"train\.json is damaged .*; choose another folder with --out"):
        manifest.begin(tmp_path, config(), [])


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="could not be written"):
        manifest.begin(tmp_path / "file" / "run", config(), [])


def test_a_full_disk_keeps_the_manifest(tmp_path: Path) -> None:
    begun = manifest.begin(tmp_path, config(), [])
    with room_for(10), pytest.raises(StoreError, match="could not be written"):
        manifest.finish(tmp_path, begun)
    assert read(tmp_path) == begun
