"""Sums and differences of chances whose logarithms are known, which no float holds as they are."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np


def total(logprobs: Iterable[float]) -> float:
    """Log-prob of one of several events that exclude each other; -inf of none."""
    return float(np.logaddexp.reduce([-math.inf, *logprobs]))


def less(whole: float, part: float) -> float:
    """Log-prob of an event without a part of it."""
    # In exact arithmetic a part never exceeds the whole; log-probs of 16-bit models are rounded.
    return -math.inf if part >= whole else whole + math.log1p(-math.exp(part - whole))
