"""`thinking/NAME`: a metric of texts, taken on what models thought before their answers."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, wraps
from typing import Any

from evalkit.errors import MetricError
from evalkit.metrics.declaration import Definition, Need, Traits
from evalkit.records import Group

PREFIX = "thinking/"
"""What the names of all such measures begin with."""
_OF_TEXTS: frozenset[Need] = frozenset({"words", "embeddings"})


@cache
def of_thinking(definition: Definition) -> Definition:
    """The metric on thinking. It is on no side: various thinking is neither a gain nor a loss of various answers.

    Raises `MetricError` on what is no metric of texts alone.
    """
    if definition.kind != "metric" or not definition.needs <= _OF_TEXTS:
        raise MetricError(
            f"metric {definition.name} has no form for thinking: only metrics that need texts alone have, such as "
            f"{PREFIX}vendi and {PREFIX}length"
        )

    @wraps(definition.function)
    def on_thoughts(group: Group, **parameters: Any) -> float:
        return math.nan if group.thoughts is None else float(definition.function(group.thoughts, **parameters))

    on_thoughts.__doc__ = (
        f"{definition.summary} Of the thinking before the answers that are measured.\n\n"
        f"Undefined: for a prompt of which not all of these came after thinking. {definition.undefined}"
    )
    return replace(
        definition,
        name=f"{PREFIX}{definition.name}",
        function=on_thoughts,
        better="neither",
        needs=definition.needs | {"thinking"},
        traits=Traits("neither", f"{PREFIX}{definition.traits.family}", bounds=definition.traits.bounds),
        without_each=None,
        pool_at_most=None,
    )
