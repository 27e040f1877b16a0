"""A checkpoint is found, checked from its headers, and fingerprinted."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from evalkit.checkpoints.folder import check, context_length, fingerprint, locate
from evalkit.checkpoints.resolution import resolve
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import CheckpointError


def spec(path: Path | str, kind: str = "base", **fields: Any) -> CheckpointSpec:
    return CheckpointSpec.model_validate({"path": str(path), "kind": kind, **fields})


def test_the_fingerprint_follows_what_decides_the_output(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    first = fingerprint(folder)
    (folder / "README.md").write_text("words", encoding="utf-8")
    assert fingerprint(folder) == first
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "rope_theta": 1}), encoding="utf-8")
    assert fingerprint(folder) != first
    second = fingerprint(folder)
    save_file({"w": np.arange(12, dtype=np.float32) + 1}, folder / "model.safetensors")
    assert fingerprint(folder) != second


def test_copies_of_a_checkpoint_have_one_fingerprint(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder()
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert fingerprint(tmp_path / "elsewhere") == fingerprint(folder)


def test_the_context_is_read_from_the_configuration(make_folder: Callable[..., Path]) -> None:
    checkpoint = resolve("m", spec(make_folder()))
    assert context_length(checkpoint) == 64
    nested = make_folder("nested", max_position_embeddings=None, text_config={"max_position_embeddings": 32})
    assert context_length(replace(checkpoint, location=str(nested))) == 32


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def _pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _lose_a_shard(folder: Path) -> None:
    index = {"weight_map": {"w": "model.safetensors", "v": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


BROKEN = [
    ("no config", _remove("config.json"), "has no config.json"),
    ("config that is no JSON", _write("config.json", b"{"), "config.json cannot be read"),
    ("config that is a list", _write("config.json", b"[]"), "is not a JSON object"),
    ("config without architecture", _write("config.json", b"{}"), "names no architecture"),
    ("code of its own", _write("config.json", b'{"model_type": "x", "auto_map": {}}'), "set trust_remote_code: true"),
    ("no weights", _remove("model.safetensors"), "has no *.safetensors"),
    ("pickles only", _pickle_only, "only pytorch_model.bin: convert it, evalkit loads no pickles"),
    ("weights cut short", _truncate, "is damaged or cut short"),
    ("weights that are noise", _write("model.safetensors", b"\xff" * 64), "is damaged or cut short"),
    ("a shard is missing", _lose_a_shard, "lacks model-2.safetensors"),
]


@pytest.mark.parametrize(("damage", "message"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_checkpoint_is_one_clear_line(
    make_folder: Callable[..., Path], damage: Callable[[Path], object], message: str
) -> None:
    folder = make_folder()
    damage(folder)
    with pytest.raises(CheckpointError) as caught:
        resolve("m", spec(folder))
    assert message in str(caught.value)
    assert str(caught.value).startswith("checkpoint 'm': ")
    assert "\n" not in str(caught.value)


def test_code_of_its_own_is_let_through_when_the_suite_says_so(make_folder: Callable[..., Path]) -> None:
    check(make_folder(auto_map={"AutoModel": "x.Y"}), trust_remote_code=True)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no/such/folder", "there is no folder 'no/such/folder', and it is not a hub id"),
        ("nowhere", "there is no folder 'nowhere'"),
        ("lab:bse", "'lab:bse': "),
        ("labs:base", "there is no source of checkpoints 'labs'; known: "),
    ],
)
def test_a_missing_checkpoint_is_one_clear_line(source: str, message: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        locate(source)
    assert message in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="could not be had from the Hugging Face hub at revision 'v1'") as caught:
        locate("some-org/some-model", "v1")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["http://", "http://:80", "localhost:8000/v1", "htp://host/v1", "http://host:x/v1"])
def test_a_path_that_is_meant_as_a_url_and_is_none_is_refused_before_it_is_asked(path: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(f"checkpoint 'base': {path!r} is not the URL of a server")):
        resolve("base", spec(path))


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"x")
    with pytest.raises(CheckpointError, match="is a file; a checkpoint is a folder"):
        locate(str(path))


def test_a_server_is_known_by_its_address_its_model_and_what_it_tells() -> None:
    url, told = "http://127.0.0.1:1/v1", {"id": "a", "root": "/models/a"}
    one = resolve("m", spec(url, model="a"), told)
    assert one.is_remote
    assert not one.names_weights
    others = [
        resolve("m", spec(f"{url}/", model="a"), told),
        resolve("m", spec(url, model="b"), told),
        resolve("m", spec(url, model="a"), told | {"root": "/models/b"}),
    ]
    assert len({checkpoint.fingerprint for checkpoint in (one, *others)}) == 4
