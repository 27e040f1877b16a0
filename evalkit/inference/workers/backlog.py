"""What one replica has answered and is not kept yet: one answer at most, while the next call is made."""

from __future__ import annotations

import threading


class Backlog:
    """Room for one answer."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_full = self._is_closed = False

    def add(self) -> None:
        """Take the room, once it is free or the backlog is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or not self._is_full)
            self._is_full = True

    def clear(self) -> None:
        """What was in it is kept."""
        with self._changed:
            self._is_full = False
            self._changed.notify_all()

    def wait(self) -> None:
        """Return once nothing is in it, or it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or not self._is_full)

    def close(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
