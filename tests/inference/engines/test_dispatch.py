"""Requests to servers that refuse, hang, tear down, answer garbage and die: real ones, on loopback; nobody waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from evalkit.checkpoints.checkpoint import Checkpoint, Serving
from evalkit.errors import EngineError
from evalkit.inference.engines.clock import JITTER, Clock
from evalkit.inference.engines.dispatch import AWAY_SECONDS, RETRIES, backoff
from evalkit.inference.engines.dispatch import Server as Asked
from evalkit.inference.engines.openai import OpenAIEngine
from evalkit.records import Completion, Rendered, Sampling
from evalkit.runs.usage import Usage
from tests.inference.engines.test_openai import free_port, ignore, refusal, remote
from tests.served import Reset, Server, choices, serving
from tests.served import server as server

Make = Callable[..., Sampling]
PROMPTS = [Rendered(f"p{index}", "w6 w7 w8", ()) for index in range(12)]


class VirtualClock(Clock):
    """Time passes at once, where somebody waits and nothing is under way to a server."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waits: list[float] = []
        self.servers: Sequence[Asked] = ()

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        idle = 0
        while idle < 5:  # turns of the loop, in which who waits for an answer that has just come stops waiting
            under_way = any(server.in_flight for server in self.servers)
            idle = 0 if under_way else idle + 1
            await asyncio.sleep(0.001 if under_way else 0)
        self.waits.append(seconds)
        self.time = max(self.time, until)

    def jittered(self, seconds: float) -> float:
        return seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    clock = VirtualClock()
    monkeypatch.setattr(OpenAIEngine, "clock", clock)
    return clock


def asked(*servers: Server, concurrency: int = 1, timeout: float = 30.0, kind: str = "base") -> Checkpoint:
    pool = tuple(one.url for one in servers) if len(servers) > 1 else ()
    return replace(remote(servers[0].url, kind, "m"), serving=Serving(pool, concurrency, timeout))


def drawn(
    engine: OpenAIEngine, sampling: Sampling, prompts: int = 1, messages: tuple[tuple[str, str], ...] = ()
) -> list[Completion]:
    if isinstance(engine.clock, VirtualClock):
        engine.clock.servers = engine._servers
    return engine.sample([replace(one, messages=messages) for one in PROMPTS[:prompts]], sampling, 1, ignore)


def in_turn(*answers: Any) -> Callable[[dict[str, Any]], Any]:
    """Those answers, then good ones."""
    left, lock = list(answers), threading.Lock()

    def answer(request: dict[str, Any]) -> Any:
        with lock:
            given = left.pop(0) if left else (200, choices(request["n"]))
        if isinstance(given, type):
            raise given
        return given

    return answer


def test_waits_grow_to_a_bound_and_the_tries_end(server: Server, sampling: Make, clock: VirtualClock) -> None:
    server.answer = lambda request: (503, refusal("overloaded"), {})
    with pytest.raises(EngineError, match=rf"answered 503: .*overloaded.* \(tried {RETRIES + 1} times\)$"):
        drawn(OpenAIEngine(asked(server), 0), sampling())
    assert clock.waits == [0.5, 1, 2, 4, 8, 16]
    assert backoff(30) == 30
    assert len(server.requests) == RETRIES + 1


def test_jitter_lengthens_and_never_shortens() -> None:
    waits = [Clock().jittered(8) for _ in range(200)]
    assert all(8 <= wait <= 8 * (1 + JITTER) for wait in waits)
    assert max(waits) - min(waits) > 1


def test_a_wait_that_is_asked_for_is_waited(server: Server, sampling: Make, clock: VirtualClock) -> None:
    server.answer = in_turn(
        (429, refusal("slow"), {"Retry-After": "7"}), (503, refusal("later"), {"retry-after-ms": "90"})
    )
    assert len(drawn(OpenAIEngine(asked(server), 0), sampling())) == 4
    assert clock.waits == [7, pytest.approx(0.09)]


def test_who_asks_for_hours_is_not_waited_for(server: Server, sampling: Make, clock: VirtualClock) -> None:
    server.answer = in_turn((429, refusal("daily limit"), {"Retry-After": "7200"}))
    with pytest.raises(EngineError, match=r"answered 429: .*daily limit.*, and asks to be left alone for 7,200 s"):
        drawn(OpenAIEngine(asked(server), 0), sampling())
    assert clock.waits == []


