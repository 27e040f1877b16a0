"""A run's folder and a suite: the same run, one that grew, or another one.

A run grows by prompts, draws of each, checkpoints and temperatures; what it has stays true of all that is common. It
may leave prompts out. Anything else that decides samples makes another run of it, which needs a folder of its own.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import InputError

SPELLING = ("source", "model", "revision", "base")
"""Where a checkpoint was found that is here, and by which of its names; what it is, its fingerprint says."""
Manifest = Mapping[str, Any]


def check_folder(folder: Path, known: Manifest, now: Manifest) -> bool:
    """Whether the run that a folder's manifest tells of grows into the one that `now` does; False where it is the same.

    Raises `InputError` where it is another run.
    """
    before, after = _unspelled(known.get("identity") or {}), _unspelled(now["identity"])
    if before == after:
        return False
    if "asked" in known:
        before, after = _common(known, now, before, after)
    changed = _changes(before, after)
    if changed:
        old = "" if "asked" in known else ", and what an older evalkit began grows only after its own command again"
        raise InputError(
            f"{folder} holds another run (different: {', '.join(changed)}){old}; choose another folder with --out"
        )
    return True


def arm_names(known: Manifest, now: Manifest) -> dict[str, str]:
    """What the arms of a run are called now: with a second temperature the first stands in its arm's name too."""
    arms = {_place(name, arm): name for name, arm in now["identity"]["arms"].items()}
    found = ((name, _place(name, arm)) for name, arm in _arms(known.get("identity") or {}).items())
    return {name: arms[place] for name, place in found if place in arms}


def grown(known: Manifest, now: Manifest) -> dict[str, Any]:
    """For the manifest: when a run grew, from what, to what; under the names that its arms have now."""
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"when": when, "from": _size(known, arm_names(known, now)), "to": _size(now, {})}


def growth_note(folder: Path, step: Mapping[str, Any]) -> str:
    """What the user should know of it."""
    before, after = step["from"], step["to"]
    changes = (
        [f"{before['prompts']} prompts become {after['prompts']}"] if before["prompts"] != after["prompts"] else []
    )
    arms: dict[str, list[str]] = {}
    for name, count in after["samples"].items():
        had = before["samples"].get(name)
        if had != count:
            arms.setdefault("new" if had is None else f"{had} samples a prompt become {count}", []).append(name)
    changes += [f"{change}: {', '.join(names)}" for change, names in arms.items()]
    return f"the run in {folder} grows: {'; '.join(changes) or 'other prompts, as many as before'}"


def _size(manifest: Manifest, names: Mapping[str, str]) -> dict[str, Any]:
    samples = {names.get(name, name): arm["n"] for name, arm in manifest["identity"]["arms"].items()}
    return {"prompts": len(manifest["asked"]["prompts"]), "samples": samples}


def _common(
    known: Manifest, now: Manifest, before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two identities without what a run may gain, and without the prompts that only one of them asks."""
    shared = [prompt for prompt in known["asked"]["prompts"] if prompt in now["asked"]["prompts"]]
    names = arm_names(known, now)
    was = {names.get(name, name): arm for name, arm in _arms(before).items()}
    arms = {name: arm | {"n": was[name]["n"] if arm["n"] > was[name]["n"] else arm["n"]}
            for name, arm in _arms(after).items() if name in was}  # fmt: skip
    common = {name: one for name, one in after["checkpoints"].items() if name in before["checkpoints"]}
    return (
        {**before, "arms": was, **_asked(known, shared, before["checkpoints"], common)},
        {**after, "arms": arms, **_asked(now, shared, common, common)},
    )


def _asked(
    manifest: Manifest, prompts: list[str], checkpoints: Mapping[str, Any], common: Mapping[str, Any]
) -> dict[str, Any]:
    """What these prompts ask, and how each of the common checkpoints sees them."""
    asked = manifest["asked"]
    return {
        "prompts": {prompt: asked["prompts"][prompt] for prompt in prompts},
        "checkpoints": {
            name: one | {"rendered": {prompt: asked["rendered"][name][prompt] for prompt in prompts}}
            if name in common
            else one
            for name, one in checkpoints.items()
        },
    }


def _arms(identity: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(identity.get("arms") or {})


def _place(name: str, arm: Mapping[str, Any]) -> tuple[str, Any]:
    """An arm by its checkpoint and temperature."""
    return name.partition("@")[0], arm["temperature"]


def _unspelled(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity as two runs must share it: a checkpoint that is here is known by its fingerprint alone."""
    checkpoints = {
        name: one if "served" in one else {key: value for key, value in one.items() if key not in SPELLING}
        for name, one in (identity.get("checkpoints") or {}).items()
    }
    return {**identity, "checkpoints": checkpoints}


def _changes(old: Any, new: Any, where: str = "") -> list[str]:
    """The keys at which two identities differ, with both values where they are short."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        brief = len(f"{old}{new}") < 60
        return [f"{where} was {old}, is {new}" if brief else where] if old != new else []
    keys = list(dict.fromkeys((*old, *new)))
    return [line for key in keys for line in _changes(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))]
