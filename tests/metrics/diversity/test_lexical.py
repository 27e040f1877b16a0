"""Lexical metrics against hand-made values, nltk, scipy and published ones, on ordinary and on hostile texts."""

from __future__ import annotations

import gzip
import io
import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from scipy import stats

from evalkit.errors import MetricError
from evalkit.metrics.diversity.lexical import (
    compression_ratio,
    distinct_n,
    ead_n,
    length,
    ngram_entropy,
    self_bleu,
    self_repetition,
    simpson_ngrams,
)
from evalkit.records import Group
from tests.metrics.diversity.groups import group_of

TEXTS = st.lists(
    st.one_of(st.lists(st.sampled_from(["a", "b", "c", "sea"]), max_size=12).map(" ".join), st.text(max_size=20)),
    min_size=1,
    max_size=8,
)
WORDS_LONG = " ".join(f"w{number % 700}" for number in range(10_000))
HOSTILE = {
    "all empty": ["", "", ""],
    "white space": [" ", "\n\t", "\u2003"],
    "one empty": ["", "a b c d e"],
    "one token": ["yes", "no", "yes"],
    "identical": ["the sea is blue today"] * 5,
    "repeated": ["ha ha ha ha ha ha"] * 2 + ["ha"],
    "NUL": ["\x00", "a\x00b"],
    "lone surrogates": ["\ud800 x", "\udfff"],
    "many scripts": ["日本語のテキスト", "Ελληνικά κείμενα", "🙂 🙂 🙃", "עברית"],
    "right to left": ["\u202eשלום עולם\u202c", "שלום עולם", "مرحبا \u200fبالعالم"],
    "combining": ["e\u0301te\u0301", "été", "Z\u0351\u036b\u0343a\u0329" * 50],
    "joined emoji": ["👩\u200d👩\u200d👧\u200d👦 👍🏽", "👩\u200d👩\u200d👧", "🏳️\u200d🌈"],
    "10 000 tokens": [WORDS_LONG, WORDS_LONG[:5000], "w1 w2"],
}
METRICS: list[Callable[[Group], float]] = [
    distinct_n,
    ead_n,
    ngram_entropy,
    self_bleu,
    self_repetition,
    simpson_ngrams,
    compression_ratio,
    length,
]
STORMS = [
    "the old man told nobody about the storm at sea",
    "the old man told nobody about the boat",
    "nobody told the old man about the storm at sea",
    "a red boat went out",
]
"""Texts whose tokens are their words between spaces, so that peers with other tokenizers count the same."""


def nltk_self_bleu(group: Group, n: int) -> float:
    """Mean of nltk's sentence_bleu, with the weights on the orders that a text has."""
    total = 0.0
    for index, hypothesis in enumerate(group.words):
        others = [list(text) for place, text in enumerate(group.words) if place != index]
        orders = min(n, len(hypothesis))
        if orders == 0:
            total += float([] in others)
            continue
        smooth = SmoothingFunction().method1
        total += sentence_bleu(others, list(hypothesis), weights=(1 / orders,) * orders, smoothing_function=smooth)
    return total / len(group.words)


def n_grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


def test_distinct_n_of_two_sentences_that_share_a_bigram() -> None:
    # 3 + 2 bigrams: (the cat) twice, (cat sat), (sat down), (cat ran) -> 4 of 5. Unigrams: 5 of 7.
    group = group_of(["the cat sat down", "the cat ran"])
    assert distinct_n(group) == pytest.approx(4 / 5)
    assert distinct_n(group, n=1) == pytest.approx(5 / 7)


def test_n_grams_never_cross_from_one_text_into_the_next() -> None:
    # The only bigrams are (a b) and (b a); a crossing would add (b b) or (a a).
    assert distinct_n(group_of(["a b", "b a"])) == 1
    assert ngram_entropy(group_of(["a b", "a b", "a b"]), n=2, correction="none") == 0


def test_identical_completions_read_as_the_less_diverse_the_more_there_are() -> None:
    for k in (2, 5, 30):
        group = group_of(["one two three four five"] * k)
        assert distinct_n(group) == pytest.approx(1 / k)
        assert self_bleu(group) == pytest.approx(1)


