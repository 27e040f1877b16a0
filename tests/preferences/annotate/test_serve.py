from __future__ import annotations

import pytest

from evalkit.errors import InputError
from evalkit.preferences.annotate.guard import key_for
from evalkit.preferences.annotate.serve import bound, check_access, links

SECRET = "0123456789abcdef"


def test_a_network_is_served_only_with_a_secret_and_a_link_a_rater() -> None:
    check_access("127.0.0.1", None, [])
    check_access("0.0.0.0", SECRET, ["ann"])
    for host, token, raters, why in [
        ("0.0.0.0", None, ["ann"], "takes a secret"),
        ("192.168.0.7", None, [], "takes a secret"),
        ("0.0.0.0", SECRET, [], "name each with --rater"),
        ("127.0.0.1", SECRET, [], "name each with --rater"),
        ("127.0.0.1", "short", ["ann"], "has 5 characters"),
        ("127.0.0.1", None, ["ann", "x" * 61], "a name has 1 to 60 characters"),
        ("127.0.0.1", None, ["ann\nben"], "no control characters"),
    ]:
        with pytest.raises(InputError, match=why):
            check_access(host, token, raters)


def test_each_rater_has_a_link_whose_key_no_log_holds() -> None:
    made = links("10.0.0.7", 80, SECRET, ["ann", "Ben & Co#1"])
    assert made["ann"] == f"http://10.0.0.7:80/#rater=ann&key={key_for(SECRET, 'ann')}"
    assert made["Ben & Co#1"].startswith("http://10.0.0.7:80/#rater=Ben%20%26%20Co%231&key=")
    assert links("::1", 80, None, []) == {"": "http://[::1]:80/"}
    assert links("127.0.0.1", 80, None, ["ann"]) == {"ann": "http://127.0.0.1:80/#rater=ann"}


def test_a_port_that_is_taken_is_named() -> None:
    with bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"127.0.0.1:{port} cannot be listened on.*choose another with --port"):
            bound("127.0.0.1", port)


def test_an_interface_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"192\.0\.2\.1"):
        bound("192.0.2.1", 0)
