"""A coroutine is run to its end from plain code, and from inside a running event loop too."""

from __future__ import annotations

import asyncio

import pytest

from evalkit.plumbing.coroutines import run_to_end


async def doubled(value: int) -> int:
    await asyncio.sleep(0)
    return 2 * value


async def refused() -> None:
    raise ValueError("no")


def test_it_returns_what_the_coroutine_returns() -> None:
    assert run_to_end(doubled(2)) == 4


def test_it_does_so_inside_a_running_loop_as_a_notebook_has_one() -> None:
    async def cell() -> int:
        return run_to_end(doubled(3))

    assert asyncio.run(cell()) == 6


def test_it_raises_what_the_coroutine_raises_in_both() -> None:
    async def cell() -> None:
        run_to_end(refused())

    with pytest.raises(ValueError, match="no"):
        run_to_end(refused())
    with pytest.raises(ValueError, match="no"):
        asyncio.run(cell())
