"""What an engine is, and how one is found and opened.

An engine is a class `(checkpoint, max_length) -> Engine`, registered under the entry-point group `evalkit.engines`.
Local engines (`local = True`) are opened in a child process, so that their memory really comes back
before the next checkpoint and a crash is an error message, not the end of the run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from evalkit.checkpoints.checkpoint import Adapter, Checkpoint, EngineSettings
from evalkit.checkpoints.providers import PROVIDERS, provider_of
from evalkit.errors import InputError
from evalkit.plumbing.child_process import Remote, open_child
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.prose import listed
from evalkit.records import Completion, NextTokenDistributions, Rendered, Sampling
from evalkit.runs.usage import Usage

GROUP = "evalkit.engines"
DISTRIBUTION_ENGINE = "transformers"
OWN_BUT_VLLM = ("anthropic", "gemini", "openai", "openai-batch", DISTRIBUTION_ENGINE)
"""Engines of evalkit's own that take none of vLLM's options."""
"""The engine that gives whole next-token distributions, whichever one sampled: tests hold the local engines to the same
log-probs."""
LETTERS_OF_TOKEN = 4
"""Of English text; OpenAI's rule of thumb, for prompts that a server makes tokens of."""
Pair = tuple[tuple[int, ...], tuple[int, ...]]
"""(prompt token ids, completion token ids)."""
Progress = Callable[[int, int], None]
"""Called with (completions, tokens) finished since the last call."""


class Engine(Protocol):
    """A checkpoint that can be sampled from and asked for log-probs."""

    def sample(
        self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, progress: Progress
    ) -> list[Completion]:
        """Draw `sampling.n` completions of each prompt: prompts in order, samples in order.

        The result depends on the arguments alone, not on what the engine did before: the seed is set afresh and
        no cache of earlier calls is used. `sampling.seed` is not read here; `seed` (0 to 2**32 - 1) is derived from
        it by the caller. Raises `EngineError`.
        """

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        """Teacher-forced natural log-probs of each completion token given all before it, untempered (temperature 1)."""

    def turn_to(self, checkpoint: Checkpoint) -> None:
        """Serve from now on this one of the checkpoints that it was opened for. Raises `EngineError`."""

    def close(self) -> None:
        """Give back what it holds."""


@runtime_checkable
class Metered(Protocol):
    """An engine that is told what its requests take."""

    meter: Callable[[Usage], None]
    """Called with each answer, also with one that was of no use."""


class DistributionEngine(Engine, Protocol):
    """An engine that also gives whole next-token distributions, untempered, nothing cut off: `DISTRIBUTION_ENGINE`."""

    def next_token_distributions(self, pairs: Sequence[Pair]) -> list[NextTokenDistributions]:
        """The next-token distribution before each completion token, teacher-forced."""

    def prefix_logprobs(self, pairs: Sequence[Pair]) -> list[float]:
        """Log-prob that an answer begins with a pair's completion, as whole words.

        What follows must not make its last word longer: "1" does not open "10", and "Cat" no "Cathedral".
        """


class EngineClass(Protocol):
    """What is registered: facts that are known before anything is loaded, and the loading."""

    name: str
    local: bool
    """Whether it loads weights (and so is put into a child process) or speaks to a server."""
    shard_size: int
    """Completions to ask for in one call: enough to keep the engine full, few enough to lose in a kill."""

    def missing(self) -> str | None:
        """One line with the command that installs what the engine lacks; None where it can be opened."""

    def refusal(self, adapter: Adapter) -> str | None:
        """One line on why it cannot serve an adapter; None where it can. Asked of local engines alone."""

    def version(self) -> str:
        """Version of what makes the samples, for the manifest and the cache key."""

    def __call__(self, checkpoint: Checkpoint, max_length: int, *others: Checkpoint) -> Engine:
        """Load it. `max_length`: prompt and completion tokens that one sequence may need at most.

        `others`: what else may be turned to, all of the same base.
        """


class RemoteEngine:
    """An engine that lives in a child process, seen from here."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def sample(
        self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, progress: Progress
    ) -> list[Completion]:
        completions: list[Completion] = self._remote.call("sample", prompts, sampling, seed, progress=progress)
        return completions

    def apply(self, function: Callable[..., Any], *args: Any, progress: Progress) -> Any:
        """What a module's function returns of the engine, `args` and `progress=` in its process."""
        return self._remote.apply(function, *args, progress=progress)

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        logprobs: list[tuple[float, ...]] = self._remote.call("logprobs", pairs)
        return logprobs

    def next_token_distributions(self, pairs: Sequence[Pair]) -> list[NextTokenDistributions]:
        distributions: list[NextTokenDistributions] = self._remote.call("next_token_distributions", pairs)
        return distributions

    def prefix_logprobs(self, pairs: Sequence[Pair]) -> list[float]:
        logprobs: list[float] = self._remote.call("prefix_logprobs", pairs)
        return logprobs

    def turn_to(self, checkpoint: Checkpoint) -> None:
        self._remote.call("turn_to", checkpoint)

    def close(self) -> None:
        self._remote.close()


