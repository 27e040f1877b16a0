"""The running server: what it takes, and what it refuses, then with nothing written."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from evalkit.preferences.annotate.server import REASON
from tests.preferences.annotate.served import TOKEN, Rater, Served, comparisons, rows, served


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all tests, each of which is another rater."""
    with served(tmp_path_factory.mktemp("open"), comparisons(100), asks_reason=True) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("guarded"), comparisons(4), token=TOKEN, raters=["ann", "ben"]) as server:
        yield server


@pytest.fixture
def ann(open_server: Served, request: pytest.FixtureRequest) -> Rater:
    """A rater of this test alone, with a pair before them."""
    rater = open_server.rater(f"ann {abs(hash(request.node.name))}")
    rater.enter()
    return rater


def refused(reply: httpx.Response, status: int) -> None:
    """A refusal says why in a line, and the headers that protect the page are on it too."""
    assert reply.status_code == status, reply.text
    assert reply.json()["error"]
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_an_answer_is_in_the_file_when_the_reply_comes(open_server: Served, ann: Rater) -> None:
    shown = ann.view["pair"]
    ann.answer("second", reason=" it rhymes ")
    [told] = [one for one in open_server.answers if one.rater == ann.name]
    assert told.comparison.pair.prompt.text == shown["turns"][0]["text"]
    assert getattr(told.comparison.pair, told.choice) == shown["second"]
    assert getattr(told.comparison.pair, told.first) == shown["first"]
    assert (told.group, told.reason) == ("readers", "it rhymes")
    assert ann.view["pair"]["seat"] != shown["seat"]


def test_the_page_does_not_learn_whose_completions_it_shows(tmp_path: Path) -> None:
    from dataclasses import replace

    pairs = [replace(one, arms=("tuned-arm", "base-arm"), sample_indices=(3, 4)) for one in comparisons(2)]
    with served(tmp_path, pairs, repeats=1.0) as server:
        reply = server.rater("ann").post("enter")
    assert "good" in reply.text
    assert not any(word in reply.text for word in ("arm", "sample", "gold", "repeat", "probability"))


def test_the_page_and_its_files_are_served_under_a_policy_that_runs_only_our_script(open_server: Served) -> None:
    for path, kind in {"/": "text/html", "/annotate.css": "text/css", "/annotate.js": "text/javascript"}.items():
        reply = open_server.client.get(path)
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith(kind)
        assert reply.headers["x-content-type-options"] == "nosniff"
        policy = reply.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
    page = open_server.client.get("/").text
    assert "onclick" not in page
    assert "style=" not in page
    assert "<script>" not in page


def test_a_rater_s_key_is_good_for_their_name_alone(guarded: Served) -> None:
    before = rows(guarded.path)
    key = guarded.rater("ann").key
    for name, wrong in [("ann", None), ("ann", "0" * 32), ("ann", TOKEN), ("ben", key), ("ann", "ü")]:
        headers = {"Authorization": f"Bearer {wrong}".encode()} if wrong else {}
        refused(guarded.client.post("/api/enter", json={"rater": name}, headers=headers), 401)
    assert rows(guarded.path) == before
    assert guarded.rater("ann").enter()["pair"]


def test_who_is_not_named_may_not_answer(guarded: Served) -> None:
    before = rows(guarded.path)
    refused(guarded.rater("eve").post("enter"), 403)
    assert rows(guarded.path) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_another_site_s_page_is_refused(open_server: Served, headers: dict[str, str]) -> None:
    before = rows(open_server.path)
    refused(open_server.client.post("/api/enter", json={"rater": "ann"}, headers=headers), 403)
    assert rows(open_server.path) == before


def test_the_page_s_own_origin_is_let_in(open_server: Served) -> None:
    headers = {"Origin": open_server.url, "Sec-Fetch-Site": "same-origin"}
    assert open_server.client.post("/api/enter", json={"rater": "ann"}, headers=headers).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_of_another_site_could_send_is_refused(open_server: Served, kind: str) -> None:
    before = rows(open_server.path)
    reply = open_server.client.post("/api/enter", content=b'{"rater": "ann"}', headers={"Content-Type": kind})
    refused(reply, 415)
    assert rows(open_server.path) == before


def test_no_other_site_is_allowed_to_ask(open_server: Served) -> None:
    reply = open_server.client.options(
        "/api/enter", headers={"Origin": open_server.url, "Access-Control-Request-Method": "POST"}
    )
    assert reply.status_code == 405
    assert not any(name.startswith("access-control") for name in reply.headers)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "localhost@evil.example", "", "10.0.0.1"]
)
def test_a_name_that_another_site_turned_into_our_address_is_refused(open_server: Served, host: str) -> None:
    before = rows(open_server.path)
    for reply in (
        open_server.client.get("/", headers={"Host": host}),
        open_server.client.post("/api/enter", json={"rater": "ann"}, headers={"Host": host}),
    ):
        refused(reply, 421)
    assert rows(open_server.path) == before


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/annotate.js/../../server.py", "/..%2fserver.py",
        "/annotate.js%00.html", "/answers.sqlite", "/server.py", "/annotate.css/", "/\\..\\..\\x", "/api", "/api/enter/",
    ],
)  # fmt: skip
def test_no_path_leads_to_another_file(open_server: Served, path: str) -> None:
    """Sent as it stands: a client of HTTP would make it a decent one first."""
    place = (open_server.client.base_url.host, open_server.client.base_url.port)
    with socket.create_connection(place, timeout=30) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        told = b"".join(iter(lambda: line.recv(65536), b""))
    assert told.split(b" ", 2)[1] in (b"404", b"400")
    assert b"root:" not in told
    assert b"import" not in told


