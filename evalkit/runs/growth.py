"""A run's folder and a suite: the same run, one that grew, or another one.

A run grows by prompts, draws of each, checkpoints and settings; what it has stays true of all that is common. It
may leave prompts out. Anything else that decides samples makes another run of it, which needs a folder of its own.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import InputError
from evalkit.runs.manifest import ArmIdentity, CheckpointIdentity, Growth, Identity, Manifest, PromptHashes, Size

SPELLING = ("source", "model", "revision", "base")
"""Where a checkpoint was found that is here, and by which of its names; what it is, its fingerprint says."""


def check_folder(folder: Path, known: Manifest, now: Manifest) -> bool:
    """Whether the run that a folder's manifest describes grows into the one of `now`; False where it is the same.

    Raises `InputError` where it is another run.
    """
    before, after = _facts(known.identity), _facts(now.identity)
    if before == after:
        return False
    if known.asked is not None and now.asked is not None:
        before, after = _in_common(known, known.asked, now, now.asked)
    changes = _changes(before, after)
    if changes:
        old = ", and what an older evalkit began grows only after its own command again" if known.asked is None else ""
        raise InputError(
            f"{folder} holds another run (different: {', '.join(changes)}){old}; choose another folder with --out"
        )
    return True


def arm_names(known: Manifest, now: Manifest) -> dict[str, str]:
    """What the arms of a run are called now: with a second setting the first stands in its arm's name too."""
    names = {_checkpoint_and_setting(name, arm): name for name, arm in now.identity.arms.items()}
    before = ((name, _checkpoint_and_setting(name, arm)) for name, arm in known.identity.arms.items())
    return {name: names[arm] for name, arm in before if arm in names}


def growth(known: Manifest, now: Manifest) -> Growth:
    """When a run grew, from what, to what; under the names that its arms have now."""
    when = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return Growth(when=when, before=_size(known, arm_names(known, now)), after=_size(now, {}))


def growth_note(folder: Path, step: Growth) -> str:
    """What the user should know of it."""
    before, after = step.before, step.after
    changes = [f"{before.prompts} prompts become {after.prompts}"] if before.prompts != after.prompts else []
    arms: dict[str, list[str]] = {}
    for name, count in after.samples.items():
        had = before.samples.get(name)
        if had != count:
            arms.setdefault("new" if had is None else f"{had} samples a prompt become {count}", []).append(name)
    changes += [f"{change}: {', '.join(names)}" for change, names in arms.items()]
    return f"the run in {folder} grows: {'; '.join(changes) or 'other prompts, as many as before'}"


def _size(manifest: Manifest, names: Mapping[str, str]) -> Size:
    prompts = manifest.asked.prompts if manifest.asked is not None else {}
    samples = {names.get(name, name): arm.n for name, arm in manifest.identity.arms.items()}
    return Size(prompts=len(prompts), samples=samples)


def _in_common(
    known: Manifest, hashes_before: PromptHashes, now: Manifest, hashes_now: PromptHashes
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two identities without what a run may gain, and without the prompts that only one of them asks."""
    prompts = [prompt for prompt in hashes_before.prompts if prompt in hashes_now.prompts]
    names = arm_names(known, now)
    arms = {names.get(name, name): arm for name, arm in known.identity.arms.items()}
    had = known.identity.model_copy(update={"arms": arms})
    has = now.identity.model_copy(
        update={
            "arms": {
                name: arm.model_copy(update={"n": min(arm.n, arms[name].n)})
                for name, arm in now.identity.arms.items()
                if name in arms
            },
            "checkpoints": {
                name: checkpoint for name, checkpoint in now.identity.checkpoints.items() if name in had.checkpoints
            },
        }
    )
    common = list(has.checkpoints)
    return _by_prompt(had, hashes_before, prompts, common), _by_prompt(has, hashes_now, prompts, common)


def _by_prompt(
    identity: Identity, hashes: PromptHashes, prompts: Sequence[str], checkpoints: Sequence[str]
) -> dict[str, Any]:
    """The facts of an identity, with the hashes of these prompts in the place of one of all prompts."""
    facts = _facts(identity)
    facts["prompts"] = {prompt: hashes.prompts[prompt] for prompt in prompts}
    for name in checkpoints:
        rendered = hashes.rendered.get(name, {})
        facts["checkpoints"][name]["rendered"] = {prompt: rendered.get(prompt) for prompt in prompts}
    return facts


def _checkpoint_and_setting(name: str, arm: ArmIdentity) -> tuple[str, float, float, float]:
    return name.partition("@")[0], arm.temperature, arm.top_p, arm.min_p


def _facts(identity: Identity) -> dict[str, Any]:
    """An identity as two runs must share it: a checkpoint that is here is known by its fingerprint alone."""
    checkpoints = {
        name: checkpoint.to_json() if checkpoint.served is not None else _unspelled(checkpoint)
        for name, checkpoint in identity.checkpoints.items()
    }
    return {**identity.to_json(), "checkpoints": checkpoints}


def _unspelled(checkpoint: CheckpointIdentity) -> dict[str, Any]:
    return {key: value for key, value in checkpoint.to_json().items() if key not in SPELLING}


def _changes(old: Any, new: Any, key: str = "") -> list[str]:
    """The keys at which two identities differ, with both values where they are short."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        is_brief = len(f"{old}{new}") < 60
        return [f"{key} was {old}, is {new}" if is_brief else key] if old != new else []
    keys = list(dict.fromkeys((*old, *new)))
    return [change for name in keys for change in _changes(old.get(name), new.get(name), f"{key}.{name}".lstrip("."))]
