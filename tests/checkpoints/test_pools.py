"""A pool of servers is one checkpoint, whichever of them answer and however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import ValidationError

from evalkit.checkpoints import servers
from evalkit.checkpoints.checkpoint import CONCURRENCY, TIMEOUT, Checkpoint, Serving
from evalkit.checkpoints.resolution import resolve
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import CheckpointError, ServerError
from evalkit.inference.manifest import NOT_IDENTITY
from tests.inference.engines.test_openai import free_port
from tests.served import Server, serving


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Server]]:
    monkeypatch.setattr(servers, "RETRIES", 0)
    with ExitStack() as stack:
        yield [stack.enter_context(serving()) for _ in range(3)]


def resolved(*urls: str, **spec: Any) -> Checkpoint:
    return resolve("a", CheckpointSpec(path=urls, kind="base", **spec))


def dead() -> str:
    return f"http://127.0.0.1:{free_port()}"


def test_its_identity_depends_neither_on_who_answers_nor_on_how_many_there_are(pool: list[Server]) -> None:
    one, two, three = (server.url for server in pool)
    for index, server in enumerate(pool):
        server.models[0] |= {"owned_by": "vllm", "root": f"/disk{index}/m"}
        server.pages = {"/version": {"version": "0.32.0"}}
    found = [resolved(one), resolved(two), resolved(one, two, three), resolved(three, one), resolved(dead(), two)]
    assert len({checkpoint.fingerprint for checkpoint in found}) == 1
    assert len({(one.source, one.model, one.served) for one in found}) == 1
    assert dict(found[0].served) == {"id": "m", "owned_by": "vllm", "version": "0.32.0"}
    assert found[2].serving.pool == (one, two, three)
    assert {"location", "serving"} <= set(NOT_IDENTITY)


def test_servers_of_different_models_are_no_pool(pool: list[Server]) -> None:
    pool[1].models[0] |= {"id": "other"}
    with pytest.raises(ServerError, match=r"not alike: .*\(id: m, other\); a pool is of servers that serve the same"):
        resolved(pool[0].url, pool[1].url)
    with pytest.raises(ServerError, match=rf"^checkpoint 'a': {pool[1].url}/v1 does not say that it serves m"):
        resolved(pool[0].url, pool[1].url, model="m")
    pool[2].models[0] |= {"max_model_len": 512}
    with pytest.raises(ServerError, match=r"max_model_len: not told, 512"):
        resolved(pool[0].url, pool[2].url)


def test_a_pool_of_which_none_answers_is_one_line(pool: list[Server]) -> None:
    with pytest.raises(
        ServerError, match=r"^checkpoint 'a': none of the 2 servers of its pool answers: no answer from"
    ):
        resolved(dead(), dead())


def test_only_servers_are_a_pool_and_each_once() -> None:
    with pytest.raises(CheckpointError, match=r"path lists 'org/model', which is no server; a pool is of URLs alone"):
        resolved("http://127.0.0.1:1", "org/model")
    with pytest.raises(ValidationError, match=r"path lists http://h:1 twice"):
        CheckpointSpec(path=("http://h:1", "http://h:1"), kind="base")
    for wrong in (5, [], [""], "", ["http://h:1", 7]):
        with pytest.raises(ValidationError, match=r"it must be text \(put it in quotes\), or a list of servers' URLs"):
            CheckpointSpec.model_validate({"path": wrong, "kind": "base"})


def test_how_it_is_asked_has_stated_defaults_and_bounds(pool: list[Server]) -> None:
    assert resolved(pool[0].url).serving == Serving((pool[0].url,), CONCURRENCY, TIMEOUT)
    asked = resolve("a", CheckpointSpec(path=pool[0].url, kind="base", concurrency=64, timeout=5))
    assert asked.serving == Serving((), 64, 5)
    assert asked.fingerprint == resolve("a", CheckpointSpec(path=pool[0].url, kind="base")).fingerprint
    for wrong in ({"concurrency": 0}, {"concurrency": 1025}, {"timeout": 0}, {"timeout": float("nan")}):
        with pytest.raises(ValidationError):
            CheckpointSpec.model_validate({"path": "http://h:1", "kind": "base", **wrong})
