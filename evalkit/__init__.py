"""evalkit: what did preference tuning do to a model, and is it what you want?

    import evalkit as ek
    results = ek.score({"before": texts, "after": others})
    results.figure()

What stands in `evalkit.api` is here under its own name and is loaded when it is first used. Four of its functions have
the name of a module or room (`evalkit.score` measures texts, and holds how); such a module can be called.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_COMMANDS = ("gate", "metrics", "run", "score")
"""Functions of `evalkit.api` whose names modules have too."""
_API = ("CompareResult", "Estimate", "GateResult", "Metric", "Results", "compare", "load", "metric")
_ERRORS = (
    "CheckpointError", "EngineError", "EvalkitError", "Incomparable", "InputError", "MetricError", "RecordsError",
    "StoreError", "SuiteError",
)  # fmt: skip


class _Command(ModuleType):
    """A module that is called as the function of its name in `evalkit.api`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        """The function's, which is what a notebook's `evalkit.score?` is after."""
        return str(self.__wrapped__.__doc__)

    @property
    def __wrapped__(self) -> Any:
        """The function, for `inspect.signature`."""
        return getattr(import_module("evalkit.api"), self.__name__.removeprefix("evalkit."))


class _Package(ModuleType):
    """The package, which sees its modules come in."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _COMMANDS and type(value) is ModuleType:
            value.__class__ = _Command
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _COMMANDS:
        return import_module(f"evalkit.{name}")
    if name in _API or name in _ERRORS:
        return getattr(import_module("evalkit.api" if name in _API else "evalkit.errors"), name)
    raise AttributeError(f"module 'evalkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_API, *_COMMANDS, *_ERRORS})