def test_one_that_asks_for_hours_leaves_the_work_to_the_others(
    pool: list[Server], sampling: Make, clock: VirtualClock
) -> None:
    pool[0].answer = lambda request: (429, refusal("daily limit"), {"Retry-After": "7200"})
    pool[1].answer = in_turn((503, refusal("restarting"), {}))
    assert len(drawn(OpenAIEngine(asked(*pool[:2]), 0), sampling(), 6)) == 24
    assert len(pool[0].requests) == 1
    assert clock.time < 60


def test_a_server_without_a_list_of_models_serves_the_one_that_is_named(server: Server, sampling: Make) -> None:
    server.lists_models = False
    assert len(drawn(OpenAIEngine(asked(server), 0), sampling())) == 4
    with pytest.raises(EngineError, match="serves nothing; name one of them as `model`"):
        OpenAIEngine(remote(server.url), 0)


def test_an_empty_account_is_one_line_at_once(server: Server, sampling: Make, clock: VirtualClock) -> None:
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    server.answer = lambda request: (429, body, {})
    with pytest.raises(EngineError, match=r"answered 429: .*exceeded your current quota"):
        drawn(OpenAIEngine(asked(server), 0), sampling())
    assert len(server.requests) == 1


class Limited:
    """A server with so much a window, which refuses what is more."""

    def __init__(self, clock: VirtualClock, what: str, limit: int, window: float, cost: int) -> None:
        self.clock, self.what, self.limit, self.window, self.cost = clock, what, limit, window, cost
        self.left, self.until, self.refused = limit, window, 0
        self.lock = threading.Lock()

    def __call__(self, request: dict[str, Any]) -> Any:
        with self.lock:
            if self.clock.time >= self.until:
                self.left, self.until = self.limit, self.clock.time + self.window
            is_taken = self.left >= self.cost
            self.left -= self.cost * is_taken
            self.refused += not is_taken
            headers = {
                f"x-ratelimit-limit-{self.what}": str(self.limit),
                f"x-ratelimit-remaining-{self.what}": str(self.left),
                f"x-ratelimit-reset-{self.what}": f"{self.until - self.clock.time:.3f}s",
            }
            return (200, choices(request["n"]), headers) if is_taken else (429, refusal("slow down"), headers)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize(("what", "limit", "cost"), [("requests", 3, 1), ("tokens", 110, 34)])
def test_a_server_that_tells_its_limits_never_has_to_refuse(
    server: Server, sampling: Make, clock: VirtualClock, what: str, limit: int, cost: int, concurrency: int
) -> None:
    limited = Limited(clock, what, limit, 60, cost)
    server.answer = limited
    assert len(drawn(OpenAIEngine(asked(server, concurrency=concurrency), 0), sampling(max_tokens=8), 12)) == 48
    assert limited.refused == 0
    assert 3 * 60 <= clock.time < 4 * 60


def test_a_server_that_only_refuses_is_asked_less_at_once(server: Server, sampling: Make, clock: VirtualClock) -> None:
    gate = threading.Barrier(8)
    left = [True]

    def answer(request: dict[str, Any]) -> Any:
        if left:
            if gate.wait(timeout=20) == 0:
                left.clear()
                server.most_at_once = 0
            return 429, refusal("slow"), {"Retry-After": "1"}
        return 200, choices(request["n"])

    server.answer = answer
    assert len(drawn(OpenAIEngine(asked(server, concurrency=8), 0), sampling(), 8)) == 32
    # Halved once for the eight that went out together; each answer gives a part of a place back.
    assert len(server.requests) == 16


def test_a_torn_connection_is_tried_again(server: Server, sampling: Make, clock: VirtualClock) -> None:
    server.answer = in_turn(Reset, Reset)
    assert len(drawn(OpenAIEngine(asked(server), 0), sampling())) == 4
    assert clock.waits == [0.5, 1]


