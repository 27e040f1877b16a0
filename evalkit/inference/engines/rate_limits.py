"""How long a server wants to be left alone: what it says when it refuses, and what it says is left before it does.

`Retry-After` (seconds or a date) and `retry-after-ms` come with a refusal. `x-ratelimit-remaining-requests` and
`x-ratelimit-remaining-tokens` come with every answer of OpenAI and of those that do as it does, with
`x-ratelimit-reset-...`: in what time all is back, as in 6m0s, 12ms or 20.
"""

from __future__ import annotations

import contextlib
import email.utils
import math
import re
from collections.abc import Mapping

LONGEST_WAIT = 600.0
"""Seconds. Who asks for more is not waited for; what is told to be used up for longer is asked all the same."""
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
LONGEST_TEXT = 40
"""Characters of a duration; beyond them it is none that anybody could wait for."""
_STEP = re.compile(r"(\d+(?:\.\d*)?)(h|ms|m|s|us|µs|ns)")


def read_duration(text: str) -> float | None:
    """Seconds, written as 6m0s, 12ms or 20; None for anything else."""
    text = text.strip().lower()
    if len(text) > LONGEST_TEXT:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(text)
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    if not text or _STEP.sub("", text):
        return None
    return sum(float(number) * UNITS[unit] for number, unit in _STEP.findall(text))


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that a refusal asks to wait; None where it does not say."""
    milliseconds = read_duration(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    given = headers.get("retry-after", "")
    seconds = read_duration(given)
    return _until(given, headers.get("date", "")) if seconds is None else seconds


def _until(date: str, now: str) -> float | None:
    """Seconds from the server's own time to a date; None where either is none: this machine's clock may be wrong."""
    try:
        then, start = email.utils.parsedate_to_datetime(date), email.utils.parsedate_to_datetime(now)
    except ValueError:
        return None
    with contextlib.suppress(TypeError):  # one of them without a zone
        return max(0.0, (then - start).total_seconds())
    return None


class Allowance:
    """What a server says is left of its requests, or of its tokens, less what is under way to it.

    Answers come in another order than requests were sent in or reckoned with. Of those to requests that were under way
    together, the lowest has reckoned with all that are answered; what the others say may be older.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._left = math.inf
        self._limit = math.inf
        self._reset_at = -math.inf
        self._under_way = 0.0
        self._sent = 0
        self._sent_when_told = 0
        """How many requests had been sent when what is left was told: one sent after that knows better."""

    def take(self, amount: float) -> int:
        """A request is sent now; its number."""
        self._under_way += amount
        self._sent += 1
        return self._sent

    def give_back(self, amount: float) -> None:
        """A request is answered, or lost."""
        self._under_way -= amount

    def hear(self, headers: Mapping[str, str], number: int, now: float) -> None:
        """Read the headers of an answer to the request of that number."""
        left = read_duration(headers.get(f"x-ratelimit-remaining-{self._what}", ""))
        reset = read_duration(headers.get(f"x-ratelimit-reset-{self._what}", ""))
        if left is None or reset is None or reset > LONGEST_WAIT:
            return
        if number <= self._sent_when_told:
            self._left = min(self._left, left)
            return
        limit = read_duration(headers.get(f"x-ratelimit-limit-{self._what}", ""))
        self._left, self._limit = left, math.inf if limit is None else limit
        self._sent_when_told, self._reset_at = self._sent, now + reset

    def wait(self, amount: float, now: float) -> float:
        """Seconds until so much may be sent; infinite where only the answer to what is under way can tell."""
        if self._has(amount):
            return 0.0
        if now < self._reset_at:
            return self._reset_at - now
        if math.isfinite(self._reset_at):
            self._left, self._sent_when_told, self._reset_at = self._limit, self._sent, -math.inf
        return 0.0 if self._has(amount) else math.inf

    def _has(self, amount: float) -> bool:
        return self._left - self._under_way >= amount
