"""Diversity counted on words: no model, exact, and blind to meaning.

All of these depend on how many completions there are and how long they are: compare them at equal k, and
beside `length`. N-grams never cross from one completion into the next. A metric is NaN where there is nothing to count;
identical completions never read as diverse.
"""

from __future__ import annotations

import gzip
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import MetricError
from evalkit.measure import metric
from evalkit.records import Group

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NAN = float("nan")
_EPSILON = {"method1": 0.1, "none": 0.0}
"""Matches that an order without any is given; method1 of Chen & Cherry 2014 with nltk's epsilon."""
_CANCELS = 8.0
"""There e^8 rounding errors still leave 1e-12."""
_LARGEST = 2**62
"""Codes times texts stay below it, so that a code and its text fit into one int64 to be sorted."""


@metric(name="distinct_n", unit="share", better="higher", needs={"words"}, version="1.0", cites="Li et al. 2016")
def distinct_n(group: Group, *, n: int = 2) -> float:
    """Share of distinct n-grams among all n-grams of the k completions together.

    In (0, 1]; 1 when no n-gram occurs twice. Falls with k and with length whatever the law, so it is comparable only
    at equal k and similar length. Completions shorter than n words add nothing; NaN when all are.
    """
    counts = _counts(group.words, n)
    return len(counts) / int(counts.sum()) if len(counts) else NAN


@metric(name="ead_n", unit="share", better="higher", needs={"words"}, version="1.0", cites="Liu et al. 2022")
def ead_n(group: Group, *, n: int = 2, vocabulary: int = 50257) -> float:
    """Expectation-adjusted distinct: distinct n-grams over the number expected from uniform draws of a vocabulary.

    U / (V (1 - (1 - 1/V)^C)) with U distinct and C all n-grams, V = `vocabulary`. V = 50257 (GPT-2's, whatever
    the tokenizer) is what published numbers use. There it hardly adjusts: for one prompt's completions it is
    distinct_n times about 1 + C/2V (1.008 at C = 800), so it does NOT make lengths comparable. A smaller V
    adjusts more. Exceeds 1 once distinct n-grams outnumber V. NaN as in distinct_n.
    """
    if vocabulary < 2:
        raise MetricError(f"metric ead_n: vocabulary is {vocabulary}; it must be 2 or more")
    counts = _counts(group.words, n)
    if not len(counts):
        return NAN
    expected = -vocabulary * math.expm1(int(counts.sum()) * math.log1p(-1 / vocabulary))
    return len(counts) / expected


@metric(name="ngram_entropy", unit="nats", better="higher", needs={"words"}, version="1.0", cites="Chao et al. 2013")
def ngram_entropy(group: Group, *, n: int = 1, correction: str = "chao-wang-jost") -> float:
    """Shannon entropy of the law that n-grams are drawn from, estimated from the counts pooled over the k completions.

    At least 0, which means that one n-gram is all there is. The plug-in value is biased downward: for 480 words of a
    Zipf law over 2 000 by 0.91 nats, 0.67 after Miller-Madow and 0.20 after Chao, Wang & Jost's correction for
    n-grams not seen. `correction` is "chao-wang-jost", "miller-madow" or "none" (scipy's value). Some bias is left,
    more for n > 1, and words of one text hang together: compare at equal k. NaN without any n-gram.
    """
    if correction not in _ENTROPIES:
        raise MetricError(
            f"metric ngram_entropy: correction is {correction!r}; it must be one of {', '.join(_ENTROPIES)}"
        )
    counts = _counts(group.words, n)
    return max(0.0, _ENTROPIES[correction](counts)) if len(counts) else NAN


@metric(name="self_bleu", unit="BLEU", better="lower", needs={"words"}, version="1.0", cites="Zhu et al. 2018")
def self_bleu(group: Group, *, n: int = 4, smooth: str = "method1") -> float:
    """Mean BLEU-n of each completion with all the others as references: how well the others foretell it.

    In [0, 1]; 1 for identical completions. Rises with k on i.i.d. texts (more references match more): compare at
    equal k only. Orders weigh equally, the reference length is the closest; `smooth` is "method1" (Chen & Cherry
    2014, epsilon 0.1) or "none". Equal to nltk's `sentence_bleu`, but a text shorter than n words is scored on the
    orders it has, where nltk gives identical one-word answers 0.18. An empty completion scores 1 beside another
    empty one, else 0. NaN below two completions, where others report 0, "most diverse".
    Costs one sort an order, not k^2 comparisons.
    """
    if smooth not in _EPSILON:
        raise MetricError(f"metric self_bleu: smooth is {smooth!r}; it must be one of {', '.join(_EPSILON)}")
    if len(group.words) < 2:
        return NAN
    lengths = np.array([len(text) for text in group.words], dtype=np.int64)
    logs, orders, matched = np.zeros(len(lengths)), np.zeros(len(lengths)), np.zeros(len(lengths), dtype=bool)
    for order, (codes, owners) in enumerate(_ngrams(group.words, n), start=1):
        matches = _clipped_matches(codes, owners, len(lengths))
        if order == 1:
            matched = matches > 0
        possible = lengths >= order
        shares = np.where(matches > 0, matches, _EPSILON[smooth]) / np.maximum(lengths - order + 1, 1)
        with np.errstate(divide="ignore"):
            logs += np.where(possible, np.log(shares), 0.0)
        orders += possible
    closest = _closest_lengths(lengths)
    penalty = np.minimum(0.0, 1 - closest / np.maximum(lengths, 1))
    bleu = np.where(matched, np.exp(penalty + logs / np.maximum(orders, 1)), 0.0)
    return float(np.where(lengths == 0, closest == 0, bleu).mean())


