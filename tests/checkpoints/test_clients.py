"""Servers whose answers have no end, that send elsewhere or repeat keys, and environments that allow no client."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from evalkit.checkpoints import clients, servers
from evalkit.checkpoints.clients import answers_of, api_key, one_line
from evalkit.checkpoints.folder import is_url
from evalkit.checkpoints.servers import identify, url_fault
from evalkit.errors import CheckpointError, ServerError
from tests.served import Handler, Server
from tests.served import server as server

KEY = "sk-nobody-may-read-this"
SMALL = 2**16
MODELS = json.dumps({"data": [{"id": "m", "object": "model"}]}).encode()


@pytest.fixture(autouse=True)
def no_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "RETRIES", 0)
    monkeypatch.setenv("EVALKIT_API_KEY", KEY)


def shows(server: Server, page: Callable[[Any], None]) -> str:
    """The server's URL, when each page of it is written so."""
    server.RequestHandlerClass = type("Page", (Handler,), {"do_GET": page})
    return f"{server.url}/v1"


def sends(server: Server, status: int, body: bytes, headers: dict[str, str] | None = None) -> str:
    return shows(server, lambda page: page._send(status, body, headers or {}))


def told(url: str) -> str:
    with pytest.raises(ServerError) as caught:
        identify(url)
    assert KEY not in str(caught.value)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("status", [200, 404, 500])
def test_an_answer_that_goes_on_for_ever_is_broken_off(server: Server, status: int) -> None:
    sent = 0

    def endless(page: Any) -> None:
        nonlocal sent
        page.send_response(status)
        page.end_headers()
        try:
            while sent < 100 * SMALL:
                sent += page.wfile.write(b"x" * SMALL)
        except OSError:
            pass  # nobody reads it any more

    with answers_of((SMALL - clients.PAGE_BYTES) / clients.TOKEN_BYTES):
        assert "sent more than 0 MB, which no answer to this is" in told(shows(server, endless))
    assert sent < 100 * SMALL


def test_an_answer_that_drips_is_broken_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "READ_SECONDS", 0.3)

    def drips(page: Any) -> None:
        page.send_response(200)
        page.end_headers()
        until = time.monotonic() + 5
        try:
            while time.monotonic() < until:
                page.wfile.write(b" ")
                time.sleep(0.02)
        except OSError:
            pass

    begun = time.monotonic()
    assert told(shows(server, drips)).endswith("sent an answer without an end")
    assert time.monotonic() - begun < 3


def test_what_is_unpacked_counts_and_not_what_came_over_the_line(server: Server) -> None:
    bomb = gzip.compress(bytes(64 * SMALL))
    assert len(bomb) < SMALL
    url = sends(server, 200, bomb, {"Content-Encoding": "gzip"})
    with answers_of((SMALL - clients.PAGE_BYTES) / clients.TOKEN_BYTES):
        assert "sent more than 0 MB" in told(url)


def test_a_packed_answer_is_read_as_any_other(server: Server) -> None:
    """Of many pieces, some of which are held back by the unpacking until the end."""
    cards = [
        {"id": "m", "object": "model", "owned_by": "someone", "noise": f"{place:x}" * 40} for place in range(20000)
    ]
    body = json.dumps({"data": cards}).encode()
    assert len(body) > 2 * clients.UNPACKED_BYTES
    assert identify(sends(server, 200, gzip.compress(body), {"Content-Encoding": "gzip"})).model == "m"


