"""How busy the replicas of an engine are kept, and what a call costs besides its engine.

    python -m bench.scheduling [--workers 8 64 256] [--seconds-a-call 5]

The engines are simulated and live in threads of this process: each takes a call of 1 024 completions of 48 tokens, is
busy for a stated time, and hands back the bytes of what it drew, as an engine in its own process does, which go into a
real store. What is measured is the queue, the threads, the events and the store; the pipe from another process is not
in it (bench.engine measures that), and what it takes an engine to make bytes of its answer is said apart. All workers
begin at once and take equally long, the worst that can be: all answers come at once, and those of the last calls are
written while no worker is busy. The processor's time a call hangs less on what else runs than the clock's does.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.inference.workers.calls import Call, Load
from evalkit.inference.workers.crew import make_calls
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion
from evalkit.runs.folder import Store, open_store
from evalkit.runs.shards import to_parquet

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
    """Words by a Zipf distribution, and log-probs of which none comes twice: what compresses as real ones do."""
    rng = np.random.default_rng(0)
    tokens = np.minimum(rng.zipf(1.3, (COMPLETIONS, TOKENS)), 50_000).tolist()
    logprobs = (-rng.exponential(2.0, (COMPLETIONS, TOKENS)).astype(np.float32)).tolist()
    return [
        Completion("p", index, " ".join(f"w{token}" for token in row), tuple(row), tuple(logprobs[index]), "stop")
        for index, row in enumerate(tokens)
    ]


def encoded() -> bytes:
    return to_parquet(drawn(), "simulated", datetime.datetime.now(datetime.UTC))


@dataclass(frozen=True)
class Measured:
    seconds: float
    processor: float
    """Seconds of this process on the processor."""
    after: float
    """Seconds between the last answer and the end of all."""
    busy: float
    """Share of the workers' time in which they were busy."""


def measure(workers: int, calls: int, seconds_a_call: float, store: Store) -> Measured:
    content = encoded()
    answered: list[float] = []

    def ask(*_: object) -> bytes:
        time.sleep(seconds_a_call)
        answered.append(time.perf_counter())
        return content

    def call(number: int) -> Call:
        def write(answer: bytes) -> None:
            store.put_content(f"{workers:04}{number:028}", answer, shared=False)

        return Call(CHECKPOINT, COMPLETIONS, ask, lambda _: None, lambda _: [], refuse=lambda _: None, write=write)

    load = Load("sample simulated", "vllm", (CHECKPOINT,), 64, tuple(call(number) for number in range(calls)))
    began, processor = time.perf_counter(), time.process_time()
    [work] = make_calls(Threads(workers), [load], Quiet())  # type: ignore[arg-type]
    ended = time.perf_counter()
    busy = calls * seconds_a_call / (work.replicas * (ended - began))
    return Measured(ended - began, time.process_time() - processor, ended - max(answered), busy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 64, 256])
    parser.add_argument("--seconds-a-call", type=float, default=5.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder), print) as store:
        calls, completions = 200, drawn()
        began = time.process_time()
        for _ in range(calls):
            to_parquet(completions, "simulated", datetime.datetime.now(datetime.UTC))
        encoding = (time.process_time() - began) / calls
        print(f"the engine's process makes bytes of its answer in {encoding * 1e3:.1f} ms of the processor")
        alone = measure(1, calls, 0.0, store)
        print(
            f"a call of {COMPLETIONS:,} completions x {TOKENS} tokens, besides its engine: "
            f"{alone.seconds / calls * 1e3:.1f} ms, {alone.processor / calls * 1e3:.1f} ms of the processor"
        )
        for workers in asked.workers:
            at_work = measure(workers, workers * CALLS_A_WORKER, asked.seconds_a_call, store)
            print(
                f"{workers:>4} workers, {CALLS_A_WORKER} calls of {asked.seconds_a_call:g} s: {at_work.seconds:.1f} s "
                f"({at_work.after:.1f} s of it after the last answer), busy {at_work.busy:.1%} (bound {LEAST_BUSY:.0%})"
            )


if __name__ == "__main__":
    main()