@pytest.mark.parametrize("is_told", [True, False])
def test_a_body_that_is_too_large_is_refused(open_server: Served, is_told: bool) -> None:
    before = rows(open_server.path)
    body = b'{"rater": "' + b"x" * 200_000 + b'"}'
    content = body if is_told else iter([body[:1000], body[1000:]])  # the second comes in pieces, without its length
    headers = {"Content-Type": "application/json"}
    refused(open_server.client.post("/api/enter", content=content, headers=headers), 413)
    assert rows(open_server.path) == before


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"seat": 10**6}, 404),
        ({"seat": 10**30}, 422),
        ({"seat": -1}, 422),
        ({"opening": 2}, 409),
        ({"choice": "a"}, 422),
        ({"choice": None}, 422),
        ({"strength": 2}, 422),
        ({"strength": 4}, 422),
        ({"reason": "x" * (REASON + 1)}, 422),
        ({"seconds": -1}, 422),
        ({"seconds": "soon"}, 422),
        ({"excluded": False}, 422),
    ],
    ids=str,
)
def test_an_answer_that_is_none_is_refused(
    open_server: Served, ann: Rater, changes: dict[str, Any], status: int
) -> None:
    before = rows(open_server.path)
    refused(ann.post("answer", **(ann.body("first") | changes)), status)
    assert rows(open_server.path) == before


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'{"rater": ""}', b'{"rater": "a\\u0000b"}', b"\xff", b"[" * 9000]
)
def test_a_body_that_is_no_call_is_refused(open_server: Served, body: bytes) -> None:
    before = rows(open_server.path)
    refused(open_server.client.post("/api/enter", content=body, headers={"Content-Type": "application/json"}), 422)
    assert rows(open_server.path) == before


def test_another_rater_s_pair_cannot_be_answered(open_server: Served, ann: Rater) -> None:
    ben = open_server.rater("ben")
    ben.enter()
    before = rows(open_server.path)
    refused(ben.post("answer", **ann.body("first")), 404)
    refused(ben.post("sign", seat=ann.view["pair"]["seat"]), 404)
    assert rows(open_server.path) == before


def test_the_same_answer_after_a_lost_reply_is_the_same_and_another_one_is_refused(
    open_server: Served, ann: Rater
) -> None:
    said = ann.body("first")
    first = ann.post("answer", **said).json()
    before = rows(open_server.path)
    assert ann.post("answer", **(said | {"seconds": 9.0})).json()["pair"] == first["pair"]
    refused(ann.post("answer", **(said | {"choice": "second"})), 409)
    refused(ann.post("answer", **(said | {"reason": "another"})), 409)
    assert rows(open_server.path)["answers"] == before["answers"]


def test_an_undo_whose_reply_was_lost_is_done_once(open_server: Served, ann: Rater) -> None:
    ann.answer()
    ann.answer()
    last = ann.view["undo"]
    shown = ann.post("undo", **last).json()
    assert ann.post("undo", **last).json()["pair"] == shown["pair"]
    assert [one.rater for one in open_server.answers].count(ann.name) == 1


def test_twenty_raters_who_answer_at_once_lose_nothing(tmp_path: Path) -> None:
    confirmed: list[tuple[str, int, str]] = []
    with served(tmp_path, comparisons(50), overlap=3) as server:

        def work(number: int) -> None:
            with httpx.Client(base_url=server.url, timeout=60) as client:
                rater = Rater(client, f"rater {number}")
                rater.enter()
                while (pair := rater.view["pair"]) is not None:
                    choice = ("first", "second", "tie")[(number + pair["seat"]) % 3]
                    rater.answer(choice)
                    confirmed.append((rater.name, pair["seat"], choice))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answers, file = server.answers, rows(server.path)
    seats = {row[0]: row for row in file["seats"]}
    names = {row[0]: row[2] for row in file["raters"]}
    stored = {(names[seats[answer[1]][2]], answer[1]) for answer in file["answers"]}
    assert len(confirmed) == len(answers) == 150
    assert {(name, seat) for name, seat, _ in confirmed} == stored
    by_pair = Counter(one.comparison.id for one in answers)
    assert set(by_pair.values()) == {3}
    assert len({(one.comparison.id, one.rater) for one in answers}) == 150
