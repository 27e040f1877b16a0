"""What a model states of its own answers: the probabilities of a list of answers that was asked for with them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from scipy.special import entr

from evalkit.metrics.declaration import metric
from evalkit.records import Group

NAN = float("nan")


@metric(
    name="stated_entropy",
    unit="nats",
    better="neither",
    side="neither",
    family="stated probabilities",
    plain="evenness of the chances it states",
    bounds=(0, None),
    needs={"stated"},
    version="1.0",
    cites="Zhang et al. 2025",
)
def stated_entropy(group: Group) -> float:
    """Entropy of the probabilities that the model states of the answers in a list, divided by their sum.

    The mean over a prompt's lists. Low: it says that one answer is far likelier than the others; log k: that k are
    alike. What it says need not be so: how often answers really come is for measures of `direct` answers.

    Range: [0, log of the answers in a list].

    Bias: lists of which answers or probabilities are missing have fewer terms, and so less entropy.

    Cost: O(k).

    Undefined: where no list states two probabilities or more that add up to more than 0.
    """
    entropies = [_entropy(stated) for stated in _lists(group) if len(stated) > 1 and sum(stated) > 0]
    return float(np.mean(entropies)) if entropies else NAN


@metric(
    name="stated_total",
    unit="probability",
    better="neither",
    side="neither",
    family="stated probabilities",
    plain="sum of the chances it states",
    bounds=(0, None),
    needs={"stated"},
    version="1.0",
    cites="Zhang et al. 2025",
)
def stated_total(group: Group) -> float:
    """Sum of the probabilities that the model states of the answers in a list: above 1 they can be no probabilities.

    The mean over a prompt's lists.

    Range: [0, number of answers in a list]; at most 1 where the model states what could be true.

    Bias: lists of which answers or probabilities are missing have fewer terms.

    Cost: O(k).

    Undefined: where no probability is stated.
    """
    totals = [sum(stated) for stated in _lists(group)]
    return float(np.mean(totals)) if totals else NAN


def _lists(group: Group) -> list[list[float]]:
    """The stated probabilities of the measured answers, those of one completion together."""
    lists: dict[int, list[float]] = defaultdict(list)
    for completion in group.completions:
        if completion.item is not None and completion.item.probability is not None:
            lists[completion.item.draw].append(completion.item.probability)
    return list(lists.values())


def _entropy(stated: list[float]) -> float:
    shares = np.array(stated, dtype=np.float64)
    return float(entr(shares / shares.sum()).sum())
