"""Parameters of metrics, as people write them in text and YAML, become the values that a metric's function takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from evalkit.errors import MetricError
from evalkit.plumbing.did_you_mean import did_you_mean

if TYPE_CHECKING:
    from evalkit.metrics.declaration import Definition

Value = int | float | str | bool | None


def fill(definition: Definition, given: Mapping[str, Value]) -> Iterable[tuple[str, Value]]:
    """Every parameter with its value, as given or by default. Raises `MetricError`."""
    parameters = definition.parameters
    for key in given:
        if key not in parameters:
            allowed = ", ".join(parameters) or "none"
            raise MetricError(
                f"metric {definition.name} has no parameter {key!r}{did_you_mean(key, parameters)}; it has: {allowed}"
            )
    for key, parameter in parameters.items():
        if key in given:
            value = _convert(definition.name, key, given[key], parameter.annotation)
            least = dict(definition.least).get(key)
            if least is not None and isinstance(value, int | float) and not value >= least:
                raise MetricError(f"metric {definition.name}: {key} is {shown(value)}; it must be {least} or more")
            yield key, value
        elif parameter.default is inspect.Parameter.empty:
            raise MetricError(
                f"metric {definition.name} needs a value for {key!r}, as in {{{definition.name}: {{{key}: ...}}}}"
            )
        else:
            yield key, parameter.default


def _convert(metric_name: str, key: str, value: Value, wanted: Any) -> Value:
    """The value in the first kind of an annotation (`int`, `bool | None`) that it can be read as.

    Text and YAML are read alike: `none` and `null` are None, `true` and `no` are bools, where one is wanted.
    """
    possible = kinds(wanted)
    for kind in possible:
        try:
            return _READERS[kind](value)
        except (KeyError, TypeError, ValueError):
            continue
    names = " or ".join("none" if kind is type(None) else getattr(kind, "__name__", repr(kind)) for kind in possible)
    raise MetricError(f"metric {metric_name}: {key} is {_written(value)}; it must be of type {names}")


def kinds(annotation: Any) -> tuple[type, ...]:
    """The types of an annotation, the narrowest first: None before bool before numbers before text."""
    members = get_args(annotation) or (annotation,)
    return tuple(sorted(members, key=lambda kind: list(_READERS).index(kind) if kind in _READERS else len(_READERS)))


def _read_none(value: Value) -> None:
    if value is not None and str(value).lower() not in ("none", "null", "~"):
        raise ValueError


def _read_bool(value: Value) -> bool:
    return value if isinstance(value, bool) else _BOOLS[str(value).lower()]


def _read_number(kind: type[int] | type[float]) -> Callable[[Value], int | float]:
    def read(value: Value) -> int | float:
        if value is None or isinstance(value, bool):
            raise ValueError
        converted = kind(value)
        if converted != float(value) and not isinstance(converted, float):
            raise ValueError
        return converted

    return read


def _read_text(value: Value) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
"""As YAML has them."""


_READERS: dict[type, Callable[[Value], Value]] = {
    type(None): _read_none,
    bool: _read_bool,
    int: _read_number(int),
    float: _read_number(float),
    str: _read_text,
}


def _written(value: Value) -> str:
    return "none" if value is None else repr(value)


def shown(value: Value) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
