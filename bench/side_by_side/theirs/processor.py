"""Seconds of processor: on a machine that others use too, time by the clock says little."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


def processor() -> float:
    """Seconds of processor that this process and its ended children have had."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def timed(work: Callable[..., Result], *arguments: Any) -> tuple[Result, float]:
    """Its result of these arguments, and the seconds of processor that it takes."""
    began = processor()
    result = work(*arguments)
    return result, processor() - began
