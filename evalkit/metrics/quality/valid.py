"""Valid answers: how often one comes, and how probable they are together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics.declaration import metric, score
from evalkit.metrics.valid_answers import read_valid
from evalkit.records import Group


@score(
    name="valid_share",
    unit="share",
    better="higher",
    side="quality",
    family="valid answers",
    plain="valid answers",
    bounds=(0, 1),
    needs={"valid"},
    version="1.0",
    cites="Sorensen et al. 2025",
)
def valid_share(groups: Sequence[Group]) -> list[NDArray[np.float64]]:
    """1 for a completion that gives one of the prompt's valid answers, else 0; its mean is the share that does.

    `valid` lists them, or names a checker that tells them (`matches:REGEX`, `prime`, `integer:1..100`, one's own). The
    first line of a completion is read, in the normal form of exact answers (case, marks around it and a leading article
    make no difference): as a whole, without "The answer is" and the like, and up to a mark or bracket that an
    explanation begins with. An answer inside another sentence is not found.

    Range: [0, 1].

    Bias: none at any k, for the chance that a draw is valid.

    Cost: O(characters of the completions); an expression, and a checker of another package, has 1 s an answer.

    Undefined: where the prompt states no valid answers. Raises `MetricError` on a checker slower than 1 s.
    """
    return [_judge(group) for group in groups]


@metric(
    name="valid_mass",
    unit="probability",
    better="higher",
    side="quality",
    family="valid answers",
    plain="chance of a valid answer",
    bounds=(0, 1),
    needs={"valid_logprobs"},
    version="1.0",
    cites="Sampling More, Getting Less, arXiv 2605.11128",
)
def valid_mass(group: Group) -> float:
    """Chance that an answer begins with one of the prompt's listed valid answers: exact, from log-probs, not sampled.

    Each answer counts in all its spellings and in four cases, as whole words and whatever comes after, by the rules of
    the choices (`tv_to_target`). So what goes on with other words counts, which `valid_share` may not; what begins
    otherwise ("The king", "Answer: king") does not, which `valid_share` does.

    Range: [0, 1], rounding errors of 16-bit models cut off at 1.

    Bias: none; exact but for answers written in other cuts into tokens than the tokenizer's own, which are left out.

    Cost: the checkpoint reads each spelling of each valid answer once; kept in the cache.

    Undefined: on prompts whose valid answers are not listed, for a server, and for arms with another temperature than 1
    or with tokens cut off.
    """
    if not group.valid_logprobs:
        return float("nan")
    return min(1.0, math.fsum(map(math.exp, group.valid_logprobs.values())))


def _judge(group: Group) -> NDArray[np.float64]:
    valid = read_valid(group.prompt)
    if valid is None:
        return np.full(len(group.completions), np.nan)
    return np.array([valid.given(text) is not None for text in group.texts], dtype=np.float64)
