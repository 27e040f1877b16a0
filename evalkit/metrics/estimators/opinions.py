"""Answers to questions of opinion: a checkpoint's distribution over the choices, free of where each choice stood.

A question is put once for every choice that it has, the choices moved on by one place each time: every choice stands
once at every place, under every letter (a Latin square). Say that a checkpoint answers choice c at place i with a
chance proportional to w(c) b(i): what it holds of the choice, times what it likes of the place and its letter. Then the
mean of log-probs over the orders is log w(c) plus what is the same for all choices, and normalised it is w exactly,
whatever b is. The mean of the chances themselves would be drawn towards even by every b that is not flat. (Zheng et
al. 2024 estimate b from such orders in the same model.) Drawn answers have no log-probs: their counts are added up over
the orders, which takes out what a place adds to a chance, and not what it multiplies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.metrics.choice_match import given
from evalkit.plumbing.arrays import Array
from evalkit.records import Group, Opinion

UNIFORM = "uniform"
"""The reference that is no group of people: every choice as likely as the others."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What one arm answers to one question of m choices."""

    opinion: Opinion
    shares: Array
    """(m,) its distribution, in the question's own order of choices; NaN where it gave no choice at all."""
    order_effect: float
    """Share of its answers that the order of the choices moves: mean total variation of an order from their mean."""
    is_exact: bool
    """Read from the model's distribution, not counted among completions."""
    rows: tuple[int, ...]
    """Which groups of the arm put the question, one an order."""


def answered(groups: Sequence[Group]) -> list[Answered]:
    """What an arm answers to each question, in the order in which they are first put; prompts without one are left."""
    by_question: dict[str, list[tuple[int, Group]]] = {}
    for row, group in enumerate(groups):
        if group.prompt.opinion is not None:
            by_question.setdefault(group.prompt.opinion.question, []).append((row, group))
    return [_answered(members) for members in by_question.values()]


def _answered(members: Sequence[tuple[int, Group]]) -> Answered:
    rows, groups = tuple(row for row, _ in members), [group for _, group in members]
    opinion = groups[0].prompt.opinion
    assert opinion is not None
    is_exact = all(group.choice_logprobs for group in groups)
    if is_exact:
        logprobs = np.array([_logprobs(group) for group in groups])
        return Answered(opinion, without_place(logprobs), order_effect(np.exp(logprobs)), True, rows)
    counts = np.array([_counts(group) for group in groups])
    return Answered(opinion, shares_of(counts.sum(axis=0)), order_effect(counts), False, rows)


def _logprobs(group: Group) -> list[float]:
    assert group.prompt.opinion is not None
    assert group.choice_logprobs is not None
    return [group.choice_logprobs[answer] for answer in group.prompt.opinion.answers]


def _counts(group: Group) -> list[float]:
    assert group.prompt.opinion is not None
    answers = group.prompt.opinion.answers
    drawn = [given(completion.text, answers) for completion in group.completions]
    return [float(drawn.count(answer)) for answer in answers]


def without_place(logprobs: Array) -> Array:
    """(m,) distribution from (orders, m) log-probs of the choices: the normalised mean of logs over orders.

    In [0, 1], adding up to 1; NaN where a whole order gives no choice.
    """
    if np.isneginf(logprobs.max(axis=1)).any():
        return np.full(logprobs.shape[1], np.nan)
    means = logprobs.mean(axis=0)
    if np.isneginf(means.max()):
        return np.full(logprobs.shape[1], np.nan)
    return shares_of(np.exp(means - means.max()))


def shares_of(weights: Array) -> Array:
    """Weights of 0 or more over their sum; NaN where that is 0."""
    total = weights.sum()
    return np.asarray(weights / total if total > 0 else np.full(weights.shape, np.nan), dtype=np.float64)


def order_effect(weights: Array) -> float:
    """Mean total variation of each order's distribution from the mean of all, from (orders, m) weights.

    In [0, 1 - 1/m] of m orders: 0 where the order does not matter, the most where it is all that matters. Orders
    without an answer are left; NaN below two others.
    """
    known = weights[weights.sum(axis=1) > 0]
    if len(known) < 2:
        return float("nan")
    shares = known / known.sum(axis=1, keepdims=True)
    return float(np.abs(shares - shares.mean(axis=0)).sum(axis=1).mean() / 2)


def shares_of_group(opinion: Opinion, group: str) -> Array | None:
    """(m,) what people of the group answered; None where that is not known of this question."""
    if group == UNIFORM:
        return np.full(len(opinion.choices), 1 / len(opinion.choices))
    stated = opinion.groups.get(group)
    return None if stated is None else shares_of(np.array(stated, dtype=np.float64))


def wasserstein(p: Array, q: Array) -> float:
    """Wasserstein-1 of two distributions over a scale of m choices at equal distances, its ends 1 apart; in [0, 1]."""
    return float(np.abs(np.cumsum(p - q)[:-1]).sum() / (len(p) - 1))


def total_variation(p: Array, q: Array) -> float:
    """Half the sum of |p - q|, in [0, 1]: Wasserstein-1 where any two choices are 1 apart."""
    return float(np.abs(p - q).sum() / 2)


def jensen_shannon(p: Array, q: Array) -> float:
    """Jensen-Shannon divergence in bits, in [0, 1]: mean KL of the two from their middle."""
    middle = (p + q) / 2
    return float(max(0.0, (_bits(p, middle) + _bits(q, middle)) / 2))


def distance(p: Array, q: Array, ordered: bool) -> float:
    """Share of answers to be moved, each counted by how far: along the scale of ordered choices, else 1."""
    return wasserstein(p, q) if ordered else total_variation(p, q)


def _bits(p: Array, middle: Array) -> float:
    some = p > 0
    return float((p[some] * np.log2(p[some] / middle[some])).sum())
