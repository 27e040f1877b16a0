"""Pairs are sampled in order, without equal texts, and never twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from evalkit.errors import InputError
from evalkit.inference.workers import calls
from evalkit.plumbing.progress import Quiet
from evalkit.preferences.pairs import Pair
from evalkit.records import Completion, Rendered, Sampling
from evalkit.training.raters.config import PrefsSampleConfig
from evalkit.training.raters.sampling import sample_pairs
from tests.preferences.pairs import Notes


class Scripted:
    """An engine that says the same few texts in turn."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.seeds: list[int] = []

    @contextmanager
    def open(self, *_: object, **__: object) -> Iterator[Scripted]:
        yield self

    def sample(self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, _: object) -> list[Completion]:
        self.seeds.append(seed)
        assert (sampling.n, sampling.temperature, sampling.max_tokens, sampling.stop) == (6, 0.5, 9, ("\nPrompt:",))
        return [
            Completion(prompt.prompt_id, slot, self.texts[slot % len(self.texts)], (), (), "stop")
            for prompt in prompts
            for slot in range(sampling.n)
        ]


def sample_config(**changes: Any) -> PrefsSampleConfig:
    stated = {
        "name": "x",
        "policy": {"path": "lab:base", "kind": "base"},
        "pairs": 3,
        "sampling": {"temperature": 0.5, "max_tokens": 9},
        "prompts": [{"id": "p", "text": "Say."}, {"id": "q", "text": "What is 3 + 4?", "answer": "7"}],
    }
    return PrefsSampleConfig.model_validate(stated | changes)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    def write(*texts: str) -> Scripted:
        engine = Scripted(texts)
        monkeypatch.setattr(calls, "open_engine", engine.open)
        return engine

    return write


def test_completions_are_stripped_and_paired_in_order(script: Callable[..., Scripted]) -> None:
    script(" one\n", "two", "three", "four", "five", "six")
    asked = sample_config()
    assert sample_pairs(asked, "transformers", Quiet()) == [
        Pair(prompt, *texts)
        for prompt in asked.prompts
        for texts in [("one", "two"), ("three", "four"), ("five", "six")]
    ]


def test_pairs_of_equal_texts_are_dropped_and_counted(script: Callable[..., Scripted]) -> None:
    script("same", " same ", "one")
    notes = Notes()
    found = sample_pairs(sample_config(), "transformers", notes)
    assert [(pair.prompt_id, pair.a, pair.b) for pair in found] == [
        (prompt, *pair) for prompt in "pq" for pair in [("one", "same"), ("same", "one")]
    ]
    assert notes.notes == ["2 of 6 pairs were of equal texts, and dropped"]


def test_a_checkpoint_that_always_says_the_same_is_refused(script: Callable[..., Scripted]) -> None:
    script("same")
    with pytest.raises(InputError, match="all 6 pairs are of equal texts: this checkpoint always says the same"):
        sample_pairs(sample_config(), "transformers", Quiet())


def test_what_was_sampled_is_not_sampled_again(script: Callable[..., Scripted]) -> None:
    engine = script("one", "two")
    first = sample_pairs(sample_config(), "transformers", Quiet())
    assert sample_pairs(sample_config(), "transformers", Quiet()) == first
    assert len(engine.seeds) == 1
    sample_pairs(sample_config(seed=1), "transformers", Quiet())
    assert len(set(engine.seeds)) == 2
