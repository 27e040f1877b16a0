"""What an engine is, and how one is found and opened.

An engine is a class `(checkpoint, max_length) -> Engine`, registered under the entry-point group `evalkit.engines`.
Local engines (`in_process = False`) are opened in a child process, so that their memory really comes back
before the next checkpoint and a crash is an error message, not the end of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from evalkit.records import Checkpoint, Completion, Rendered, Sampling

Pair = tuple[tuple[int, ...], tuple[int, ...]]
"""(prompt token ids, completion token ids)."""
Progress = Callable[[int, int], None]
"""Called with (completions, tokens) finished since the last call."""


class Engine(Protocol):
    """A checkpoint that can be sampled from and asked for log-probs."""

    name: ClassVar[str]
    local: ClassVar[bool]
    """Whether it loads weights (and so is put into a child process) or speaks to a server."""

    def __init__(self, checkpoint: Checkpoint, max_length: int) -> None:
        """Load it. `max_length`: prompt and completion tokens that one sequence may need at most."""

    @property
    def version(self) -> str:
        """Version of what makes the samples, for the manifest and the cache key."""

    def sample(self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, progress: Progress) -> list[Completion]:
        """Draw `sampling.n` completions of each prompt: prompts in order, slots in order.

        The result depends on the arguments alone, not on what the engine did before: the seed is set afresh and
        no cache of earlier calls is used. `sampling.seed` is not read here; `seed` is derived from it by the caller.
        Raises `EngineError`.
        """

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        """Teacher-forced natural log-probs of each completion token given all before it, raw law (temperature 1)."""

    def close(self) -> None:
        """Give back what it holds."""
