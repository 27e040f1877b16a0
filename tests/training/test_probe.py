"""The probe: evalkit's own metrics on a fixed set of prompts, and what lies between prompts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.embeddings.encoder import encode
from evalkit.metrics.registry import parse
from evalkit.records import Completion, Group, Prompt
from evalkit.training import probe
from evalkit.training.probe import METRICS, across, probe_row

PROMPTS = [Prompt("one", "Write a line."), Prompt("two", "Name a colour.")]
TEXTS = [
    ["the cat sat on the mat", "a dog ran far away", "the cat sat on the mat"],
    ["deep blue", "red", "light green"],
]


def group(rows: np.ndarray) -> Group:
    return Group(PROMPTS[0], tuple(Completion("one", i, "x", (), (), "stop") for i in range(len(rows))), rows)


@st.composite
def sets(draw: st.DrawFn) -> list[np.ndarray]:
    """Unit rows for some prompts, of unequal numbers of completions, some of them none."""
    sizes = draw(st.lists(st.integers(0, 4), max_size=5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    drawn = [generator.normal(size=(size, 6)) for size in sizes]
    return [(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in drawn]


@given(sets())
def test_across_is_the_mean_over_all_pairs_of_completions_of_different_prompts(rows: list[np.ndarray]) -> None:
    pairs = [
        np.mean([1 - float(a @ b) for a in rows[i].astype(float) for b in rows[j].astype(float)])
        for i in range(len(rows))
        for j in range(len(rows))
        if i != j and len(rows[i]) and len(rows[j])
    ]
    found = across([group(part) for part in rows])
    assert found == pytest.approx(max(0.0, float(np.mean(pairs))), abs=1e-6) if pairs else math.isnan(found)


@pytest.fixture(scope="module")
def row() -> dict[str, float]:
    return probe_row(PROMPTS, TEXTS)


def test_the_columns_are_evalkits_metrics_averaged_over_prompts(row: dict[str, float]) -> None:
    groups = [
        Group(prompt, tuple(Completion(prompt.id, i, t, (), (), "stop") for i, t in enumerate(drawn)), encode(drawn))
        for prompt, drawn in zip(PROMPTS, TEXTS, strict=True)
    ]
    for name in METRICS:
        expected = np.mean([parse(name)(group) for group in groups])
        assert row[f"probe_{name}"] == pytest.approx(float(expected), rel=1e-6)
    assert set(row) == {f"probe_{name}" for name in (*METRICS, "distinct_texts", "across")}


def test_distinct_texts_is_the_share_of_different_completions(row: dict[str, float]) -> None:
    assert row["probe_distinct_texts"] == pytest.approx((2 / 3 + 1) / 2)


def test_one_answer_a_prompt_has_no_diversity_within_but_keeps_that_across() -> None:
    row = probe_row(PROMPTS, [["the cat sat on the mat"] * 3, ["deep blue"] * 3])
    assert row["probe_embedding_distance"] == pytest.approx(0, abs=1e-6)
    assert row["probe_vendi"] == pytest.approx(1, abs=1e-6)
    assert row["probe_across"] > 0.3


def test_a_prompt_on_which_a_metric_is_undefined_is_left_out_of_its_mean() -> None:
    row = probe_row(PROMPTS, [["", ""], ["deep blue", "deep red"]])
    assert row["probe_distinct_n"] == 1.0


def test_what_is_undefined_everywhere_is_nan() -> None:
    row = probe_row(PROMPTS[:1], [["", ""]])
    assert math.isnan(row["probe_distinct_n"])
    assert math.isnan(row["probe_across"])
    assert row["probe_distinct_texts"] == 0.5


def test_texts_are_embedded_once_for_all_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(texts: list[str]) -> np.ndarray:
        asked.append(len(texts))
        return encode(texts)

    monkeypatch.setattr(probe, "encode", counted)
    probe_row(PROMPTS, TEXTS)
    assert asked == [6]
