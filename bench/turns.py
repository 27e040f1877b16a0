"""Processes that take turns, update by update, so that a machine's other work hits all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Updates = list[dict[str, float]]
"""Seconds of each update, by part."""


def take_turns(ways: Mapping[str, tuple[Side, str]], rounds: int) -> dict[str, Updates]:
    """Each way's updates: a process, and the word for it. Their order turns every round; the first one warms up."""
    told: dict[str, Updates] = {name: [] for name in ways}
    order = list(ways)
    for _ in range(rounds + 1):
        for name in order:
            side, word = ways[name]
            told[name].append(side.update(word))
        order.reverse()
        print("  ".join(f"{name} {found[-1]['seconds']:.2f} s" for name, found in told.items()), flush=True)
    return {name: found[1:] for name, found in told.items()}


class Side:
    """A process that does one update at a word."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        self.listen()

    def update(self, word: str) -> dict[str, float]:
        """Seconds of the next update, by part; `word` says which of its ways the process takes."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.listen()

    def listen(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"a side ended with {self.process.wait()}:\n{self.log.read_text()[-2000:]}")
        said: dict[str, float] = json.loads(line)
        return said


@contextmanager
def started(command: list[str], log: Path) -> Iterator[Side]:
    # Threads that wait actively take the cores from each other, tenfold slower, on a machine that has other work.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment |= os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process,
    ):
        try:
            yield Side(process, log)
        finally:
            process.kill()
