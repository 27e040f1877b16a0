"""Sequences put together by length, so that little of what a network computes is padding.

What memory does not hold together is computed in halves, by the network that is loaded already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from evalkit.plumbing.child_process import is_out_of_memory

Item = TypeVar("Item")


def by_length(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Indices in order of length, cut so that no batch exceeds `most` tokens, padding included; a longer one is alone.

    Every index comes once. Ties keep their order.
    """
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * lengths[index] > most:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def in_parts(batch: Sequence[Item], compute: Callable[[Sequence[Item]], Iterable[Any]]) -> list[Any]:
    """What a network computes of each item of a batch: at once, or of its halves where memory does not hold it.

    Raises what `compute` raises: of a single item also a lack of memory.
    """
    try:
        return list(compute(batch))
    except Exception as error:
        if len(batch) < 2 or not is_out_of_memory(error):
            raise
    # Not in the clause above: until it is left, the error holds what was computed so far.
    middle = len(batch) // 2
    return [*in_parts(batch[:middle], compute), *in_parts(batch[middle:], compute)]
