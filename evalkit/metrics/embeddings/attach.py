"""Groups get the embeddings of their texts, each distinct text encoded once.

Those of groups that stay on disk lie on disk too: made some tens of thousands of texts at a time, looked up when a
group is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics.embeddings.encoder import Encoder, Floats, encode
from evalkit.metrics.text_sets import portions
from evalkit.plumbing.files import writing
from evalkit.plumbing.lazily import Lazy, each, is_lazy
from evalkit.plumbing.models import one_sitting
from evalkit.plumbing.progress import Listener, Scaled
from evalkit.plumbing.scratch import Scratch
from evalkit.plumbing.spread import spread
from evalkit.records import Group, Groups


def embed_groups(groups: Groups, tell: Listener, encoder: Encoder, references: bool) -> dict[str, Sequence[Group]]:
    """The groups with the embeddings of their completions, and of their prompts' `references`.

    Raises `EvalkitError` where the encoder cannot be loaded, `StoreError` where there is no room for them.
    """
    of_references = _of_references(groups, encoder) if references else None
    rows = embeddings_of(groups, tell, encoder)
    return {arm: each(of_arm, Embedded(rows[arm], of_references)) for arm, of_arm in groups.items()}


def embeddings_of(groups: Groups, tell: Listener, encoder: Encoder) -> dict[str, Sequence[Floats]]:
    """Arm -> (k, d) rows of each prompt's completions. Raises as `embed_groups` does."""
    if is_lazy(groups):
        return _on_disk(groups, tell, encoder)
    texts = sorted({text for of_arm in groups.values() for group in of_arm for text in group.texts})
    tell.stage("embed texts", len(texts))
    vectors = encode(texts, tell.advance, encoder)
    row = {text: index for index, text in enumerate(texts)}
    return {arm: [vectors[[row[text] for text in group.texts]] for group in of_arm] for arm, of_arm in groups.items()}


@dataclass(frozen=True)
class Embedded:
    """Groups get their embeddings."""

    rows: Sequence[Floats]
    references: Mapping[str, Floats] | None
    """Prompt -> those of its references."""

    def __call__(self, index: int, group: Group) -> Group:
        of_references = None if self.references is None else self.references[group.prompt.id]
        return group.having(embeddings=self.rows[index], reference_embeddings=of_references)


@dataclass(frozen=True, eq=False)
class StoredRows(Lazy[Floats]):
    """The embeddings of an arm's groups in a file, a group's one row after the other."""

    file: Scratch | None
    """None in another process, where the file is not to be removed."""
    path: str
    places: NDArray[np.int64]
    """(P, 2) the row of the file that each group begins with, and the one after its last."""
    dimensions: int

    def __len__(self) -> int:
        return len(self.places)

    def make(self, index: int) -> Floats:
        start, end = self.places[index].tolist()
        rows = np.fromfile(
            self.path, dtype=np.float32, count=(end - start) * self.dimensions, offset=4 * start * self.dimensions
        )
        return rows.reshape(end - start, self.dimensions)

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredRows, (None, self.path, self.places, self.dimensions)


def _on_disk(groups: Groups, tell: Listener, encoder: Encoder) -> dict[str, Sequence[Floats]]:
    rows = spread(range(max(map(len, groups.values()))))
    order = [(arm, row) for row in rows for arm, of_arm in groups.items() if row < len(of_arm)]
    files = {arm: _RowsFile(len(of_arm)) for arm, of_arm in groups.items()}
    tell.stage("embed texts", len(order))
    members = iter(order)
    with one_sitting():
        for portion in portions(groups[arm][row] for arm, row in order):
            texts = [text for _, of_prompt in portion for text in of_prompt]
            vectors = encode(texts, Scaled(tell.advance, len(set(texts)), len(portion)), encoder)
            ends = np.cumsum([len(of_prompt) for _, of_prompt in portion])
            for (arm, row), own in zip(islice(members, len(portion)), np.split(vectors, ends[:-1]), strict=True):
                files[arm].add(row, own)
    return {arm: file.rows(encoder.dimensions) for arm, file in files.items()}


class _RowsFile:
    """An arm's embeddings while they are made, group by group in any order."""

    def __init__(self, groups: int) -> None:
        self._file = Scratch(".rows")
        self._places = np.zeros((groups, 2), dtype=np.int64)
        self._end = 0

    def add(self, group: int, vectors: Floats) -> None:
        with writing(self._file.path), self._file.path.open("ab") as stream:
            vectors.astype(np.float32).tofile(stream)
        self._places[group] = self._end, self._end + len(vectors)
        self._end += len(vectors)

    def rows(self, dimensions: int) -> StoredRows:
        return StoredRows(self._file, str(self._file.path), self._places, dimensions)


def _of_references(groups: Groups, encoder: Encoder) -> dict[str, Floats]:
    references = {group.prompt.id: group.prompt.references for of_arm in groups.values() for group in of_arm}
    texts = sorted({text for of_prompt in references.values() for text in of_prompt})
    row = dict(zip(texts, encode(texts, encoder=encoder), strict=True))
    empty = np.empty((0, encoder.dimensions), dtype=np.float32)
    return {
        prompt: np.stack([row[text] for text in of_prompt]) if of_prompt else empty
        for prompt, of_prompt in references.items()
    }
