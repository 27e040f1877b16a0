"""A coroutine is run to its end from plain code, in a notebook too, whose thread is inside an event loop already."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def run_to_end(work: Coroutine[Any, Any, _Result]) -> _Result:
    """What `work` returns; it raises what `work` raises. Ctrl-C ends it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    return _in_a_thread(work)


def _in_a_thread(work: Coroutine[Any, Any, _Result]) -> _Result:
    """`asyncio.run` refuses a thread in which a loop is running, so the work gets a thread of its own."""
    loop = asyncio.new_event_loop()
    tasks: list[asyncio.Task[Any]] = []

    async def remembered() -> _Result:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        return await work

    def run() -> _Result:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(remembered())

    with ThreadPoolExecutor(max_workers=1) as thread:
        result = thread.submit(run)
        try:
            return result.result()
        except KeyboardInterrupt:
            # Without this the thread would be waited for until its last request has ended.
            for task in tasks:
                loop.call_soon_threadsafe(task.cancel)
            raise
