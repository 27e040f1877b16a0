"""What a metric says it is without each completion is what it is on the others, whatever the texts."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalkit.errors import MetricError
from evalkit.metrics.declaration import metric
from evalkit.metrics.estimators.entropy_sums import unseen_tail
from evalkit.metrics.registry import Measure, definitions, parse
from evalkit.plumbing.arrays import Array
from evalkit.records import Group
from tests.metrics.diversity.groups import embedded, group_of
from tests.metrics.diversity.test_lexical import HOSTILE

TEXTS = st.lists(
    st.one_of(
        st.lists(st.sampled_from(["a", "b", "c", "sea"]), max_size=12).map(" ".join),
        st.lists(st.integers(0, 40).map("w{}".format), max_size=6).map(" ".join),
    ),
    min_size=1,
    max_size=12,
)
DECLARED = [name for name, definition in definitions().items() if definition.without_each is not None]
"""Every metric that has a way; a new one is held to it here without a line added."""
OF_WORDS = [
    *(name for name in DECLARED if "embeddings" not in definitions()[name].needs),
    "distinct_n|n:1", "distinct_n|n:3", "ead_n|n:1|vocabulary:5", "ngram_entropy|n:2", "ngram_entropy|correction:none",
    "ngram_entropy|n:2|correction:miller-madow", "self_bleu|n:1", "self_bleu|n:2|smooth:none", "simpson_ngrams|n:1",
]  # fmt: skip
OF_MEANING = [name for name in DECLARED if "embeddings" in definitions()[name].needs]


def one_by_one(measure: Measure, group: Group) -> Array:
    k = len(group.completions)
    return np.array([measure(group.only([place for place in range(k) if place != out])) for out in range(k)])


@pytest.mark.parametrize("name", OF_WORDS)
@given(texts=TEXTS)
@example(texts=["a a b", "a a a a b", "a b", "a a a c"])
@example(texts=["one", "two"])
def test_words_without_each_text_are_counted_as_if_it_were_not_there(name: str, texts: list[str]) -> None:
    measure, group = parse(name), group_of(texts)
    np.testing.assert_allclose(measure.without_each(group), one_by_one(measure, group), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", OF_WORDS)
@pytest.mark.parametrize("texts", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_left_out_as_others_are(name: str, texts: list[str]) -> None:
    measure, group = parse(name), group_of(texts)
    np.testing.assert_allclose(measure.without_each(group), one_by_one(measure, group), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", OF_MEANING)
@given(
    rows=st.integers(1, 9).flatmap(lambda k: st.lists(st.integers(0, 3), min_size=k, max_size=k)),
    seed=st.integers(0, 99),
)
def test_meaning_without_each_text_is_measured_as_if_it_were_not_there(name: str, rows: list[int], seed: int) -> None:
    directions = np.random.default_rng(seed).normal(size=(4, 6))
    measure, group = parse(name), embedded(directions[rows])
    np.testing.assert_allclose(measure.without_each(group), one_by_one(measure, group), rtol=0, atol=1e-10)


@pytest.mark.parametrize("total", [1, 2, 30, 1_000, 500_000])
@pytest.mark.parametrize("times", [1e-3, 0.3, 5, 49, 51, 1e4])
def test_the_tail_is_the_integral_that_it_sums_to(total: int, times: float) -> None:
    a = min(1.0, times / total)
    with mpmath.workdps(30):
        keeps = 1 - mpmath.mpf(a)

        def integrand(u: mpmath.mpf) -> mpmath.mpf:
            return keeps * mpmath.exp(-u) / (total * (1 - keeps * mpmath.exp(-u / total)))

        known = float(mpmath.quad(integrand, [0, times / 10, times, 1 + times, 10 + 2 * times, 200 + 3 * times]))
    assert unseen_tail(np.array([a]), np.array([float(total)]))[0] == pytest.approx(known, rel=1e-12)


def test_a_way_with_other_parameters_is_refused() -> None:
    with pytest.raises(MetricError, match=r"without_each of parameters none; it must have those of the metric: n$"):

        @metric(name="odd", unit="", better="neither", side="neither", needs=(), version="1.0", cites="",
                without_each=lambda group: group)  # fmt: skip
        def odd(group: Group, *, n: int = 1) -> float:
            return n


def test_a_way_that_gives_too_few_numbers_is_refused() -> None:
    @metric(name="short", unit="", better="neither", side="neither", needs=(), version="1.0", cites="",
            without_each=lambda group: np.zeros(1))  # fmt: skip
    def short(group: Group) -> float:
        return 0.0

    from evalkit.metrics.declaration import declared_here

    definition = declared_here.pop("short")
    with pytest.raises(MetricError, match=r"metric short: its without_each gave \(1,\) numbers for 3 completions"):
        Measure(definition, ()).without_each(group_of(["a", "b", "c"]))
