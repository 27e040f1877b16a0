"""A regular expression that a user wrote, looked for within bounded time: one such as (a|aa)+$ never ends."""

from __future__ import annotations

from typing import Any

from evalkit.errors import MetricError

SECONDS = 1.0
"""Longest time that one completion may take."""


def is_found(pattern: Any, text: str, what: str) -> bool:
    """Whether `pattern`, compiled by `regex`, is in the text. Raises `MetricError` that calls it `what`."""
    try:
        return pattern.search(text, timeout=SECONDS) is not None
    except TimeoutError:
        raise MetricError(
            f"{what} took over {SECONDS:g} s on one completion; simplify it (repeats over alternatives, such as "
            "(a|aa)+, are the usual cause)"
        ) from None
