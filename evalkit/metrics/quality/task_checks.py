"""Task checks: does a completion have the form that its prompt asks for, as far as text alone can tell?"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from evalkit.metrics.declaration import score
from evalkit.metrics.task_checks import read_checks, share_passed
from evalkit.records import Group


def _identity() -> dict[str, str]:
    """Languages are told apart by a model that comes with a package."""
    return {"langid": version("py3langid")}


@score(
    name="task_checks",
    unit="share",
    better="higher",
    side="quality",
    family="task checks",
    plain="task checks passed",
    bounds=(0, 1),
    needs={"checks"},
    version="1.2",
    cites="",
    identity=_identity,
)
def task_checks(groups: Sequence[Group]) -> list[NDArray[np.float64]]:
    """Share of the prompt's `checks` that a completion passes; 0 where it is blank or fails a vital one.

    Checks look at the text alone. Form: `one_line`, `max_words:40`, `min_words:3`, `sentence` (begins and ends as one),
    `prose` (no links, tags, code or odd words). Content: `mentions:lamp|sea`, `matches:REGEX`. Vital, for a text that
    fails one is no answer: `language:en`, `no_refusal`, `no_echo` (the prompt is not said back), `no_loop`. It says
    whether a task was followed in form, NOT whether the answer is good: a dull, false or cruel one passes.

    Range: [0, 1].

    Bias: none at any k, for the share expected of a draw. Refusals are known by how they begin, mostly in English.

    Cost: O(characters of the completions), about half a millisecond each; a regular expression has 1 s a completion.

    Undefined: where the prompt has no checks. Raises `MetricError` on an expression slower than 1 s.
    """
    return [_judge(group) for group in groups]


def _judge(group: Group) -> NDArray[np.float64]:
    checks = read_checks(group.prompt)
    if not checks:
        return np.full(len(group.completions), np.nan)
    return np.array([share_passed(checks, text) for text in group.texts], dtype=np.float64)
