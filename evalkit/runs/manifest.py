"""run.json of a finished run, and what its folder is called where several are named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalkit.errors import RecordsError


def read_manifest(folder: Path) -> dict[str, Any]:
    """run.json of a finished run. Raises `RecordsError`."""
    manifest = read_json(folder / "run.json")
    if manifest.get("state") != "complete":
        raise RecordsError(f"{folder} is not finished: give its `evalkit run` again with --out {folder}")
    return manifest


def short_names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, with as much of the way to them as tells them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    raise RecordsError(f"the same run is named twice: {_twice(folders)}; name each once")


def _twice(folders: Sequence[Path]) -> Path:
    found = [folder.resolve() for folder in folders]
    return next(folder for place, folder in enumerate(folders) if found[place] in found[:place])


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of a run's folder. Raises `RecordsError`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordsError(
            f"{path.parent} has no {path.name}: it is no finished run, or one of an older evalkit; give its "
            "`evalkit run` again"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise RecordsError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise RecordsError(f"{path} is no JSON object")
    return found


def first_fault(error: KeyError | TypeError | ValidationError) -> str:
    """What is wrong, in a line: a validation error tells all it finds, a line each."""
    if not isinstance(error, ValidationError):
        return repr(error)
    problem = error.errors()[0]
    return f"{'.'.join(str(step) for step in problem['loc']) or 'all of it'}: {problem['msg']}"