def test_a_server_that_hangs_is_given_up_after_the_stated_time(
    server: Server, sampling: Make, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.inference.engines.dispatch.RETRIES", 1)
    over = threading.Event()

    def hang(request: dict[str, Any]) -> Any:
        over.wait(timeout=20)
        raise Reset

    server.answer = hang
    engine = OpenAIEngine(asked(server, timeout=0.2), 0)
    start = time.monotonic()
    with pytest.raises(EngineError, match=r"no answer from .*: a request took longer than 0\.2 s \(tried 2 times\)"):
        drawn(engine, sampling())
    assert time.monotonic() - start < 10
    over.set()


GARBAGE = {
    "no JSON": (b"<html>Bad gateway</html>", "what is no JSON: '<html>Bad gateway</html>'"),
    "half of it": (b'{"choices": [{"text": "w6', "what is no JSON"),
    "nested without end": (b"[" * 100_000, "what is no JSON"),
    "another thing": (b"[1]", "list where the API has an object"),
    "an error with 200": ({"error": {"message": "model\n crashed"}}, "with an error: .*crashed"),
    "no choices": ({"choices": None}, "without any choice"),
    "nothing in them": (choices(4, text=None, finish_reason="tool_calls"), "without any text .finish_reason tool_calls"),
    "choices of another kind": ({"choices": ["w6"]}, "without any text"),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(GARBAGE))
def test_garbage_is_no_answer(server: Server, sampling: Make, clock: VirtualClock, kind: str) -> None:
    body, said = GARBAGE[kind]
    server.answer = in_turn((200, body), (200, body))
    assert [one.text for one in drawn(OpenAIEngine(asked(server), 0), sampling())] == [" hello"] * 4
    server.answer = lambda request: (200, body)
    with pytest.raises(EngineError, match=said) as caught:
        drawn(OpenAIEngine(asked(server), 0), sampling())
    assert str(caught.value).endswith("; asked 3 times, it gave no completion of prompt 'p0'")
    assert "\n" not in str(caught.value)


def test_a_chat_without_content_is_no_answer_but_one_that_was_cut_while_it_thought_is(
    server: Server, sampling: Make, clock: VirtualClock
) -> None:
    empty = choices(4, message={"role": "assistant", "content": None})
    thought = choices(4, message={"role": "assistant", "content": None, "reasoning": "hm"}, finish_reason="length")
    server.answer = in_turn((200, empty), (200, thought))
    done = drawn(OpenAIEngine(asked(server, kind="tuned"), 0), sampling(), messages=(("user", "Say."),))
    assert [(one.text, one.thinking, one.is_answer) for one in done] == [("", "hm", False)] * 4


def test_the_good_among_the_bad_are_kept_and_the_rest_asked_for(
    server: Server, sampling: Make, clock: VirtualClock
) -> None:
    body = choices(4)
    body["choices"][1]["text"] = body["choices"][2]["text"] = None
    server.answer = in_turn((200, body))
    assert len(drawn(OpenAIEngine(asked(server), 0), sampling())) == 4
    assert [request["n"] for request in server.requests] == [4, 2]
    assert server.requests[1]["seed"] == server.requests[0]["seed"] + 2


def test_log_probs_that_are_none_do_not_spoil_a_completion(server: Server, sampling: Make, clock: VirtualClock) -> None:
    server.answer = lambda request: (
        200,
        choices(request["n"], logprobs={"token_logprobs": [None, -1.0]}, token_ids=["x"]),
    )
    assert {(one.logprobs, one.token_ids) for one in drawn(OpenAIEngine(asked(server), 0), sampling())} == {((), ())}


def test_what_a_request_took_is_told_once_whatever_came_of_it(
    server: Server, sampling: Make, clock: VirtualClock
) -> None:
    usage = {"usage": {"prompt_tokens": 7, "completion_tokens": 30, "total_tokens": 37}}
    server.answer = in_turn(
        (200, choices(4, text=None) | usage),
        (500, refusal("no"), {}),
        (200, choices(3) | usage),
        (200, choices(1) | usage),
    )
    engine = OpenAIEngine(asked(server), 0)
    used: list[Usage] = []
    engine.meter = used.append
    drawn(engine, sampling())
    assert used == [Usage("p0", 0, 7, 30), Usage("p0", 3, 7, 30), Usage("p0", 1, 7, 30)]


@pytest.fixture
def pool() -> Iterator[list[Server]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serving()) for _ in range(3)]


def kill(server: Server) -> None:
    server.shutdown()
    server.server_close()


def test_a_pool_is_balanced_by_what_is_in_flight(pool: list[Server], sampling: Make) -> None:
    together = threading.Barrier(6)

    def answer(request: dict[str, Any]) -> Any:
        together.wait(timeout=20)
        return 200, choices(request["n"])

    for one in pool:
        one.answer = answer
    assert len(drawn(OpenAIEngine(asked(*pool, concurrency=2), 0), sampling(), 12)) == 48
    assert [one.most_at_once for one in pool] == [2, 2, 2]
    assert [len(one.requests) for one in pool] == [4, 4, 4]


