"""The openai-batch engine against a batch interface that ends its batches in every way there is."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evalkit.checkpoints.checkpoint import Checkpoint, Serving
from evalkit.errors import EngineError
from evalkit.inference.engines.base import choose_engine
from evalkit.inference.engines.openai import request_seeds
from evalkit.inference.engines.openai_batch import OpenAIBatchEngine, batches_of
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion, Rendered, Sampling
from evalkit.runs.usage import Usage
from tests.batches_served import BatchingServer, chat_answer
from tests.batches_served import batching as batching

Make = Callable[..., Sampling]
WORDS = ("red", "green", "blue")


@dataclass(frozen=True)
class Called:
    key: str
    seed: int
    prompts: tuple[Rendered, ...]
    sampling: Sampling


class Heard(Quiet):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def calls(sampling: Make) -> list[Called]:
    """Two calls of three prompts, two draws each."""
    prompts = tuple(Rendered(word, "", (), (("system", "Be brief."), ("user", word))) for word in WORDS)
    return [Called(f"{place}" * 32, place, prompts, sampling(n=2)) for place in (1, 2)]


def served(server: BatchingServer) -> Checkpoint:
    return Checkpoint(
        "tuned", "tuned", server.url, server.url, "m", None, "f" * 64, "auto", serving=Serving(batch=True)
    )


def collected(
    server: BatchingServer, calls: Sequence[Called], folder: Path, tell: Heard | None = None
) -> list[list[Completion]]:
    engine = OpenAIBatchEngine(served(server), 0)
    done = {whole.place: whole.completions for whole in engine.sample_calls(calls, folder, tell or Heard())}
    return [done[place] for place in range(len(calls))]


def right(calls: Sequence[Called]) -> list[list[str]]:
    """What the server says where each request is answered as a whole."""
    return [
        [
            f"{prompt.prompt_id} / {request_seeds(call.seed, index, 2)[0]} / {slot}"
            for index, prompt in enumerate(call.prompts)
            for slot in range(2)
        ]
        for call in calls
    ]


def texts(done: Sequence[Sequence[Completion]]) -> list[list[str]]:
    return [[one.text for one in completions] for completions in done]


def refusal(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "bad", "param": None, "code": None}}


def test_results_in_any_order_come_to_their_prompts_and_draws(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    done = collected(batching, calls, tmp_path)
    assert texts(done) == right(calls)
    assert [(one.prompt_id, one.sample_index) for one in done[0]] == [(word, slot) for word in WORDS for slot in (0, 1)]
    [requests] = batching.requests()
    assert len({row["custom_id"] for row in requests}) == 6
    assert {(row["method"], row["url"]) for row in requests} == {("POST", "/v1/chat/completions")}
    assert all(0 <= row["body"]["seed"] < 2**31 for row in requests)
    assert requests[0]["body"]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "red"},
    ]
    [batch] = batching.batches
    assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")


def test_what_was_collected_is_not_asked_for_again(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    first = collected(batching, calls, tmp_path)
    batching.files.clear()
    assert collected(batching, calls, tmp_path) == first
    assert len(batching.batches) == 1


def test_a_second_process_waits_for_what_the_first_has_submitted(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    batching.hold = True
    first = Heard()
    OpenAIBatchEngine(served(batching), 0).submit_calls(calls, tmp_path, first)
    batching.hold = False
    second = Heard()
    OpenAIBatchEngine(served(batching), 0).submit_calls(calls, tmp_path, second)
    assert texts(collected(batching, calls, tmp_path, second)) == right(calls)
    assert len(batching.batches) == 1
    [batch] = batching.batches
    assert first.notes[0].startswith(f"batch {batch['id']} asks {batching.url} 6 requests of checkpoint 'tuned'")
    assert second.notes == first.notes


@pytest.mark.parametrize("days", [0, -5, 5], ids=["clocks agree", "server behind", "server ahead"])
@pytest.mark.parametrize("status", [0, 500], ids=["no answer", "500"])
def test_a_batch_whose_creation_was_not_answered_is_found_and_not_created_twice(
    batching: BatchingServer, calls: list[Called], tmp_path: Path, status: int, days: int
) -> None:
    batching.clock_off = days * 86_400

    def lose(request: str) -> None:
        if request == "POST /batches" and len(batching.batches) == 1:
            raise ConnectionAbortedError

    batching.handle_error = lambda *_: None  # type: ignore[method-assign]
    if status:
        batching.unsaid = lambda request: status if request == "POST /batches" else 0
    else:
        batching.before_answer = lose
    assert texts(collected(batching, calls, tmp_path)) == right(calls)
    assert len(batching.batches) == 1


def test_only_a_batch_of_the_run_is_taken_for_its_own(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    collected(batching, calls, tmp_path / "one")
    ledger = tmp_path / "two" / "batches" / "ledger.json"
    batching.fault = lambda request: 429 if request == "POST /batches" else 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalkit.inference.engines.batch_server.RETRIES", 1)
        with pytest.raises(EngineError, match=r"created no batch in 2 tries, and lists none: .*not now"):
            collected(batching, calls, tmp_path / "two")
    assert json.loads(ledger.read_text())["batches"][0]["asked"] is True
    batching.fault = lambda request: 0
    assert texts(collected(batching, calls, tmp_path / "two")) == right(calls)
    assert len(batching.batches) == 2


def test_what_an_expired_batch_brought_is_kept_and_the_rest_asked_for_again(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    batching.serves = lambda batch, line: batch == 1 or line % 2 == 0
    batching.end = lambda batch: (
        "completed" if batch is batching.batches[-1] and len(batching.batches) == 2 else "expired"
    )
    tell = Heard()
    assert texts(collected(batching, calls, tmp_path, tell)) == right(calls)
    first, second = batching.requests()
    assert [row["custom_id"] for row in second] == [row["custom_id"] for row in first[1::2]]
    assert "3 requests of checkpoint 'tuned' are asked for again: the batch is expired (3 requests)" in tell.notes


def test_a_batch_that_brings_nothing_ends_the_run_and_not_in_a_loop(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    batching.serves = lambda batch, line: False
    batching.end = lambda batch: "expired"
    with pytest.raises(EngineError, match=r"6 requests of checkpoint 'tuned' have no answer: the batch is expired"):
        collected(batching, calls, tmp_path)
    batching.serves, batching.end = lambda batch, line: True, lambda batch: "completed"
    assert texts(collected(batching, calls, tmp_path)) == right(calls)
    assert len(batching.batches) == 2


def test_a_cancelled_batch_is_said_and_the_same_command_asks_for_the_rest(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    batching.serves = lambda batch, line: batch == 1 or line < 4
    batching.end = lambda batch: "cancelled"
    with pytest.raises(EngineError, match=r"somebody cancelled batch batch-\d+, and 2 requests of checkpoint 'tuned'"):
        collected(batching, calls, tmp_path)
    batching.end = lambda batch: "completed"
    assert texts(collected(batching, calls, tmp_path)) == right(calls)
    assert [len(requests) for requests in batching.requests()] == [6, 2]


def test_a_batch_that_the_server_refuses_as_a_whole_is_one_line(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    batching.end = lambda batch: "failed"
    with pytest.raises(EngineError) as caught:
        collected(batching, calls, tmp_path)
    assert "the batch is failed: the file is refused (6 requests)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_requests_that_fail_for_now_are_asked_again_and_those_that_are_refused_are_said(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    batching.answer = lambda request: (
        (429, refusal("slow down"))
        if len(batching.batches) == 1 and "green" in json.dumps(request)
        else chat_answer(request)
    )
    tell = Heard()
    assert texts(collected(batching, calls, tmp_path, tell)) == right(calls)
    assert any(note.endswith("are asked for again: status 429: slow down (2 requests)") for note in tell.notes)
    batching.answer = lambda request: (400, refusal("max_tokens is too large"))
    (tmp_path / "refused").mkdir()
    with pytest.raises(EngineError, match=r"have no answer: status 400: max_tokens is too large \(6 requests\)"):
        collected(batching, calls, tmp_path / "refused")


@pytest.mark.parametrize("what", ["logprobs", "seed"])
def test_what_a_server_refuses_is_left_out_the_next_time_and_by_the_next_process(
    batching: BatchingServer, calls: list[Called], tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    batching.answer = lambda request: (
        (400, refusal(f"unsupported parameter: '{what}'")) if what in request["body"] else chat_answer(request)
    )
    with caplog.at_level(logging.WARNING):
        collected(batching, calls[:1], tmp_path)
        collected(batching, calls, tmp_path)
    assert [what in requests[0]["body"] for requests in batching.requests()] == [True, False, False]
    assert f"is asked without {what}: the server refuses it" in caplog.text


def test_fewer_choices_than_asked_for_are_topped_up_with_the_seeds_that_are_left(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    def one(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, body = chat_answer(request)
        return status, body | {"choices": body["choices"][:1]}

    batching.answer = one
    done = collected(batching, calls, tmp_path)
    seeds = [request_seeds(call.seed, index, 2)[slot] for call in calls for index in range(3) for slot in range(2)]
    assert [one.text.split(" / ")[1] for completions in done for one in completions] == [str(seed) for seed in seeds]
    assert [row["body"]["n"] for requests in batching.requests() for row in requests] == [2] * 6 + [1] * 6


def test_greedy_draws_are_one_request_for_one_answer(
    batching: BatchingServer, calls: list[Called], sampling: Make, tmp_path: Path
) -> None:
    greedy = [Called("3" * 32, 3, calls[0].prompts, sampling(n=4, temperature=0.0))]
    [done] = collected(batching, greedy, tmp_path)
    assert [row["body"]["n"] for row in batching.requests()[0]] == [1, 1, 1]
    assert [one.sample_index for one in done] == [0, 1, 2, 3] * 3
    assert len({one.text for one in done}) == 3


def test_results_that_are_none_are_no_answers(batching: BatchingServer, calls: list[Called], tmp_path: Path) -> None:
    def garbage(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if len(batching.batches) > 1:
            return chat_answer(request)
        odd: dict[str, dict[str, Any]] = {"red": {"choices": []}, "green": {"choices": ["x"]}}
        return 200, odd.get(request["body"]["messages"][-1]["content"], chat_answer(request)[1])

    batching.answer = garbage
    assert texts(collected(batching, calls, tmp_path)) == right(calls)
    assert [len(requests) for requests in batching.requests()] == [6, 4]


def test_what_a_filter_withheld_is_told_from_an_empty_answer(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    def filtered(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, body = chat_answer(request)
        for choice in body["choices"][1:]:
            choice |= {"message": {"role": "assistant", "content": None}, "finish_reason": "content_filter"}
        return status, body

    batching.answer = filtered
    [done] = collected(batching, calls[:1], tmp_path)
    assert [(one.finish_reason, one.is_answer) for one in done] == 3 * [("stop", True), ("withheld", False)]


def test_what_batches_took_is_told_with_the_calls_that_asked(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    batching.answer = lambda request: (
        200,
        chat_answer(request)[1] | {"usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}},
    )
    engine = OpenAIBatchEngine(served(batching), 0)
    told = {whole.place: whole.usages for whole in engine.sample_calls(calls, tmp_path, Heard())}
    assert all(
        sorted(usages, key=str) == sorted((Usage(word, 2, 5, 4) for word in WORDS), key=str) for usages in told.values()
    )


def test_results_that_the_server_has_no_more_are_asked_for_again_by_the_next_command(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    batching.fault = lambda request: 404 if re.fullmatch(r"GET /files/[^/]+/content", request) else 0
    with pytest.raises(EngineError, match="the server has its results no more"):
        collected(batching, calls, tmp_path)
    batching.fault = lambda request: 0
    assert texts(collected(batching, calls, tmp_path)) == right(calls)
    assert len(batching.batches) == 2


def test_a_server_without_a_batch_interface_is_one_line(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    batching.fault = lambda request: 404 if request == "POST /files" else 0
    with pytest.raises(EngineError, match=r"has no batch interface \(.*\); leave out `batch: true`"):
        collected(batching, calls, tmp_path)


def test_a_server_that_lists_no_batches_is_not_asked_twice(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    batching.fault = lambda request: {"POST /batches": 503, "GET /batches": 404}.get(request, 0)
    with pytest.raises(EngineError, match=r"has no list of batches .* move the folder `batches` away to ask anew"):
        collected(batching, calls, tmp_path)
    assert batching.asked.count("POST /batches") == 1


def test_a_server_that_is_gone_for_a_while_takes_nothing_from_a_batch(
    batching: BatchingServer, calls: list[Called], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.inference.engines.batch_server.RETRIES", 0)
    batching.fault = lambda request: 503 if request.startswith("GET /batches/") else 0
    with pytest.raises(
        EngineError, match=r"answered 503: .*; batch batch-\d+ goes on there, and the same command with"
    ):
        collected(batching, calls, tmp_path)
    batching.fault = lambda request: 0
    assert texts(collected(batching, calls, tmp_path)) == right(calls)
    assert len(batching.batches) == 1


def test_a_batch_that_was_refused_is_created_by_the_next_command_from_a_new_file(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    batching.fault = lambda request: 400 if request == "POST /batches" else 0
    with pytest.raises(EngineError, match=r"answered 400: .*not now"):
        collected(batching, calls, tmp_path)
    batching.files.clear()
    batching.fault = lambda request: 0
    assert texts(collected(batching, calls, tmp_path)) == right(calls)
    assert len(batching.batches) == 1


def test_many_requests_are_several_batches_within_the_limits(
    batching: BatchingServer, calls: list[Called], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.inference.engines.openai_batch.MOST_REQUESTS", 4)
    assert texts(collected(batching, calls, tmp_path)) == right(calls)
    assert [len(requests) for requests in batching.requests()] == [4, 2]
    monkeypatch.setattr("evalkit.inference.engines.openai_batch.MOST_BYTES", 10)
    lines = [b"1234\n", b"12345\n", b"1\n", b"123\n"]
    assert list(batches_of(lines)) == [[lines[0]], [lines[1], lines[2]], [lines[3]]]


def test_batch_true_chooses_the_engine_of_batches(batching: BatchingServer) -> None:
    assert choose_engine("auto", served(batching)) == "openai-batch"
