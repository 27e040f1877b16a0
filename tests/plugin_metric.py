"""A metric as somebody else's package would declare it."""

from evalkit.metrics.declaration import metric
from evalkit.records import Group


@metric(name="letters", unit="letters", better="neither", side="neither", needs=(), version="1.0", cites="the alphabet")
def letters(group: Group) -> float:
    """Letters of the alphabet."""
    return 26.0
