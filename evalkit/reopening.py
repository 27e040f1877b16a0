"""A finished run's folder is read back as what its report is made from: no model, no sampling, no measuring."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from evalkit.errors import MetricError, RecordsError
from evalkit.evidence import read_evidence
from evalkit.measure import parse
from evalkit.publish import metric_text
from evalkit.records import Arm, Completion, Group, Prompt
from evalkit.report.content import MetricText, ReportContent, Scores
from evalkit.shards import Row, read_rows, read_shard, shards_in
from evalkit.summary import read_summary

PROMPTS_FILE = "prompts.json"
"""Written by `evalkit.run`: the prompts, and each arm's rendering of them."""


def read_content(folder: Path) -> ReportContent:
    """What the report of a finished run shows.

    Nothing in it is changed. Raises `RecordsError` on a folder that is none, or is damaged.
    """
    manifest = read_manifest(folder)
    summary = read_summary(folder / "summary.json")
    prompts, asked = read_prompts(folder), _json(folder / PROMPTS_FILE)
    try:
        rendered = TypeAdapter(dict[str, dict[str, str]]).validate_python(asked["rendered"])
        kept = TypeAdapter(dict[str, str]).validate_python(manifest["kept"])
        drawn = [row for row in read_rows(manifest["shards"]) if row.arm not in kept]
    except (KeyError, TypeError, ValidationError) as error:
        raise RecordsError(f"{folder} is not a run's folder that this evalkit wrote: {_first(error)}") from None
    unknown = sorted(set(summary.prompts) - {prompt.id for prompt in prompts})
    if unknown:
        raise RecordsError(f"{folder / PROMPTS_FILE} lacks prompt {unknown[0]!r}, which summary.json has")
    groups = groups_of(folder, prompts, [*drawn, *(Row(arm, key) for arm, key in kept.items())])
    empty = [arm.name for arm in summary.arms if arm.name not in groups]
    if empty:
        raise RecordsError(f"{folder / 'run.json'} names no shards of arm {', '.join(empty)}: it was changed by hand")
    return ReportContent(
        title=summary.suite,
        summary=summary,
        groups=groups,
        rendered=rendered,
        scores=_scores(folder / "scores.parquet", groups, summary.arms),
        provenance=manifest,
        metrics=metric_texts(sorted({estimate.metric for estimate in summary.estimates})),
        evidence=read_evidence(folder),
    )


def read_prompts(folder: Path) -> tuple[Prompt, ...]:
    """The prompts that a finished run asked. Raises `RecordsError`."""
    try:
        return TypeAdapter(tuple[Prompt, ...]).validate_python(_json(folder / PROMPTS_FILE)["prompts"])
    except (KeyError, ValidationError) as error:
        raise RecordsError(f"{folder} is not a run's folder that this evalkit wrote: {_first(error)}") from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """run.json of a finished run. Raises `RecordsError`."""
    manifest = _json(folder / "run.json")
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


def _json(path: Path) -> dict[str, Any]:
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


def groups_of(folder: Path, prompts: Sequence[Prompt], rows: Sequence[Row]) -> dict[str, list[Group]]:
    """Arm -> one group a prompt, its draws in order, from the shards of these rows. Raises `RecordsError`."""
    paths = shards_in(folder / "completions")
    by_arm: dict[str, dict[str, list[Completion]]] = {}
    for row in rows:
        for completion in row.of(read_shard(paths, folder, row.key)):
            by_arm.setdefault(row.arm, {}).setdefault(completion.prompt_id, []).append(completion)
    return {
        arm: [Group(prompt, tuple(sorted(drawn.get(prompt.id, ()), key=lambda one: one.slot))) for prompt in prompts]
        for arm, drawn in by_arm.items()
    }


def _scores(path: Path, groups: Mapping[str, Sequence[Group]], arms: Sequence[Arm]) -> Scores:
    """Score -> arm -> per prompt -> per completion, from the rows of scores.parquet."""
    try:
        rows = pq.read_table(path).to_pydict()
        places = zip(rows["score"], rows["arm"], rows["prompt_id"], rows["slot"], strict=True)
        found = dict(zip(places, rows["value"], strict=True))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise RecordsError(f"{path} cannot be read: {error}") from None
    return {
        score: {
            arm.name: [
                [found.get((score, arm.name, group.prompt.id, c.slot)) for c in group.completions]
                for group in groups[arm.name]
            ]
            for arm in arms
        }
        for score in dict.fromkeys(rows["score"])
    }


def _first(error: KeyError | TypeError | ValidationError) -> str:
    """What is wrong, in a line: a validation error tells all it finds, a line each."""
    if not isinstance(error, ValidationError):
        return repr(error)
    problem = error.errors()[0]
    return f"{'.'.join(str(step) for step in problem['loc']) or 'all of it'}: {problem['msg']}"


def metric_texts(names: Sequence[str]) -> dict[str, MetricText]:
    """What the measures mean; one whose plug-in is not installed here is shown without explanation."""
    found = {}
    for name in names:
        try:
            found[name] = metric_text(parse(name))
        except MetricError:
            continue
    return found
