"""Groups that stay on disk: many completions, a prompt's at a time.

A completion takes some 8 KB as an object and 0.6 KB as columns. Where a run has more than `groups.IN_MEMORY` of them,
its shards are laid out once in a file of columns, one record batch for each prompt of an arm, and a group is made from
its batch whenever it is looked at. So memory does not grow with the run, and another process needs no more
than the file's name to make the same groups. The file is scratch (`plumbing.scratch`): it goes with the process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evalkit.plumbing.files import writing
from evalkit.plumbing.lazily import Lazy, origin
from evalkit.plumbing.scratch import Scratch
from evalkit.records import Group, Prompt
from evalkit.runs.manifest import ShardRow
from evalkit.runs.shards import COLUMNS, completions_of

Item = TypeVar("Item")
END = COLUMNS.get_field_index("finish_reason")
LAID = COLUMNS.set(END, COLUMNS.field(END).with_type(pa.string()))
"""Columns of the file: it allows one dictionary for all batches, and each shard has its own."""


class OfPrompts(Lazy[Item]):
    """An item a prompt, on disk."""

    prompts: tuple[Prompt, ...]
    all_answer: bool
    """Whether every completion is known to have come to an answer: none has its thinking apart, none was withheld."""


@dataclass(frozen=True, eq=False)
class StoredGroups(OfPrompts[Group]):
    """One arm's groups in a file of columns."""

    path: Path
    prompts: tuple[Prompt, ...]
    batches: tuple[tuple[int, ...], ...]
    """Each prompt's record batches: one of each wording that has completions."""
    all_answer: bool
    kept: Columns | None
    """Keeps the file there as long as anyone may look; nothing in other processes."""

    def __len__(self) -> int:
        return len(self.prompts)

    def make(self, index: int) -> Group:
        drawn = (completions_of(_reader(self.path).get_batch(batch)) for batch in self.batches[index])
        return Group(self.prompts[index], tuple(chain.from_iterable(drawn)))

    def to_take_apart(self) -> StoredGroups:
        """The same, of which nobody knows whether all are answers."""
        return replace(self, all_answer=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredGroups, (self.path, self.prompts, self.batches, self.all_answer, None)


def prompts_of(groups: Sequence[Group]) -> Sequence[Prompt]:
    """The prompts of an arm's groups; those of groups on disk are known without a look at them."""
    stored = origin(groups)
    return stored.prompts if isinstance(stored, OfPrompts) else [group.prompt for group in groups]


@dataclass(frozen=True)
class Source:
    """A shard, and what of it is an arm's."""

    row: ShardRow
    read: Callable[[], pa.Table]
    """Its columns."""

    @property
    def table(self) -> pa.Table:
        """What the run has of all that the shard holds."""
        table, row = self.read(), self.row
        if not isinstance(row.prompts, list) or row.slots is None:
            return table
        slot, ids = table.column("slot"), table.column("prompt_id")
        ends = pc.min_max(slot).as_py()
        if (
            table.num_rows
            and row.slots[0] <= ends["min"] <= ends["max"] < row.slots[1]
            and set(row.prompts).issuperset(pc.unique(ids).to_pylist())
        ):
            return table  # to filter would copy it
        inside = pc.and_(pc.greater_equal(slot, row.slots[0]), pc.less(slot, row.slots[1]))
        return table.filter(pc.and_(inside, pc.is_in(ids, pa.array(row.prompts, pa.string()))))


def by_prompt(sources: Sequence[Source]) -> Iterator[tuple[str, pa.Table]]:
    """(prompt, its draws in order), as soon as no shard with more of them comes."""
    awaited = Counter(prompt for one in sources if isinstance(one.row.prompts, list) for prompt in one.row.prompts)
    waiting: dict[str, list[pa.Table]] = {}
    for source in sources:
        for prompt, rows in _split(source.table):
            waiting.setdefault(prompt, []).append(rows)
            awaited[prompt] -= 1
            if awaited[prompt] == 0:
                yield prompt, _ordered(waiting.pop(prompt))
    for prompt, tables in waiting.items():
        yield prompt, _ordered(tables)


def _split(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """(prompt, its rows) of a shard."""
    ids = table.column("prompt_id").combine_chunks().dictionary_encode()
    codes = ids.indices.to_numpy()
    if (np.diff(codes) < 0).any():
        order = np.argsort(codes, kind="stable")
        table, codes = table.take(order), codes[order]
    edges = np.searchsorted(codes, np.arange(len(ids.dictionary) + 1)).tolist()
    for prompt, (start, end) in zip(ids.dictionary.to_pylist(), pairwise(edges), strict=True):
        yield prompt, table.slice(start, end - start)


def _ordered(tables: Sequence[pa.Table]) -> pa.Table:
    """One prompt's draws by sample index."""
    table = pa.concat_tables(tables)
    samples = table.column("slot").to_numpy()
    return table if (np.diff(samples) > 0).all() else table.take(np.argsort(samples, kind="stable"))


class Columns:
    """The file of columns while it is written; after, what keeps it there."""

    def __init__(self) -> None:
        self._file = Scratch(".arrow")
        self._written = 0

    def __enter__(self) -> Columns:
        self._writer = pa.ipc.new_file(pa.OSFile(str(self._file.path), "wb"), LAID)
        return self

    def __exit__(self, *failed: object) -> None:
        with writing(self._file.path):
            self._writer.close()

    def lay(self, prompts: Sequence[Prompt], asked: Sequence[Sequence[str]], sources: Sequence[Source]) -> StoredGroups:
        """Write one arm's completions; `asked`: the ids under which each prompt's were drawn. Raises `StoreError`."""
        batches: dict[str, int] = {}
        all_answer = True
        for prompt, table in by_prompt(sources):
            with writing(self._file.path):
                self._writer.write_batch(table.cast(LAID).combine_chunks().to_batches()[0])
            batches[prompt] = len(batches) + self._written
            all_answer &= table.column("thinking").null_count == len(table)
            all_answer &= "withheld" not in pc.unique(table.column("finish_reason")).to_pylist()
        self._written += len(batches)
        laid = tuple(tuple(batches[name] for name in names if name in batches) for names in asked)
        return StoredGroups(self._file.path, tuple(prompts), laid, all_answer, self)


@lru_cache(maxsize=2)
def _reader(path: Path) -> Any:
    # Read, not mapped: what was looked at would stay resident.
    return pa.ipc.open_file(pa.OSFile(str(path), "rb"))
