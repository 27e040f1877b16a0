"""evalkit's figures for what each peer measures, in the peer's definition as far as evalkit has it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np

from bench.side_by_side import texts
from bench.side_by_side.theirs.processor import timed
from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.homogeneity import mean_cosines
from evalkit.analysis.intervals import mean_intervals
from evalkit.metrics.diversity import coverage, lexical, novelty_bench, rouge, semantic, semantic_classes
from evalkit.metrics.diversity.nli import nli_diversity
from evalkit.metrics.quality.accuracy import accuracy
from evalkit.plumbing.arrays import Array
from evalkit.records import CONFIDENCE, Given, Group

EAD_ORDERS = range(1, 6)
PASS_AT = 4
JUDGED = 8
"""Prompts of which all pairs are judged by the NLI model, here and by the peer."""
SHARES = (0.0, 1.0)
Measured = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""Measure -> set -> arm -> {"values", "seconds"}, as the peers' scripts write it."""
Groups = Sequence[Group]
Figure = Callable[[Groups], Any]


def each(metric: Callable[..., float], **parameters: Any) -> Figure:
    """The metric of every prompt."""
    return lambda groups: [metric(group, **parameters) for group in groups]


def ead(group: Group) -> float:
    return float(np.mean([lexical.ead_n(group, n=n) for n in EAD_ORDERS]))


def ead_at_most_one(group: Group) -> float:
    """As a peer cuts it, in whose code no share may be above 1."""
    return float(np.mean([min(lexical.ead_n(group, n=n), 1.0) for n in EAD_ORDERS]))


def on_first(metric: Callable[[Group], float]) -> Figure:
    """The metric of the first completions of all prompts together."""

    def figure(groups: Groups) -> float:
        completions, words = zip(*((group.completions[0], group.words[0]) for group in groups), strict=True)
        first = groups[0].of(completions, words)
        rows = [group.embeddings[:1] for group in groups if group.embeddings is not None]
        return metric(first.embedded(np.concatenate(rows)))

    return figure


def in_words(split: Callable[[str], Sequence[str]], figure: Figure) -> Figure:
    """The figure where completions are split as the peer splits them."""

    def split_so(groups: Groups) -> Any:
        return figure([_split(group, split) for group in groups])

    return split_so


def _split(group: Group, split: Callable[[str], Sequence[str]]) -> Group:
    words = tuple(tuple(split(text)) for text in group.texts)
    return group.of(group.completions, words).having(embeddings=group.embeddings)


def without_stops(text: str) -> list[str]:
    return text.replace(".", "").replace("\n", "").split()


def pooled(metric: Callable[[Group], float]) -> Figure:
    """The mean over prompts as one number, for peers that give no more."""
    return lambda groups: float(np.mean([metric(group) for group in groups]))


def renyi(group: Group) -> float:
    return math.log(semantic.vendi(group, q=2.0))


def right(groups: Groups) -> Array:
    return np.array([shares.mean() for shares in accuracy(groups)])


def interval(groups: Groups, clustered: bool = False) -> list[float]:
    clusters = clusters_of([group.prompt for group in groups]) if clustered else ()
    [mean] = mean_intervals(right(groups)[None], CONFIDENCE, clusters, SHARES)
    return [mean.low, mean.high]


def first_right(groups: Groups) -> Array:
    return right([replace(group, completions=group.completions[:1]) for group in groups])


def mean(figure: Callable[[Groups], Array]) -> Figure:
    return lambda groups: float(figure(groups).mean())


def first_interval(groups: Groups) -> list[float]:
    [found] = mean_intervals(first_right(groups)[None], CONFIDENCE, (), SHARES)
    return [found.low, found.high]


def utility(group: Group) -> float:
    """NoveltyBench's, by evalkit's own division into classes, with marks of the stand-in for its reward model."""
    classes = semantic_classes.partition(group, semantic_classes.THRESHOLD)
    scores = {novelty_bench.SCORE: np.array([mark(text) for text in group.texts])}
    return novelty_bench.noveltybench_utility(replace(group, given=Given(scores, {}, classes)))


def mark(text: str) -> float:
    """The lowest or the highest of its marks, as theirs/of_novelty_bench.py gives rewards."""
    return 10.0 if sum(text.encode()) % 2 else 1.0


