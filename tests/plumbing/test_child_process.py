"""A child process answers, crashes, is interrupted and is orphaned; nothing hangs and nothing stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evalkit.errors import EngineError, SuiteError
from evalkit.plumbing.child_process import open_child

HERE = f"{__name__}:Subject"


class Subject:
    """What the tests put into a child."""

    def __init__(self, number: int = 0) -> None:
        self.number = number

    @property
    def pid(self) -> int:
        return os.getpid()

    def double(self, value: int) -> int:
        return 2 * value

    def count(self, to: int, progress: Callable[[int, int], None]) -> str:
        for step in range(to):
            progress(step, step * step)
        return "counted"

    def talk(self) -> None:
        print("noise on stdout")
        print("noise on stderr", file=sys.stderr)
        os.system("echo noise from a program")

    def refuse(self) -> None:
        raise SuiteError("suite.yaml:3: no")

    def fail(self) -> None:
        raise ZeroDivisionError("division\nby zero")

    def unpicklable(self) -> object:
        return lambda: None

    def crash(self, how: int) -> None:
        print("these are", "my last words", sep="\n", file=sys.stderr)
        os.kill(os.getpid(), how)

    def leave(self) -> None:
        os._exit(7)

    def start_descendant(self) -> int:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid

    def hang(self) -> None:
        time.sleep(600)

    def close(self) -> None:
        print("closed properly")


def tripled(subject: Subject, value: int, progress: Callable[[int], None]) -> tuple[int, int]:
    progress(subject.number)
    return subject.pid, 3 * value


class Unmakeable:
    def __init__(self) -> None:
        raise SuiteError("cannot be made")


class Clinging(Subject):
    def close(self) -> None:
        time.sleep(600)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone_within(seconds: float, *pids: int) -> bool:
    until = time.monotonic() + seconds
    while any(is_running(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def temporary_logs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[Path]]]:
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield lambda: list(folder.glob("evalkit-*.log"))


def test_methods_and_attributes_are_those_of_the_object_in_the_child() -> None:
    with open_child(HERE, 5) as remote:
        assert remote.call("double", 21) == 42
        assert remote.get("number") == 5
        assert remote.get("pid") != os.getpid()


def test_progress_travels_back_while_the_method_runs() -> None:
    heard: list[tuple[int, int]] = []
    with open_child(HERE) as remote:
        assert remote.call("count", 3, progress=lambda *news: heard.append(news)) == "counted"
    assert heard == [(0, 0), (1, 1), (2, 4)]


def test_noise_goes_to_the_log_and_not_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "engine.log"
    with open_child(HERE, log=log) as remote:
        remote.call("talk")
    assert capfd.readouterr() == ("", "")
    assert {"noise on stdout", "noise on stderr", "noise from a program", "closed properly"} <= set(
        log.read_text().splitlines()
    )


def test_an_error_of_ours_arrives_as_itself_and_the_child_lives_on() -> None:
    with open_child(HERE) as remote:
        with pytest.raises(SuiteError, match=r"^suite.yaml:3: no$"):
            remote.call("refuse")
        assert remote.call("double", 1) == 2


def test_an_error_of_ours_while_starting_arrives_as_itself() -> None:
    with pytest.raises(SuiteError, match="cannot be made"), open_child(f"{__name__}:Unmakeable"):
        pass


def test_any_other_exception_is_one_line_that_names_the_log(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    with open_child(HERE, title="engine x", log=log) as remote:
        with pytest.raises(EngineError) as caught:
            remote.call("fail")
        assert str(caught.value) == (
            f"engine x failed while running fail: ZeroDivisionError: division by zero; full log: {log}"
        )
        assert "Traceback" in log.read_text()
        assert remote.call("double", 1) == 2


def test_a_result_that_cannot_be_sent_is_an_error_and_not_a_hang() -> None:
    with open_child(HERE) as remote, pytest.raises(EngineError, match="running unpicklable"):
        remote.call("unpicklable")


@pytest.mark.parametrize(
    ("method", "args", "said"),
    [
        ("crash", (signal.SIGKILL,), "killed by SIGKILL, often a lack of memory"),
        ("crash", (signal.SIGTERM,), "killed by SIGTERM"),
        ("leave", (), "exit code 7"),
    ],
    ids=["out of memory", "terminated", "left by os._exit"],
)
def test_a_crash_is_one_line_with_its_cause(method: str, args: tuple[int, ...], said: str, tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    with open_child(HERE, title="engine x", log=log) as remote, pytest.raises(EngineError) as caught:
        remote.call(method, *args)
    message = str(caught.value)
    assert message.startswith(f"engine x died while running {method} ({said}); its last output: ")
    assert "\n" not in message
    assert str(log) in message
    if method == "crash":
        assert "these are | my last words" in message


def test_a_segmentation_fault_leaves_its_stack_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    with open_child(HERE, log=log) as remote, pytest.raises(EngineError, match="SIGSEGV"):
        remote.call("crash", signal.SIGSEGV)
    assert "in crash" in log.read_text()


def test_a_crash_takes_the_descendants_along() -> None:
    with open_child(HERE) as remote:
        descendant = remote.call("start_descendant")
        with pytest.raises(EngineError):
            remote.call("leave")
        assert gone_within(2, descendant)


def test_a_temporary_log_is_kept_only_when_something_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_logs(tmp_path, monkeypatch) as logs:
        with open_child(HERE) as remote:
            remote.call("talk")
            assert len(logs()) == 1
        assert logs() == []
        with open_child(HERE) as remote, pytest.raises(EngineError):
            remote.call("leave")
        assert len(logs()) == 1


def test_leaving_the_block_ends_the_child_and_its_descendants() -> None:
    with open_child(HERE) as remote:
        pids = remote.get("pid"), remote.call("start_descendant")
    assert gone_within(2, *pids)


def test_a_child_that_does_not_close_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.plumbing.child_process.CLOSING_SECONDS", 0.3)
    with open_child(f"{__name__}:Clinging") as remote:
        pid = remote.get("pid")
    assert gone_within(1, pid)


def test_an_exception_in_the_block_kills_a_busy_child_at_once() -> None:
    pids: list[int] = []

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    def work() -> None:
        with open_child(f"{__name__}:Clinging") as remote:
            pids.append(remote.get("pid"))
            remote.call("count", 10, progress=interrupt)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert gone_within(1, *pids)
    assert time.monotonic() - started < 5


SCRIPT = textwrap.dedent(
    """
    import sys
    from evalkit.plumbing.child_process import open_child

    print("script", flush=True)
    with open_child(sys.argv[2]) as remote:
        print(remote.get("pid"), remote.call("start_descendant"), flush=True)
        remote.call(sys.argv[1]) if sys.argv[1] != "nothing" else None
    """
)


def run_script(folder: Path, method: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A plain script without a main guard; returns it with the child's and the grandchild's process ids."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), method, HERE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "script\n"
    return process, [int(pid) for pid in process.stdout.readline().split()]


def test_a_plain_script_without_a_main_guard_is_not_run_twice(tmp_path: Path) -> None:
    process, pids = run_script(tmp_path, "nothing")
    out, error = process.communicate(timeout=20)
    assert (process.returncode, out, error) == (0, "", "")
    assert gone_within(2, *pids)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "kill"])
def test_nothing_is_left_when_the_parent_is_killed(how: signal.Signals, tmp_path: Path) -> None:
    process, pids = run_script(tmp_path, "hang")
    assert all(is_running(pid) for pid in pids)
    process.send_signal(how)
    process.communicate(timeout=5)
    assert gone_within(2, *pids)


def test_ctrl_c_ends_parent_child_and_descendants_promptly(tmp_path: Path) -> None:
    process, pids = run_script(tmp_path, "hang")
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=5)
    assert time.monotonic() - started < 2
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert gone_within(1, *pids)


def test_a_function_is_applied_to_the_object_where_it_lives() -> None:
    told: list[int] = []
    with open_child(HERE, 5) as remote:
        assert remote.apply(tripled, 4, progress=told.append) == (remote.get("pid"), 12)
    assert told == [5]
