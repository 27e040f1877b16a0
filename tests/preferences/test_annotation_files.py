from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import RecordsError
from evalkit.preferences.annotation import SWAPPED, Annotation, Comparison, votes
from evalkit.preferences.annotation_files import read_annotation_rows, write_annotation_rows
from evalkit.preferences.pairs import Pair
from evalkit.preferences.read_annotations import read_annotations
from evalkit.records import Message, Prompt

CHOICES = st.sampled_from(list(SWAPPED))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
PROMPTS = st.one_of(
    st.builds(Prompt, TEXTS, TEXTS),
    st.just(Prompt("talk", "Hello", messages=(Message("user", "Hi"), Message("assistant", "?"), Message("user", "!")))),
)
COMPARISONS = st.builds(
    Comparison,
    st.builds(Pair, PROMPTS, TEXTS, TEXTS),
    arms=st.one_of(st.none(), st.tuples(TEXTS, TEXTS)),
    sample_indices=st.one_of(st.none(), st.tuples(st.integers(0), st.integers(0))),
    probability=st.floats(0, 1, exclude_min=True),
    gold=st.one_of(st.none(), CHOICES),
)
ANNOTATIONS = st.builds(
    Annotation,
    COMPARISONS,
    rater=TEXTS,
    group=TEXTS,
    choice=CHOICES,
    first=st.sampled_from(["a", "b"]),
    seconds=st.floats(0, 1e6),
    at=st.just("2026-01-02T03:04:05Z"),
    strength=st.sampled_from([None, 1, 2, 3]),
    reason=st.text(st.characters(exclude_categories=["Cs"])),
    is_repeat=st.booleans(),
    is_excluded=st.booleans(),
)


@given(st.lists(ANNOTATIONS, min_size=1, max_size=4))
def test_what_is_written_is_read_again(annotations: list[Annotation]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.jsonl"
        write_annotation_rows(path, annotations)
        assert read_annotation_rows(path) == annotations


@given(st.lists(ANNOTATIONS, max_size=6))
def test_neither_checks_nor_repeats_nor_the_excluded_are_votes(annotations: list[Annotation]) -> None:
    for vote in votes(annotations):
        assert vote.target in (0, 0.5, 1)
        assert vote.comparison.gold is None
        assert (vote.is_repeat, vote.is_excluded) == (False, False)


def test_a_wrong_choice_names_its_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "annotations.jsonl"
    row = '{"prompt_id": "p", "prompt": "?", "a": "1", "b": "2", "choice": "left", "rater": "r", "group": "g", "order": "ab", "seconds": 1}'
    path.write_text(row + "\n")
    with pytest.raises(RecordsError, match=r"annotations\.jsonl:1: choice: .*'a', 'b', 'tie', 'both_bad' or 'skip'"):
        read_annotation_rows(path)


def test_an_answer_that_lies_in_two_files_counts_once(tmp_path: Path) -> None:
    pair = Pair(Prompt("p", "Go?"), "yes", "no")
    first = Annotation(Comparison(pair), "ann", "g", "a", "a", 1.0, "2026-01-02T03:04:05Z")
    again = replace(first, first="b", is_repeat=True, at="2026-01-02T03:05:05Z")
    others = [replace(first, rater="ben"), replace(first, group="h"), again]
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    write_annotation_rows(one, [first, *others])
    write_annotation_rows(two, [again, first])
    told: list[str] = []
    assert read_annotations([one, two], told.append) == [first, *others]
    assert told == ["2 answers given more than once, in these files: counted once"]
