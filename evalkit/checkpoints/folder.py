"""A name becomes a folder that can be loaded: found, checked, fingerprinted; nothing is loaded here.

`locate` turns what a user wrote (a folder, a hub id, `PLUGIN:NAME`) into a local folder, `check` looks at its headers,
`fingerprint` hashes what decides its output.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.servers import Served, shown, url_fault
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import CheckpointError
from evalkit.plumbing.files import cache_folder, write_atomically

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_HOST_AND_PORT = re.compile(r"^[\w.-]+:\d+(?:/|$)")
"""`localhost:8000/v1`: a URL that lacks its beginning. No name of a plug-in's checkpoint begins with a number."""
WANTED_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model", "*.txt"]
IDENTITY_FILES = ["*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json",
                  "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt",
                  "chat_template*"]  # fmt: skip


def is_url(source: str) -> bool:
    """Whether a checkpoint is named by where a server is. Raises `CheckpointError` where that is no proper URL."""
    if "://" not in source and not _HOST_AND_PORT.match(source):
        return False
    if fault := url_fault(source):
        raise CheckpointError(f"{shown(source)!r} {fault}")
    return True


def locate(source: str, revision: str | None = None) -> Path:
    """The local folder of `PLUGIN:NAME`, of a folder, or of a hub id (downloaded once). Raises `CheckpointError`."""
    plugin, colon, rest = source.partition(":")
    if colon:
        return _from_plugin(source, plugin, rest)
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.exists():
        raise CheckpointError(f"{source} is a file; a checkpoint is a folder with config.json and *.safetensors")
    if HUB_ID.match(source) and not source.startswith("."):
        return _from_hub(source, revision)
    raise CheckpointError(
        f"there is no folder {source!r}, and it is not a hub id (organisation/name) or a name like lab:base"
    )


def check(folder: Path, trust_remote_code: bool = False) -> None:
    """See that a folder holds a loadable checkpoint, from its headers alone. Raises `CheckpointError`."""
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} is a LoRA adapter, and whole weights are needed here; merge it into its base")
    config = read_config(folder)
    if "architectures" not in config and "model_type" not in config:
        raise CheckpointError(f"{folder / 'config.json'} names no architecture; is this a Hugging Face checkpoint?")
    if "auto_map" in config and not trust_remote_code:
        raise CheckpointError(
            f"{folder} brings its own Python code (auto_map in config.json), which evalkit does not run; "
            "set trust_remote_code: true on this checkpoint if you trust it"
        )
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        other = [path.name for path in folder.glob("*.bin")]
        hint = f" (only {', '.join(other)}: convert it, evalkit loads no pickles)" if other else ""
        raise CheckpointError(f"{folder} has no *.safetensors{hint}")
    _check_index(folder)
    for path in weights:
        _check_weights(path)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a checkpoint. Raises `CheckpointError` when it is missing or no JSON object."""
    path = folder / "config.json"
    if not path.exists():
        raise CheckpointError(f"{folder} has no config.json; a checkpoint is a folder that save_pretrained wrote")
    return read_json_object(path)


def read_json_object(path: Path) -> dict[str, Any]:
    """Raises `CheckpointError` where the file cannot be read or holds something else."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if not isinstance(fields, dict):
        raise CheckpointError(f"{path} is not a JSON object")
    return fields


def context_length(checkpoint: Checkpoint) -> int | None:
    """Tokens that fit into one sequence, as config.json says; None when it does not say or the checkpoint is remote."""
    if checkpoint.is_remote:
        return None
    config = read_config(Path(checkpoint.location))
    for part in (config, config.get("text_config") or {}):
        for key in ("max_position_embeddings", "n_positions", "max_seq_len"):
            if isinstance(part.get(key), int):
                return cast(int, part[key])
    return None


def fingerprint(folder: Path) -> str:
    """SHA-256 (hex) of weights, configuration, tokenizer and chat template; file names count, other files do not."""
    digest = hashlib.sha256()
    names = {path.name for pattern in IDENTITY_FILES for path in folder.glob(pattern) if path.is_file()}
    for name in sorted(names):
        digest.update(f"{name}\0{file_hash(folder / name)}\0".encode())
    return digest.hexdigest()


def labels_of(config: Mapping[str, Any]) -> dict[int, str]:
    """Number -> name of what a classifier tells apart, by its config.json. Raises `CheckpointError`.

    Two where that says nothing, as transformers has it.
    """
    named = config.get("id2label")
    try:
        if named is not None:
            return {int(number): str(label) for number, label in named.items()}
        return {number: f"LABEL_{number}" for number in range(int(config.get("num_labels", 2)))}
    except (AttributeError, TypeError, ValueError):
        raise CheckpointError(f"id2label or num_labels in config.json cannot be read: {named!r}") from None


def architectures_of(config: Mapping[str, Any]) -> str:
    """Which network a checkpoint is, in words."""
    named = config.get("architectures")
    return ", ".join(map(str, named)) if isinstance(named, list) and named else "checkpoint of unknown architecture"


@dataclass(frozen=True)
class Weights:
    """What a measure by a model depends on: the `identity` of its declaration. `model` is the measure's parameter."""

    check: Callable[[Mapping[str, Any], str], None]
    """Sees by the config.json of a folder that the model, called so, is of the measure's kind. Raises `InputError`."""

    def __call__(self, *, model: str, **_: object) -> dict[str, str]:
        """Raises `InputError` where the model is not there, or is none of the kind; nothing is loaded."""
        return {"weights": fingerprint(self.find(model))[:12]}

    def find(self, model: str) -> Path:
        """The model's folder, once it is seen that it holds one of the kind, from headers. Raises `InputError`."""
        if is_url(model):
            raise CheckpointError(f"{model} is a server; a folder, a hub id or a name like lab:reward is needed here")
        folder = locate(model)
        check(folder)
        self.check(read_config(folder), model)
        return folder


def _as_told(spec: CheckpointSpec, facts: Mapping[str, str]) -> Served:
    return Served(spec.model or facts.get("id", ""), facts, names_weights="digest" in facts)


def _from_plugin(source: str, plugin: str, rest: str) -> Path:
    plugins = {entry.name: entry for entry in entry_points(group="evalkit.checkpoints")}
    if plugin not in plugins:
        raise CheckpointError(f"{source!r}: there is no source of checkpoints {plugin!r}; known: {', '.join(plugins)}")
    try:
        return cast(Path, plugins[plugin].load()(rest))
    except KeyError as error:
        raise CheckpointError(f"{source!r}: {error.args[0]}") from None


def _from_hub(source: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=WANTED_FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        at = f" at revision {revision!r}" if revision else ""
        raise CheckpointError(
            f"there is no folder {source!r} here, and it could not be had from the Hugging Face hub{at}: {first_line}"
        ) from None


def _check_index(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return
    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{index} cannot be read: {error!r}") from None
    missing = sorted(name for name in named if not (folder / name).exists())
    if missing:
        raise CheckpointError(f"{folder} lacks {', '.join(missing)}, which {index.name} names; copy it again")


def _check_weights(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or cut short ({error}); copy it again") from None


def file_hash(path: Path) -> str:
    """SHA-256 of a file, remembered by path, size and time of change: weights are large."""
    stat = path.stat()
    state = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
    note = cache_folder("fingerprints") / hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    if note.exists():
        known_state, _, known = note.read_text(encoding="ascii").partition("\n")
        if known_state == state:
            return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    write_atomically(note, f"{state}\n{digest}".encode())
    return digest
