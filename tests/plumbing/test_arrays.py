"""Numbers that may be missing, as JSON can hold them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.plumbing.arrays import defined_in_all, finite_fields, finite_or_none, nan_for_none


@given(st.floats())
def test_every_float_is_itself_or_none_and_can_be_written_as_json(value: float) -> None:
    written = json.loads(json.dumps(finite_or_none(value), allow_nan=False))
    assert written == value if math.isfinite(value) else written is None


@pytest.mark.parametrize("value", [np.float64(0.5), np.float32(0.5), np.int64(3), 3])
def test_numbers_of_numpy_become_plain_floats(value: float) -> None:
    assert type(finite_or_none(value)) is float


def test_fields_that_are_no_floats_stay_as_they_are() -> None:
    fields = {"arm": "tuned", "value": math.nan, "low": -math.inf, "high": np.float64(0.25), "prompts": 3, "why": None}
    assert finite_fields(fields) == {
        "arm": "tuned",
        "value": None,
        "low": None,
        "high": 0.25,
        "prompts": 3,
        "why": None,
    }
    assert type(finite_fields(fields)["prompts"]) is int


def test_missing_numbers_go_to_nan_and_back() -> None:
    values = [1.5, None, -2.0]
    assert [finite_or_none(value) for value in nan_for_none(values)] == values
    assert nan_for_none(iter(())).shape == (0,)


def test_a_column_where_one_row_is_undefined_is_undefined_in_all_and_the_rows_given_stay_as_they_are() -> None:
    rows = [np.array([1.0, np.nan, 3.0]), np.array([np.nan, 5.0, 6.0])]
    np.testing.assert_array_equal(defined_in_all(rows), [[np.nan, np.nan, 3.0], [np.nan, np.nan, 6.0]])
    assert rows[0][0] == 1.0
