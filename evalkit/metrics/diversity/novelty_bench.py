"""NoveltyBench's own two numbers, from its own classes and scores: beside ours, which divide completions ourselves.

Its classes are told apart by a classifier and its scores given by a reward model, neither of which is run here: they
are read from its files (Zhang et al. 2025, and the benchmark's code of 2025).
"""

from __future__ import annotations

import numpy as np

from evalkit.metrics.declaration import metric
from evalkit.records import Given, Group

NAN = float("nan")
SCORE = "generation_scores"
"""What its files call the score of a generation."""


@metric(
    name="noveltybench_distinct",
    unit="classes",
    better="higher",
    side="diversity",
    family="meaning",
    plain="different things said, as NoveltyBench divides them",
    bounds=(1, "k"),
    needs={"classes"},
    version="1.0",
    cites="Zhang et al. 2025",
)
def noveltybench_distinct(group: Group) -> float:
    """Number of different things said among the completions, by the classes that NoveltyBench's files give.

    The paper's distinct_k. In its files of 2025 their own field `distinct` is one lower: the number of the last class,
    counted from 0. `given/distinct_k` is the same; `distinct_k` is the same count by this package's division.

    Range: [1, k]; 1 when all say the same.

    Bias: grows with k: compare at equal k.

    Cost: O(k).

    Undefined: for completions without classes.
    """
    classes = (group.given or Given()).classes
    return NAN if classes is None or not len(classes) else float(len(np.unique(classes)))


@metric(
    name="noveltybench_utility",
    unit="points",
    better="higher",
    side="quality",
    family="use of a list",
    plain="use of a list of answers, as NoveltyBench counts it",
    needs={"classes", "scores"},
    version="1.0",
    cites="Zhang et al. 2025",
)
def noveltybench_utility(group: Group, *, patience: float = 0.8) -> float:
    """Mean score of the completions for a reader who goes on with probability `patience`, repeats counting nothing.

    Sum of patience^i u_i over sum of patience^i, i from 0 in the order of completions; u_i is the i-th completion's
    score where it is the first of its class, else 0. As in the benchmark's code, whose field `utility` it is where all
    of a prompt's completions are taken; `given/utility_k|orders:drawn` is the same.

    Range: that of the scores, 1 to 10 in the benchmark, and down to 0 for repeats.

    Bias: falls with k where later completions repeat earlier ones; compare at equal k. The order matters.

    Cost: O(k).

    Undefined: for completions without classes or scores.
    """
    given = group.given or Given()
    if given.classes is None or not len(given.classes) or SCORE not in given.scores:
        return NAN
    firsts = np.zeros(len(given.classes), dtype=bool)
    firsts[np.unique(given.classes, return_index=True)[1]] = True
    counted = np.where(firsts, given.scores[SCORE], 0.0)
    return float(np.average(counted, weights=patience ** np.arange(len(counted))))