def test_ead_hardly_differs_from_distinct_at_the_published_vocabulary() -> None:
    rng = np.random.default_rng(0)
    group = group_of([" ".join(f"w{i}" for i in rng.integers(0, 300, 51)) for _ in range(16)])
    assert ead_n(group) / distinct_n(group) == pytest.approx(1.008, abs=2e-4)


def test_ead_is_one_on_average_for_uniform_draws_of_its_vocabulary() -> None:
    rng = np.random.default_rng(1)
    draws = [
        ead_n(group_of([" ".join(f"w{i}" for i in rng.integers(0, 50, 80))]), n=1, vocabulary=50) for _ in range(300)
    ]
    assert np.mean(draws) == pytest.approx(1, abs=0.01)


def test_ngram_entropy_without_correction_is_scipy_s() -> None:
    group = group_of(["a a a b", "b c", "d"])
    assert ngram_entropy(group, correction="none") == pytest.approx(stats.entropy([3, 2, 1, 1]), abs=1e-12)
    # Miller-Madow adds (4 kinds - 1) / (2 x 7 words).
    wanted = stats.entropy([3, 2, 1, 1]) + 3 / 14
    assert ngram_entropy(group, correction="miller-madow") == pytest.approx(wanted, abs=1e-12)


def chao_wang_jost(counts: list[int]) -> float:
    """Their estimator, term by term as published, in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        n, f1, f2 = sum(counts), counts.count(1), counts.count(2)
        total = sum((Decimal(c) / n * sum(1 / Decimal(r) for r in range(c, n)) for c in counts), Decimal(0))
        if not f1:
            return float(total)
        a = Decimal(2 * f2) / ((n - 1) * f1 + 2 * f2) if f2 else Decimal(2) / ((n - 1) * (f1 - 1) + 2)
        if a != 1:
            missing = -a.ln() - sum((1 - a) ** r / r for r in range(1, n))
            total += Decimal(f1) / n * (1 - a) ** (1 - n) * missing
        return float(total)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=40))
@example([1])
@example([1, 1, 1, 1])
@example([1] + [2] * 60)
@example([7, 5])
@example([1, 300])
def test_ngram_entropy_is_chao_wang_and_jost_s(counts: list[int]) -> None:
    group = group_of([" ".join([f"w{kind}"] * count) for kind, count in enumerate(counts)])
    assert ngram_entropy(group) == pytest.approx(chao_wang_jost(counts), abs=1e-9)


def test_the_correction_of_entropy_removes_most_of_the_bias() -> None:
    distribution = 1 / np.arange(1, 41)
    distribution /= distribution.sum()
    rng = np.random.default_rng(2)
    groups = [group_of([" ".join(f"w{i}" for i in rng.choice(40, 120, p=distribution))]) for _ in range(400)]
    bias = {
        name: np.mean([ngram_entropy(group, correction=name) for group in groups]) - stats.entropy(distribution)
        for name in ("none", "miller-madow", "chao-wang-jost")
    }
    assert bias["none"] < -0.15
    assert abs(bias["miller-madow"]) < 0.5 * abs(bias["none"])
    assert abs(bias["chao-wang-jost"]) < 0.15 * abs(bias["none"])


@pytest.mark.parametrize(
    ("n", "values"),
    [(2, (0.258199, 0.361551, 0.370810)), (3, (0.078090, 0.201406, 0.214153))],
)
def test_self_bleu_gives_the_values_in_the_readme_of_fast_bleu(n: int, values: tuple[float, ...]) -> None:
    group = group_of(
        [
            "It is a guide to action that ensures that the military will forever heed Party commands",
            "It is the guiding principle which guarantees the military forces always being under the command of the Party",
            "It is the practical guide for the army always to heed the directions of the party",
        ]
    )
    assert self_bleu(group, n=n) == pytest.approx(sum(values) / 3, abs=1e-6)


@settings(max_examples=300)
@given(TEXTS.filter(lambda texts: len(texts) > 1), st.integers(1, 5))
def test_self_bleu_is_the_mean_of_nltk_s_sentence_bleu(texts: list[str], n: int) -> None:
    group = group_of(texts)
    assert self_bleu(group, n=n) == pytest.approx(nltk_self_bleu(group, n), abs=1e-12)


def test_self_bleu_is_nltk_s_on_texts_of_many_lengths_and_words() -> None:
    rng = np.random.default_rng(3)
    distribution = 1 / np.arange(1, 501)
    group = group_of(
        [
            " ".join(f"w{i}" for i in rng.choice(500, rng.integers(1, 60), p=distribution / distribution.sum()))
            for _ in range(60)
        ]
    )
    assert self_bleu(group) == pytest.approx(nltk_self_bleu(group, 4), abs=1e-12)


def test_self_bleu_without_smoothing_is_zero_where_an_order_has_no_match() -> None:
    group = group_of(["a b c d e", "a b c x y"])  # trigram a b c is shared, no 4-gram is
    assert self_bleu(group, smooth="none") == 0
    assert self_bleu(group, n=3, smooth="none") == pytest.approx((3 / 5 * 2 / 4 * 1 / 3) ** (1 / 3))


def test_self_bleu_codes_stay_exact_when_they_outgrow_an_integer() -> None:
    # 3 000 words to the power of 8 times 40 texts is beyond 2^63, so that codes are renumbered on the way.
    rng = np.random.default_rng(4)
    base = [f"w{i}" for i in range(3000)]
    texts = [" ".join([*base[start : start + 75], *rng.choice(base, 10)]) for start in range(0, 3000, 75)]
    group = group_of([*texts, texts[0]])
    assert self_bleu(group, n=8) == pytest.approx(nltk_self_bleu(group, 8), abs=1e-12)


def test_compression_ratio_is_bytes_over_gzip_bytes() -> None:
    joined = b"the sea\nthe sea\nthe land"
    group = group_of(["the sea", "the sea", "the land"])
    assert compression_ratio(group) == len(joined) / len(gzip.compress(joined, 9, mtime=0))
    assert compression_ratio(group_of(["the sea is blue and wide"] * 100)) > 20


def test_compression_ratio_is_of_one_gzip_where_a_peer_compresses_twice() -> None:
    # `diversity` 0.3.1 on the same texts joined by spaces: 52.39 and 245.088, the gzip of a gzip.
    # The inner gzip holds the second it was made in, which moves the peer's first number between
    # 52.39 and 52.034 from one run to the next: one second that gives the number noted is held.
    noted_at = 1_790_000_000
    for texts, once, twice in (
        (STORMS * 50, 58.389, 52.39),
        (["the sea is blue and wide"] * 1000, 208.325, 245.088),
    ):
        joined = " ".join(texts).encode()
        assert len(joined) / len(gzip.compress(joined)) == pytest.approx(once, abs=1e-3)
        file = io.BytesIO()
        with gzip.GzipFile("compressed.gz", "w", fileobj=file) as second:
            second.write(gzip.compress(joined, mtime=noted_at))
        assert len(joined) / len(file.getvalue()) == pytest.approx(twice, abs=5e-4)
        # Newlines in place of spaces move ours by little.
        assert compression_ratio(group_of(texts)) == pytest.approx(once, rel=0.06)


def test_the_order_of_completions_moves_compression_by_little() -> None:
    rng = np.random.default_rng(6)
    distribution = 1 / np.arange(1, 501)
    texts = [" ".join(f"w{i}" for i in rng.choice(500, 12, p=distribution / distribution.sum())) for _ in range(32)]
    assert len("\n".join(texts)) > 1024
    values = [compression_ratio(group_of([texts[i] for i in rng.permutation(32)])) for _ in range(200)]
    assert max(values) / min(values) < 1.05


def test_n_grams_of_a_peer_cross_texts_and_orders_are_added_up() -> None:
    # `diversity` 0.3.1, ngram_diversity_score(STORMS, 4): 2.559, on the texts run together.
    together = sum(distinct_n(group_of([" ".join(STORMS)]), n=n) for n in (1, 2, 3, 4))
    assert together == pytest.approx(2.559, abs=5e-4)
    assert sum(distinct_n(group_of(STORMS), n=n) for n in (1, 2, 3, 4)) == pytest.approx(2.3647, abs=5e-5)


@pytest.mark.parametrize(("n", "value"), [(4, 1.1634900875393808), (2, 1.7925298858624072)])
def test_self_repetition_is_the_peer_s(n: int, value: float) -> None:
    # `diversity` 0.3.1, self_repetition_score(STORMS, n).
    assert self_repetition(group_of(STORMS), n=n) == pytest.approx(value, abs=1e-12)


@given(TEXTS.filter(lambda texts: len(texts) > 1), st.integers(1, 4))
def test_self_repetition_counts_the_other_completions_that_hold_an_n_gram(texts: list[str], n: int) -> None:
    group = group_of(texts)
    held = [set(n_grams(words, n)) for words in group.words]
    sums = [sum(gram in other for gram in own for other in held) - len(own) for own in held]
    assert self_repetition(group, n=n) == pytest.approx(np.mean(np.log1p(sums)), abs=1e-12)


@given(TEXTS, st.integers(1, 3))
def test_simpson_ngrams_is_the_share_of_pairs_across_completions_that_differ(texts: list[str], n: int) -> None:
    group = group_of(texts)
    grams = [n_grams(words, n) for words in group.words]
    pairs = [
        one != other
        for place, own in enumerate(grams)
        for others in grams[place + 1 :]
        for one in own
        for other in others
    ]
    wanted = np.mean(pairs) if pairs else math.nan
    assert simpson_ngrams(group, n=n) == pytest.approx(wanted, abs=1e-12, nan_ok=True)


def test_simpson_ngrams_does_not_move_with_k_where_distinct_n_does() -> None:
    distribution = 1 / np.arange(1, 31)
    distribution /= distribution.sum()
    rng = np.random.default_rng(7)
    means = {}
    for k in (4, 32):
        groups = [
            group_of([" ".join(f"w{i}" for i in rng.choice(30, 10, p=distribution)) for _ in range(k)])
            for _ in range(200)
        ]
        means[k] = [np.mean([metric(group, n=1) for group in groups]) for metric in (simpson_ngrams, distinct_n)]
    assert means[4][0] == pytest.approx(1 - distribution @ distribution, abs=0.01)
    assert means[32][0] == pytest.approx(1 - distribution @ distribution, abs=0.005)
    assert means[32][1] < 0.5 * means[4][1]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_self_bleu_is_fast_bleu_s(n: int) -> None:
    """On texts of n words or more: its smoothing gives shorter ones another value, as nltk's does."""
    fast_bleu = pytest.importorskip("fast_bleu", reason="the extra `bench` adds it; it needs a C++ compiler")
    rng = np.random.default_rng(8)
    distribution = 1 / np.arange(1, 301)
    texts = [
        [f"w{i}" for i in rng.choice(300, rng.integers(8, 40), p=distribution / distribution.sum())] for _ in range(80)
    ]
    theirs = fast_bleu.SelfBLEU(texts, {n: (1 / n,) * n}).get_score()[n]
    # Its weights are single precision: 1/2 and 1/4 are exact there, 1/3 is not.
    tolerance = 1e-7 if n == 3 else 1e-9
    assert self_bleu(group_of([" ".join(text) for text in texts]), n=n) == pytest.approx(np.mean(theirs), abs=tolerance)


