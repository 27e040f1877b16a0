"""A shard as a file: completions in Parquet, and what it tells of itself in the metadata."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.errors import RecordsError
from evalkit.records import Completion, Usage

SHARD_SCHEMA = pa.schema([
    ("prompt_id", pa.string()),
    ("slot", pa.int32()),
    ("text", pa.string()),
    ("token_ids", pa.list_(pa.int32())),
    ("logprobs", pa.list_(pa.float32())),
    ("finish_reason", pa.dictionary(pa.int8(), pa.string())),
])  # fmt: skip
THINKING = pa.field("thinking", pa.string())
"""Stands in shards of completions that came with their thinking apart, and in no others."""
THINKING_TOKENS = pa.field("thinking_tokens", pa.int32())
"""Stands in shards of completions whose tokens of thinking a server told, and in no others."""
COLUMNS = SHARD_SCHEMA.append(THINKING).append(THINKING_TOKENS)
"""What is read of a shard."""
REPEATED = ["prompt_id", "text", "token_ids.list.element", "finish_reason", "thinking", "thinking_tokens", "arm"]
"""Columns whose values come again, by their names in Parquet. A dictionary of log-probs takes twice the time and a
third more bytes."""
ARM = pa.field("arm", pa.dictionary(pa.int16(), pa.string()))
"""Stands in every shard for whoever reads it alone; nothing here does, and older shards have none."""
SAMPLED = b"evalkit.sampled"
"""Key of the time of sampling in a shard's metadata; older shards have none, and count as of their file's time."""
CALL = b"evalkit.call"
"""Key of the sampling call in a shard's metadata; older shards have none, and are known by their key alone."""


@dataclass(frozen=True)
class Call:
    """What a shard tells of the sampling call that it is from: draws `sample_indices` of each of `prompts`."""

    distribution: str
    """Hash of all that decides how completions of a prompt are distributed."""
    prompts: tuple[str, ...]
    """Hashes of the prompts as the checkpoint saw them."""
    sample_indices: range
    seed: int
    usage: tuple[Usage, ...] = ()
    """What a server said that each of its requests took."""
    run: str = ""
    """What marks the run that made it; empty where it was an older evalkit's."""


def to_parquet(
    completions: Sequence[Completion], arm: str, sampled: datetime.datetime, call: Call | None = None
) -> bytes:
    """A shard's bytes."""
    columns: dict[str, Any] = {
        "prompt_id": [c.prompt_id for c in completions],
        "slot": [c.sample_index for c in completions],
        # A lone surrogate is no text: it cannot be written as UTF-8.
        "text": [c.text.encode("utf-8", "replace").decode("utf-8") for c in completions],
        "token_ids": _lists([c.token_ids for c in completions], "i", np.int32),
        "logprobs": _lists([c.logprobs for c in completions], "d", np.float32),
        "finish_reason": [c.finish_reason for c in completions],
        "arm": [arm] * len(completions),
    }
    schema = SHARD_SCHEMA.append(ARM)
    if any(c.thinking is not None for c in completions):
        columns["thinking"] = [
            c.thinking and c.thinking.encode("utf-8", "replace").decode("utf-8") for c in completions
        ]
        schema = schema.append(THINKING)
    if any(c.thinking_tokens is not None for c in completions):
        columns["thinking_tokens"] = [c.thinking_tokens for c in completions]
        schema = schema.append(THINKING_TOKENS)
    sink = pa.BufferOutputStream()
    metadata = {SAMPLED: sampled.isoformat(timespec="seconds").encode()}
    if call is not None:
        facts = {
            "law": call.distribution,
            "slots": [call.sample_indices.start, call.sample_indices.stop],
            "seed": call.seed,
        }
        usage = {"usage": [astuple(request) for request in call.usage]} if call.usage else {}
        run = {"run": call.run} if call.run else {}
        metadata[CALL] = json.dumps(facts | {"prompts": call.prompts} | usage | run).encode()
    table = pa.table(columns, schema=schema.with_metadata(metadata))
    pq.write_table(table, sink, compression="zstd", use_dictionary=REPEATED)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _lists(rows: Sequence[Sequence[float]], code: str, kind: type[np.generic]) -> pa.ListArray:
    """Rows of numbers as one column, packed by `struct`; number by number Arrow would take eight times as long."""
    lengths = np.fromiter(map(len, rows), np.int32, len(rows))
    ends = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    values = struct.pack(f"={ends[-1]}{code}", *chain.from_iterable(rows))
    return pa.ListArray.from_arrays(ends, np.frombuffer(values, code).astype(kind, copy=False))


