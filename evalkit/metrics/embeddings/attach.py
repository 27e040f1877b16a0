"""Groups get the embeddings of their texts, each distinct text encoded once.

Those of groups that stay on disk lie on disk too: made some tens of thousands of texts at a time, looked up when a
group is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from evalkit.metrics.embeddings.encoder import Encoder, Floats, encode
from evalkit.metrics.text_sets import portions
from evalkit.plumbing.files import writing
from evalkit.plumbing.lazily import Lazy, each, is_lazy
from evalkit.plumbing.models import one_sitting
from evalkit.plumbing.progress import Listener, Scaled
from evalkit.plumbing.scratch import Scratch
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
    """The embeddings of an arm's groups in a file, one row after the other."""

    file: Scratch | None
    """None in another process, where the file is not to be removed."""
    path: str
    starts: Sequence[int]
    """Where each group begins, and where the last one ends, in rows."""
    dimensions: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def make(self, index: int) -> Floats:
        start, end = self.starts[index : index + 2]
        rows = np.fromfile(
            self.path, dtype=np.float32, count=(end - start) * self.dimensions, offset=4 * start * self.dimensions
        )
        return rows.reshape(end - start, self.dimensions)

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredRows, (None, self.path, self.starts, self.dimensions)


def _on_disk(groups: Groups, tell: Listener, encoder: Encoder) -> dict[str, Sequence[Floats]]:
    tell.stage("embed texts", sum(map(len, groups.values())))
    with one_sitting():
        return {arm: _stored(of_arm, tell, encoder) for arm, of_arm in groups.items()}


def _stored(groups: Sequence[Group], tell: Listener, encoder: Encoder) -> Sequence[Floats]:
    file, starts = Scratch(".rows"), [0]
    for portion in portions(groups):
        texts = [text for _, of_prompt in portion for text in of_prompt]
        vectors = encode(texts, Scaled(tell.advance, len(set(texts)), len(portion)), encoder)
        with writing(file.path), file.path.open("ab") as stream:
            vectors.astype(np.float32).tofile(stream)
        starts += [starts[-1] + end for end in accumulate(len(of_prompt) for _, of_prompt in portion)]
    return StoredRows(file, str(file.path), starts, encoder.dimensions)


def _of_references(groups: Groups, encoder: Encoder) -> dict[str, Floats]:
    references = {group.prompt.id: group.prompt.references for of_arm in groups.values() for group in of_arm}
    texts = sorted({text for of_prompt in references.values() for text in of_prompt})
    row = dict(zip(texts, encode(texts, encoder=encoder), strict=True))
    empty = np.empty((0, encoder.dimensions), dtype=np.float32)
    return {
        prompt: np.stack([row[text] for text in of_prompt]) if of_prompt else empty
        for prompt, of_prompt in references.items()
    }
