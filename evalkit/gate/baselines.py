"""Baselines: what a release measured, in a small file meant to be committed; and any other side of a comparison.

`baselines/NAME.json` holds every metric's value on every prompt, so that a later run is paired with it without the old
samples. A checksum says when it was changed by hand, cut short or merged badly; one estimate stands on one line, so
that a diff can be read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evalkit.errors import EvalkitError, InputError, RecordsError
from evalkit.gate.sides import Side
from evalkit.gate.stats.group_sequential import Look
from evalkit.metrics.summary import Summary
from evalkit.plumbing.files import write_atomically, writing
from evalkit.runs.exchange.detect import layout_of
from evalkit.runs.manifest import FILE, Manifest, check_complete, find_manifest
from evalkit.runs.summary import check_whole, parse_summary, read_summary
from evalkit.suite.gate_policy import DEFAULT, Policy, read_policy

FOLDER = Path("baselines")
FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SUMMARIES = (".json", "")
"""Endings of files that hold summaries and baselines."""
_KEPT = ("suite", "prompts", "clusters", "asked", "parts", "arms", "estimates", "differences", "schema")
"""Of a summary; what a report shows besides is not needed to compare, and `differences` stays empty."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A saved baseline."""

    name: str
    side: Side
    size: int
    """Bytes of its file."""


def _arm_hint(given: str) -> str:
    """What to do where a run's arm was named in one word with it, as `evalkit compare` takes it."""
    run = given.rpartition(":")[0]
    return f"; for an arm of {run} say --arm NEW=OLD" if run and find_side(run) is not None else ""


def read_side(given: str) -> Side:
    """A run's folder, a summary.json, a baseline's file, the NAME of one, or a file of completions, which is measured.

    Raises `RecordsError`, `InputError`, `MetricError`.
    """
    path = find_side(given)
    if path is None:
        raise InputError(
            f"there is neither a run, a summary nor a baseline {given!r}; saved baselines: "
            f"{', '.join(_names()) or 'none'}{_arm_hint(given)}"
        )
    if path.is_dir():
        return _read_run(path)
    return _measured(path) if _holds_texts(path) else _read_file(path)


def find_side(given: str) -> Path | None:
    """Where `read_side` finds what is meant; None where there is nothing."""
    if Path(given).exists():
        return Path(given)
    saved = FOLDER / f"{given}.json"
    return saved if _NAME.fullmatch(given) and saved.exists() else None


def report_of(given: str) -> Path | None:
    """The page that lies beside the numbers of a run; None where there is none."""
    path = find_side(given)
    if path is None:
        return None
    page = (path if path.is_dir() else path.parent) / "report.html"
    return page if page.is_file() else None


def chosen_policy(given: str, file: Path | None) -> tuple[Policy, str]:
    """The policy of a file, else of the run's suite, else the default; and where it came from, in words."""
    if file is not None:
        return read_policy(file), str(file)
    of_suite = policy_of_run(given)
    return (DEFAULT, "the default") if of_suite is None else (of_suite, "the suite's")


def suite_of(*given: str | None) -> str:
    """The suite's name, from the first side that tells it, complete or not; empty where none does."""
    for name in given:
        with contextlib.suppress(EvalkitError):
            path = None if name is None else find_side(name)
            manifest = None if path is None else find_manifest(path)
            if manifest is not None and manifest.suite.name:
                return manifest.suite.name
            if path is not None:
                return read_side(str(path)).summary.suite
    return ""


def policy_of_run(given: str) -> Policy | None:
    """The policy that stands in a run's suite; None where it has none, or where `given` is no run."""
    manifest = find_manifest(Path(given))
    if manifest is None or manifest.suite.gate is None:
        return None
    try:
        return Policy.model_validate(manifest.suite.gate)
    except ValidationError as error:
        raise RecordsError(f"{Path(given) / FILE}: suite.gate is no policy: {error.errors()[0]['msg']}") from None


def save(given: str, name: str) -> Path:
    """Save a run (or a summary) as a baseline, over what has its name; its file. Raises `InputError`, `StoreError`."""
    if not _NAME.fullmatch(name):
        raise InputError(f"a baseline is named with letters, digits, dots and dashes, as in v1.2; found {name!r}")
    side = read_side(given)
    if side.look is not None and side.look.fraction < 1:
        raise InputError(
            f"{given} was stopped after {side.look.fraction:.0%} of its prompts: no baseline for what asks them all; "
            "run the suite without --until-decided"
        )
    path = FOLDER / f"{name}.json"
    content = _to_json(side).encode("utf-8", "replace")
    with writing(path):
        FOLDER.mkdir(exist_ok=True)
        write_atomically(path, content)
    return path


