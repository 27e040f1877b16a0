"""Answers that no honest server gives: each is one line, or is read as far as it can be."""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evalkit.checkpoints.checkpoint import Serving
from evalkit.checkpoints.spec import Price
from evalkit.errors import EngineError, ServerError
from evalkit.inference.engines import gemini
from evalkit.inference.engines.batch_server import MOST_PAGES
from evalkit.inference.engines.openai import OpenAIEngine
from evalkit.inference.engines.rate_limits import asked_wait, read_duration
from evalkit.records import Completion, Sampling
from evalkit.runs.shards import Call, from_parquet, to_parquet
from evalkit.runs.usage import Usage
from tests.batches_served import BatchingServer
from tests.batches_served import Handler as BatchHandler
from tests.batches_served import batching as batching
from tests.inference.engines.test_dispatch import VirtualClock
from tests.inference.engines.test_dispatch import clock as clock
from tests.inference.engines.test_gemini import drawn as drawn_of_gemini
from tests.inference.engines.test_gemini import found
from tests.inference.engines.test_openai import CHAT, PROMPT, ignore, remote
from tests.inference.engines.test_openai_batch import Called, Heard, collected, right, texts
from tests.inference.engines.test_openai_batch import calls as calls
from tests.providers_served import GEMINI, KEY, ProvidingServer, candidate
from tests.providers_served import providing as providing
from tests.served import Handler, Server, choices, serving
from tests.served import server as server

Make = Callable[..., Sampling]


def sampled(server: Server, sampling: Sampling, kind: str = "base") -> tuple[list[Completion], list[Usage]]:
    """What is drawn and what it took, after both have been in a run's file."""
    engine = OpenAIEngine(replace(remote(server.url, kind, "m"), serving=Serving((), 1, 30.0)), 0)
    if isinstance(engine.clock, VirtualClock):
        engine.clock.servers = engine._servers
    usages: list[Usage] = []
    engine.meter = usages.append
    done = engine.sample([CHAT if kind == "tuned" else PROMPT], sampling, 1, ignore)
    now = datetime.datetime.now(datetime.UTC)
    content = to_parquet(done, "arm", now, Call("law", ("p",), range(sampling.n), 1, tuple(usages)))
    return from_parquet(content), usages


