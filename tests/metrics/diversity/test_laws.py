"""Laws that hold for every metric there is, or the table says which and why not.

A new metric of texts or embeddings is tested here without a line added: on hostile texts it gives a number within the
bounds that its docstring's `Range:` begins with, or NaN where its `Undefined:` allows it; the order of completions
changes nothing. Where more is known of one, tables say it: what doubling every completion does stands in DOUBLED.
"""

from __future__ import annotations

import inspect
import math
import random
import re
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evalkit.metrics.declaration import Definition
from evalkit.metrics.diversity.semantic_classes import partition
from evalkit.metrics.registry import definitions
from evalkit.records import Completion, Group, Prompt

HELD = {"words", "embeddings", "quality"}
"""What a Group made from texts can be given here."""
METRICS = {
    definition.name: definition
    for definition in definitions().values()
    if definition.kind == "metric"
    and definition.needs <= HELD
    and definition.function.__module__.startswith("evalkit.")
}
DIMENSIONS = 3
WORDS_10_000 = " ".join(f"w{number % 700}" for number in range(10_000))
HOSTILE = (
    [],
    [""],
    ["", "", ""],
    [" ", "\n\t", "\u2003"],
    ["yes"],
    ["yes", "yes", "yes"],
    ["ha ha ha ha ha ha ha ha"] * 4,
    ["\x00", "a\x00b"],
    ["\ud800 x", "\udfff", "\ud800\udfff"],
    ["\u202eשלום עולם\u202c", "مرحبا \u200fبالعالم"],
    ["e\u0301te\u0301", "été", "Z\u0351\u036b\u0343a\u0329" * 50],
    ["👩\u200d👩\u200d👧\u200d👦 👍🏽", "🏳️\u200d🌈"],
    [WORDS_10_000, WORDS_10_000[:5_000], "", "w1"],
)

Doubling = Callable[[float, Group, Group], float]
"""(value once, the group once, the group twice) -> value twice."""


def same(value: float, once: Group, twice: Group) -> float:
    return value


def half(value: float, once: Group, twice: Group) -> float:
    return value / 2


def one(value: float, once: Group, twice: Group) -> float:
    return 1.0


def of_pairs(self_pair: float, least: int = 1) -> Doubling:
    """A mean over pairs: each completion gets one more partner, its double, at `self_pair`."""

    def doubled(value: float, once: Group, twice: Group) -> float:
        k = len(once.completions)
        if k < least:
            return math.nan
        pairs = 0.0 if k == 1 else value * k * (k - 1) / 2
        return (4 * pairs + k * self_pair) / (2 * k * (2 * k - 1) / 2)

    return doubled


def of_ngram_pairs(value: float, once: Group, twice: Group) -> float:
    """Simpson's index of bigrams across completions: every pair of completions four times, each with its double once."""
    bigrams = [Counter(pairwise(words)) for words in once.words]
    lengths = [own.total() for own in bigrams]
    across = sum(one * other for one, other in combinations(lengths, 2))
    pairs = 4 * across + sum(length**2 for length in lengths)
    if not pairs:
        return math.nan
    equal = sum(count**2 for own in bigrams for count in own.values())
    return 1 - (equal + (4 * across * (1 - value) if across else 0)) / pairs


