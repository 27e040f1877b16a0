"""A replica that goes on while its answer is written, and is never two ahead of the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from bench.scheduling import CHECKPOINT, Threads
from evalkit.errors import StoreError
from evalkit.inference.workers.calls import Call, Load
from evalkit.inference.workers.crew import make_calls
from evalkit.plumbing.progress import Quiet

PATIENCE = 20.0


def load_of(calls: int, ask: Callable[[int], Any], write: Callable[[Any], Any], keep: Callable[[Any], None]) -> Load:
    def call(number: int) -> Call:
        return Call(
            CHECKPOINT, 1, lambda *_: ask(number), keep, halves=lambda _: [], refuse=lambda _: None, write=write
        )

    return Load("sample simulated", "vllm", (CHECKPOINT,), 64, tuple(map(call, range(calls))))


def run(load: Load, replicas: int) -> None:
    make_calls(Threads(replicas), [load], Quiet())  # type: ignore[arg-type]


def test_the_next_call_is_made_while_the_answer_before_is_written() -> None:
    asked = [threading.Event() for _ in range(4)]
    kept: list[int] = []

    def write(number: int) -> int:
        following = number + 1
        assert following == len(asked) or asked[following].wait(PATIENCE), "not asked while this one is written"
        return number

    def ask(number: int) -> int:
        asked[number].set()
        return number

    run(load_of(4, ask, write, kept.append), replicas=1)
    assert kept == [0, 1, 2, 3]


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_slow_disk_makes_replicas_wait(replicas: int) -> None:
    lock, ahead, most = threading.Lock(), 0, 0
    kept: list[int] = []

    def ask(number: int) -> int:
        nonlocal ahead, most
        with lock:
            ahead += 1
            most = max(most, ahead)
        return number

    def keep(number: int) -> None:
        nonlocal ahead
        kept.append(number)
        with lock:
            ahead -= 1

    gate = threading.Event()
    threading.Timer(0.3, gate.set).start()

    def write(number: int) -> int:
        gate.wait(PATIENCE)
        return number

    run(load_of(40, ask, write, keep), replicas)
    assert sorted(kept) == list(range(40))
    assert most <= 2 * replicas


@pytest.mark.parametrize("replicas", [1, 4])
def test_a_disk_that_is_full_ends_all_and_what_was_answered_is_written(replicas: int) -> None:
    written: list[int] = []
    answered: list[int] = []

    def write(number: int) -> int:
        if number == 5:
            raise StoreError("no room")
        written.append(number)
        return number

    def ask(number: int) -> int:
        answered.append(number)
        return number

    with pytest.raises(StoreError, match="no room"):
        run(load_of(1000, ask, write, lambda _: None), replicas)
    assert len(answered) < 1000
    assert sorted(written) == sorted(set(answered) - {5})