def test_length_counts_words_and_signs() -> None:
    assert length(group_of(["Yes, sir.", "no", ""])) == pytest.approx((4 + 1 + 0) / 3)


@pytest.mark.parametrize("texts", [["", ""], ["", " ", "\n"]], ids=["empty", "white space"])
def test_metrics_of_nothing_but_empty_completions_are_undefined_or_say_identical(texts: list[str]) -> None:
    group = group_of(texts)
    for metric in (distinct_n, ead_n, ngram_entropy, simpson_ngrams, compression_ratio):
        assert math.isnan(metric(group))
    assert self_bleu(group) == 1
    assert self_repetition(group) == 0
    assert length(group) == 0


def test_one_completion_has_no_self_bleu() -> None:
    for metric in (self_bleu, self_repetition, simpson_ngrams):
        assert math.isnan(metric(group_of(["a b c d"])))
    assert distinct_n(group_of(["a b a b"])) == pytest.approx(2 / 3)


def test_without_completions_everything_is_undefined() -> None:
    assert all(math.isnan(metric(group_of([]))) for metric in METRICS)


def test_identical_one_word_answers_are_not_diverse() -> None:
    group = group_of(["yes"] * 4)
    assert self_bleu(group) == 1
    assert math.isnan(distinct_n(group))  # no bigram: undefined, not diverse
    assert distinct_n(group, n=1) == 0.25