FIGURES: Mapping[str, Mapping[str, Figure]] = {
    "novelty-bench": {
        "classes": each(semantic_classes.distinct_k),
        "utility": each(utility),
        "classes by ROUGE-1": each(semantic_classes.distinct_k),
    },
    "where-diversity-collapses": {
        "EAD": each(ead),
        "EAD in its words": in_words(without_stops, each(ead_at_most_one)),
        "EAD across": on_first(ead),
        "EAD across in its words": in_words(without_stops, on_first(ead_at_most_one)),
        "SBERT": each(semantic.embedding_distance),
        "SBERT across": on_first(semantic.embedding_distance),
        "VENDI": each(semantic.vendi),
        "VENDI across": on_first(semantic.vendi),
    },
    "verbalized-sampling": {
        "avg_diversity": pooled(semantic.embedding_distance),
        "avg_rouge_l": pooled(rouge.rouge_l_homogenization),
        "avg_rouge_l in its words": in_words(str.split, pooled(rouge.rouge_l_homogenization)),
        "avg_distinct_n": pooled(lexical.distinct_n),
        "avg_response_length": pooled(lexical.length),
    },
    "emb-diversity": {
        "vendi_score": each(semantic.vendi),
        "mean_pw_dist": each(semantic.embedding_distance),
        "renyi_entropy": each(renyi),
    },
    "lm-eval": {
        "exact_match, first": mean(first_right),
        "exact_match, first, +- 1.96 stderr": first_interval,
        "exact_match, all": mean(right),
        "exact_match, all, +- 1.96 stderr": interval,
    },
    "inspect": {
        "accuracy": mean(right),
        "ci": interval,
        "ci, clustered": lambda groups: interval(groups, clustered=True),
        "pass_at_4": pooled(lambda group: coverage.pass_at_k(group, k=PASS_AT)),
    },
}
"""Peer -> its measure -> evalkit's figure. Where words are split otherwise, both ways of splitting them."""


def measured(folder: Path, sets: Sequence[str]) -> dict[str, Measured]:
    """Every figure of every set that has what it takes. Words are looked for anew each time, as peers do."""
    found: dict[str, Measured] = {}
    for name in sets:
        arms = texts.read(folder, name)
        for arm, rows in arms.items():
            vectors = texts.embeddings(folder, name, arm, rows)
            for peer, figures in FIGURES.items():
                if (peer in ("lm-eval", "inspect")) == (name == "answers"):
                    for measure, figure in figures.items():
                        keep(found, peer, measure, name, arm, _timed(figure, rows, vectors))
        if name != "answers":
            _between(found, folder, name, arms)
        if name == "drawn":
            _judged(found, folder, name, arms)
    return found


def _timed(figure: Figure, rows: texts.Rows, vectors: Sequence[Array]) -> tuple[Any, float]:
    groups = texts.groups(rows, vectors)
    return timed(figure, groups)


def keep(found: dict[str, Measured], peer: str, measure: str, name: str, arm: str, made: tuple[Any, float]) -> None:
    values, seconds = made
    of_set = found.setdefault(peer, {}).setdefault(measure, {}).setdefault(name, {})
    of_set[arm] = {"values": np.asarray(values, dtype=np.float64).tolist(), "seconds": seconds}


def _between(found: dict[str, Measured], folder: Path, name: str, arms: texts.Arms) -> None:
    """Homogeneity: the whole matrix of a prompt is found at once, so that its cells share its cost."""
    groups = [texts.groups(rows, texts.embeddings(folder, name, arm, rows)) for arm, rows in arms.items()]
    cosines, seconds = timed(_matrices, groups)
    pairs = list(combinations_with_replacement(range(len(arms)), 2))
    for one, other in pairs:
        measure = "within a model" if one == other else "between models"
        cell = " and ".join(dict.fromkeys((list(arms)[one], list(arms)[other])))
        made = cosines[:, one, other], seconds / len(pairs)
        keep(found, "artificial-hivemind", measure, name, cell, made)


def _matrices(groups: Sequence[Groups]) -> Array:
    """(P, A, A) mean cosines of A arms on P prompts."""
    rows = zip(*groups, strict=True)
    return np.stack([mean_cosines([semantic.unit_rows(group) for group in row]) for row in rows])


def _judged(found: dict[str, Measured], folder: Path, name: str, arms: texts.Arms) -> None:
    """Drawn texts are one sentence each: there a peer that judges sentences judges the same pairs."""
    for arm, rows in arms.items():
        groups = texts.groups(rows[:JUDGED], [None] * JUDGED)
        values, seconds = timed(partial(nli_diversity, model=str(folder / "nli")), groups)
        keep(found, "where-diversity-collapses", "NLI", name, arm, ([1 + of.mean() for of in values], seconds))
