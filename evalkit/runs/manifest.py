"""run.json: what a run is, how it is repeated, and which completions come from which sampling call. Typed, one reader.

All that this evalkit writes is a field here; keys that it does not know, of a newer evalkit, are kept as they are. What
an older evalkit left out has a default, and stays left out when the manifest is written again.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from evalkit.errors import RecordsError
from evalkit.records import Completion

FILE = "run.json"
Time = Annotated[AwareDatetime, PlainSerializer(lambda time: time.isoformat(), return_type=str)]
"""A moment, in JSON as ISO 8601 with its zone."""


class Part(BaseModel):
    """Some of the manifest: fixed, and with whatever keys a newer evalkit has added."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, use_attribute_docstrings=True)

    def to_json(self) -> dict[str, Any]:
        """What run.json holds: what was given, and nothing for what was left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class SuiteSettings(Part):
    """The suite that was run, as it was resolved; without its prompts, which stand in a file of their own."""

    name: str = ""
    checkpoints: dict[str, dict[str, Any]] = {}
    gate: Any = None
    """The suite's policy, unchecked: whoever gates reads it."""


class CheckpointIdentity(Part):
    """Of a checkpoint, what decides its samples."""

    name: str = ""
    kind: str | None = None
    source: str = ""
    model: str = ""
    revision: str | None = None
    fingerprint: str = ""
    dtype: str = ""
    trust_remote_code: bool = False
    served: dict[str, str] | None = None
    """What its server told of the model; None for a folder."""
    engine: str = ""
    engine_version: str = ""
    rendered: str = ""
    """Hash of all prompts as it sees them."""
    shown: tuple[int, ...] | None = None
    """Special tokens that its texts show; None where they show none."""
    base: str | None = None
    """What an adapter's base is called; None for whole weights, as the fingerprints of both parts are."""
    base_fingerprint: str | None = None
    adapter_fingerprint: str | None = None
    quantization: str | None = None
    """How its weights were quantised as they were loaded."""
    engine_options: dict[str, str] | None = None
    """Further options of its engine, as JSON."""


class ArmIdentity(Part):
    """Of an arm, what decides its samples."""

    n: int
    temperature: float
    top_p: float = 1.0
    min_p: float = 0.0
    max_tokens: int = 0
    stop: tuple[str, ...] = ()
    seed: int = 0
    top_k: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    best_of: dict[str, Any] | None = None
    """How its completions are chosen, where they are."""
    longer: dict[str, Any] | None = None
    """Prompts that are given more room, and how much."""
    ask: dict[str, Any] | None = None
    """How prompts are put, where they are not put as they are."""


class Identity(Part):
    """What makes a run this run: all that decides its samples. Metrics may change; then it is measured anew."""

    suite: str = ""
    prompts: str = ""
    """Hash of all that the suite asks."""
    checkpoints: dict[str, CheckpointIdentity] = {}
    arms: dict[str, ArmIdentity] = {}


class PromptHashes(Part):
    """Prompt by prompt, hashes of what is asked: by these a run knows whether it only grew."""

    prompts: dict[str, str]
    """Prompt -> of what it asks."""
    rendered: dict[str, dict[str, str]]
    """Checkpoint -> prompt -> of the prompt as the checkpoint sees it."""


class Size(Part):
    """How large a run was at one time."""

    prompts: int
    samples: dict[str, int]
    """Arm -> completions of a prompt; the arm under the name that it got when the run grew."""


class Growth(Part):
    """One step in which a run grew."""

    when: Time
    before: Size = Field(alias="from")
    after: Size = Field(alias="to")


class Machine(Part):
    """Where the run was made."""

    system: str = ""
    processor: str = ""
    python: str = ""


class ShardRow(Part):
    """Which of an arm's completions come from which sampling call."""

    arm: str
    key: str
    """Of the call."""
    seed: int = 0
    prompts: list[str] | int | None = None
    """Whose completions; a number, or nothing, where an older evalkit wrote it: of all that the shard holds."""
    slots: tuple[int, int] | None = None
    """First of their draws, and the one after the last; None for all."""
    part: bool = False
    """Whether the call drew more than this."""
    cached: bool = False
    """Whether it came from the cache."""
    sampled: Time | None = None
    """When; None until the run is complete."""

    def of(self, completions: Sequence[Completion]) -> list[Completion]:
        """What the run has of all that the shard holds."""
        if not isinstance(self.prompts, list) or self.slots is None:
            return list(completions)
        prompts, slots = set(self.prompts), range(*self.slots)
        return [
            completion
            for completion in completions
            if completion.prompt_id in prompts and completion.sample_index in slots
        ]


class Origin(Part):
    """Where one arm's completions come from: sampled by this run, or by an earlier one and taken from the cache."""

    completions: int
    from_cache: int
    """How many of them an earlier run sampled."""
    sampled_first: Time
    sampled_last: Time
    cached_first: Time | None = None
    """The first time of sampling of those from the cache; None where there are none."""
    cached_last: Time | None = None

    @property
    def cached(self) -> tuple[datetime.datetime, datetime.datetime] | None:
        """First and last time of sampling of those from the cache."""
        if self.cached_first is None or self.cached_last is None:
            return None
        return self.cached_first, self.cached_last


