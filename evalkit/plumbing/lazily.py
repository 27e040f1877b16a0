"""Sequences whose items are made when they are looked at, and forgotten after: what does not fit into memory at once.

They go to other processes as what makes their items, never as the items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, overload

Item = TypeVar("Item")


class Lazy(Sequence[Item]):
    """A sequence that makes its items anew on every look; a slice is a list of them."""

    def make(self, index: int) -> Item:
        """The item at an index from 0."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self.make(one) for one in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.make(index % len(self))

    def __iter__(self) -> Iterator[Item]:
        return map(self.make, range(len(self)))


@dataclass(frozen=True, eq=False)
class Mapped(Lazy[Item], Generic[Item]):
    """The items of another sequence, each changed when it is looked at."""

    base: Sequence[Any]
    change: Callable[[int, Any], Item]
    """(index, item) -> the changed item; what can be pickled, where other processes are to see it."""

    def __len__(self) -> int:
        return len(self.base)

    def make(self, index: int) -> Item:
        return self.change(index, self.base[index])


@dataclass(frozen=True, eq=False)
class Made(Lazy[Item], Generic[Item]):
    """Items that are made all together."""

    size: int
    make_all: Callable[[], Sequence[Item]]

    def __len__(self) -> int:
        return self.size

    def make(self, index: int) -> Item:
        return self.make_all()[index]

    def __iter__(self) -> Iterator[Item]:
        return iter(self.make_all())


@dataclass(frozen=True, eq=False)
class Picked(Lazy[Item], Generic[Item]):
    """Some items of another sequence."""

    base: Sequence[Item]
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    def make(self, index: int) -> Item:
        return self.base[self.places[index]]


@dataclass(frozen=True, eq=False)
class Watched(Lazy[Item], Generic[Item]):
    """Another sequence, of which somebody is told when an item is looked at for the first time."""

    base: Sequence[Item]
    advance: Callable[[int], None]
    _seen: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.base)

    def make(self, index: int) -> Item:
        if index not in self._seen:
            self._seen.add(index)
            self.advance(1)
        return self.base[index]


def each(items: Sequence[Any], change: Callable[[int, Any], Item]) -> Sequence[Item]:
    """All items changed: at once where they are in memory, one by one on every look where they are not."""
    if isinstance(items, Lazy):
        return Mapped(items, change)
    return [change(index, item) for index, item in enumerate(items)]


def origin(items: Sequence[Any]) -> Sequence[Any]:
    """The sequence that a lazy one goes back to."""
    while isinstance(items, Mapped):
        items = items.base
    return items


def is_lazy(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Whether items of any of these sequences are made on every look."""
    return any(isinstance(column, Lazy) for column in columns.values())
