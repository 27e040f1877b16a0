"""A shard as a file: completions in Parquet, and what it tells of itself in the metadata."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.errors import RecordsError
from evalkit.records import Completion
from evalkit.runs.usage import Usage

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
EXTRAS = (THINKING, THINKING_TOKENS)
COLUMNS = SHARD_SCHEMA.append(THINKING).append(THINKING_TOKENS)
"""What is read of a shard."""
ARM = pa.field("arm", pa.dictionary(pa.int16(), pa.string()))
"""Stands in every shard for whoever reads it alone; nothing here does, and older shards have none."""
REPEATED = ["prompt_id", "text", "token_ids.list.element", "finish_reason", "thinking", "arm"]
"""Columns whose values are written once each: not log-probs, hardly two of which are equal."""
SAMPLED = b"evalkit.sampled"
"""Key of the time of sampling in a shard's metadata; older shards have none, and count as of their file's time."""
DIGITS = 32
"""Of a hash of a shard's bytes, those in its name."""
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
    sink = pa.BufferOutputStream()
    write_parquet(sink, [completions], extras_of(completions), arm, sampled, call)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def extras_of(completions: Sequence[Completion]) -> frozenset[str]:
    """Which columns these completions need beside those that every shard has."""
    return frozenset(
        name for name in (extra.name for extra in EXTRAS) if any(getattr(one, name) is not None for one in completions)
    )


def write_parquet(
    sink: Any,
    parts: Iterable[Sequence[Completion]],
    extras: frozenset[str],
    arm: str,
    sampled: datetime.datetime,
    call: Call | None = None,
) -> None:
    """Write a shard into an open file, a row group a part. `extras` is as `extras_of` has it."""
    schema = SHARD_SCHEMA.append(ARM)
    for extra in EXTRAS:
        schema = schema.append(extra) if extra.name in extras else schema
    schema = schema.with_metadata(_metadata_of(sampled, call))
    with pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=REPEATED) as writer:
        for completions in parts:
            writer.write_table(pa.table(_columns(completions, arm, extras), schema=schema))


def _columns(completions: Sequence[Completion], arm: str, extras: frozenset[str]) -> dict[str, Any]:
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
    if THINKING.name in extras:
        columns["thinking"] = [
            c.thinking and c.thinking.encode("utf-8", "replace").decode("utf-8") for c in completions
        ]
    if THINKING_TOKENS.name in extras:
        columns["thinking_tokens"] = [c.thinking_tokens for c in completions]
    return columns


def _metadata_of(sampled: datetime.datetime, call: Call | None) -> dict[bytes, bytes]:
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
    return metadata


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
    file = pq.ParquetFile(pa.BufferReader(content))  # `read_table` takes milliseconds more a shard
    # One shard is too small for threads: to start them takes longer than they save.
    there = file.schema_arrow.names
    table = file.read(columns=[name for name in COLUMNS.names if name in there], use_threads=False)
    for name in COLUMNS.names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), COLUMNS.field(name).type))
    table = table.select(COLUMNS.names).replace_schema_metadata()
    return table if table.schema.equals(COLUMNS) else table.cast(COLUMNS)


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


def arm_of(shard: bytes | Path) -> str | None:
    """The arm that a shard names; None where it is empty or an older one. Raises `ArrowException` on a damaged one."""
    return _arm_in(_facts(shard))


def call_and_arm(path: Path) -> tuple[Call | None, str | None]:
    """`call_of` and `arm_of` a shard, from one look at its end."""
    facts = _facts(path)
    return _call_in(facts), _arm_in(facts)


def _arm_in(facts: pq.FileMetaData) -> str | None:
    if not facts.num_rows:
        return None
    columns = (facts.row_group(0).column(index) for index in range(facts.num_columns - 1, -1, -1))
    stands_in = next((column for column in columns if column.path_in_schema == ARM.name), None)
    # All its values are one, so the smallest is: it stands in the file's end, and no page has to be unpacked.
    statistics = None if stands_in is None else stands_in.statistics
    return None if statistics is None else str(statistics.min)


def sampled_of(path: Path, shard: bytes | Path) -> datetime.datetime:
    """When a shard, the file at `path`, was sampled. Raises `ArrowException` on a damaged one."""
    time = (_facts(shard).metadata or {}).get(SAMPLED)
    if time is None:
        return datetime.datetime.fromtimestamp(int(path.stat().st_mtime), datetime.UTC)
    return datetime.datetime.fromisoformat(time.decode())


def call_of(shard: bytes | Path) -> Call | None:
    """The call that a shard is from, where it tells. Raises `ArrowException`, `ValueError` on a damaged one."""
    return _call_in(_facts(shard))


def _call_in(facts: pq.FileMetaData) -> Call | None:
    told = (facts.metadata or {}).get(CALL)
    if told is None:
        return None
    call = json.loads(told)
    usage = tuple(Usage(*one) for one in call.get("usage", ()))
    draws, run = range(*call["slots"]), str(call.get("run", ""))
    return Call(str(call["law"]), tuple(call["prompts"]), draws, int(call["seed"]), usage, run)


def checksum(content: bytes) -> str:
    """The part of a shard's name that proves its bytes."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def shard_name(key: str, digest: str) -> str:
    """A shard's file name; `digest` is the hash of its bytes."""
    return f"{key}.{digest[:DIGITS]}.parquet"


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


def _facts(shard: bytes | Path) -> pq.FileMetaData:
    return pq.read_metadata(shard if isinstance(shard, Path) else pa.BufferReader(shard))
