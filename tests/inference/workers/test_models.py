"""Models that measure: shared out over devices, killed, too large and poisoned, and always the same answers."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import EngineError, EngineLost, OutOfMemory
from evalkit.inference.workers import models, places
from evalkit.inference.workers.calls import CallQueue, ModelLoad
from evalkit.inference.workers.models import _Asking, measured_on
from evalkit.metrics.diversity import nli
from evalkit.metrics.embeddings import encoder
from evalkit.metrics.registry import parse
from evalkit.plumbing.models import Batch, Model, answers, ask, batched, one_sitting
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion, Group, Prompt
from evalkit.score import measure_texts
from tests.inference.workers.toy_model import logged, toy

ITEMS = [f"text {number}" for number in range(48)]


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two, which are simulated: a child only reads which one is its own."""
    monkeypatch.setattr(places, "visible_devices", lambda: ("0", "1"))
    with measured_on(None, Quiet()):
        yield


def asked(model: Model, items: Sequence[str] = ITEMS) -> list[Any]:
    batches = [Batch(batch.items, ("?",)) for batch in batched(items, 8)]
    return [answer for batch in answers(model, "measure", batches) for answer in batch]


WHOLE = [(item, "?", 8) for item in ITEMS]


@pytest.mark.usefixtures("devices")
def test_every_device_has_a_model_and_answers_come_in_order(tmp_path: Path) -> None:
    assert asked(toy(tmp_path, workers=2)) == WHOLE
    assert sorted(device for _, _, device in logged(tmp_path / "log", "load")) == ["0", "1"]
    assert len(logged(tmp_path / "log", "call")) == 6


def test_without_gpus_it_is_one_worker_with_all_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with measured_on(None, Quiet()):
        assert asked(toy(tmp_path)) == WHOLE
    assert len(logged(tmp_path / "log", "load")) == 1


class Heard(Quiet):
    def __init__(self) -> None:
        self.what: list[str] = []

    def ready(self) -> None:
        self.what.append("ready")


@pytest.mark.parametrize("sits", [False, True])
def test_that_a_model_is_loaded_is_told_before_any_answer(tmp_path: Path, sits: bool) -> None:
    heard = Heard()
    with measured_on(None, heard), one_sitting() if sits else nullcontext():
        ask(toy(tmp_path), "measure", [Batch(ITEMS, ("?",))], lambda *_: heard.what.append("answers"))
    assert heard.what == ["ready", "answers"]


@pytest.mark.usefixtures("devices")
def test_a_killed_worker_s_batch_is_made_again_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "death").touch()
    assert asked(toy(tmp_path)) == WHOLE
    assert len(logged(tmp_path / "log", "call")) == 7
    assert "toy died while running measure (killed by SIGKILL" in capsys.readouterr().err


@pytest.mark.usefixtures("devices")
def test_a_batch_that_does_not_fit_is_halved_and_put_together_again(tmp_path: Path) -> None:
    assert asked(toy(tmp_path, most=4), ITEMS[:8]) == [(item, "?", 4) for item in ITEMS[:8]]


@pytest.mark.usefixtures("devices")
def test_a_text_that_kills_every_worker_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"^toy died while running measure \(killed by SIGKILL"):
        asked(toy(tmp_path), ["poison"])


@pytest.mark.usefixtures("devices")
def test_in_one_sitting_a_model_loads_once_a_device_and_others_take_its_place(tmp_path: Path) -> None:
    one, other = toy(tmp_path / "one"), toy(tmp_path / "other")
    for model in (one, other):
        Path(model.args[0]).mkdir()
    with one_sitting():
        assert [asked(one), asked(one, ITEMS[:8]), asked(one)] == [WHOLE, WHOLE[:8], WHOLE]
        loads = logged(tmp_path / "one" / "log", "load")
        assert 1 <= len(loads) <= 2
        assert {pid for _, pid, _ in logged(tmp_path / "one" / "log", "call")} <= {pid for _, pid, _ in loads}
        assert asked(other) == WHOLE
        assert not any(is_running(int(pid)) for _, pid, _ in loads)
    assert not any(is_running(int(pid)) for _, pid, _ in logged(tmp_path / "other" / "log", "load"))
    assert asked(one) == WHOLE
    assert len(logged(tmp_path / "one" / "log", "load")) > len(loads)


