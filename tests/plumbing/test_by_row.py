"""Work that is shared out over processes gives what it gives here, outlives a child, and leaves none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from evalkit.errors import EngineError, MetricError
from evalkit.plumbing import by_row as module
from evalkit.plumbing.by_row import by_row, is_portable, start_processes
from evalkit.plumbing.lazily import Mapped
from evalkit.plumbing.progress import Quiet


def double(index: int, number: int) -> int:
    return 2 * number


NUMBERS = {"a": Mapped(range(40), double), "b": Mapped(range(40), double)}


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 2)


def add(row: int, items: Mapping[str, int]) -> tuple[int, int]:
    return sum(items.values()), os.getpid()


def threads(row: int, items: Mapping[str, int]) -> set[int]:
    """Of each library for linear algebra, once it is loaded."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

    return {library["num_threads"] for library in threadpool_info()}


class Mute(Quiet):
    """Nobody tells it of a stage."""

    def stage(self, name: str, total: int) -> None:
        raise AssertionError(name)


def test_processes_that_share_the_cores_use_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("OMP", "OPENBLAS"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "2")
    monkeypatch.setattr(module._Child, "idle", [])
    assert set(map(frozenset, by_row(threads, NUMBERS))) == {frozenset({1})}
    module._end_idle()


@dataclass(frozen=True)
class Dies:
    """Kills the process that it is in when it comes to a row: so many times."""

    marks: Path
    times: int

    def __call__(self, row: int, items: Mapping[str, int]) -> int:
        made = len(list(self.marks.iterdir()))
        if row == 7 and made < self.times:
            (self.marks / str(made)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return sum(items.values())


def refuse(row: int, items: Mapping[str, int]) -> int:
    raise MetricError(f"row {row} has no number")


def fail(row: int, items: Mapping[str, int]) -> int:
    return row // 0


def test_processes_give_what_one_gives() -> None:
    heard: list[int] = []
    shared = by_row(add, NUMBERS, heard.append)
    assert [total for total, _ in shared] == [4 * row for row in range(40)]
    assert os.getpid() not in {process for _, process in shared}
    assert sum(heard) == 40


def test_what_is_in_memory_is_worked_on_here() -> None:
    assert by_row(add, {"a": [1, 2], "b": [3]}) == [(4, os.getpid()), (2, os.getpid())]
    assert {process for _, process in by_row(add, NUMBERS, here=True)} == {os.getpid()}


def test_work_that_cannot_travel_stays_here() -> None:
    assert not is_portable(lambda: None)
    assert is_portable(add)
    assert by_row(lambda row, items: os.getpid(), NUMBERS) == [os.getpid()] * 40


def test_a_child_that_dies_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    assert by_row(Dies(tmp_path, 1), NUMBERS) == [4 * row for row in range(40)]


def test_rows_that_kill_two_children_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"a process that measures died while running do .*SIGKILL"):
        by_row(Dies(tmp_path, 2), NUMBERS)
    assert [total for total, _ in by_row(add, NUMBERS)] == [4 * row for row in range(40)], "and others can go on"


def test_errors_of_the_work_are_heard() -> None:
    with pytest.raises(MetricError, match=r"row \d+ has no number"):
        by_row(refuse, NUMBERS)
    with pytest.raises(EngineError, match="ZeroDivisionError"):
        by_row(fail, NUMBERS)


def test_an_interrupt_leaves_no_process_behind(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        textwrap.dedent("""
        import os, sys, time
        from pathlib import Path
        from evalkit.plumbing import by_row as module
        from evalkit.plumbing.lazily import Mapped

        def same(index, number):
            return number

        def wait(row, items):
            Path(sys.path[0], f"{os.getpid()}.pid").touch()
            time.sleep(600)

        def main():
            module.cores = lambda: 2
            module.by_row(wait, {"a": Mapped(range(8), same)})
    """)
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import slow; slow.main()"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    children = _children(tmp_path, 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    _await_end(children)


def _children(folder: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 120
    while len(found := [int(path.stem) for path in folder.glob("*.pid")]) < count:
        assert time.monotonic() < deadline, "the children did not begin"
        time.sleep(0.05)
    return found


def _await_end(processes: list[int]) -> None:
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{process}").exists() for process in processes):
        assert time.monotonic() < deadline, "a child is still there"
        time.sleep(0.05)


def test_processes_that_were_started_before_do_the_work() -> None:
    told: list[tuple[str, int]] = []
    started: list[int] = []

    class Listening(Quiet):
        def stage(self, name: str, total: int) -> None:
            told.append((name, total))

        def advance(self, amount: int, tokens: int = 0) -> None:
            started.append(amount)

    start_processes(NUMBERS, ["evalkit.records"], Listening())
    there = {child._remote._process.pid for child in module._Child.idle}
    assert told == [("start processes", 2)]
    assert sum(started) == 2
    assert {process for _, process in by_row(add, NUMBERS)} <= there


def test_in_memory_nothing_is_started() -> None:
    start_processes({"a": [1, 2, 3]}, ["evalkit.records"], Mute())


def test_it_is_known_to_a_hundredth_how_far_all_are() -> None:
    advanced: list[int] = []
    by_row(add, {"a": Mapped(range(500), double)}, advanced.append)
    assert sum(advanced) == 500
    assert max(advanced) <= 5
