"""A sampling call where its engine lives: what it draws becomes the bytes of its file there.

The process that keeps the folder has many engines' answers to take in. A file's bytes reach it in a tenth of the time
that completions take, each number of which is an object, and are written as they came.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from evalkit.inference.engines.base import Engine, Progress
from evalkit.inference.sampling_calls import Shard
from evalkit.records import Completion
from evalkit.runs.shards import to_parquet
from evalkit.runs.usage import Usage


@dataclass(frozen=True)
class Drawn:
    """What a call drew."""

    content: bytes
    """Of its file."""
    tokens: int
    usage: tuple[Usage, ...]
    """What its requests took, where a server tells."""


@runtime_checkable
class Elsewhere(Protocol):
    """An engine that lives in another process, which can be sent a function of it."""

    def apply(self, function: Callable[..., Any], *args: Any, progress: Progress) -> Any:
        """What a module's function returns of the engine, `args` and `progress=` there. Raises `EngineError`."""


def sample(engine: Engine, shard: Shard, run: str, used: Sequence[Usage] = (), *, progress: Progress) -> Drawn:
    """Have an engine draw a shard of a run; `used` is what it lists its requests in. Raises `EngineError`."""
    return drawn(shard, run, engine.sample(shard.prompts, shard.sampling, shard.seed, progress), used)


def drawn(shard: Shard, run: str, completions: Sequence[Completion], used: Sequence[Usage]) -> Drawn:
    """An engine's completions, whose sample indices begin at 0, as the file of a shard."""
    now = datetime.datetime.now(datetime.UTC)
    call = replace(shard.call, usage=tuple(used), run=run)
    content = to_parquet(shard.drawn(completions), shard.arm.name, now, call)
    return Drawn(content, _tokens_of(completions, used), tuple(used))


def _tokens_of(completions: Sequence[Completion], used: Sequence[Usage]) -> int:
    """Tokens of completions; where their ids are not told, as many as the server counted for each draw."""
    tokens, draws = sum(len(completion.token_ids) for completion in completions), sum(usage.draws for usage in used)
    if tokens or not draws:
        return tokens
    return round(sum(usage.completion_tokens for usage in used) / draws * len(completions))
