"""Arrays in the cache: long keys are those of short ones, and what is read into files is what was kept."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.plumbing import array_cache
from evalkit.plumbing.array_cache import key_of, key_of_list, recall_into, remember
from evalkit.plumbing.array_files import ArrayFile
from evalkit.plumbing.files import cache_folder

scalars = st.none() | st.integers() | st.text() | st.booleans()
names = st.text(min_size=1, max_size=8)


@given(st.dictionaries(names, scalars | st.lists(scalars)), names, st.lists(scalars | st.lists(scalars)))
def test_the_key_of_a_list_that_comes_item_by_item_is_that_of_the_list(
    parts: dict[str, Any], name: str, items: list[Any]
) -> None:
    parts.pop(name, None)
    if name != "format":
        assert key_of_list(parts, name, iter(items)) == key_of({**parts, name: items})


@pytest.mark.parametrize("rest", [(), (3,)])
def test_rows_of_a_file_are_written_in_any_order_and_read_here_and_elsewhere(rest: tuple[int, ...]) -> None:
    want = np.random.default_rng(0).random((10, *rest)).astype(np.float32)
    rows = ArrayFile(10, rest)
    for start in (6, 0, 3, 9):
        rows[start : start + 3] = want[start : start + 3]
    for found in (rows, pickle.loads(pickle.dumps(rows))):
        assert np.array_equal(found[0:10], want)
        assert np.array_equal(found[4:7], want[4:7])
        assert np.array_equal(found[5:5], want[5:5])
    assert np.array_equal(rows.mapped(), want)


@pytest.mark.parametrize("on_disk", [True, False])
def test_what_is_kept_is_read_into_arrays_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch, on_disk: bool) -> None:
    monkeypatch.setattr(array_cache, "ROWS", 4)
    want = [np.random.default_rng(0).random((10, *rest)).astype(np.float32) for rest in ((), (3,))]
    remember("readings", "there", want, pytest.fail)
    found = [ArrayFile(10, one.shape[1:]) if on_disk else np.empty_like(one) for one in want]
    assert recall_into("readings", "there", found)
    assert all(np.array_equal(one[0:10], other) for one, other in zip(found, want, strict=True))
    assert not recall_into("readings", "not there", found)


def test_a_damaged_entry_or_one_of_another_shape_counts_as_none() -> None:
    remember("readings", "damaged", [np.arange(1000.0)], pytest.fail)
    path = cache_folder("readings") / "damaged.npz"
    content = path.read_bytes()
    path.write_bytes(content[:200] + b"\0" * 200 + content[400:])
    assert not recall_into("readings", "damaged", [np.empty(1000)])
    remember("readings", "longer", [np.arange(5.0)], pytest.fail)
    assert not recall_into("readings", "longer", [np.empty(4)])
    assert not (cache_folder("readings") / "longer.npz").exists()
