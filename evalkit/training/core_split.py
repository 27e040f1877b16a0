"""Two pieces of work at the same time, each on its half of the processor's cores.

Policy and value network learn from the same batch and share nothing. Operations on small tensors gain little from a
second core, as most of the time they wait for each other; two networks that wait for nobody gain nearly all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch
from accelerate import Accelerator

First = TypeVar("First")
Second = TypeVar("Second")


def on_split_cores(
    first: Callable[[], First], second: Callable[[], Second], accelerator: Accelerator
) -> tuple[First, Second]:
    """The results of both, which must not touch each other's tensors nor draw random numbers.

    One after the other where they could not help each other: on a GPU, on a single thread, and in one of several
    processes, which must call each other in the same order.
    """
    threads = torch.get_num_threads()
    if accelerator.device.type != "cpu" or accelerator.num_processes > 1 or threads < 2:
        return first(), second()
    helping = _helper().submit(_with_threads, threads // 2, second)
    try:
        done = _with_threads(threads - threads // 2, first)
    finally:
        # Whatever happens here, what the other one does must not go on behind the caller's back.
        helping.exception()
        torch.set_num_threads(threads)
    return done, helping.result()


def _with_threads(threads: int, work: Callable[[], First]) -> First:
    # torch keeps this number for each calling thread.
    torch.set_num_threads(threads)
    return work()


@cache
def _helper() -> ThreadPoolExecutor:
    """One thread for all of a process's life: a new one would make its own pool of threads each time."""
    return ThreadPoolExecutor(1, thread_name_prefix="side-by-side")