@pytest.mark.usefixtures("devices")
def test_a_sitting_goes_on_after_a_model_that_died_and_after_one_that_always_does(tmp_path: Path) -> None:
    with one_sitting():
        assert asked(toy(tmp_path)) == WHOLE
        (tmp_path / "death").touch()
        assert asked(toy(tmp_path)) == WHOLE
        with pytest.raises(EngineError, match=r"^toy died while running measure \(killed by SIGKILL"):
            asked(toy(tmp_path), ["poison"])
        assert asked(toy(tmp_path)) == WHOLE


@pytest.mark.usefixtures("devices")
def test_an_idle_model_that_was_killed_is_loaded_anew(tmp_path: Path) -> None:
    with one_sitting():
        assert asked(toy(tmp_path)) == WHOLE
        for _, pid, _ in logged(tmp_path / "log", "load"):
            os.kill(int(pid), signal.SIGKILL)
        assert asked(toy(tmp_path)) == WHOLE


def is_running(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


@pytest.mark.usefixtures("devices")
def test_the_embedded_encoder_stays_in_this_process_on_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    row = np.full(512, 512**-0.5, dtype=np.float32)

    class Network:
        def encode(self, texts: Sequence[str]) -> np.ndarray:
            return np.stack([row] * len(texts))

    monkeypatch.setattr(encoder, "_network", Network)
    assert (encoder.encode(["a", "b"]) == row).all()  # a child would have the real one


@pytest.fixture
def asked_of_replicas(monkeypatch: pytest.MonkeyPatch) -> list[ModelLoad]:
    """All loads that go to replicas; who asks for one is answered 0 for each item and each text beside it."""
    loads: list[ModelLoad] = []

    class Zeros:
        def call(self, method: str, items: Sequence[Any], *beside: Sequence[Any]) -> list[Any]:
            return [[0.0] * len(beside[0]) if beside else 0.0 for _ in items]

    def answer(place: object, asked: Sequence[ModelLoad], tell: object) -> None:
        for load in asked:
            loads.append(load)
            for call in reversed(load.calls):
                call.keep(call.ask(Zeros(), lambda *_: None))

    monkeypatch.setattr(models, "make_calls", answer)
    return loads


def test_rewards_of_texts_are_asked_in_batches_of_512(asked_of_replicas: list[ModelLoad]) -> None:
    texts = {"rain": [f"It rained {number} times." for number in range(700)]}
    estimate = measure_texts(parse({"reward": {"model": "lab:reward"}}), texts, Quiet(), "auto")
    assert estimate.value == 0.0
    [load] = asked_of_replicas
    assert load.name == "reward model lab:reward"
    assert [call.size for call in load.calls] == [512, 188]


def test_an_nli_model_is_asked_prompt_by_prompt(
    asked_of_replicas: list[ModelLoad], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nli, "locate", Path)
    groups = [_group(number, number) for number in range(4)]
    with measured_on(None, Quiet()):
        values = nli.nli_diversity(groups, model="judge")
    assert [array.tolist() for array in values[2:]] == [[0.0] * 2, [0.0] * 3]
    assert np.isnan(values[1]).all()
    [load] = asked_of_replicas
    assert [call.size for call in load.calls] == [2, 3]


def _group(number: int, size: int) -> Group:
    texts = [f"text {sample}" for sample in range(size)]
    made = (Completion("p", sample, text, (), (), "stop") for sample, text in enumerate(texts))
    return Group(Prompt(f"p{number}", "?"), tuple(made))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_whatever_is_lost_and_cut_every_batch_is_kept_once_and_whole(sizes: list[int], random: Any) -> None:
    batches = [Batch([(number, item) for item in range(size)]) for number, size in enumerate(sizes)]
    kept: dict[int, Sequence[Any]] = {}

    class Opened:
        def call(self, method: str, items: Sequence[Any]) -> list[Any]:
            return [(method, item) for item in items]

    def keep(number: int, answers: Sequence[Any]) -> None:
        assert number not in kept
        kept[number] = answers

    load = _Asking(Model("m", "m:M"), "measure", batches, keep).load()
    queue = CallQueue(deque(load.calls))
    while (call := queue.take()) is not None:
        error = random.choice([None, None, OutOfMemory("full"), EngineLost("died") if call.tries == 0 else None])
        if error is None or call.size == 1:
            call.keep(call.ask(Opened(), lambda *_: None))
            queue.answered()
        else:
            queue.failed(call, error)
    assert kept == {number: [("measure", item) for item in batch.items] for number, batch in enumerate(batches)}
