from __future__ import annotations

import socket

import pytest

from evalkit.preferences.annotate.desk import Refused
from evalkit.preferences.annotate.guard import Guard, is_loopback, key_for


@pytest.mark.parametrize(
    ("listens", "host", "is_let_in"),
    [
        ("127.0.0.1", "127.0.0.1:8765", True),
        ("127.0.0.1", "localhost:9000", True),  # through a tunnel
        ("::1", "[::1]:8765", True),
        ("127.0.0.1", "LOCALHOST", True),
        ("127.0.0.1", "192.168.1.5:8765", False),
        ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "127.0.0.1:8765@evil.example", False),
        ("127.0.0.1", "localhost/evil", False),
        ("127.0.0.1", "localhost:port", False),
        ("127.0.0.1", "[", False),
        ("127.0.0.1", "", False),
        ("0.0.0.0", "192.168.1.5:8765", True),
        ("0.0.0.0", "[fe80::1]:8765", True),
        ("0.0.0.0", f"{socket.gethostname()}:8765", True),
        ("0.0.0.0", "evil.example:8765", False),
        ("rating.lab.example", "rating.lab.example:8765", True),
        ("rating.lab.example", "evil.example:8765", False),
    ],
)
def test_a_host_is_ours_or_it_is_refused(listens: str, host: str, is_let_in: bool) -> None:
    guard = Guard(listens)
    if is_let_in:
        guard.check_origin({"host": host, "origin": f"http://{host.lower()}"})
    else:
        with pytest.raises(Refused):
            guard.check_origin({"host": host})


@pytest.mark.parametrize("origin", ["http://localhost:1", "https://evil.example", "null", "", "file://localhost:8765"])
def test_an_origin_that_is_not_the_page_s_own_is_refused(origin: str) -> None:
    with pytest.raises(Refused):
        Guard("127.0.0.1").check_origin({"host": "localhost:8765", "origin": origin})


def test_a_key_is_of_one_name_and_one_token() -> None:
    keys = {key_for(token, name) for token in ("a" * 16, "b" * 16) for name in ("ann", "Ann", "ann ")}
    assert len(keys) == 6
    assert all(len(key) == 32 for key in keys)


def test_loopback_is_told_from_other_interfaces() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.0.1", "evil.localhost.example")] == [False] * 4
