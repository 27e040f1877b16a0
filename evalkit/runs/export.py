"""The way back: a finished run's completions as files that people and other tools read.

Every layout is one that `evalkit score` reads, with the same scores: JSONL, CSV and Parquet in our own rows, TRL's
conversations of prompt and completion, and a log of Inspect's for each arm, whose epochs are the draws.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.errors import RecordsError
from evalkit.plumbing.transcript import is_turns
from evalkit.records import Arm, Completion, Group, Prompt
from evalkit.runs.asked import read_prompts
from evalkit.runs.exchange.own import SCORE
from evalkit.runs.exchange.rows import score_name
from evalkit.runs.groups import groups_of
from evalkit.runs.manifest import Manifest, ShardRow, read_manifest, start_of
from evalkit.runs.summary import read_summary

ENDINGS = {"jsonl": ".jsonl", "csv": ".csv", "parquet": ".parquet", "inspect": ".json", "trl": ".jsonl"}
Exported = Mapping[str, Any]
"""One completion: prompt_id, prompt, completion, arm, sample, finish_reason, settings, scores, and what is asked."""


def export_run(folder: Path, to: str, out: Path | None = None) -> dict[Path, bytes]:
    """Files and their contents. `out`: the file's name; of Inspect's logs, one an arm, the beginning of their names.

    Raises `RecordsError` on a folder that is no finished run.
    """
    manifest, summary = read_manifest(folder), read_summary(folder / "summary.json")
    rows = [
        _row(arm, group.prompt, completion, scores)
        for arm, groups, scores in _arms(folder, manifest, summary.arms)
        for group in groups
        for completion in sorted((*group.completions, *group.unfinished), key=attrgetter("sample_index"))
    ]
    name = out or Path(f"{folder.resolve().name}{ENDINGS[to]}")
    if to != "inspect":
        return {name: WRITERS[to](rows)}
    arms = list(dict.fromkeys(str(row["arm"]) for row in rows))
    created = (manifest.ended or start_of(manifest, folder)).isoformat()
    logs = {arm: _inspect_log([row for row in rows if row["arm"] == arm], summary.suite, created) for arm in arms}
    if len(arms) == 1:
        return {name: logs[arms[0]]}
    return {name.with_name(f"{name.stem}-{_as_name(arm)}{name.suffix}"): log for arm, log in logs.items()}


Scores = Mapping[tuple[str, str, int], Mapping[str, float]]
"""(arm, prompt, sample) -> score -> value."""


def _arms(folder: Path, manifest: Manifest, arms: Sequence[Arm]) -> list[tuple[Arm, Sequence[Group], Scores]]:
    kept = manifest.kept or {}
    rows = [row for row in manifest.shards if row.arm not in kept]
    rows += [ShardRow(arm=arm, key=key) for arm, key in kept.items()]
    groups = groups_of(folder, read_prompts(folder), rows, arms)
    scores = _scores(folder / "scores.parquet")
    return [(arm, groups.get(arm.name, ()), scores) for arm in arms]


def _scores(path: Path) -> Scores:
    try:
        table = pq.read_table(path).to_pydict()
        samples = zip(table["arm"], table["prompt_id"], table["slot"], strict=True)
        rows = list(zip(samples, table["score"], table["value"], strict=True))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise RecordsError(f"{path} cannot be read: {error}") from None
    by_sample: dict[tuple[str, str, int], dict[str, float]] = {}
    for sample, score, value in rows:
        if value is not None and value == value:
            by_sample.setdefault(sample, {})[score_name(score)] = value
    return by_sample


def _row(arm: Arm, prompt: Prompt, completion: Completion, scores: Scores) -> dict[str, Any]:
    # What is empty is left out: it is what a reader takes for granted.
    requirements = {"tags": list(prompt.tags), "answer": prompt.answer, "checks": list(prompt.checks),
             "cluster": prompt.cluster,
             "valid": prompt.valid if isinstance(prompt.valid, str) else list(prompt.valid),
             "references": list(prompt.references)}  # fmt: skip
    match = {"match": prompt.match} if prompt.answer is not None else {}
    settings = None if arm.sampling is None else asdict(arm.sampling)
    return {
        "prompt_id": prompt.id,
        "prompt": [_message(turn.role, turn.content) for turn in prompt.messages] or prompt.text,
        "completion": completion.text,
        "arm": arm.name,
        "sample": completion.sample_index,
        "finish_reason": completion.finish_reason,
        **({} if completion.thinking is None else {"thinking": completion.thinking}),
        **_asked(arm, completion),
        **{key: value for key, value in requirements.items() if value},
        **match,
        "settings": settings,
        "scores": dict(scores.get((arm.name, prompt.id, completion.sample_index), {})),
    }


def _asked(arm: Arm, completion: Completion) -> dict[str, Any]:
    """How it was asked for and where in what was drawn it stands, where that was not directly."""
    if arm.asking is None or completion.item is None:
        return {}
    n = arm.sampling.n if arm.sampling is not None else 0
    return {"asked": {"asking": asdict(arm.asking), "n": n, "item": asdict(completion.item)}}


def _jsonl(rows: Sequence[Exported]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "replace")


def _flat(rows: Sequence[Exported]) -> list[dict[str, Any]]:
    """Rows of a table: a column a score, lists and settings as JSON, the same columns in every row."""
    flat = []
    for row in rows:
        cells = {key: _cell(_unmistakable(key, value)) for key, value in row.items() if key != "scores"}
        flat.append(cells | {f"{SCORE}{name}": value for name, value in row["scores"].items()})
    columns = dict.fromkeys(key for row in flat for key in row)
    return [{column: row.get(column) for column in columns} for row in flat]


def _cell(value: Any) -> Any:
    cell = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
    # Half a character (a lone surrogate) is no text that a table could hold.
    return cell.encode("utf-8", "replace").decode() if isinstance(cell, str) else cell


def _unmistakable(key: str, value: Any) -> Any:
    """A text that a reader of tables would take for turns, as the one turn that says it."""
    roles = {"prompt": "user", "completion": "assistant"}
    return [_message(roles[key], value)] if key in roles and isinstance(value, str) and is_turns(value) else value


def _csv(rows: Sequence[Exported]) -> bytes:
    sink = io.StringIO(newline="")
    flat = _flat(rows)
    writer = csv.DictWriter(sink, list(flat[0]) if flat else ["prompt_id", "prompt", "completion", "arm"])
    writer.writeheader()
    writer.writerows(flat)
    return sink.getvalue().encode("utf-8", "replace")


def _parquet(rows: Sequence[Exported]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(_flat(rows)), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _trl(rows: Sequence[Exported]) -> bytes:
    return _jsonl(
        [
            {
                **row,
                "prompt": _as_messages(row["prompt"]),
                "completion": [_message("assistant", row["completion"])],
            }
            for row in rows
        ]
    )


WRITERS: Mapping[str, Callable[[Sequence[Exported]], bytes]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "parquet": _parquet,
    "trl": _trl,
}


def _message(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def _as_messages(prompt: Any) -> list[Any]:
    return [_message("user", prompt)] if isinstance(prompt, str) else list(prompt)


def _inspect_log(rows: Sequence[Exported], suite: str, created: str) -> bytes:
    """A log as Inspect reads it (version 2 of its format), of one arm; an epoch a draw."""
    arm, settings = str(rows[0]["arm"]), rows[0]["settings"] or {}
    ids = list(dict.fromkeys(row["prompt_id"] for row in rows))
    epochs = max(row["sample"] for row in rows) + 1
    config = {"temperature": settings.get("temperature"), "top_p": settings.get("top_p"),
              "max_tokens": settings.get("max_tokens")}  # fmt: skip
    log = {
        "version": 2,
        "status": "success",
        "eval": {
            "created": created,
            "task": suite,
            "dataset": {"name": suite, "samples": len(ids), "sample_ids": ids},
            "model": arm,
            "model_generate_config": {key: value for key, value in config.items() if value is not None},
            "config": {"epochs": epochs},
        },
        "samples": [_inspect_sample(row, arm) for row in rows],
    }
    return json.dumps(log, ensure_ascii=False).encode("utf-8", "replace")


def _inspect_sample(row: Exported, arm: str) -> dict[str, Any]:
    thinking = [] if row.get("thinking") is None else [{"type": "reasoning", "reasoning": row["thinking"]}]
    answer = [*thinking, {"type": "text", "text": row["completion"]}] if thinking else row["completion"]
    said = _message("assistant", answer)
    reason = {"length": "max_tokens", "withheld": "content_filter"}.get(row["finish_reason"], "stop")
    return {
        "id": row["prompt_id"],
        "epoch": row["sample"] + 1,
        "input": row["prompt"],
        "target": row.get("answer") or "",
        "messages": [*_as_messages(row["prompt"]), said],
        "output": {
            "model": arm,
            "choices": [{"message": said, "stop_reason": reason}],
            "completion": row["completion"],
        },
        "scores": {name: {"value": value} for name, value in row["scores"].items()},
        **({"metadata": {"asked": row["asked"]}} if "asked" in row else {}),
    }


def _as_name(arm: str) -> str:
    return re.sub(r"[^\w.@=+-]+", "-", arm)