class Spent(Part):
    """What requests took, and cost by the stated price."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None
    """None where the suite states no price."""


class Spending(Part):
    """What an arm's completions took."""

    run: Spent
    """What this run asked for: not what it has from the cache, but all that it was answered."""
    completions: Spent
    """What all completions that it has took, whoever asked for them."""
    untold: int = 0
    """Completions of which no server said what they took."""
    price: dict[str, Any] | None = None
    """Of a million prompt and completion tokens."""


class Manifest(Part):
    """run.json. An empty one is that of a run that has not begun."""

    evalkit: str = ""
    """The version that wrote it."""
    state: str = ""
    """`running` or `complete`."""
    run: str = ""
    """What marks the run in the shards that it samples; empty where an older evalkit began it."""
    command: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    started: Time | None = None
    ended: Time | None = None
    fresh: bool = False
    """Whether samples of the cache do not count."""
    suite: SuiteSettings = SuiteSettings()
    identity: Identity = Identity()
    asked: PromptHashes | None = None
    """None where an older evalkit began the run."""
    grown: tuple[Growth, ...] = ()
    engines: dict[str, str] = {}
    """Checkpoint -> name and version of its engine."""
    versions: dict[str, str] = {}
    machine: Machine = Machine()
    shards: tuple[ShardRow, ...] = ()
    samples: dict[str, Origin] = {}
    """Arm -> where its completions come from."""
    spending: dict[str, Spending] = {}
    """Arm -> what servers said that its requests took."""
    tokens: dict[str, int] = {}
    """Arm -> of all its completions."""
    kept: dict[str, str] | None = None
    """Arm -> the shard of what it kept of its draws; None until the run is complete."""
    voices: dict[str, Any] | None = None
    agreement: tuple[dict[str, Any], ...] = ()
    look: dict[str, Any] | None = None
    """At which look a gate stopped it, unchecked; None where all was asked."""

    @property
    def is_complete(self) -> bool:
        return self.state == "complete"


def find_manifest(folder: Path) -> Manifest | None:
    """The manifest in a folder, of a run that is complete or not; None where there is none. Raises `RecordsError`."""
    path = folder / FILE
    try:
        return Manifest.model_validate(_object_in(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        raise _damaged(path, first_fault(error)) from None
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from None


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished run. Raises `RecordsError`."""
    manifest = find_manifest(folder)
    if manifest is None:
        raise _missing(folder / FILE)
    check_complete(manifest, folder)
    return manifest


def check_complete(manifest: Manifest, folder: Path) -> None:
    """Refuse a run that has not ended. Raises `RecordsError`."""
    if not manifest.is_complete:
        raise RecordsError(
            f"{folder} holds a run that is not complete: give its `evalkit run` again with --out {folder}"
        )


def start_of(manifest: Manifest, folder: Path) -> datetime.datetime:
    """When a finished run began, in UTC. Raises `RecordsError`."""
    if manifest.started is None:
        raise RecordsError(f"{folder / FILE} does not say when the run started: it was changed by hand")
    return manifest.started.astimezone(datetime.UTC)


def read_json(path: Path) -> dict[str, Any]:
    """The object in another file of a finished run's folder. Raises `RecordsError`."""
    try:
        return _object_in(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except (ValueError, RecursionError) as error:
        raise RecordsError(f"{path} cannot be read: {error}") from None


def first_fault(error: KeyError | TypeError | ValidationError) -> str:
    """What is wrong, in a line: a validation error tells all it finds, a line each."""
    if not isinstance(error, ValidationError):
        return repr(error)
    problem = error.errors()[0]
    return f"{'.'.join(str(step) for step in problem['loc']) or 'all of it'}: {problem['msg']}"


def short_names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, with as much of the way to them as tells them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(steps[-length:]) for steps in parts]
        if len(set(names)) == len(names):
            return names
    raise RecordsError(f"the same run is named twice: {_repeated(folders)}; name each once")


def _repeated(folders: Sequence[Path]) -> Path:
    resolved = [folder.resolve() for folder in folders]
    return next(folder for index, folder in enumerate(folders) if resolved[index] in resolved[:index])


def _object_in(path: Path) -> dict[str, Any]:
    """Raises `FileNotFoundError`, `NotADirectoryError`, `RecordsError`; `ValueError` or `RecursionError` on no JSON."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from None
    if not isinstance(content, Mapping):
        raise ValueError("it is no JSON object")
    return dict(content)


def _missing(path: Path) -> RecordsError:
    return RecordsError(
        f"{path.parent} has no {path.name}: it is no finished run, or one of an older evalkit; give its `evalkit run` "
        "again"
    )


def _damaged(path: Path, fault: str) -> RecordsError:
    return RecordsError(
        f"{path} is damaged ({fault}); move it away and give the run's `evalkit run` again, which samples only what is "
        "missing"
    )
