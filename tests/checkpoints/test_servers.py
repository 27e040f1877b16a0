"""What servers tell of the model behind a URL, in the shapes that real ones answer with."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.checkpoints import servers
from evalkit.checkpoints.servers import identify
from evalkit.errors import ServerError
from tests.served import Server
from tests.served import server as server

LLAMA = {"n_vocab": 49152, "n_ctx_train": 2048, "n_params": 134515008, "size": 270898944}
OLLAMA = {"models": [{"name": "m:latest", "model": "m:latest", "digest": "9f438cb9cd581fc0"}]}


@pytest.mark.parametrize(
    ("card", "pages", "facts"),
    [
        pytest.param(
            {"owned_by": "vllm", "root": "org/m", "parent": None, "max_model_len": 512, "permission": [{"id": "p-1"}]},
            {"/version": {"version": "0.32.0"}},
            {"owned_by": "vllm", "root": "org/m", "max_model_len": "512", "version": "0.32.0"},
            id="vLLM",
        ),
        pytest.param(
            {"owned_by": "llamacpp", "meta": LLAMA},
            {"/props": {"model_path": "m.gguf", "build_info": "b7-f00", "chat_template": "t", "total_slots": 1}},
            {"owned_by": "llamacpp", "model_path": "m.gguf", "build_info": "b7-f00", "chat_template": "t"}
            | {key: str(value) for key, value in LLAMA.items()},
            id="llama.cpp",
        ),
        pytest.param(
            {"owned_by": "sglang", "root": "org/m"},
            {"/get_model_info": {"model_path": "org/m", "weight_version": "default"}},
            {"owned_by": "sglang", "root": "org/m", "model_path": "org/m", "weight_version": "default"},
            id="SGLang",
        ),
        pytest.param(
            {"owned_by": "org/m"},
            {"/info": {"model_id": "org/m", "model_sha": "be0b1", "model_dtype": "float16", "router": "x"}},
            {"owned_by": "org/m", "model_id": "org/m", "model_sha": "be0b1", "model_dtype": "float16"},
            id="text-generation-inference",
        ),
        pytest.param({"owned_by": "someone"}, {}, {"owned_by": "someone"}, id="one that tells nothing"),
    ],
)
def test_what_stays_while_the_model_stays_is_taken_down(
    server: Server, card: dict[str, Any], pages: dict[str, Any], facts: dict[str, str]
) -> None:
    server.models, server.pages = [{"id": "m", "object": "model", "created": 1, **card}], pages
    found = identify(f"{server.url}/v1")
    assert found.model == "m"
    assert found.facts == facts | {"id": "m"}
    assert not found.names_weights


def test_the_time_of_the_request_is_no_fact(server: Server) -> None:
    before = identify(f"{server.url}/v1")
    server.models[0] |= {"created": 1795838394}
    assert identify(f"{server.url}/v1") == before


def test_a_digest_names_the_weights(server: Server) -> None:
    server.models = [{"id": "m:latest", "object": "model", "created": 1, "owned_by": "library"}]
    server.pages = {"/api/tags": OLLAMA}
    found = identify(f"{server.url}/v1")
    assert found.facts["digest"] == "9f438cb9cd581fc0"
    assert found.names_weights


def test_a_long_template_stands_as_its_hash(server: Server) -> None:
    server.models[0] |= {"owned_by": "llamacpp"}
    server.pages = {"/props": {"chat_template": "x" * 1000}}
    assert identify(f"{server.url}/v1").facts["chat_template"].startswith("sha256 ")


def test_a_model_that_must_be_named_is_one_line(server: Server) -> None:
    server.models = [{**server.models[0], "id": name} for name in ("m", "other")]
    assert identify(f"{server.url}/v1", "other").facts["id"] == "other"
    with pytest.raises(ServerError, match="serves m, other; name one of them"):
        identify(f"{server.url}/v1")


def test_a_server_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "RETRIES", 0)
    with pytest.raises(ServerError, match=r"^no answer from http://127\.0\.0\.1:9/v1 after 1 tries: "):
        identify("http://127.0.0.1:9/v1")