UNSTATED = None
DOUBLED: dict[str, Doubling | None] = {
    # Twice the n-grams, none new.
    "distinct_n": half,
    # The expected number grows less than twofold; between a half and the same.
    "ead_n": UNSTATED,
    # The plug-in value stays; the correction finds no singles left, and so adds less.
    "ngram_entropy": UNSTATED,
    # Every completion has its double among the references.
    "self_bleu": one,
    # Rises: every n-gram has at least one holder more.
    "self_repetition": UNSTATED,
    # May rise: a long completion that is various in itself differs from its double.
    "simpson_ngrams": of_ngram_pairs,
    "rouge_l_homogenization": of_pairs(1.0),
    # Rises within gzip's window of 32 KiB; by how much is gzip's own.
    "compression_ratio": UNSTATED,
    "length": same,
    "embedding_distance": of_pairs(0.0),
    "vendi": same,
    # All n: the number of classes, which doubles do not change.
    "distinct_k": same,
    "simpson_classes": of_pairs(0.0),
    # As ngram_entropy.
    "class_entropy": UNSTATED,
    "niches": same,
    # The mean of the same values.
    "best_of_k": same,
    # Falls: half of what a reader meets has been said.
    "utility_k": UNSTATED,
    # The best of a niche stays.
    "qd_score": same,
}
UNDEFINED: dict[str, Callable[[Group], bool]] = {
    "distinct_n": lambda group: all(len(words) < 2 for words in group.words),
    "ead_n": lambda group: all(len(words) < 2 for words in group.words),
    "ngram_entropy": lambda group: not any(group.words),
    "simpson_ngrams": lambda group: sum(len(words) >= 2 for words in group.words) < 2,
    "compression_ratio": lambda group: not any(group.texts),
}
"""When a metric is NaN, of those whose docstring does not say it in one of the PHRASES; in no other case is it."""
PHRASES: dict[str, Callable[[Group], bool]] = {
    "below two completions": lambda group: len(group.completions) < 2,
    "without completions": lambda group: not group.completions,
}
"""Of the docstring's `Undefined:`."""
BY_CLASS = {"distinct_k", "simpson_classes", "class_entropy", "niches", "utility_k", "qd_score"}
"""First-match classes depend on the order where "says the same" is not transitive, as their docstrings say."""
everywhere = pytest.mark.parametrize("name", METRICS)
quick = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def furnished(texts: list[str], seed: int = 0) -> Group:
    """Texts with random unit embeddings (equal texts have equal ones) and qualities."""
    rng = np.random.default_rng(seed)
    known = {text: (rng.normal(size=DIMENSIONS), rng.random() * 10) for text in dict.fromkeys(map(str.strip, texts))}
    rows = np.array([known[text.strip()][0] for text in texts]).reshape(len(texts), DIMENSIONS)
    if len(rows):
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    completions = tuple(Completion("p", slot, text, (), (), "stop") for slot, text in enumerate(texts))
    quality = np.array([known[text.strip()][1] for text in texts])
    return Group(Prompt("p", "?"), completions, rows.astype(np.float32), quality=quality)


def ordered(group: Group, order: list[int]) -> Group:
    assert group.embeddings is not None
    assert group.quality is not None
    completions = tuple(group.completions[place] for place in order)
    return replace(group, completions=completions, embeddings=group.embeddings[order], quality=group.quality[order])


def value_of(definition: Definition, group: Group) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return float(definition.function(group, **required(definition)))


def required(definition: Definition) -> dict[str, int]:
    """1 for every parameter without a default: a `k` that one completion is enough for."""
    return {name: 1 for name, p in definition.parameters.items() if p.default is p.empty}


def may_be_undefined(definition: Definition, group: Group) -> bool | None:
    """Whether the metric is NaN here, by table or docstring; None where neither says it in words that are known."""
    if definition.name in UNDEFINED:
        return UNDEFINED[definition.name](group)
    return next((is_nan(group) for phrase, is_nan in PHRASES.items() if phrase in definition.undefined), None)


def bounds(definition: Definition, group: Group) -> tuple[float, float]:
    """The interval that `Range:` begins with; k is the number of completions, and any other word is no bound."""
    paragraphs = (inspect.getdoc(definition.function) or "").split("\n\n")
    said = next(paragraph for paragraph in paragraphs if paragraph.startswith("Range:"))
    found = re.match(r"Range: [\[(]([^,]+), ([^\])]+)[\])]", said)
    numbers = {"inf": math.inf, "k": float(len(group.completions))}
    if found is None:
        return -math.inf, math.inf
    low, high = (numbers.get(end) for end in found.groups())
    low = float(found[1]) if low is None and re.fullmatch(r"-?[\d.]+", found[1]) else low
    high = float(found[2]) if high is None and re.fullmatch(r"-?[\d.]+", found[2]) else high
    return (-math.inf if low is None else low), (math.inf if high is None else high)


texts_of = st.lists(
    st.one_of(
        st.lists(st.sampled_from(["a", "b", "c", "sea", "."]), max_size=12).map(" ".join),
        st.text(st.characters(codec=None), max_size=12),
    ),
    max_size=7,
)


