"""The queue of calls: what is tried again, cut, refused and given up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import EngineError, EngineLost, OutOfMemory
from evalkit.inference.workers.calls import LOSSES, Call, CallQueue

CHECKPOINT = Checkpoint("a", "base", "x", "/x", "x", None, "0", "auto")


def call_of(items: Sequence[int], refused: list[int]) -> Call:
    """A call about these items, which can be cut down to single ones."""

    def halves(_: bool) -> list[Call]:
        middle = len(items) // 2
        return [call_of(part, refused) for part in (items[:middle], items[middle:]) if part]

    return Call(
        CHECKPOINT,
        len(items),
        ask=lambda *_: list(items),
        keep=lambda _: None,
        halves=halves,
        refuse=lambda _: refused.extend(items),
    )


def work_off(queue: CallQueue, fails: Callable[[Sequence[int]], EngineError | None]) -> tuple[list[int], int]:
    """Make all calls; what was answered, and how often an engine failed."""
    answered: list[int] = []
    failures = 0
    while (call := queue.take()) is not None:
        items: list[int] = call.ask(None, None)  # type: ignore[arg-type]
        error = fails(items)
        if error is None:
            answered += items
            queue.answered()
        else:
            failures += 1
            if not queue.failed(call, error):
                call.refuse(error)
    return answered, failures


@given(st.integers(1, 70), st.data())
def test_the_one_item_that_kills_is_refused_and_all_others_are_answered_once(size: int, data: st.DataObject) -> None:
    poison = data.draw(st.integers(0, size - 1))
    refused: list[int] = []
    queue = CallQueue(deque([call_of([-1, -2], refused), call_of(range(size), refused)]))
    answered, failures = work_off(queue, lambda items: EngineLost("died") if poison in items else None)
    assert refused == [poison]
    assert sorted(answered) == [-2, -1, *(item for item in range(size) if item != poison)]
    assert failures <= 4 + size.bit_length(), "twice whole, once at each size in between, twice alone"


@given(st.integers(1, 70), st.integers(1, 9))
def test_what_needs_more_memory_than_there_is_is_cut_until_it_fits(size: int, most: int) -> None:
    refused: list[int] = []
    queue = CallQueue(deque([call_of(range(size), refused)]))
    answered, _ = work_off(queue, lambda items: OutOfMemory("full") if len(items) > most else None)
    assert sorted(answered) == list(range(size))
    assert refused == []


def test_a_call_that_fails_once_is_made_again_whole() -> None:
    refused: list[int] = []
    queue = CallQueue(deque([call_of(range(8), refused)]))
    fates = iter([EngineLost("died")])
    asked: list[Sequence[int]] = []

    def fate(items: Sequence[int]) -> EngineError | None:
        asked.append(items)
        return next(fates, None)

    answered, _ = work_off(queue, fate)
    assert asked == [list(range(8))] * 2
    assert answered == list(range(8))


def test_a_load_whose_engines_all_die_is_given_up() -> None:
    queue = CallQueue(deque([call_of(range(64), [])]))
    died = 0

    def dies(_: Sequence[int]) -> EngineError:
        nonlocal died
        died += 1
        return EngineLost("died of a broken driver")

    with pytest.raises(EngineError, match=r"died of a broken driver; given up, for 6 engines in a row were lost"):
        work_off(queue, dies)
    assert died == LOSSES