def engines() -> dict[str, EntryPoint]:
    """Every registered engine by name; `load()` gives its class."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP))}


def engine_class(name: str) -> EngineClass:
    """The class registered under a name. Raises `InputError` when there is none."""
    known = engines()
    if name not in known:
        meant = did_you_mean(name, ["auto", *known])
        raise InputError(f"there is no engine {name!r}{meant}; known: {', '.join(['auto', *known])}")
    engine: EngineClass = known[name].load()
    return engine


def choose_engine(name: str, checkpoint: Checkpoint) -> str:
    """The name of the engine that serves a checkpoint when `name` (its own, or "auto") was asked for.

    Raises `InputError` if there is no such engine, if it is not installed, or if it cannot serve that checkpoint.
    """
    provider = provider_of(checkpoint.source)
    if name == "auto":
        return choose_engine(_best_engine(checkpoint), checkpoint)
    engine = engine_class(name)
    if unserved := _unserved(name, checkpoint):
        raise InputError(
            f"checkpoint {checkpoint.name!r}: engine {name} knows no {listed(unserved)}; leave it out, or use vllm"
        )
    if checkpoint.is_remote and engine.local:
        raise InputError(
            f"engine {name} loads weights, but checkpoint {checkpoint.name!r} is a server; use auto or openai"
        )
    if name in PROVIDERS and provider is not PROVIDERS[name]:
        where = f"checkpoint {checkpoint.name!r} is {checkpoint.source}"
        raise InputError(f"engine {name} is for paths like {name}://MODEL; {where}")
    if provider is not None and name != provider.scheme:
        raise InputError(f"engine {name} cannot ask {checkpoint.source} (checkpoint {checkpoint.name!r}); use auto")
    if name in ("openai", "openai-batch") and not checkpoint.is_remote:
        raise InputError(f"engine {name} needs a server's URL; checkpoint {checkpoint.name!r} is {checkpoint.source}")
    lacking = engine.missing()
    if lacking is not None:
        raise InputError(f"engine {name} cannot be used here: {lacking}")
    if refused := _refusal(name, checkpoint):
        raise InputError(
            f"engine {name} cannot serve checkpoint {checkpoint.name!r}: {refused}; use auto or {DISTRIBUTION_ENGINE}"
        )
    return name


def fallback_note(checkpoint: Checkpoint, engine: str) -> str | None:
    """Why another engine than vLLM was chosen for an adapter; None where none was."""
    refused = _refusal("vllm", checkpoint)
    return (
        f"checkpoint {checkpoint.name!r}: {refused}; {engine} does"
        if refused and engine == DISTRIBUTION_ENGINE
        else None
    )


def _best_engine(checkpoint: Checkpoint) -> str:
    """The name of the engine that serves a checkpoint where none was asked for."""
    provider = provider_of(checkpoint.source)
    if provider is not None:
        return provider.scheme
    if checkpoint.is_remote:
        return "openai-batch" if checkpoint.serving.batch else "openai"
    has_vllm = engine_class("vllm").missing() is None and not _refusal("vllm", checkpoint)
    return "vllm" if has_vllm else DISTRIBUTION_ENGINE


def _unserved(engine: str, checkpoint: Checkpoint) -> list[str]:
    """Settings of a checkpoint that an engine of evalkit's own cannot heed; a plug-in's engine looks for itself."""
    if engine not in OWN_BUT_VLLM:
        return []
    heeded = {"replicas"} if engine == DISTRIBUTION_ENGINE else set()
    settings, neutral = checkpoint.settings, EngineSettings()
    named = [field.name for field in fields(settings) if getattr(settings, field.name) != getattr(neutral, field.name)]
    return ["engine_options" if name == "options" else name for name in named if name not in heeded]


def _refusal(engine: str, checkpoint: Checkpoint) -> str | None:
    return None if checkpoint.adapter is None else engine_class(engine).refusal(checkpoint.adapter)


def by_load(engines: Sequence[tuple[str, Checkpoint]]) -> list[list[str]]:
    """Names of checkpoints, those together that one load of their engine serves: the adapters of a base, and itself;
    and one model that is asked in several ways.
    """
    loads: dict[tuple[object, ...], list[str]] = {}
    for engine, checkpoint in engines:
        load = (checkpoint.name,) if checkpoint.is_remote else _load(engine, checkpoint)
        loads.setdefault(load, []).append(checkpoint.name)
    return list(loads.values())


def _load(engine: str, checkpoint: Checkpoint) -> tuple[object, ...]:
    return engine, checkpoint.location, checkpoint.dtype, checkpoint.trust_remote_code, checkpoint.settings


@contextmanager
def open_engine(
    name: str,
    checkpoint: Checkpoint,
    max_length: int,
    *others: Checkpoint,
    environment: Mapping[str, str] = MappingProxyType({}),
    stopped: threading.Event | None = None,
) -> Iterator[Engine]:
    """Load a checkpoint into an engine for the length of a `with` block; a local one lives in a child process.

    `max_length`: prompt and completion tokens that one sequence may need at most. `others`: checkpoints of the same
    load (`by_load`), which the engine can be turned to; it serves `checkpoint` first. `environment` and `stopped` are
    the child's (`open_child`). Raises `EngineError`.
    """
    engine = engine_class(name)
    if engine.local:
        title = f"engine {name} of checkpoint {listed([repr(served.name) for served in (checkpoint, *others)])}"
        target = engines()[name].value
        with open_child(
            target, checkpoint, max_length, *others, title=title, environment=environment, stopped=stopped
        ) as remote:
            yield RemoteEngine(remote)
    else:
        opened = engine(checkpoint, max_length, *others)
        try:
            yield opened
        finally:
            opened.close()
