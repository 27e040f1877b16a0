"""Scores that another tool gave: quality measures that are read from its files, named as it names them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics.declaration import Definition, Traits
from evalkit.metrics.registry import Measure
from evalkit.records import Better, Given, Group

PREFIX = "score/"
"""What the names of all such measures begin with."""
NOTHING = Given()


def given_score(name: str, tool: str, better: Better, of_prompts: bool) -> Measure:
    """The measure `score/NAME`. `of_prompts`: the tool gives one number a prompt, not one a completion.

    Its signature names the tool: what two tools call by one name need not be the same.
    """

    def of_completions(groups: Sequence[Group]) -> list[NDArray[np.float64]]:
        return [_of_completions(group, name) for group in groups]

    def of_prompt(group: Group) -> float:
        return float((group.given or NOTHING).prompt_scores.get(name, np.nan))

    of_completions.__doc__ = f"{name}, as {tool} gave it to each completion; undefined where it gave none."
    of_prompt.__doc__ = f"{name}, as {tool} gave it to a prompt's completions together; undefined where it gave none."
    definition = Definition(
        name=f"{PREFIX}{name}",
        kind="metric" if of_prompts else "score",
        function=of_prompt if of_prompts else of_completions,
        unit="score",
        better=better,
        needs=frozenset({"scores"}),
        version="1.0",
        cites=tool,
        traits=Traits("quality", f"{PREFIX}{name}", f"{name} by {tool}"),
        identity=lambda: {"by": tool},
        any_k=not of_prompts,
    )
    return Measure(definition, ())


def _of_completions(group: Group, name: str) -> NDArray[np.float64]:
    scores = (group.given or NOTHING).scores.get(name)
    return np.full(len(group.completions), np.nan) if scores is None else np.asarray(scores, dtype=np.float64)
