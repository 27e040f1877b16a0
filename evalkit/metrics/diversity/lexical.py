"""Diversity counted on words: no model, exact, and blind to meaning.

All of these depend on how many completions there are and how long they are: compare them at equal k, and
beside `length`. N-grams never cross from one completion into the next. A metric is NaN where there is nothing to count;
identical completions never read as diverse.
"""

from __future__ import annotations

import gzip
import math

import numpy as np

from evalkit.errors import MetricError
from evalkit.metrics.declaration import metric
from evalkit.metrics.estimators import one_out
from evalkit.metrics.estimators.bleu import EPSILON, self_bleus
from evalkit.metrics.estimators.entropy import ENTROPIES
from evalkit.metrics.estimators.ngrams import Ints, count_ngrams
from evalkit.records import Group

NAN = float("nan")


@metric(
    name="distinct_n",
    unit="share",
    better="higher",
    side="diversity",
    family="words",
    plain="share of word sequences not repeated",
    picture=4,
    moves_with_length=True,
    bounds=(0, 1),
    least={"n": 1},
    needs={"words"},
    version="1.0",
    cites="Li et al. 2016",
    without_each=one_out.distinct_without_each,
)
def distinct_n(group: Group, *, n: int = 2) -> float:
    """Share of distinct n-grams among all n-grams of the k completions together.

    Range: (0, 1]; 1 when no n-gram occurs twice.

    Bias: falls with k and with length whatever the distribution; comparable only at equal k and similar length.
    Completions shorter than n words add nothing.

    Cost: n sorts of all N words, O(n N log N).

    Undefined: when every completion is shorter than n words.
    """
    counts = count_ngrams(group.words, n).totals
    return len(counts) / int(counts.sum()) if len(counts) else NAN


@metric(
    name="ead_n",
    unit="share",
    better="higher",
    side="diversity",
    family="words",
    plain="share of word sequences not repeated",
    moves_with_length=True,
    bounds=(0, None),
    least={"n": 1, "vocabulary": 2},
    needs={"words"},
    version="1.0",
    cites="Liu et al. 2022",
    without_each=one_out.ead_without_each,
)
def ead_n(group: Group, *, n: int = 2, vocabulary: int = 50257) -> float:
    """Expectation-adjusted distinct: distinct n-grams over the number expected from uniform draws of a vocabulary.

    U / (V (1 - (1 - 1/V)^C)) with U distinct and C all n-grams, V = `vocabulary`. V = 50257 (GPT-2's, whatever the
    tokenizer) is what published numbers use.

    Range: (0, inf); a little above 1 where no n-gram occurs twice (draws would have repeated some), and far above once
    they outnumber V.

    Bias: at V = 50257 it hardly adjusts: for one prompt's completions it is distinct_n times about 1 + C/2V (1.008 at
    C = 800), so it does NOT make lengths comparable. A smaller V adjusts more.

    Cost: as distinct_n.

    Undefined: as distinct_n.
    """
    if vocabulary < 2:
        raise MetricError(f"metric ead_n: vocabulary is {vocabulary}; it must be 2 or more")
    counts = count_ngrams(group.words, n).totals
    if not len(counts):
        return NAN
    expected = -vocabulary * math.expm1(int(counts.sum()) * math.log1p(-1 / vocabulary))
    return len(counts) / expected


@metric(
    name="ngram_entropy",
    unit="nats",
    better="higher",
    side="diversity",
    family="words",
    plain="variety of words",
    moves_with_length=True,
    bounds=(0, None),
    least={"n": 1},
    of_draws="correction",
    needs={"words"},
    version="1.0",
    cites="Chao et al. 2013",
    without_each=one_out.entropy_without_each,
)
def ngram_entropy(group: Group, *, n: int = 1, correction: str = "chao-wang-jost") -> float:
    """Shannon entropy of the distribution of n-grams, estimated from the counts of the k completions together.

    `correction` is "chao-wang-jost" (Chao, Wang & Jost's, for n-grams not seen), "miller-madow" or "none" (scipy's
    value).

    Range: [0, inf); 0 when one n-gram is all there is; at most log of the number of n-grams without a correction.

    Bias: the plug-in value is too low: for 480 words of a Zipf distribution over 2 000 by 0.91 nats, 0.67 after
    Miller-Madow and 0.20 after Chao, Wang & Jost. What is left is more for n > 1, and words of one text hang together:
    compare at equal k.

    Cost: as distinct_n.

    Undefined: as distinct_n.
    """
    if correction not in ENTROPIES:
        raise MetricError(
            f"metric ngram_entropy: correction is {correction!r}; it must be one of {', '.join(ENTROPIES)}"
        )
    counts = count_ngrams(group.words, n).totals
    return max(0.0, ENTROPIES[correction](counts)) if len(counts) else NAN


