"""Human texts in nats a byte, by hand."""

from __future__ import annotations

import math

import pytest

from evalkit.metrics.diversity.references import reference_nll
from evalkit.records import Group, Prompt


def read(references: tuple[str, ...], logprobs: tuple[float, ...] | None) -> Group:
    return Group(Prompt("p", "?", references=references), (), reference_logprobs=logprobs)


def test_nats_are_spread_over_the_bytes_of_all_references() -> None:
    assert reference_nll(read(("café", "no"), (-6.0, -1.0))) == pytest.approx(7 / 7), "é is two bytes"


def test_it_is_undefined_where_nothing_is_read_or_cannot_be() -> None:
    assert math.isnan(reference_nll(read((), None)))
    assert math.isnan(reference_nll(read(("a",), None)))
    assert math.isnan(reference_nll(read(("a", "b"), (-1.0, -math.inf))))