def load(name: str) -> Baseline:
    """A saved baseline. Raises `InputError` where there is none of the name, `RecordsError` where it is damaged."""
    path = FOLDER / f"{name}.json"
    if not (_NAME.fullmatch(name) and path.exists()):
        raise InputError(f"there is no baseline {name!r}; saved: {', '.join(_names()) or 'none'}")
    return Baseline(name, _read_file(path), path.stat().st_size)


def saved() -> list[Baseline]:
    """All baselines, by name."""
    return [load(name) for name in _names()]


def _read_run(folder: Path) -> Side:
    manifest = find_manifest(folder)
    if manifest is not None:
        check_complete(manifest, folder)
    if not (folder / "summary.json").exists():
        raise RecordsError(f"{folder} holds no summary.json: it is no run, or one that never ended")
    summary = read_summary(folder / "summary.json")
    if manifest is None:
        return Side(summary, str(folder), folder=folder)
    summary = _with_engines(summary, manifest)
    return Side(summary, str(folder), manifest.identity.prompts, _look(manifest, folder), folder)


def _with_engines(summary: Summary, manifest: Manifest) -> Summary:
    """Summaries of older runs do not say what drew their completions; their manifests do."""
    arms = [replace(arm, engine=arm.engine or manifest.engines.get(arm.checkpoint, "")) for arm in summary.arms]
    return replace(summary, arms=tuple(arms))


def _look(manifest: Manifest, folder: Path) -> Look | None:
    """Where a run that was stopped early was stopped: judged as if it were whole, it would err too often."""
    if manifest.look is None:
        return None
    try:
        return TypeAdapter(Look).validate_python(manifest.look)
    except ValidationError as error:
        raise RecordsError(f"{folder / FILE}: look is damaged: {error.errors()[0]['msg']}") from None


def _holds_texts(path: Path) -> bool:
    """Whether it is a file of completions, ours or another tool's."""
    try:
        return layout_of(path) is not None
    except RecordsError:
        if path.suffix in SUMMARIES:
            return False  # it is refused as a summary, which its name says it is
        raise


def _measured(path: Path) -> Side:
    """All that its texts allow, which takes a while."""
    from evalkit.plumbing.progress import Quiet
    from evalkit.score import score_files

    return Side(score_files([path], [], None, Quiet()).summary, str(path))


def _read_file(path: Path) -> Side:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise RecordsError(
            f"{path} is neither a summary nor a baseline: not JSON (empty, cut short, or another file)"
        ) from None
    if not isinstance(fields, dict):
        raise RecordsError(f"{path} is neither a summary nor a baseline that evalkit wrote")
    if "evalkit_baseline" not in fields:
        side = Side(parse_summary(fields, str(path)), str(path))
    else:
        side = _from_fields(fields, path)
    check_whole(side.summary, str(path))
    return side


def _from_fields(fields: dict[str, Any], path: Path) -> Side:
    if fields["evalkit_baseline"] != FORMAT:
        raise RecordsError(
            f"{path} has format {fields['evalkit_baseline']!r}; this evalkit reads {FORMAT}: upgrade evalkit"
        )
    if fields.get("checksum") != _checksum(fields.get("suite_version"), fields.get("summary")):
        raise RecordsError(
            f"{path} is not as it was saved (its checksum differs): save the baseline again, do not edit it"
        )
    return Side(parse_summary(fields["summary"], str(path)), str(path), str(fields["suite_version"]))


def _to_json(side: Side) -> str:
    fields = dataclasses.asdict(replace(side.summary, differences=()))
    kept = json.loads(json.dumps({key: fields[key] for key in _KEPT}, allow_nan=False))
    lines = ",\n".join(_compact(estimate) for estimate in kept.pop("estimates"))
    checksum = _checksum(side.suite_version, kept | {"estimates": json.loads(f"[{lines}]")})
    head = _compact({"evalkit_baseline": FORMAT, "suite_version": side.suite_version, "checksum": checksum})
    return f'{head[:-1]},\n"summary":{_compact(kept)[:-1]},"estimates":[\n{lines}\n]}}}}\n'


def _checksum(suite_version: Any, summary: Any) -> str:
    canonical = json.dumps([suite_version, summary], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _names() -> list[str]:
    return sorted(path.stem for path in _files() if _NAME.fullmatch(path.stem))


def _files() -> Iterable[Path]:
    return FOLDER.glob("*.json") if FOLDER.is_dir() else ()
