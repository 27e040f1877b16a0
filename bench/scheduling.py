"""How busy the replicas of an engine are kept, and what a call costs besides its engine.

    python -m bench.scheduling [--workers 8 64 256] [--seconds-a-call 5]

The engines are simulated and live in threads of this process: each takes a call of 1 024 completions of 48 tokens, is
busy for a stated time, and hands back what it drew, which goes into a real store. What is measured is the queue, the
threads, the events and the store; a pickle between processes is not in it (bench.engine measures that).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.inference.workers.calls import Call, Load
from evalkit.inference.workers.crew import make_calls
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion
from evalkit.runs.folder import Store, open_store

COMPLETIONS, TOKENS = 1024, 48
CALLS_A_WORKER = 4
LEAST_BUSY = 0.95
CHECKPOINT = Checkpoint("simulated", "base", "x", "/x", "x", None, "0", "auto")


class Busy:
    """An engine that is only ever asked how long it takes; the time at work, of all of them, adds up."""

    def turn_to(self, checkpoint: Checkpoint) -> None:
        """All are the same."""


class Threads:
    """A place of so many engines, which are there at once."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def replicas(self, load: Load) -> int:
        return min(self._workers, len(load.calls))

    def enter(self, loads: Sequence[Load]) -> None:
        """Nothing is to be prepared."""

    @contextmanager
    def open(self, load: Load, turn: tuple[int, int], is_wanted: Callable[[], bool]) -> Iterator[Busy]:
        yield Busy()

    def close(self) -> None:
        """Nothing is held."""


def drawn() -> list[Completion]:
    tokens = tuple(range(TOKENS))
    text = " ".join(f"w{token}" for token in tokens)
    return [Completion("p", index, text, tokens, (-1.0,) * TOKENS, "stop") for index in range(COMPLETIONS)]


def measure(workers: int, calls: int, seconds_a_call: float, store: Store) -> tuple[float, float]:
    """(seconds in all, share of the workers' time in which they were busy)."""
    completions = drawn()

    def ask(*_: object) -> list[Completion]:
        time.sleep(seconds_a_call)
        return completions

    def call(number: int) -> Call:
        def keep(answer: list[Completion]) -> None:
            store.put(f"{workers:04}{number:028}", answer, "simulated", shared=False)

        return Call(CHECKPOINT, COMPLETIONS, ask, keep, lambda _: [], refuse=lambda _: None)

    load = Load("sample simulated", "vllm", (CHECKPOINT,), 64, tuple(call(number) for number in range(calls)))
    began = time.perf_counter()
    [work] = make_calls(Threads(workers), [load], Quiet())  # type: ignore[arg-type]
    seconds = time.perf_counter() - began
    return seconds, calls * seconds_a_call / (work.replicas * seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 64, 256])
    parser.add_argument("--seconds-a-call", type=float, default=5.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder), print) as store:
        calls = 200
        seconds, _ = measure(1, calls, 0.0, store)
        overhead = seconds / calls * 1e3
        print(f"a call of {COMPLETIONS:,} completions x {TOKENS} tokens, besides its engine: {overhead:.1f} ms")
        for workers in asked.workers:
            seconds, busy = measure(workers, workers * CALLS_A_WORKER, asked.seconds_a_call, store)
            print(
                f"{workers:>4} workers, {CALLS_A_WORKER} calls of {asked.seconds_a_call:g} s: {seconds:.1f} s, busy "
                f"{busy:.1%} (bound {LEAST_BUSY:.0%})"
            )


if __name__ == "__main__":
    main()
