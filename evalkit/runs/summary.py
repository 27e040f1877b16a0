"""summary.json, written and read back; a summary that was changed by hand is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evalkit.errors import RecordsError
from evalkit.metrics.declaration import Traits
from evalkit.metrics.registry import definitions, split_variant
from evalkit.metrics.summary import SCHEMA, Estimate, Summary

READ = (1, 2, SCHEMA)
"""Schemas of summary.json that can be read; older ones lack what came later, and nothing else."""


def to_json(summary: Summary) -> str:
    """The text of summary.json."""
    fields = dataclasses.asdict(summary)
    return json.dumps({"schema": fields.pop("schema"), **fields}, indent=1, ensure_ascii=False, allow_nan=False)


def read_summary(path: Path) -> Summary:
    """Read summary.json.

    Raises `RecordsError` on a file that is no summary, is of another schema, or was changed by hand.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RecordsError(f"{path} is not a summary that evalkit wrote: {error!r}") from None
    summary = parse_summary(fields, str(path))
    check_whole(summary, str(path))
    return summary


def parse_summary(fields: Any, source: str) -> Summary:
    """A summary from the fields of its JSON; `source` is where they stood. Raises `RecordsError`."""
    if not isinstance(fields, dict):
        raise RecordsError(f"{source} is not a summary that evalkit wrote: it holds no object")
    if "schema" not in fields:
        raise RecordsError(
            f"{source} is not a summary that evalkit wrote: it lacks the key `schema`, which tells how to read it"
        )
    try:
        if not isinstance(fields["schema"], int) or isinstance(fields["schema"], bool):
            raise RecordsError(
                f"{source} is not a summary that evalkit wrote: schema is {json.dumps(fields['schema'])[:40]}; it must "
                f"be a whole number, {', '.join(map(str, READ[:-1]))} or {READ[-1]}"
            )
        if fields["schema"] not in READ:
            raise RecordsError(
                f"{source} has schema {fields['schema']!r}; this evalkit reads {', '.join(map(str, READ[:-1]))} and "
                f"{READ[-1]}: upgrade evalkit, or run the suite again"
            )
        summary = TypeAdapter(Summary).validate_python(fields | {"schema": SCHEMA})
        return summary if fields["schema"] == SCHEMA else _with_traits(summary)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(step) for step in problem["loc"])
        raise RecordsError(f"{source} is not a summary that evalkit wrote: {field}: {problem['msg']}") from None


def _with_traits(summary: Summary) -> Summary:
    """The summary of an older evalkit, whose measures are what those of the same name are now."""
    known = definitions()

    def traits(estimate: Estimate) -> Traits:
        name = split_variant(estimate.metric)[1].split("|")[0]
        if name in known:
            return known[name].traits
        # That of a plug-in which is not here: evalkit took it for a measure of diversity then.
        return Traits("neither" if estimate.better == "neither" else "diversity", name)

    estimates = tuple(dataclasses.replace(estimate, traits=traits(estimate)) for estimate in summary.estimates)
    return dataclasses.replace(summary, estimates=estimates)


def check_whole(summary: Summary, source: str) -> None:
    """Refuse a summary whose numbers do not belong together: one that was changed by hand. Raises `RecordsError`."""
    if not summary.prompts or len(set(summary.prompts)) < len(summary.prompts):
        raise RecordsError(f"{source} has no prompts, or one of them twice: there is nothing to pair by")
    if len(summary.clusters) not in (0, len(summary.prompts)):
        raise RecordsError(f"{source} has {len(summary.clusters)} clusters named for {len(summary.prompts)} prompts")
    if len(summary.asked) not in (0, len(summary.prompts)):
        raise RecordsError(f"{source} says of {len(summary.asked)} of {len(summary.prompts)} prompts what they ask")
    seen: set[tuple[str, str]] = set()
    for estimate in summary.estimates:
        where = f"{source}: {estimate.metric} of arm {estimate.arm!r}"
        if (estimate.metric, estimate.arm) in seen:
            raise RecordsError(f"{where} stands there twice; run the suite again")
        seen.add((estimate.metric, estimate.arm))
        if len(estimate.values) != len(summary.prompts):
            raise RecordsError(f"{where} has {len(estimate.values)} values for {len(summary.prompts)} prompts")
        if len(estimate.errors) not in (0, len(summary.prompts)):
            raise RecordsError(f"{where} has {len(estimate.errors)} errors for {len(summary.prompts)} prompts")
        if not _is_mean(estimate):
            raise RecordsError(
                f"{where} is {estimate.value}, which is not the mean of its values: it was changed by hand"
            )


def _is_mean(estimate: Estimate) -> bool:
    values = [value for value in estimate.values if value is not None]
    if not values or estimate.value is None:
        return not values and estimate.value is None
    # A value that is no number makes the mean none either, and then nothing vouches for the rest.
    return math.isclose(sum(values) / len(values), estimate.value, rel_tol=1e-9, abs_tol=1e-9 * max(map(abs, values)))
