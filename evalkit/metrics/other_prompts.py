"""Which other prompts a prompt's completions are held against: a few of other questions, the same for all arms.

Questions stand in a circle, in an order that hashes of their names decide; a prompt is held against one prompt of each
of the questions that follow its own. So every question serves equally often, fewer others are the first of more,
nothing depends on the order in which a suite lists its prompts, and the work is linear in them. Prompts of one cluster
are wordings of one question, and none of them is held against another; where several questions have several wordings,
the first of one meets the first of the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.metrics.parameters import Value
from evalkit.plumbing.array_cache import key_of
from evalkit.records import Prompt

SEED = 0
FEWEST = 3
"""Questions from which on there is something to compare: of two, each is held against the other alone, so that the
figure is one number for both, and says nothing of how it would vary over questions."""


@dataclass(frozen=True)
class Design:
    """A suite's prompts, each with the others that it is held against."""

    others: tuple[tuple[int, ...], ...]
    """Of each prompt the places of the others, nearest in the circle first; all have equally many."""
    order: tuple[int, ...]
    """All places, in the order of the circle: prompts that share others are near each other."""
    questions: int

    @property
    def count(self) -> int:
        """Others of a prompt; 0 where there is but one question."""
        return len(self.others[0]) if self.others else 0


def others_asked(params: Iterable[tuple[str, Value]]) -> int:
    """How many others a measure with these parameters asks for."""
    return int(dict(params)["others"] or 0)


def others_of(prompts: Sequence[Prompt], most: int) -> Design:
    """At most `most` others of each prompt, all there are where there are fewer questions."""
    wordings: dict[str, list[int]] = {}
    for place, prompt in enumerate(prompts):
        wordings.setdefault(prompt.cluster or prompt.id, []).append(place)
    circle = [wordings[question] for question in sorted(wordings, key=_shuffled)]
    count = min(most, len(circle) - 1)
    others: dict[int, tuple[int, ...]] = {}
    for at, own in enumerate(circle):
        following = [circle[(at + step) % len(circle)] for step in range(1, count + 1)]
        for turn, place in enumerate(own):
            others[place] = tuple(question[turn % len(question)] for question in following)
    return Design(
        tuple(others[place] for place in range(len(prompts))),
        tuple(place for own in circle for place in own),
        len(circle),
    )


def design_hash(prompts: Sequence[Prompt], most: int) -> str:
    """What a number depends on besides its own prompts' completions: which prompts these are held against."""
    design = others_of(prompts, most)
    asked = [[prompt.id, prompt.text] for prompt in prompts]
    return key_of({"prompts": asked, "others": [list(others) for others in design.others]})[:12]


def _shuffled(question: str) -> str:
    return hashlib.sha256(f"{SEED}:{question}".encode("utf-8", "surrogatepass")).hexdigest()
