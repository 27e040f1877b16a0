"""N-grams as integers: equal codes for equal n-grams, and never too large to be sorted with their text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.estimators import ngrams as module
from evalkit.metrics.estimators.ngrams import all_orders

WORDS = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=9), min_size=1, max_size=6)


def spelled(words: Sequence[Sequence[str]], n: int) -> list[tuple[tuple[str, ...], int]]:
    return [
        (tuple(text[start : start + n]), owner)
        for owner, text in enumerate(words)
        for start in range(len(text) - n + 1)
    ]


@given(WORDS)
@pytest.mark.parametrize("largest", [1, 100, 2**62], ids=["always numbered anew", "sometimes", "never"])
def test_codes_are_equal_exactly_when_n_grams_are(largest: int, words: list[list[str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LARGEST", largest)
        for n, (codes, owners) in zip(range(1, 5), all_orders(words), strict=False):
            grams = spelled(words, n)
            assert owners.tolist() == [owner for _, owner in grams]
            pairs = set(zip(codes.tolist(), (gram for gram, _ in grams), strict=True))
            assert len(pairs) == len({code for code, _ in pairs}) == len({gram for _, gram in pairs})


def test_a_code_and_its_text_fit_into_one_integer(monkeypatch: pytest.MonkeyPatch) -> None:
    # As 1.5 million words in one of 6 million texts are to 2^62, so are 60 words in one of 6 texts to 20 000: bigrams
    # are 60 x 60 numbers at first, and times 6 that is too many, though only 59 occur.
    monkeypatch.setattr(module, "_LARGEST", 20_000)
    words = [[f"w{number}" for number in range(60)], *[[]] * 5]
    for codes, _ in islice(all_orders(words), 4):
        assert codes.max() * len(words) + len(words) <= 20_000
