"""Diversity of the policy while it trains: a fixed set of prompts, measured with evalkit's own metrics.

Two questions are kept apart (Kirk et al. 2023): how much the completions of one prompt differ from each other, and how
much the completions of different prompts do. A policy can answer every prompt in its own, single way: then only the
first falls.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from evalkit.metrics.embeddings.encoder import encode
from evalkit.metrics.registry import parse
from evalkit.records import Completion, Group, Prompt

PREFIX = "probe_"
METRICS = ("distinct_n", "self_bleu", "ngram_entropy", "vendi", "embedding_distance")


def probe_row(prompts: Sequence[Prompt], texts: Sequence[Sequence[str]]) -> dict[str, float]:
    """The probe's columns of a row of the curves; `texts` are the completions of each prompt.

    `probe_METRIC` is the metric's mean over prompts, `probe_distinct_texts` the mean share of distinct completions,
    `probe_across` the mean of 1 - cosine over pairs of completions of different prompts, to be compared with
    `probe_embedding_distance`, the same over pairs of one prompt. A prompt on which a metric is undefined is left out
    of its mean; NaN where none is left. Raises `EvalkitError` when the sentence encoder is not the one known.
    """
    groups = _embedded([_group(prompt, drawn) for prompt, drawn in zip(prompts, texts, strict=True)])
    measures = [parse(name) for name in METRICS]
    values = {measure.name: [float(measure(group)) for group in groups] for measure in measures}
    values["distinct_texts"] = [len(set(group.texts)) / len(group.texts) for group in groups if group.texts]
    row = {f"{PREFIX}{name}": _mean(of_prompts) for name, of_prompts in values.items()}
    return row | {f"{PREFIX}across": across(groups)}


def across(groups: Sequence[Group]) -> float:
    """Mean of 1 - cosine over pairs of completions of different prompts, each pair of prompts weighing the same.

    In [0, 2], in practice [0, 1]. Embeddings u have length 1, so the mean cosine between the completions of prompts i
    and j is the dot product of their mean embeddings, m_i . m_j, and the mean of that over the P (P - 1) ordered pairs
    is (|sum m|^2 - sum |m|^2) / (P (P - 1)): exact, in O(completions). NaN below two prompts with completions.
    """
    means = [np.mean(g.embeddings, axis=0, dtype=np.float64) for g in groups if g.embeddings is not None and g.texts]
    count = len(means)
    if count < 2:
        return float("nan")
    total, squares = np.sum(means, axis=0), np.square(means).sum()
    return max(0.0, 1 - float(total @ total - squares) / (count * (count - 1)))


def _group(prompt: Prompt, texts: Sequence[str]) -> Group:
    return Group(prompt, tuple(Completion(prompt.id, i, text, (), (), "stop") for i, text in enumerate(texts)))


def _embedded(groups: Sequence[Group]) -> list[Group]:
    rows = encode([text for group in groups for text in group.texts])
    ends = np.cumsum([len(group.completions) for group in groups], dtype=np.int64)
    embeddings = np.split(rows, ends)[:-1]
    return [Group(group.prompt, group.completions, part) for group, part in zip(groups, embeddings, strict=True)]


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return statistics.fmean(defined) if defined else float("nan")