def test_the_tables_name_metrics_that_there_are() -> None:
    assert set(DOUBLED) | set(UNDEFINED) | BY_CLASS <= set(METRICS)


@everywhere
def test_it_is_known_when_each_of_evalkit_s_own_metrics_is_nan(name: str) -> None:
    assert may_be_undefined(METRICS[name], furnished([])) is True


@everywhere
@quick
@given(texts=texts_of, seed=st.integers(0, 2**16))
def test_a_number_within_its_range_or_nan_where_it_is_said_to_be(name: str, texts: list[str], seed: int) -> None:
    check_range(METRICS[name], furnished(texts, seed))


@everywhere
def test_hostile_texts_too(name: str) -> None:
    for texts in HOSTILE:
        check_range(METRICS[name], furnished(texts))


def check_range(definition: Definition, group: Group) -> None:
    value = value_of(definition, group)
    undefined = may_be_undefined(definition, group)
    assert undefined is None or math.isnan(value) == undefined
    low, high = bounds(definition, group)
    assert math.isnan(value) or low - 1e-6 <= value <= high + 1e-6


def test_the_ranges_are_read_from_the_docstrings() -> None:
    group = furnished(["a b", "c d", "e f"])
    assert bounds(METRICS["distinct_n"], group) == (0, 1)
    assert bounds(METRICS["vendi"], group) == (1, 3)
    assert bounds(METRICS["embedding_distance"], group) == (0, 2)
    assert bounds(METRICS["class_entropy"], group) == (0, math.inf)


# compression_ratio: see test_compression_order.py.
@pytest.mark.parametrize("name", [name for name in METRICS if name != "compression_ratio"])
@quick
@given(texts=texts_of, seed=st.integers(0, 2**16))
@example(texts=["a b c d e f", "b", "", "a b c d e f"], seed=1)
def test_the_order_of_completions_changes_nothing(name: str, texts: list[str], seed: int) -> None:
    group = furnished(texts, seed)
    order = list(range(len(texts)))
    random.Random(seed).shuffle(order)
    shuffled = ordered(group, order)
    if name in BY_CLASS and not same_classes(group, shuffled, order):
        return
    once, again = value_of(METRICS[name], group), value_of(METRICS[name], shuffled)
    assert again == pytest.approx(once, rel=1e-9, abs=1e-9, nan_ok=True)


def same_classes(group: Group, shuffled: Group, order: list[int]) -> bool:
    one, other = partition(group, 0.65)[order], partition(shuffled, 0.65)
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


@pytest.mark.parametrize("name", [name for name, doubled in DOUBLED.items() if doubled is not UNSTATED])
@quick
@given(texts=texts_of.filter(bool), seed=st.integers(0, 2**16))
@example(texts=["a b", "a b a b"], seed=0)
def test_doubling_every_completion_does_what_the_table_says(name: str, texts: list[str], seed: int) -> None:
    once, twice = furnished(texts, seed), furnished(texts * 2, seed)
    doubled = DOUBLED[name]
    assert doubled is not None
    wanted = doubled(value_of(METRICS[name], once), once, twice)
    assert value_of(METRICS[name], twice) == pytest.approx(wanted, rel=1e-6, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("name", ["ngram_entropy", "class_entropy"])
@quick
@given(texts=texts_of.filter(bool), seed=st.integers(0, 2**16))
def test_doubling_leaves_the_plug_in_entropy_as_it_is(name: str, texts: list[str], seed: int) -> None:
    once, twice = (METRICS[name].function(furnished(given, seed), correction="none") for given in (texts, texts * 2))
    assert twice == pytest.approx(once, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("name", "sign"),
    [("ead_n", -1), ("self_repetition", 1), ("compression_ratio", 1), ("utility_k", -1)],
)
@quick
@given(texts=texts_of.filter(lambda texts: len(texts) > 1), seed=st.integers(0, 2**16))
def test_doubling_never_reads_as_more_diverse(name: str, sign: int, texts: list[str], seed: int) -> None:
    change = value_of(METRICS[name], furnished(texts * 2, seed)) - value_of(METRICS[name], furnished(texts, seed))
    assert math.isnan(change) or sign * change >= -1e-9
