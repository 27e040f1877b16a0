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
from evalkit.inference.engines.base import DISTRIBUTION_ENGINE, EngineClass, Pair, Progress, engine_class
from evalkit.inference.workers.calls import AnyLoad, Load
from evalkit.plumbing.child_process import is_out_of_memory, one_line
from evalkit.records import Completion, NextTokenDistributions, Rendered, Sampling

if TYPE_CHECKING:
    from ray import ObjectRef

MISSING = "Ray is not installed; add it with: pip install 'evalkit[ray]'"
STOP_CHECK_SECONDS = 0.2
CONNECT_SECONDS = 10.0


class _Actor:
    """What is opened in a process of the cluster."""

    def __init__(self, target: str) -> None:
        module, _, name = target.partition(":")
        self._class: Any = getattr(importlib.import_module(module), name)

    def load(self, *args: Any) -> None:
        self._subject = self._class(*args)

    def call(self, method: str, *args: Any) -> Any:
        """What a method of it returns, or the error of ours that it raises; any other comes as one of ours."""
        return _named(lambda: getattr(self._subject, method)(*args))


class EngineActor(_Actor):
    """An engine."""

    def __init__(self, target: str, engine: str, version: str) -> None:
        for name in [name for name in os.environ if name.startswith("VLLM_DP_")]:
            del os.environ[name]  # left over from whoever started the node, they would make this one rank of many
        super().__init__(target)
        own: EngineClass = self._class
        missing = own.missing()
        if missing is not None:
            raise EngineError(f"node {os.uname().nodename}: {missing}")
        _refuse_another(engine, own.version(), version, "samples")

    def sample(self, prompts: Sequence[Rendered], sampling: Sampling, seed: int) -> Any:
        return self.call("sample", prompts, sampling, seed, lambda *_: None)

    def apply(self, function: Callable[..., Any], *args: Any) -> tuple[Any, list[tuple[int, int]]]:
        """What a function of the engine returns, and the progress that it told; errors are as in `call`."""
        told: list[tuple[int, int]] = []
        return _named(lambda: function(self._subject, *args, progress=lambda *news: told.append(news))), told


def _named(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except EvalkitError:
        raise
    except Exception as error:
        lost = OutOfMemory if is_out_of_memory(error) else EngineLost
        raise lost(one_line(error)) from error


class ModelActor(_Actor):
    """A model that measures."""

    def __init__(self, target: str, version: str) -> None:
        super().__init__(target)
        _refuse_another(DISTRIBUTION_ENGINE, engine_class(DISTRIBUTION_ENGINE).version(), version, "numbers")


def _refuse_another(what: str, here: str, wanted: str, made: str) -> None:
    if here != wanted:
        raise EngineError(
            f"node {os.uname().nodename} has {what} {here}, and the machine that runs the command {wanted}: their "
            f"{made} would be mixed; install the same version on all nodes"
        )


class _ActorEngine:
    """An actor, seen from here."""

    def __init__(self, actor: Any, title: str, stopped: threading.Event) -> None:
        self._actor = actor
        self._title = title
        self._stopped = stopped

    def is_ready(self, is_wanted: Callable[[], bool]) -> bool:
        """Whether there was room for it while it was wanted."""
        return self.answer(self._actor.__ray_ready__.remote(), "starting", is_wanted) is not None

    def load(self, load: AnyLoad) -> None:
        self.answer(self._actor.load.remote(*load.args), "starting")

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
        logprobs: list[tuple[float, ...]] = self.call("logprobs", pairs)
        return logprobs

    def next_token_distributions(self, pairs: Sequence[Pair]) -> list[NextTokenDistributions]:
        distributions: list[NextTokenDistributions] = self.call("next_token_distributions", pairs)
        return distributions

    def prefix_logprobs(self, pairs: Sequence[Pair]) -> list[float]:
        logprobs: list[float] = self.call("prefix_logprobs", pairs)
        return logprobs

    def turn_to(self, checkpoint: Checkpoint) -> None:
        self.call("turn_to", checkpoint)

    def close(self) -> None:
        import ray

        ray.kill(self._actor)

    def call(self, method: str, *args: Any) -> Any:
        """What a method of it returns there. Raises as `answer` does."""
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
    """Engines and models on the nodes of a Ray cluster that somebody else started, or on one that is started here."""

    def __init__(self, address: str) -> None:
        self._stopped = threading.Event()
        _join(address)

    def replicas(self, load: AnyLoad) -> int:
        settings = load.settings
        room = self._room(_gpus(load))
        if not room or (settings.replicas or 1) > room:
            raise InputError(_too_many(load, _resource("GPU")))
        return min(settings.replicas or room, len(load.calls))

    def enter(self, loads: Sequence[AnyLoad]) -> None:
        """Ray keeps account of its devices itself."""

    @contextmanager
    def open(self, load: AnyLoad, turn: tuple[int, int], is_wanted: Callable[[], bool]) -> Iterator[Any]:
        engine = _ActorEngine(_started(load), f"{load.name} on Ray", self._stopped)
        try:
            if not engine.is_ready(is_wanted):
                yield None
                return
            engine.load(load)
            yield engine
        finally:
            engine.close()

    def close(self) -> None:
        self._stopped.set()

    def _room(self, gpus: int) -> int:
        """Replicas that fit: one node holds all GPUs of one; those that take none, one on each node."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        if gpus:
            return sum(int(node.get("GPU", 0)) // gpus for node in nodes)
        return sum(1 for node in nodes if node.get("CPU", 0) >= 1)


def _gpus(load: AnyLoad) -> int:
    """That one replica takes; none where the cluster has none."""
    return load.settings.devices if load.needs_gpu and _resource("GPU") else 0


def _started(load: AnyLoad) -> Any:
    """An actor that has yet to load."""
    import ray

    gpus = _gpus(load)
    asked = {"num_gpus": gpus} if gpus else {"num_cpus": 1}
    own: tuple[str, ...] = (engine_class(DISTRIBUTION_ENGINE).version(),)
    if isinstance(load, Load):
        own = (load.engine, engine_class(load.engine).version())
    made: Any = ray.remote(EngineActor if isinstance(load, Load) else ModelActor)
    return made.options(scheduling_strategy="SPREAD", max_restarts=0, **asked).remote(load.target, *own)


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


def _too_many(load: AnyLoad, gpus: int) -> str:
    settings = load.settings
    return (
        f"{load.name} asks for replicas: {settings.replicas or 1} of {settings.devices} devices "
        f"each, on one node each, and the cluster has {gpus} GPUs; lower one of them, or add nodes"
    )
