"""What a prompt asks is known by its contents; of two suites the prompts that are the same are common, and no others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.records import Prompt
from evalkit.runs.asked import Common, common_to, hashes_of, unlike

PROMPT = Prompt("a", "How?", answer="So.", references=("Thus.",), choices={"x": 0.5, "y": 0.5}, checks=("one_line",))
ASKED = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("123"))


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Why?"},
        {"answer": "No."},
        {"match": "regex"},
        {"references": ()},
        {"choices": {"x": 0.6, "y": 0.4}},
        {"checks": ()},
    ],
)
def test_other_contents_are_another_question(change: dict[str, Any]) -> None:
    assert hashes_of([replace(PROMPT, **change)]) != hashes_of([PROMPT])


@pytest.mark.parametrize("change", [{"id": "b"}, {"tags": ("new",)}, {"cluster": "c"}])
def test_names_tags_and_clusters_are_no_part_of_the_question(change: dict[str, Any]) -> None:
    assert hashes_of([replace(PROMPT, **change)]) == hashes_of([PROMPT])


@given(here=ASKED, there=ASKED)
def test_every_prompt_is_common_changed_or_of_one_side(here: dict[str, str], there: dict[str, str]) -> None:
    found = common_to(here, there)
    assert sorted((*found.prompts, *found.changed, *found.only_here)) == sorted(here)
    assert sorted((*found.prompts, *found.changed, *found.only_there)) == sorted(there)
    assert all(here[prompt] == there[prompt] for prompt in found.prompts)
    assert found.is_all == (here == there)
    largest = max(len(here), len(there))
    assert found.share == (len(found.prompts) / largest if largest else 0)


@pytest.mark.parametrize(
    ("common", "added", "dropped", "enough"),
    [(60, 1, 0, True), (60, 15, 0, True), (60, 16, 0, False), (48, 0, 12, True), (47, 0, 13, False)],
)
def test_a_pass_needs_four_fifths_of_either_sides_prompts(common: int, added: int, dropped: int, enough: bool) -> None:
    shared = tuple(f"p{i}" for i in range(common))
    found = Common(shared, (), tuple(f"a{i}" for i in range(added)), tuple(f"d{i}" for i in range(dropped)))
    assert found.is_enough == enough


def test_what_differs_is_named_by_a_few_and_counted() -> None:
    found = common_to(dict.fromkeys("abcdef", "1"), {"a": "1", "b": "2", "z": "1"})
    assert unlike(found, "new", "old") == (
        "4 only in new (c, d, e, ...); 1 only in old (z); "
        "1 with the same id but another text, answer, references, choices, checks or valid answers (b)"
    )
    assert unlike(common_to({"a": "1"}, {"a": "1"}), "new", "old") == ""