@metric(name="compression_ratio", unit="ratio", better="lower", needs=(), version="1.0", cites="Shaib et al. 2024")
def compression_ratio(group: Group) -> float:
    """Bytes of the completions over bytes of their gzip: redundancy within and between them.

    UTF-8, joined by newlines in slot order, gzip level 9 with mtime 0. Above 0; rises with redundancy, with k and with
    length, and below a few hundred bytes gzip's 20 bytes of frame pull it down. Sees repetition only within 32 KiB.
    The order of completions matters a little. NaN when all are empty.
    """
    if not any(group.texts):
        return NAN
    joined = "\n".join(group.texts).encode("utf-8", "surrogatepass")
    return len(joined) / len(gzip.compress(joined, compresslevel=9, mtime=0))


@metric(name="length", unit="words", better="neither", needs={"words"}, version="1.0", cites="")
def length(group: Group) -> float:
    """Mean number of words (and punctuation signs) a completion, empty ones counted as 0.

    Neither good nor bad by itself: every other lexical metric moves with it. NaN without completions.
    """
    return sum(map(len, group.words)) / len(group.words) if group.words else NAN


def _plug_in(counts: Ints) -> float:
    total = counts.sum()
    return float(np.log(total) - counts @ np.log(counts) / total)


def _miller_madow(counts: Ints) -> float:
    return _plug_in(counts) + (len(counts) - 1) / (2 * int(counts.sum()))


def _chao_wang_jost(counts: Ints) -> float:
    """Equation 7 of Chao, Wang & Jost 2013: the part of what was seen, and the tail told by singles and doubles."""
    total = int(counts.sum())
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, total))])
    seen = float(counts @ (harmonic[-1] - harmonic[counts - 1])) / total
    singles, doubles = int((counts == 1).sum()), int((counts == 2).sum())
    if not singles:
        return seen
    a = 2 * doubles / ((total - 1) * singles + 2 * doubles) if doubles else 2 / ((total - 1) * (singles - 1) + 2)
    return seen + singles / total * _tail(a, total)


def _tail(a: float, total: int) -> float:
    """(1 - a)^(1 - total) (-log a - sum over r < total of (1 - a)^r / r).

    The same is the sum over j > 0 of (1 - a)^j / (total + j - 1), which converges fast where the first form cancels.
    """
    if a == 1:
        return 0.0
    decay = math.log1p(-a)
    if total * a < _CANCELS:
        r = np.arange(1, total)
        return math.exp((1 - total) * decay) * (-math.log(a) - float((np.exp(r * decay) / r).sum()))
    j = np.arange(1, math.ceil(40 / a))
    return float((np.exp(j * decay) / (total + j - 1)).sum())


_ENTROPIES = {"chao-wang-jost": _chao_wang_jost, "miller-madow": _miller_madow, "none": _plug_in}


def _counts(words: Sequence[Sequence[str]], n: int) -> Ints:
    """How often each distinct n-gram of the pooled texts occurs."""
    codes = np.empty(0, dtype=np.int64)
    for codes, _ in _ngrams(words, n):  # noqa: B007 -- the last order is wanted
        pass
    return np.unique(codes, return_counts=True)[1].astype(np.int64)


def _ngrams(words: Sequence[Sequence[str]], n: int) -> Iterator[tuple[Ints, Ints]]:
    """For each order 1..n: a code per n-gram (equal exactly when the n-grams are) and the text that it is in."""
    if n < 1:
        raise MetricError(f"n is {n}; an n-gram has 1 word or more")
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__
    first = np.fromiter(map(ids.__getitem__, chain.from_iterable(words)), dtype=np.int64)
    owner_of = np.repeat(np.arange(len(words)), [len(text) for text in words])
    codes, starts, bound = first, np.arange(len(first)), len(ids)
    yield codes, owner_of
    for order in range(1, n):
        starts_on = starts[: np.searchsorted(starts, len(first) - order)]
        goes_on = owner_of[starts_on + order] == owner_of[starts_on]
        starts, codes = starts_on[goes_on], codes[: len(goes_on)][goes_on]
        if bound * len(ids) * len(words) >= _LARGEST:
            distinct, codes = np.unique(codes, return_inverse=True)
            bound = len(distinct)
        codes, bound = codes * len(ids) + first[starts + order], bound * len(ids)
        yield codes, owner_of[starts]


def _clipped_matches(codes: Ints, owners: Ints, k: int) -> Floats:
    """For each text, its n-grams that occur in another text, each at most as often as in the text that has it most.

    The largest count elsewhere is the largest of all, or the second largest for the text that holds the largest.
    """
    pairs, own = np.unique(codes * k + owners, return_counts=True)
    if not len(pairs):
        return np.zeros(k)
    gram, owner = np.divmod(pairs, k)
    is_first = np.concatenate([[True], gram[1:] != gram[:-1]])
    firsts, which = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    largest = np.maximum.reduceat(own, firsts)[which]
    holds = own == largest
    second = np.maximum.reduceat(np.where(holds, 0, own), firsts)[which]
    alone = holds & (np.add.reduceat(holds, firsts, dtype=np.int64)[which] == 1)
    return np.bincount(owner, np.minimum(own, np.where(alone, second, largest)), minlength=k).astype(np.float64)


def _closest_lengths(lengths: Ints) -> Ints:
    """For each text, the length nearest to its own among the other texts; the shorter of two equally near."""
    order = np.argsort(lengths, kind="stable")
    ranked = lengths[order]
    below = np.concatenate([[-1], ranked[:-1]])
    above = np.concatenate([ranked[1:], [-1]])
    no_below, no_above = below < 0, above < 0
    take_above = no_below | (~no_above & (above - ranked < ranked - below))
    closest = np.empty_like(lengths)
    closest[order] = np.where(take_above, above, below)
    return closest
