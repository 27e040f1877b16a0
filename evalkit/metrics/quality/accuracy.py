"""Accuracy: does a completion give the prompt's right answer?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics.answer_match import matcher
from evalkit.metrics.declaration import score
from evalkit.records import Group


@score(
    name="accuracy",
    unit="share",
    better="higher",
    side="quality",
    family="right answers",
    plain="right answers",
    bounds=(0, 1),
    needs={"answer"},
    version="1.2",
    cites="",
)
def accuracy(groups: Sequence[Group]) -> list[NDArray[np.float64]]:
    """1 for a completion that gives the prompt's right answer, else 0; the per-prompt value is the share of right ones.

    The prompt's `match` says how to compare. "exact": the whole completion is the answer, after Unicode NFKC (but 10²
    is not 102), case folding, digits, dashes, quotes and per cent signs of every script as ASCII has them, single
    spaces (none beside letters of scripts without spaces), no marks or quotes around it and no leading English article.
    "numeric": the last number in the completion equals the answer as a number. 1,234 and –3.5 and 1e3 are read; decimal
    commas where the answer has one (3,5) or nothing else is meant (1.234,5); digits of every script; fractions and per
    cent where the answer has them; without a number it is wrong. "regex": the pattern is found anywhere in the
    completion.

    Range: [0, 1].

    Bias: none at any k, for the chance that a draw is right.

    Cost: O(characters of the completions); a pattern has 1 s a completion.

    Undefined: where the prompt has no answer. Raises `MetricError` on an answer that fits nothing, or a pattern slower
    than 1 s.
    """
    return [_judge(group) for group in groups]


def _judge(group: Group) -> NDArray[np.float64]:
    matches = matcher(group.prompt)
    if matches is None:
        return np.full(len(group.completions), np.nan)
    return np.array([matches(text) for text in group.texts], dtype=np.float64)
