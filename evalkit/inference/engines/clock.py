"""The time that requests wait by, apart from them, so that tests need not wait."""

from __future__ import annotations

import asyncio
import random
import time

JITTER = 0.25
"""By how much of a wait it is lengthened at most, so that not all who wait come back at once."""


class Clock:
    """The machine's own."""

    def now(self) -> float:
        """Seconds from some moment on, which never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let others work for so long."""
        await asyncio.sleep(seconds)

    def jittered(self, seconds: float) -> float:
        """A wait, longer by a random share."""
        return seconds * (1 + JITTER * random.SystemRandom().random())