@pytest.mark.parametrize("count", [10**400, 2**31, -1, True, 5.0, "5", None], ids=lambda count: repr(count)[:12])
def test_a_number_of_tokens_that_is_none_is_not_counted(server: Server, sampling: Make, count: Any) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": count}}
    message = {"index": 0, "message": {"content": "so", "reasoning_content": "hm"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": count, "completion_tokens": 5} | details
    server.answer = lambda request: (200, {"choices": [message], "usage": usage})
    [one], usages = sampled(server, sampling(n=1), "tuned")
    assert (one.text, one.thinking_tokens, usages) == ("so", None, [])


@pytest.mark.parametrize(
    "logprob",
    [float("nan"), float("inf"), float("-inf"), 10**400, 0.5, True, None, "-1"],
    ids=lambda one: repr(one)[:12],
)
def test_log_probs_that_are_none_are_not_kept(server: Server, sampling: Make, logprob: Any) -> None:
    server.answer = lambda request: (
        200,
        choices(request["n"], logprobs={"token_logprobs": [-0.5, logprob]}, token_ids=[3, 4]),
    )
    done, _ = sampled(server, sampling(n=1))
    assert [(one.logprobs, one.token_ids) for one in done] == [((), (3, 4))]


@pytest.mark.parametrize("token", [True, -1, 2**31, 1.0, None])
def test_token_ids_that_are_none_are_not_kept(server: Server, sampling: Make, token: Any) -> None:
    server.answer = lambda request: (200, choices(request["n"], token_ids=[3, token]))
    assert [one.token_ids for one in sampled(server, sampling(n=1))[0]] == [()]


def test_an_answer_is_given_up_where_it_is_longer_than_its_tokens_can_be(
    server: Server, sampling: Make, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.checkpoints.clients.PAGE_BYTES", 1000)
    server.answer = lambda request: (200, choices(1, text="x" * 2_000_000))
    with pytest.raises(EngineError, match="sent more than 0 MB, which no answer to this is; asked 3 times"):
        sampled(server, sampling(n=1))
    server.answer = lambda request: (200, choices(1, text="x" * 10_000))
    assert len(sampled(server, sampling(n=1))[0][0].text) == 10_000


def test_a_model_that_changes_its_name_is_said_once(
    server: Server, sampling: Make, caplog: pytest.LogCaptureFixture
) -> None:
    names = iter(["m-may", "m-june", "m-may", "m-june\x1b[2J"])
    server.answer = lambda request: (200, choices(1) | {"model": next(names)})
    with caplog.at_level(logging.WARNING):
        sampled(server, sampling(n=3))
    assert [record.getMessage() for record in caplog.records] == [
        f"{server.url}/v1 answered as m-may and now as m-june: these are samples of both"
    ]


def test_no_key_goes_where_a_server_sends_it(
    providing: ProvidingServer, sampling: Make, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as elsewhere:
        told: list[str | None] = []
        page = {"do_POST": lambda page: (told.append(page.headers["x-goog-api-key"]), page._send(200, {}))}
        elsewhere.RequestHandlerClass = type("Page", (Handler,), page)

        def sent_away(self: Any, status: int, body: Any) -> None:
            self.send_response(307)
            self.send_header("Location", f"{elsewhere.url}/v1/models/gemini-2.5-flash:generateContent")
            self.send_header("Content-Length", "0")
            self.end_headers()

        checkpoint = found()
        monkeypatch.setattr(providing.RequestHandlerClass, "_send", sent_away)
        engine = gemini.GeminiEngine(checkpoint, 0)
        with pytest.raises(EngineError, match=f"answered 307: it sends to {elsewhere.url}/v1/models/"):
            engine.sample([CHAT], sampling(n=1), 1, ignore)
    assert told == []


@pytest.mark.parametrize("card", [{"maxTemperature": "hot"}, {"maxTemperature": "nan"}, {"maxTemperature": -1}])
def test_a_card_that_makes_no_sense_allows_what_the_interface_does(
    providing: ProvidingServer, sampling: Make, card: dict[str, Any]
) -> None:
    providing.cards["/v1/models/gemini-2.5-flash"] = GEMINI | card
    assert gemini.refusals("gemini-2.5-flash", sampling(temperature=1.5, top_k=64), dict(found().served)) == []
    assert gemini.refusals("gemini-2.5-flash", sampling(temperature=2.5, top_k=64), dict(found().served))


def test_a_page_for_people_is_no_card(providing: ProvidingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    providing.cards["/v1/models/gemini-2.5-flash"] = "please log in"  # type: ignore[assignment]
    with pytest.raises(ServerError, match="answered what is no model's card: '\"please log in\"'") as caught:
        found()
    assert KEY not in str(caught.value)


def test_what_gemini_counts_absurdly_is_not_counted(providing: ProvidingServer, sampling: Make) -> None:
    usage = {"promptTokenCount": True, "candidatesTokenCount": 10**400}
    providing.answer = lambda body: (200, candidate("so") | {"usageMetadata": usage})
    assert [one.text for one in drawn_of_gemini(sampling(n=1, top_k=64))] == ["so"]


@pytest.mark.parametrize("text", ["9" * 400 + "h", "9" * 90_000, "-5", "inf", "nan", "1e400", "5;drop", "é☃", ""])
def test_an_absurd_wait_is_none(text: str) -> None:
    assert read_duration(text) is None
    assert asked_wait({"retry-after": text, "retry-after-ms": text}) is None


def test_a_completion_that_is_the_key_is_kept_without_it(
    server: Server, sampling: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_API_KEY", KEY)
    server.answer = lambda request: (200, choices(1, text=f"It is {KEY}."))
    assert sampled(server, sampling(n=1))[0][0].text == "It is [EVALKIT_API_KEY]."
    monkeypatch.setenv("EVALKIT_API_KEY", "anything")
    server.answer = lambda request: (200, choices(1, text="Not anything."))
    assert sampled(server, sampling(n=1))[0][0].text == "Not anything."


def test_a_batchs_results_are_kept_without_the_key(
    batching: BatchingServer, calls: list[Called], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_API_KEY", KEY)
    answering(batching, "GET /files", lambda answer: answer.replace(b"red /", f"{KEY} /".encode()))
    assert "[EVALKIT_API_KEY] / " in texts(collected(batching, calls, tmp_path))[0][0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_a_price_beyond_all_money_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than or equal to"):
        Price(input=1e308, output=1)


def answering(batching: BatchingServer, wanted: str, change: Callable[[Any], Any]) -> None:
    """Have the server give what `change` makes of its answers to requests that begin so."""

    class Changed(BatchHandler):
        def _answer(self, path: str, content: bytes) -> Any:
            answer = super()._answer(path, content)
            return change(answer) if f"{self.command} {path}".startswith(wanted) else answer

    batching.RequestHandlerClass = Changed


def less(row: Any, *names: str) -> Any:
    return {name: value for name, value in row.items() if name not in names}


@pytest.mark.parametrize(
    ("wanted", "change", "says"),
    [
        ("POST /files", lambda answer: b"<html>\x1b[2J</html>", "answered what is no JSON"),
        ("POST /files", lambda answer: {"id": {"a": 1}}, "took a file of requests and tells no id of it"),
        ("GET /batches/", lambda answer: b"<html></html>", "answered what is no JSON: '<html></html>'; batch batch-2 goes"),
        ("GET /batches/", lambda answer: {**answer, "status": None}, "tells no status of batch batch-2"),
        ("GET /files", lambda answer: b"[" * 100_000, "the batch is completed"),
        ("GET /files", lambda answer: b"\xff\n[]\nnull\n{}\n", "the batch is completed"),
    ],
)  # fmt: skip
def test_nonsense_in_a_batchs_way_is_one_line(
    batching: BatchingServer,
    calls: list[Called],
    tmp_path: Path,
    wanted: str,
    change: Callable[[Any], Any],
    says: str,
) -> None:
    answering(batching, wanted, change)
    with pytest.raises(EngineError) as caught:
        collected(batching, calls, tmp_path)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()
    batching.RequestHandlerClass = BatchHandler
    assert texts(collected(batching, calls, tmp_path)) == right(calls)


@pytest.mark.parametrize(
    "facts",
    [
        {"request_counts": {"completed": "x", "failed": None}},
        {"request_counts": {"completed": 10**9, "failed": -5}},
        {"request_counts": [1]},
        {"errors": ["x"]},
        {"errors": {"data": ["x", None]}},
    ],
)
def test_nonsense_beside_a_batchs_results_takes_nothing_from_them(
    batching: BatchingServer, calls: list[Called], tmp_path: Path, facts: dict[str, Any]
) -> None:
    answering(batching, "GET /batches/", lambda answer: {**answer, **facts})
    assert texts(collected(batching, calls, tmp_path)) == right(calls)


def test_a_result_of_a_place_that_no_call_has_is_nobodys(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    strange = json.dumps({"custom_id": f"{calls[0].key}.{'9' * 5000}.0", "response": None}).encode()
    answering(batching, "GET /files", lambda answer: strange + b"\n" + answer)
    assert texts(collected(batching, calls, tmp_path)) == right(calls)


@pytest.mark.parametrize("change", [lambda answer: b"<html></html>", lambda answer: less(answer, "id")])
def test_a_batch_that_is_created_without_an_id_is_found_in_the_list(
    batching: BatchingServer, calls: list[Called], tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    answering(batching, "POST /batches", change)
    assert texts(collected(batching, calls, tmp_path)) == right(calls)
    assert len(batching.batches) == 1


@pytest.mark.parametrize(
    "listed",
    [
        {"data": None},
        {"data": [1, None, {"id": "b"}, {"id": None, "created_at": None, "metadata": 5}]},
        {"data": [{"id": "b", "created_at": "x", "metadata": {"a": 1}}], "has_more": True},
    ],
    ids=["no list", "nonsense", "without an end"],
)
def test_a_batch_that_is_neither_told_nor_listed_is_not_created_twice(
    batching: BatchingServer, calls: list[Called], tmp_path: Path, listed: dict[str, Any]
) -> None:
    class Changed(BatchHandler):
        def _answer(self, path: str, content: bytes) -> Any:
            if (self.command, path) == ("GET", "/batches"):
                return listed
            answer = super()._answer(path, content)
            return b"<html></html>" if path == "/batches" else answer

    batching.RequestHandlerClass = Changed
    with pytest.raises(EngineError, match="was created, and lists none; look for it there"):
        collected(batching, calls, tmp_path)
    assert len(batching.batches) == 1
    assert batching.asked.count("GET /batches") <= MOST_PAGES


def test_a_state_that_the_interface_does_not_know_is_said_and_waited_for(
    batching: BatchingServer, calls: list[Called], tmp_path: Path
) -> None:
    looks = 0

    def queued(answer: Any) -> Any:
        nonlocal looks
        looks += 1
        return {**answer, "status": "queued"} if looks < 4 else answer

    answering(batching, "GET /batches/", queued)
    tell = Heard()
    assert texts(collected(batching, calls, tmp_path, tell)) == right(calls)
    assert sum("says that batch batch-2 is 'queued', and it is waited for" in note for note in tell.notes) == 1
