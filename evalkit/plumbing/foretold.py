"""How long all that comes after a stage will take: as long as it took the last time, a completion.

What a stage itself still takes is known from its own units. What follows is not, but for whoever ran the like before: a
few prompts are enough, for stages take time by the completion.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evalkit.plumbing.array_cache import key_of
from evalkit.plumbing.files import cache_folder, cache_note, write_atomically
from evalkit.plumbing.progress import Listener

Seconds = dict[str, float]
"""Stage -> seconds a unit of size that it took, in the order of the stages."""
_FILE = TypeAdapter(Seconds)


class Foretold:
    """Hands on what it is told, and adds what comes after each stage."""

    def __init__(self, tell: Listener, alike: Mapping[str, Any], size: int) -> None:
        """`alike`: what two runs have in common whose stages take equally long a unit of `size` on this machine."""
        machine = [platform.node(), platform.machine(), os.cpu_count(), len(os.sched_getaffinity(0))]
        self._path = cache_folder("speeds") / f"stages-{key_of({**alike, 'machine': machine})}.json"
        self._tell, self._size = tell, max(1, size)
        self._last = self._read()
        self._took: Seconds = {}
        self._now = ""
        self._began = 0.0

    def stage(self, name: str, total: int) -> None:
        self._end()
        self._now, self._began = name, time.monotonic()
        self._tell.stage(name, total)
        self._tell.ahead(self._after(name))

    def advance(self, amount: int, tokens: int = 0) -> None:
        self._tell.advance(amount, tokens)

    def note(self, text: str) -> None:
        self._tell.note(text)

    def ready(self) -> None:
        self._tell.ready()

    def reached(self, share: float) -> None:
        self._tell.reached(share)

    def ahead(self, seconds: float | None) -> None:
        self._tell.ahead(seconds)

    def close(self) -> None:
        self._end()
        self._tell.close()

    def remember(self, is_anew: bool) -> None:
        """All stages are over: how long they took is kept for the next time.

        Of a run whose work was there already, so is what its other stages took before; one that did its work anew
        did without them, and so will the next (what checkpoints read of prompts is read once).
        """
        self._end()
        kept = self._took if is_anew else _merged(self._last, self._took)
        try:
            write_atomically(self._path, _FILE.dump_json(kept))
        except OSError as error:
            self._tell.note(cache_note(error))

    def _end(self) -> None:
        if self._now:
            self._took[self._now] = (time.monotonic() - self._began) / self._size
        self._now = ""

    def _after(self, name: str) -> float | None:
        """None where nobody knows what comes after this stage."""
        names = list(self._last)
        if name not in names:
            return None
        return self._size * sum(self._last[later] for later in names[names.index(name) + 1 :])

    def _read(self) -> Seconds:
        try:
            return _FILE.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return {}


def _merged(last: Seconds, took: Seconds) -> Seconds:
    """The times of now, and those of stages that were not needed now (samples were in the cache), in their places."""
    order = list(last)
    before = -1
    for name in took:
        if name not in order:
            order.insert(before + 1, name)
        before = order.index(name)
    return {name: took.get(name, last.get(name, 0.0)) for name in order}
