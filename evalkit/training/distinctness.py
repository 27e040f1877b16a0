"""Rewards that ask for answers unlike each other (after DARLING: Li et al. 2025).

    reward(y_i) = quality(y_i) x distinctness(y_i),   quality = sigmoid(score)
    distinctness(y_i) = mean over the other completions of the prompt of their distance from y_i, 0 to 1

A product, so that neither nonsense nor the crowd's answer earns much. The product needs a quality that is not
negative: the sigmoid of a normalised score is the Bradley-Terry chance to be liked better than an average completion
of the start. `exact` counts completions that differ at all; `ngrams` is 1 - Jaccard's index of their sets of words
and pairs of words. The paper asks a trained classifier whether two answers are the same; a distance that needs no
model is used here.

What it does to the optimum: an answer of probability p is met again by a share p of the others, so under `exact` the
reward of y is quality(y) (1 - policy(y)) on average, and the more often it is said the less it earns. With a group of
n and its own mean or leave-one-out mean as baseline, part of that is taken back, as y also lowers what others like it
earn: the fixed point under beta times the reverse KL is, up to a constant factor,

    log policy(y) = log reference(y) + quality(y) (1 - policy(y) (n - 2)/(n - 1)) / beta
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from evalkit.training.config import Distinctness


def distinct_scores(scores: Tensor, texts: Sequence[str], samples: int, kind: Distinctness) -> Tensor:
    """[B] rewards from [B] scores; each `samples` texts that stand together answer one prompt."""
    groups = [texts[start : start + samples] for start in range(0, len(texts), samples)]
    apart = torch.tensor([value for group in groups for value in distinctness(group, kind)])
    return scores.sigmoid() * apart.to(scores)


def distinctness(texts: Sequence[str], kind: Distinctness) -> list[float]:
    """Of each of at least two texts its mean distance from the others, 0 to 1."""
    forms = [{text} if kind == "exact" else _ngrams(text) for text in texts]
    return [
        sum(_distance(form, other) for j, other in enumerate(forms) if j != i) / (len(forms) - 1)
        for i, form in enumerate(forms)
    ]


def _ngrams(text: str) -> set[str]:
    """Words and pairs of words; what has no word is one thing."""
    words = text.lower().split()
    return {*words, *(f"{first} {second}" for first, second in pairwise(words))} or {""}


def _distance(one: set[str], other: set[str]) -> float:
    return 1 - len(one & other) / len(one | other)