def from_parquet(content: bytes) -> list[Completion]:
    """The completions of a shard."""
    return completions_of(table_of(content))


def table_of(content: bytes) -> pa.Table:
    """The columns of a shard, `COLUMNS`."""
    table = pq.ParquetFile(pa.BufferReader(content)).read()  # `read_table` takes milliseconds more a shard
    for name in COLUMNS.names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), COLUMNS.field(name).type))
    return table.select(COLUMNS.names).cast(COLUMNS)


def completions_of(columns: pa.Table | pa.RecordBatch) -> list[Completion]:
    """The completions in columns of a shard."""
    texts = (columns.column(name).to_pylist() for name in ("prompt_id", "slot", "text"))
    numbers = (_rows(columns.column(name)) for name in ("token_ids", "logprobs"))
    ends = (columns.column(name).to_pylist() for name in ("finish_reason", "thinking", "thinking_tokens"))
    return [Completion(*one) for one in zip(*texts, *numbers, *ends, strict=True)]


def _rows(column: pa.ListArray | pa.ChunkedArray) -> list[tuple[Any, ...]]:
    """A column of lists as tuples: all numbers in one go, then cut, which is some times faster than list by list."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    rows: list[tuple[Any, ...]] = []
    for chunk in chunks:
        ends = (chunk.offsets.to_numpy() - chunk.offsets[0].as_py()).tolist()
        numbers = chunk.flatten().to_numpy().tolist()
        rows += [tuple(numbers[start:end]) for start, end in pairwise(ends)]
    return rows


def arm_of(content: bytes) -> str | None:
    """The arm that a shard names; None where it is empty or an older one."""
    if ARM.name not in pq.read_schema(pa.BufferReader(content)).names:
        return None
    arms = pq.ParquetFile(pa.BufferReader(content)).read(columns=[ARM.name])[ARM.name]
    return str(arms[0].as_py()) if len(arms) else None


def sampled_of(path: Path, shard: bytes | Path) -> datetime.datetime:
    """When a shard, the file at `path`, was sampled. Raises `ArrowException` on a damaged one."""
    time = _metadata(shard).get(SAMPLED)
    if time is None:
        return datetime.datetime.fromtimestamp(int(path.stat().st_mtime), datetime.UTC)
    return datetime.datetime.fromisoformat(time.decode())


def call_of(shard: bytes | Path) -> Call | None:
    """The call that a shard is from, where it tells. Raises `ArrowException`, `ValueError` on a damaged one."""
    call = _metadata(shard).get(CALL)
    if call is None:
        return None
    facts = json.loads(call)
    usage = tuple(Usage(*one) for one in facts.get("usage", ()))
    draws, run = range(*facts["slots"]), str(facts.get("run", ""))
    return Call(str(facts["law"]), tuple(facts["prompts"]), draws, int(facts["seed"]), usage, run)


def checksum(content: bytes) -> str:
    """The part of a shard's name that proves its bytes."""
    return hashlib.sha256(content).hexdigest()[:32]


def shards_in(folder: Path) -> dict[str, list[Path]]:
    """Key -> the shards of that key in a folder; none where there is no such folder."""
    shards: dict[str, list[Path]] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".parquet") and not entry.name.startswith("."):
                shards.setdefault(entry.name.partition(".")[0], []).append(Path(entry.path))
    return shards


def read_shard(paths: Mapping[str, Sequence[Path]], folder: Path, key: str) -> pa.Table:
    """The columns of a finished run's shard; nothing is locked, mended or written. Raises `RecordsError`.

    `paths`: `shards_in` the completions of the run in `folder`.
    """
    for path in sorted(paths.get(key, ())):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RecordsError(f"{path} cannot be read: {error.strerror}") from None
        if checksum(content) != path.name.split(".")[1]:
            raise RecordsError(
                f"{path} is damaged (its checksum does not match); give the `evalkit run` of {folder} again, which "
                "samples what is missing"
            )
        return table_of(content)
    raise RecordsError(
        f"shard {key} is gone from {folder / 'completions'}; give the `evalkit run` of {folder} again, which samples "
        "what is missing"
    )


def _metadata(shard: bytes | Path) -> Mapping[bytes, bytes]:
    schema = pq.read_schema(shard if isinstance(shard, Path) else pa.BufferReader(shard))
    return schema.metadata or {}
