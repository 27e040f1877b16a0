"""An engine without a model: draws words from its seed, takes as long as it is told to, and fails as it is told to.

What it draws depends on its arguments alone, as with a real one. It is for measuring all that is around an engine, and
for faults that a real one has too seldom. Its orders stand in a JSON file that the environment names, since it lives
in a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from evalkit.checkpoints.checkpoint import Adapter, Checkpoint
from evalkit.inference.engines import base
from evalkit.inference.engines.base import Pair, Progress
from evalkit.records import Completion, Rendered, Sampling

ORDERS = "EVALKIT_SIMULATED_ENGINE"
"""Environment variable that names the file of orders."""
VOCABULARY = 5000
POLL_SECONDS = 0.05


class SimulatedEngine:
    """Words by a Zipf distribution, `max_tokens` of them, each of log-prob -3."""

    name = "simulated"
    local = True
    shard_size = 64

    @staticmethod
    def missing() -> str | None:
        return None

    @staticmethod
    def refusal(adapter: Adapter) -> str | None:
        return None

    @staticmethod
    def version() -> str:
        return "1"

    def __init__(self, checkpoint: Checkpoint, max_length: int, *others: Checkpoint) -> None:
        path = os.environ.get(ORDERS)
        self._orders: dict[str, Any] = json.loads(Path(path).read_text()) if path else {}
        self._note("load")
        time.sleep(self._orders.get("load_seconds", 0))

    def turn_to(self, checkpoint: Checkpoint) -> None:
        """All checkpoints draw alike."""

    def sample(
        self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, progress: Progress
    ) -> list[Completion]:
        self._fail([prompt.prompt_id for prompt in prompts], len(prompts) * sampling.n)
        time.sleep(self._orders.get("call_seconds", 0))
        while "gate" in self._orders and not Path(self._orders["gate"]).exists():
            time.sleep(POLL_SECONDS)
        count = len(prompts) * sampling.n
        rng = np.random.default_rng(seed)
        tokens = np.minimum(rng.zipf(1.3, (count, sampling.max_tokens)), VOCABULARY) - 1
        logprobs = (-3.0,) * sampling.max_tokens
        progress(count, tokens.size)
        return [
            Completion(
                prompts[row // sampling.n].prompt_id,
                row % sampling.n,
                " ".join(f"w{token}" for token in tokens[row].tolist()),
                tuple(tokens[row].tolist()),
                logprobs,
                "stop",
            )
            for row in range(count)
        ]

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        self._fail([], len(pairs))
        return [(-3.0,) * len(completion) for _, completion in pairs]

    def close(self) -> None:
        """It holds nothing."""

    def _fail(self, prompts: Sequence[str], completions: int) -> None:
        self._note("call")
        if set(prompts) & set(self._orders.get("dies_of", ())):
            os.kill(os.getpid(), signal.SIGKILL)
        if completions > self._orders.get("most", completions):
            raise MemoryError(f"{completions} completions")
        # Each file is a death that is still to be died, by whoever takes it first.
        for death in sorted(Path(self._orders["deaths"]).iterdir()) if "deaths" in self._orders else ():
            try:
                death.unlink()
            except FileNotFoundError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)

    def _note(self, what: str) -> None:
        if log := self._orders.get("log"):
            with Path(log).open("a") as file:
                file.write(f"{what} {os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}\n")


@contextmanager
def simulated(folder: Path, **orders: Any) -> Iterator[Path]:
    """The engine is registered, with these orders, for the length of a `with` block; the file that it logs to."""
    log = folder / "log.txt"
    path = folder / "orders.json"
    path.write_text(json.dumps({"log": str(log)} | orders))
    entry = EntryPoint("simulated", f"{__name__}:SimulatedEngine", base.GROUP)
    known = base.engines() | {"simulated": entry}
    with mock.patch.object(base, "engines", return_value=known), mock.patch.dict(os.environ, {ORDERS: str(path)}):
        yield log