@metric(
    name="self_bleu",
    unit="BLEU",
    better="lower",
    side="diversity",
    family="words",
    plain="overlap between answers",
    moves_with_length=True,
    bounds=(0, 1),
    least={"n": 1},
    needs={"words"},
    version="1.0",
    cites="Zhu et al. 2018",
    without_each=one_out.bleu_without_each,
)
def self_bleu(group: Group, *, n: int = 4, smooth: str = "method1") -> float:
    """Mean BLEU-n of each completion with all the others as references: how well the others predict it.

    Orders weigh equally, the reference length is the closest; `smooth` is "method1" (Chen & Cherry 2014, epsilon 0.1)
    or "none". Equal to nltk's `sentence_bleu`, but a text shorter than n words is scored on the orders it has, where
    nltk gives identical one-word answers 0.18. An empty completion scores 1 beside another empty one, else 0.

    Range: [0, 1]; 1 for identical completions.

    Bias: rises with k on i.i.d. texts (more references match more): compare at equal k only.

    Cost: one sort an order, O(n N log N) for N words, not k^2 comparisons.

    Undefined: below two completions, where others report 0, "most diverse".
    """
    if smooth not in EPSILON:
        raise MetricError(f"metric self_bleu: smooth is {smooth!r}; it must be one of {', '.join(EPSILON)}")
    return float(self_bleus(group.words, n, smooth).mean()) if len(group.words) > 1 else NAN


@metric(
    name="self_repetition",
    unit="nats",
    better="lower",
    side="diversity",
    family="words",
    plain="phrases that come back",
    moves_with_length=True,
    bounds=(0, None),
    least={"n": 1},
    needs={"words"},
    version="1.0",
    cites="Salkar et al. 2022",
)
def self_repetition(group: Group, *, n: int = 4) -> float:
    """How much long n-grams come back across completions: mean log of 1 + the other completions that repeat them.

    For each completion, over its different n-grams: how many of the OTHER completions hold each, added up; then
    log(1 + sum), averaged. Repetition within a completion does not count.

    Range: [0, inf); 0 when no n-gram is in two completions; log(1 + m (k - 1)) when all are the same, of m n-grams.

    Bias: rises with k and with length: compare at equal k and similar length.

    Cost: as distinct_n.

    Undefined: below two completions.
    """
    if len(group.words) < 2:
        return NAN
    ngrams = count_ngrams(group.words, n)
    elsewhere = np.bincount(ngrams.holder, ngrams.holders[ngrams.kind] - 1, minlength=len(group.words))
    return float(np.log1p(elsewhere).mean())


@metric(
    name="simpson_ngrams",
    unit="probability",
    better="higher",
    side="diversity",
    family="words",
    plain="chance that two word sequences differ",
    moves_with_length=True,
    bounds=(0, 1),
    least={"n": 1},
    needs={"words"},
    version="1.0",
    cites="Simpson 1949",
    without_each=one_out.simpson_without_each,
)
def simpson_ngrams(group: Group, *, n: int = 2) -> float:
    """Chance that an n-gram of one completion and an n-gram of another differ.

    1 minus the equal pairs over all pairs of n-grams that stand in different completions. Pairs within a completion
    are left out, because words of one text hang together.

    Range: [0, 1]; 0 when all n-grams are one, 1 when no two completions share any.

    Bias: none at any k when completions are equally long (a U-statistic over pairs of completions), of order 1/k
    otherwise: the lexical figure to compare across k. Long completions weigh more.

    Cost: as distinct_n.

    Undefined: when fewer than two completions have n words.
    """
    ngrams = count_ngrams(group.words, n)
    across = _squares(ngrams.lengths.sum(keepdims=True)) - _squares(ngrams.lengths)
    equal = _squares(ngrams.totals) - _squares(ngrams.counts)
    return 1 - equal / across if across else NAN


@metric(
    name="compression_ratio",
    unit="ratio",
    better="lower",
    side="diversity",
    family="words",
    plain="repetition found by compressing",
    moves_with_length=True,
    bounds=(0, None),
    needs=(),
    version="1.0",
    cites="Shaib et al. 2024",
)
def compression_ratio(group: Group) -> float:
    """Bytes of the completions over bytes of their gzip: redundancy within and between them.

    UTF-8, joined by newlines in the order of sampling, gzip level 9 with mtime 0.

    Range: above 0, where 1 is text that gzip cannot shorten; at most about 1 030.

    Bias: rises with k and with length, and below a few hundred bytes gzip's 20 bytes of frame pull it down. Sees
    repetition only within 32 KiB. The order of completions has no bound: on independent texts of 1 KiB or more it
    moved the ratio by less than 5 %; by 0.44 on 110 bytes of near-doubles, and twofold where doubles of 20 KB stand
    further apart than the window.

    Cost: one gzip: some 15 MB of prose a second, 2 MB of words drawn independently.

    Undefined: when all completions are empty.
    """
    if not any(group.texts):
        return NAN
    joined = "\n".join(group.texts).encode("utf-8", "surrogatepass")
    return len(joined) / len(gzip.compress(joined, compresslevel=9, mtime=0))


@metric(
    name="length",
    unit="words",
    better="neither",
    side="neither",
    family="words",
    plain="words in an answer",
    bounds=(0, None),
    needs={"words"},
    version="1.0",
    cites="",
    without_each=one_out.length_without_each,
)
def length(group: Group) -> float:
    """Mean number of words (and punctuation signs) a completion, empty ones counted as 0.

    Neither good nor bad by itself: every other lexical metric moves with it.

    Range: [0, inf).

    Bias: none at any k.

    Cost: one pass over the words.

    Undefined: without completions.
    """
    return sum(map(len, group.words)) / len(group.words) if group.words else NAN


def _squares(counts: Ints) -> int:
    """The sum of the squares."""
    return int(counts.astype(np.int64) @ counts.astype(np.int64))