def test_a_dead_server_is_left_out_and_nothing_is_lost(
    pool: list[Server], sampling: Make, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    engine = OpenAIEngine(asked(*pool, concurrency=2), 0)
    first = drawn(engine, sampling(), 12)
    kill(pool[1])
    assert drawn(engine, sampling(), 12) == first
    assert f"no answer from {pool[1].url}/v1" in caplog.text
    assert f"left out of its pool for {AWAY_SECONDS:g} s" in caplog.text
    assert clock.waits == []  # the others serve meanwhile
    assert drawn(engine, sampling(), 12) == first
    assert caplog.text.count("left out") == 1


def test_a_server_that_is_back_is_asked_again_after_the_stated_time(
    pool: list[Server], sampling: Make, clock: VirtualClock
) -> None:
    engine = OpenAIEngine(asked(*pool[:2]), 0)
    pool[1].answer = lambda request: (503, refusal("restarting"))
    drawn(engine, sampling(), 4)
    asked_then = len(pool[1].requests)
    assert asked_then >= 1
    pool[1].answer = pool[0].answer
    drawn(engine, sampling(), 4)
    assert len(pool[1].requests) == asked_then
    clock.time += AWAY_SECONDS
    drawn(engine, sampling(), 1)  # both are idle, and this one was sent less
    assert len(pool[1].requests) == asked_then + 1


def test_a_dead_server_costs_no_tries_while_another_is_at_work(
    pool: list[Server], sampling: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    enough = threading.Event()

    class Hasty(VirtualClock):
        """Time passes though something is under way, as where answers take minutes."""

        async def sleep(self, seconds: float) -> None:
            self.waits.append(seconds)
            self.time += seconds
            if len(self.waits) > 5 * RETRIES:
                enough.set()
            await asyncio.sleep(0.001)

    def slowly(request: dict[str, Any]) -> Any:
        assert enough.wait(timeout=30)
        return 200, choices(request["n"])

    monkeypatch.setattr(OpenAIEngine, "clock", Hasty())
    pool[1].answer = slowly
    engine = OpenAIEngine(asked(*pool[:2]), 0)
    kill(pool[0])
    assert len(drawn(engine, sampling(), 2)) == 8
    assert len(pool[1].requests) == 2


def test_when_all_are_dead_it_is_one_line(pool: list[Server], sampling: Make, clock: VirtualClock) -> None:
    engine = OpenAIEngine(asked(*pool), 0)
    for one in pool:
        kill(one)
    with pytest.raises(
        EngineError, match=r"^no server of the pool of 3 answered a request in 9 tries; the last: no answer"
    ):
        drawn(engine, sampling())
    assert sum(clock.waits) < AWAY_SECONDS * 5


def test_all_may_be_gone_for_a_moment(pool: list[Server], sampling: Make, clock: VirtualClock) -> None:
    engine = OpenAIEngine(asked(*pool), 0)
    for one in pool:
        one.answer = in_turn((502, refusal("gone"), {}), (502, refusal("gone"), {}))
    assert len(drawn(engine, sampling())) == 4


def test_a_server_that_came_back_with_another_model_is_refused(
    pool: list[Server], sampling: Make, clock: VirtualClock
) -> None:
    engine = OpenAIEngine(asked(*pool[:2]), 0)
    drawn(engine, sampling(), 2)
    pool[0].models = [{**pool[0].models[0], "id": "another"}]
    pool[0].answer = in_turn(Reset)
    drawn(engine, sampling(), 2)
    clock.time += AWAY_SECONDS
    with pytest.raises(EngineError, match=rf"{pool[0].url}/v1 does not serve m, which each server of its pool must"):
        drawn(engine, sampling(), 2)


def test_a_server_that_was_down_at_first_joins_later(sampling: Make, clock: VirtualClock, server: Server) -> None:
    port = free_port()
    checkpoint = replace(asked(server), serving=Serving((f"http://127.0.0.1:{port}", server.url), 1, 30.0))
    engine = OpenAIEngine(checkpoint, 0)
    drawn(engine, sampling(), 2)
    with serving(port) as late:
        clock.time += AWAY_SECONDS
        drawn(engine, sampling(), 4)
        assert len(late.requests) >= 1