@pytest.mark.parametrize(
    ("encoding", "says"),
    [("gzip", "sent what is no gzip"), ("br", "packed its answer as 'br', which it was not asked")],
)
def test_a_body_that_cannot_be_unpacked_is_one_line(server: Server, encoding: str, says: str) -> None:
    assert says in told(sends(server, 200, MODELS, {"Content-Encoding": encoding}))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_says_where_to(server: Server, status: int) -> None:
    url = sends(server, status, b"", {"Location": "https://elsewhere.example/v1/models"})
    assert told(url) == (
        f"{url} answered {status}: it sends to https://elsewhere.example/v1/models; name the URL that is meant"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"<html>\x1b[2J Please log in</html>",
        b'"models"',
        b'{"data": null}',
        b"{}",
        b'{"data": {"a": 1}}',
        b"[" * 100_000,
        b"\xff\xfe\xff",
        b"",
    ],
)
def test_what_is_no_list_of_models_is_one_line(server: Server, body: bytes) -> None:
    assert "answered what is no list of models: " in told(sends(server, 200, body))


@pytest.mark.parametrize("card", [1, None, "m", {}, {"id": None}, {"id": ["m"]}, {"id": "m\x1b[2J"}, {"id": "m\ud800"}])
def test_a_model_without_a_name_is_none(server: Server, card: Any) -> None:
    url = sends(server, 200, json.dumps({"data": [card]}).encode())
    assert told(url) == f"{url} serves nothing; name one of them as `model`"
    both = sends(server, 200, json.dumps({"data": [card, {"id": "good"}]}).encode())
    assert identify(both).model == "good"


def test_a_list_alone_is_one_too(server: Server) -> None:
    assert identify(sends(server, 200, b'[{"id": "m"}]')).model == "m"


def test_a_server_that_repeats_the_key_does_not_bring_it_into_run_or_error(server: Server) -> None:
    assert "wrong key [EVALKIT_API_KEY]" in told(
        sends(server, 401, json.dumps({"error": {"message": f"wrong key {KEY}\x1b[2J"}}).encode())
    )
    found = identify(sends(server, 200, json.dumps({"data": [{"id": "m", "owned_by": f"who has {KEY}"}]}).encode()))
    assert found.facts["owned_by"] == "who has [EVALKIT_API_KEY]"


@pytest.mark.parametrize("key", [f"{KEY}\r\nmore", f"{KEY} more", f"{KEY}é", f"{KEY}\x00"])
def test_a_key_that_no_header_can_hold_is_said_without_its_letters(
    server: Server, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(clients.os, "environ", {"EVALKIT_API_KEY": key})
    assert told(f"{server.url}/v1") == (
        "EVALKIT_API_KEY holds a space, a line break or a sign outside ASCII, which no key has; set it again"
    )


def test_white_space_around_a_key_is_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_API_KEY", f" {KEY}\r\n")
    assert api_key() == KEY
    monkeypatch.setenv("EVALKIT_API_KEY", " \n")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert api_key() == "none"


def test_an_environment_that_allows_no_client_is_one_line(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    assert "cannot be asked: " in (line := told(f"{server.url}/v1"))
    assert line.endswith("look at the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE)")


def test_what_a_server_says_moves_no_cursor_and_stays_short() -> None:
    assert one_line("a\x1b[2J\nb\u202ec\x07" + "d" * 999) == ("a [2J b c " + "d" * 999)[:300]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://name:secret@host/v1", "holds a name or a password"),
        ("http://host/v1?api_key=secret", "has something after its path"),
        ("http://host/v1#secret", "has something after its path"),
        ("http://host/v1/chat/completions", "leave out /chat/completions"),
        ("http://host/v1/completions/", "leave out /completions"),
        ("http://a..b/v1", "is not the URL of a server"),
        (f"http://{'a' * 64}.com/v1", "is not the URL of a server"),
        ("http://host/\x1b[2J", "is not the URL of a server"),
        ("http://host/v1\ud800", "is not the URL of a server"),
        ("http://[::1/v1", "is not the URL of a server"),
    ],
)
def test_a_url_that_cannot_be_asked_is_refused_before_it_is(url: str, says: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        is_url(url)
    assert says in str(caught.value)
    assert "secret@" not in str(caught.value)
    assert "=secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://[::1]:8000/v1", "http://[::1]", "http://host./v1/", "https://hôte.example"])
def test_urls_of_servers_are_such(url: str) -> None:
    assert url_fault(url) == ""
