"""A metric that evalkit does not have."""

from evalkit.metrics.declaration import metric
from evalkit.records import Group


@metric(name="question_share", unit="share", better="neither", side="neither", needs=(), version="1.0", cites="")
def question_share(group: Group, *, mark: str = "?") -> float:
    """Share of completions that hold a question mark.

    Range: [0, 1]; 1 when every completion asks.

    Bias: none at any k.

    Cost: one pass over the texts.

    Undefined: without completions.
    """
    if not group.texts:
        return float("nan")
    return sum(mark in text for text in group.texts) / len(group.texts)