def test_an_empty_completion_among_others_matches_nothing() -> None:
    assert self_bleu(group_of(["", "a b c d e", "a b c d e"])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("texts", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_texts_give_a_number_in_range_or_nan(texts: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = {metric.__name__: metric(group_of(texts)) for metric in METRICS}
    for name, value in values.items():
        assert math.isnan(value) or (math.isfinite(value) and value >= 0), name
    for name in ("distinct_n", "self_bleu"):
        assert not values[name] > 1 + 1e-12


@given(TEXTS, st.randoms())
def test_the_order_of_completions_changes_nothing(texts: list[str], random: object) -> None:
    shuffled = list(texts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for metric in (distinct_n, ead_n, ngram_entropy, self_bleu, length):
        assert metric(group_of(shuffled)) == pytest.approx(metric(group_of(texts)), abs=1e-12, nan_ok=True)


@given(TEXTS)
def test_doubling_every_completion_changes_what_it_should(texts: list[str]) -> None:
    once, twice = group_of(texts), group_of(texts * 2)
    assert distinct_n(twice) == pytest.approx(distinct_n(once) / 2, nan_ok=True)
    plain = ngram_entropy(once, correction="none")
    assert ngram_entropy(twice, correction="none") == pytest.approx(plain, abs=1e-12, nan_ok=True)
    assert self_bleu(twice) == pytest.approx(1)
    assert length(twice) == pytest.approx(length(once))


@given(TEXTS, st.integers(1, 4))
def test_distinct_and_entropy_are_those_of_counting_by_hand(texts: list[str], n: int) -> None:
    group = group_of(texts)
    counts = Counter(words[i : i + n] for words in group.words for i in range(len(words) - n + 1))
    if counts:
        assert distinct_n(group, n=n) == pytest.approx(len(counts) / counts.total())
        entropy = stats.entropy(list(counts.values()))
        assert ngram_entropy(group, n=n, correction="none") == pytest.approx(entropy, abs=1e-12)
    else:
        assert math.isnan(distinct_n(group, n=n))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda group: distinct_n(group, n=0), "n is 0"),
        (lambda group: self_bleu(group, n=0), "n is 0"),
        (lambda group: self_bleu(group, smooth="method9"), "smooth is 'method9'.*method1"),
        (lambda group: ngram_entropy(group, correction="guess"), "correction is 'guess'.*miller-madow"),
        (lambda group: ead_n(group, vocabulary=1), "vocabulary is 1"),
    ],
)
def test_a_bad_parameter_is_named(call: Callable[[Group], float], words: str) -> None:
    with pytest.raises(MetricError, match=words):
        call(group_of(["a b", "c d"]))


def test_120_prompts_of_32_completions_take_about_a_second() -> None:
    rng = np.random.default_rng(5)
    distribution = 1 / np.arange(1, 2001)
    distribution /= distribution.sum()
    groups = [
        group_of([" ".join(f"w{i}" for i in rng.choice(2000, 15, p=distribution)) + "." for _ in range(32)])
        for _ in range(120)
    ]
    began = time.process_time()
    for group in groups:
        for metric in METRICS:
            metric(group)
    assert time.process_time() - began < 2  # about 0.4 s alone on a core
