from __future__ import annotations

import pytest

from evalkit.plumbing.did_you_mean import did_you_mean, nearest

KNOWN = ["rouge_l_homogenization", "rouge", "temperature", "tags"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("temprature", "temperature"),
        ("tag", "tags"),
        ("temp", "temperature"),
        ("ROU", "rouge"),
        ("te", None),
        ("voices", None),
        ("", None),
    ],
    ids=[
        "a slip",
        "one letter short",
        "its start",
        "the shortest that begins so",
        "too short a start",
        "unlike all",
        "none",
    ],
)
def test_the_name_that_was_meant_is_found(name: str, meant: str | None) -> None:
    assert nearest(name, KNOWN) == meant


def test_a_hint_stands_behind_the_wrong_name_or_is_empty() -> None:
    assert did_you_mean("tgas", iter(KNOWN)) == " (did you mean 'tags'?)"
    assert did_you_mean("voices", KNOWN) == ""
