"""The distinct texts of every prompt, as what a model is asked about: each once, and made only when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from evalkit.plumbing.arrays import Array
from evalkit.plumbing.lazily import Made
from evalkit.plumbing.models import Batch
from evalkit.records import Group, Prompt


class DistinctTexts:
    """Of groups that may lie on disk, 4 bytes a completion are kept: which of its prompt's distinct texts it is."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = groups
        self._which: list[Array] = []
        self._starts = [0]
        for group in groups:
            numbers: dict[str, int] = {}
            self._which.append(np.array([numbers.setdefault(text, len(numbers)) for text in group.texts], np.int32))
            self._starts.append(self._starts[-1] + len(numbers))

    def __len__(self) -> int:
        """How many there are, of all prompts."""
        return self._starts[-1]

    def batches(self, most: int, item: Callable[[Prompt, str], Any]) -> list[Batch]:
        """All of them in their order, `most` to a batch; an item is made of prompt and text."""
        cuts = range(0, len(self), most)
        sizes = [min(most, len(self) - start) for start in cuts]
        return [
            Batch(Made(size, partial(self._made, start, size, item))) for start, size in zip(cuts, sizes, strict=True)
        ]

    def of_prompt(self, index: int) -> Made[str]:
        """Those of one prompt."""
        start, stop = self._starts[index : index + 2]
        return Made(stop - start, partial(self._made, start, stop - start, lambda _, text: text))

    def spread(self, values: Array) -> list[Array]:
        """A value of each distinct text, (m,) -> (k,) of each group's completions."""
        return [values[start + which] for start, which in zip(self._starts, self._which, strict=False)]

    def which(self, index: int) -> Array:
        """(k,) the number of each completion's text among its prompt's."""
        return self._which[index]

    def _made(self, start: int, size: int, item: Callable[[Prompt, str], Any]) -> list[Any]:
        made: list[Any] = []
        index = int(np.searchsorted(self._starts, start, side="right")) - 1
        while len(made) < size:
            group = self._groups[index]
            texts = list(dict.fromkeys(group.texts))
            first = max(0, start - self._starts[index])
            made += [item(group.prompt, text) for text in texts[first : first + size - len(made)]]
            index += 1
        return made
