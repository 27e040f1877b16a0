"""Engines as actors on a Ray cluster: plain ones with stated resources, which take calls as any replica does.

Not `ray.data.llm`: it keeps one of a prompt's samples, gives rows in another order than they came, and ends the whole
job with one engine. An actor that is lost, with its node or without, is opened anew wherever there is room.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import EngineError, EngineLost, EvalkitError, InputError, Interrupted, OutOfMemory
from evalkit.inference.engines import base
from evalkit.inference.engines.base import Engine, EngineClass, Pair, Progress, engine_class
from evalkit.inference.workers.calls import Load
from evalkit.plumbing.child_process import is_out_of_memory, one_line
from evalkit.plumbing.prose import listed
from evalkit.records import Completion, NextTokenDistributions, Rendered, Sampling

if TYPE_CHECKING:
    from ray import ObjectRef

MISSING = "Ray is not installed; add it with: pip install 'evalkit[ray]'"
STOP_CHECK_SECONDS = 0.2
CONNECT_SECONDS = 10.0


class EngineActor:
    """An engine in a process of the cluster."""

    def __init__(self, engine: str, target: str, version: str) -> None:
        for name in [name for name in os.environ if name.startswith("VLLM_DP_")]:
            del os.environ[name]  # left over from whoever started the node, they would make this one rank of many
        module, _, name = target.partition(":")
        self._class: EngineClass = getattr(importlib.import_module(module), name)
        missing = self._class.missing()
        if missing is not None:
            raise EngineError(f"node {os.uname().nodename}: {missing}")
        if self._class.version() != version:
            raise EngineError(
                f"node {os.uname().nodename} has {engine} {self._class.version()}, and this machine {version}: their "
                "samples would be mixed; install the same version on all nodes"
            )

    def load(self, checkpoint: Checkpoint, max_length: int, *others: Checkpoint) -> None:
        self._engine = self._class(checkpoint, max_length, *others)

    def call(self, method: str, *args: Any) -> Any:
        """What a method of the engine returns, or the error of ours that it raises; any other comes as one of ours."""
        return _named(lambda: getattr(self._engine, method)(*args))

    def sample(self, prompts: Sequence[Rendered], sampling: Sampling, seed: int) -> Any:
        return self.call("sample", prompts, sampling, seed, lambda *_: None)

    def apply(self, function: Callable[..., Any], *args: Any) -> tuple[Any, list[tuple[int, int]]]:
        """What a function of the engine returns, and the progress that it told; errors are as in `call`."""
        told: list[tuple[int, int]] = []
        return _named(lambda: function(self._engine, *args, progress=lambda *news: told.append(news))), told


def _named(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except EvalkitError:
        raise
    except Exception as error:
        lost = OutOfMemory if is_out_of_memory(error) else EngineLost
        raise lost(one_line(error)) from error


class _ActorEngine:
    """An `EngineActor`, seen from here."""

    def __init__(self, actor: Any, title: str, stopped: threading.Event) -> None:
        self._actor = actor
        self._title = title
        self._stopped = stopped

    def load(self, load: Load) -> None:
        self.answer(self._actor.load.remote(load.checkpoints[0], load.max_length, *load.checkpoints[1:]), "starting")

    def sample(
        self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, progress: Progress
    ) -> list[Completion]:
        drawn = self.answer(self._actor.sample.remote(prompts, sampling, seed), "running sample")
        completions: list[Completion] = drawn
        progress(len(completions), sum(len(completion.token_ids) for completion in completions))
        return completions

    def apply(self, function: Callable[..., Any], *args: Any, progress: Progress) -> Any:
        answer, told = self.answer(self._actor.apply.remote(function, *args), f"running {function.__name__}")
        for amount, tokens in told:
            progress(amount, tokens)
        return answer

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        logprobs: list[tuple[float, ...]] = self._call("logprobs", pairs)
        return logprobs

    def next_token_distributions(self, pairs: Sequence[Pair]) -> list[NextTokenDistributions]:
        distributions: list[NextTokenDistributions] = self._call("next_token_distributions", pairs)
        return distributions

    def prefix_logprobs(self, pairs: Sequence[Pair]) -> list[float]:
        logprobs: list[float] = self._call("prefix_logprobs", pairs)
        return logprobs

    def turn_to(self, checkpoint: Checkpoint) -> None:
        self._call("turn_to", checkpoint)

    def close(self) -> None:
        import ray

        ray.kill(self._actor)

    def _call(self, method: str, *args: Any) -> Any:
        return self.answer(self._actor.call.remote(method, *args), f"running {method}")

    def answer(self, reference: ObjectRef[Any], doing: str, is_wanted: Callable[[], bool] | None = None) -> Any:
        """What an actor answers. Raises its error, or `EngineLost` where it or its node is gone."""
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        try:
            while not ray.wait([reference], timeout=STOP_CHECK_SECONDS)[0]:
                if self._stopped.is_set():
                    raise Interrupted(f"{self._title} was stopped")
                if is_wanted is not None and not is_wanted():
                    return None
            return ray.get(reference)
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, EvalkitError):
                raise type(cause)(f"{self._title} failed while {doing}: {cause}") from None
            raise EngineLost(f"{self._title} failed while {doing}: {one_line(cause)}") from None
        except RayActorError as error:
            raise EngineLost(f"{self._title} died while {doing}: {_first_line(error)}") from None


class RayCluster:
    """Engines on the nodes of a Ray cluster that somebody else started, or on one that is started here."""

    def __init__(self, address: str) -> None:
        self._stopped = threading.Event()
        _join(address)

    def replicas(self, load: Load) -> int:
        settings = load.checkpoints[0].settings
        room = self._room(settings.devices)
        if not room or (settings.replicas or 1) > room:
            raise InputError(_too_many(load.checkpoints[0], _resource("GPU")))
        return min(settings.replicas or room, len(load.calls))

    def enter(self, loads: Sequence[Load]) -> None:
        """Ray keeps account of its devices itself."""

    @contextmanager
    def open(self, load: Load, turn: tuple[int, int], is_wanted: Callable[[], bool]) -> Iterator[Engine | None]:
        import ray

        names = listed([repr(checkpoint.name) for checkpoint in load.checkpoints])
        devices = load.checkpoints[0].settings.devices
        asked = {"num_gpus": devices} if _resource("GPU") else {"num_cpus": 1}
        version = engine_class(load.engine).version()
        made: Any = ray.remote(EngineActor)
        actor = made.options(scheduling_strategy="SPREAD", max_restarts=0, **asked).remote(
            load.engine, base.engines()[load.engine].value, version
        )
        engine = _ActorEngine(actor, f"engine {load.engine} of checkpoint {names} on Ray", self._stopped)
        try:
            ready = engine.answer(actor.__ray_ready__.remote(), "starting", is_wanted)
            if ready is None:
                yield None
                return
            engine.load(load)
            yield engine
        finally:
            engine.close()

    def close(self) -> None:
        self._stopped.set()

    def _room(self, devices: int) -> int:
        """Replicas that fit: one node holds all devices of one; without GPUs, one on each node."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        if _resource("GPU"):
            return sum(int(node.get("GPU", 0)) // devices for node in nodes)
        return sum(1 for node in nodes if node.get("CPU", 0) >= 1)


def _join(address: str) -> None:
    """Enter the cluster, once a process. Raises `EngineError`: there is none at that address."""
    if importlib.util.find_spec("ray") is None:
        raise InputError(f"--engine ray: {MISSING}")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Of a cluster that is started here. On a machine with other work a load would take minutes at Ray's own 15.
    os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    if ray.is_initialized():
        return
    _see(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        try:
            ray.init(address=address, **quiet)
        except ConnectionError:
            if address != "auto":
                raise
            ray.init(include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise EngineError(f"Ray at {address!r} cannot be joined: {one_line(error)}") from None


def _see(address: str) -> None:
    """Ray itself would try for minutes where nobody listens. Raises `EngineError`."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise EngineError(
            f"Ray at {address!r} cannot be joined: {error.strerror or error}; is its head node up, and is this its "
            "address (ray status)?"
        ) from None


def _resource(name: str) -> int:
    import ray

    return int(ray.cluster_resources().get(name, 0))  # type: ignore[no-untyped-call]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _too_many(checkpoint: Checkpoint, gpus: int) -> str:
    settings = checkpoint.settings
    return (
        f"checkpoint {checkpoint.name!r} asks for replicas: {settings.replicas or 1} of {settings.devices} devices "
        f"each, on one node each, and the cluster has {gpus} GPUs; lower one of them, or add nodes"
    )
