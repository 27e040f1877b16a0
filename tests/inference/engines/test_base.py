"""Finding, choosing and opening an engine; what goes wrong is one line."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import EngineError, InputError
from evalkit.inference.engines.base import choose_engine, engine_class, engines, open_engine
from evalkit.records import Rendered, Sampling

URL = "http://localhost:1/v1"


@pytest.fixture
def without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *more: None if name == "vllm" else find_spec(name, *more)
    )


@pytest.fixture
def with_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: object())


def local() -> Checkpoint:
    return Checkpoint("a", "base", "x", "/x", "x", None, "0", "auto")


def served() -> Checkpoint:
    return replace(local(), location=URL)


def test_the_three_engines_are_registered() -> None:
    assert {"openai", "transformers", "vllm"} <= set(engines())
    assert [engine_class(name).local for name in ("openai", "transformers", "vllm")] == [False, True, True]


def test_auto_prefers_vllm(with_vllm: None) -> None:
    assert choose_engine("auto", local()) == "vllm"


def test_auto_takes_transformers_where_vllm_is_missing(without_vllm: None) -> None:
    assert choose_engine("auto", local()) == "transformers"


def test_auto_takes_openai_for_a_server() -> None:
    assert choose_engine("auto", served()) == "openai"


def test_an_engine_asked_for_by_name_is_taken() -> None:
    assert choose_engine("transformers", local()) == "transformers"


@pytest.mark.parametrize(
    ("asked", "checkpoint", "said"),
    [
        (
            "vlm",
            local(),
            r"^there is no engine 'vlm' \(did you mean 'vllm'\?\); known: auto, anthropic, gemini, openai, ",
        ),
        ("zzz", local(), r"^there is no engine 'zzz'; known: "),
        ("transformers", served(), r"loads weights, but checkpoint 'a' is a server; use auto or openai"),
        ("openai", local(), r"^engine openai needs a server's URL; checkpoint 'a' is x$"),
    ],
    ids=["misspelt", "unknown", "weights of a server", "server of a folder"],
)
def test_an_engine_that_cannot_be_had_is_one_line(asked: str, checkpoint: Checkpoint, said: str) -> None:
    with pytest.raises(InputError, match=said):
        choose_engine(asked, checkpoint)


def test_a_missing_vllm_comes_with_the_command_that_adds_it(without_vllm: None) -> None:
    with pytest.raises(InputError, match=r"pip install 'evalkit\[vllm(-cpu)?\]'"):
        choose_engine("vllm", local())


def test_importing_engines_loads_nothing_heavy() -> None:
    modules = ["base", "vllm", "transformers", "openai"]
    code = ";".join(
        [
            "import sys",
            *(f"import evalkit.inference.engines.{module}" for module in modules),
            "print([name for name in ('torch', 'vllm', 'transformers', 'openai') if name in sys.modules])",
        ]
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_checkpoint_that_cannot_be_loaded_is_one_line(tiny: Checkpoint, tmp_path: Path) -> None:
    for path in Path(tiny.location).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[: 300 if path.suffix == ".safetensors" else None])
    broken = replace(tiny, name="broken", location=str(tmp_path))
    with pytest.raises(EngineError) as caught, open_engine("transformers", broken, 10):
        pass
    assert str(caught.value).startswith("engine transformers of checkpoint 'broken' failed while starting: ")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("vllm", marks=pytest.mark.vllm), "transformers"])
def test_a_crash_while_sampling_names_engine_checkpoint_and_cause(
    name: str, tiny: Checkpoint, prompts: list[Rendered], sampling: Callable[..., Sampling]
) -> None:
    others = set(children(os.getpid(), "evalkit.plumbing.child_process"))

    def kill_child(*_: Any) -> None:
        [child] = set(children(os.getpid(), "evalkit.plumbing.child_process")) - others
        os.kill(child, signal.SIGKILL)

    settings = sampling(n=512, max_tokens=40, temperature=2.0)
    with pytest.raises(EngineError) as caught:
        sample_with(name, tiny, prompts, settings, kill_child)
    assert f"engine {name} of checkpoint 'tiny' died while running sample (killed by SIGKILL" in str(caught.value)


def sample_with(name: str, checkpoint: Checkpoint, prompts: list[Rendered], sampling: Sampling, progress: Any) -> None:
    with open_engine(name, checkpoint, 48) as engine:
        engine.sample(prompts, sampling, 1, progress)


SCRIPT = """
import sys
from evalkit.inference.engines.base import open_engine
from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.records import Rendered, Sampling
folder = sys.argv[1]
with open_engine("vllm", Checkpoint("tiny", "base", folder, folder, folder, None, "0", "auto"), 48) as engine:
    prompts = [Rendered(str(index), "", (1, 5, 6)) for index in range(64)]
    tell = lambda *news: print("moving", flush=True)
    while True:
        engine.sample(prompts, Sampling(64, 2.0, 1.0, 0.0, 40, (), 0), 1, tell)
"""


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_vllm_leaves_no_process_when_its_parent_is_killed(how: signal.Signals, tiny: Checkpoint) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, tiny.location],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "moving\n"
    [child] = children(process.pid, "evalkit.plumbing.child_process")
    group = [child, *children(child, "")]
    started = time.monotonic()
    process.send_signal(how)
    process.stdout.close()
    process.wait(timeout=5)
    while any(is_running(pid) for pid in group):
        assert time.monotonic() < started + 5, "something of the engine is still running"
        time.sleep(0.02)


def children(parent: int, named: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            of = int(path.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
            if of == parent and named in path.joinpath("cmdline").read_text():
                found.append(int(path.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
