"""As many requests are in flight as are stated, however many draws each asks for; what is there stays where it is."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import EngineError
from evalkit.inference.plan import make_plan
from tests.inference.test_spending import asking
from tests.served import Server, choices
from tests.served import server as server
from tests.test_reuse import run


def cut(suite: Any) -> list[int]:
    return [len(shard.prompts) for shard in make_plan(suite, "auto").shards]


def test_a_server_gets_as_many_requests_at_once_as_are_stated(server: Server, tmp_path: Path) -> None:
    together = threading.Barrier(12)

    def answer(request: dict[str, Any]) -> Any:
        together.wait(timeout=20)
        return 200, choices(request["n"])

    server.answer = answer
    assert run(asking(server.url, n=64, prompts=12, concurrency=12), tmp_path / "run")[0].sampled == 12 * 64
    assert server.most_at_once == 12


@pytest.mark.parametrize(
    ("spec", "sizes"),
    [
        ({}, [4, 4, 4, 4, 4]),
        ({"concurrency": 8}, [4, 4, 4, 4, 4]),
        ({"concurrency": 2}, [4, 4, 4, 4, 4]),
        ({"concurrency": 9}, [9, 9, 2]),
        ({"concurrency": 64}, [20]),
        ({"concurrency": 64, "batch": True}, [20]),
        ({"batch": True}, [20]),
    ],
)
def test_calls_are_cut_as_ever_where_no_more_is_in_flight_than_by_default(
    server: Server, spec: dict[str, Any], sizes: list[int]
) -> None:
    assert cut(asking(server.url, n=64, prompts=20, **spec)) == sizes


def test_a_pool_has_work_for_all_of_its_servers(server: Server) -> None:
    assert cut(asking([server.url, server.url.replace("127.0.0.1", "localhost")], n=64, prompts=20)) == [16, 4]


def test_what_was_sampled_with_fewer_requests_at_once_is_sampled_no_more(server: Server, tmp_path: Path) -> None:
    server.models = [{"id": "m", "object": "model", "created": 1, "owned_by": "library"}]
    server.pages = {"/api/tags": {"models": [{"name": "m", "digest": "9f438cb9cd581fc0"}]}}
    few, many = (asking(server.url, n=64, prompts=6, concurrency=concurrency) for concurrency in (8, 32))
    assert run(few, tmp_path / "one")[0].sampled == 6 * 64
    shards = json.loads((tmp_path / "one" / "run.json").read_text(encoding="utf-8"))["shards"]
    assert [len(shard["prompts"]) for shard in shards] == [4, 2]
    for folder in ("one", "two"):
        assert run(many, tmp_path / folder)[0].sampled == 0
    assert run(few, tmp_path / "three")[0].sampled == 0
    assert len(server.requests) == 6


def test_a_run_that_ended_goes_on_with_more_requests_at_once(server: Server, tmp_path: Path) -> None:
    server.answer = lambda request: (
        (200, choices(request["n"])) if len(server.requests) <= 5 else (400, {"error": {"message": "enough"}})
    )
    with pytest.raises(EngineError, match="enough"):
        run(asking(server.url, n=64, prompts=12, concurrency=1), tmp_path / "run")
    server.answer = lambda request: (200, choices(request["n"]))
    server.requests.clear()
    assert run(asking(server.url, n=64, prompts=12, concurrency=32), tmp_path / "run")[0].sampled == 8 * 64
    assert len(server.requests) == 8
