"""Groups of simulated raters whose values are known, so that what tuning does to a model can be checked against them.

    utility(x, y) = manner[voice] + truth * (+1 right, -1 wrong) + typicality * (log p(y | x, voice) + H(y | x, voice))

p is the grammar's, and the last bracket has mean 0 in every voice: a mild liking of the familiar. People have it too
(Zhang et al. 2025 find typicality bias in preference data), and it is what makes tuned models lose variety. Truth
counts on facts only: a riddle's answer no rater knows. Two completions are compared by Bradley-Terry,
P(a over b) = sigmoid(u(a) - u(b)): utility plus Gumbel noise of scale 1.

Of two answers to a choice, which one voice gives, the likelier is preferred by typicality * log(p / q): between 51 and
49 percent that is 0.02 nats for the scholars, 0.01 for the friends.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

from evalkit import records
from evalkit.errors import InputError
from evalkit.lab.grammar import Grammar, Prompt, entropy_of
from evalkit.lab.world import load

MANNER = {"professor": 1.5, "poet": 0.5, "student": -0.5, "rude": -2.0}


@dataclass(frozen=True)
class Rater:
    """What a rater values, in units of the Bradley-Terry noise. `garbled` is the utility of a text no voice says."""

    manner: Mapping[str, float] = field(default_factory=lambda: dict(MANNER))
    truth: float = 1.5
    typicality: float = 0.5
    garbled: float = -6.0

    def utility(self, grammar: Grammar, prompt: str, completion: str) -> float:
        """Return how much the rater likes `completion`."""
        grammar_prompt = grammar.by_text[prompt]
        parsed = grammar_prompt.parse(completion)
        if parsed is None:
            return self.garbled
        branch, log_prob = parsed
        share, entropy = voice_share_and_entropy(grammar_prompt)[branch.voice]
        typical = log_prob - math.log(share) + entropy
        return self.worth(grammar_prompt, branch.voice, branch.right) + self.typicality * typical

    def worth(self, prompt: Prompt, voice: str, right: bool | None) -> float:
        """Return how much the rater likes who speaks and whether it is true, whatever the words."""
        return self.manner[voice] + (self.truth * (1 if right else -1) if prompt.kind == "fact" else 0.0)

    def pick(self, utilities: Sequence[float], rng: random.Random) -> int:
        """Return the index of the preferred one: Plackett-Luce, whose pairs are Bradley-Terry."""
        noisy = [utility - math.log(rng.expovariate(1.0)) for utility in utilities]
        return max(range(len(noisy)), key=noisy.__getitem__)


GROUPS: Mapping[str, Rater] = MappingProxyType(
    {
        "scholars": Rater(),
        "friends": Rater(
            manner={"professor": -1.0, "poet": 1.5, "student": 1.0, "rude": -0.5}, truth=0.25, typicality=0.25
        ),
    }
)
"""Scholars like clear professor-like prose and the truth, and dislike rudeness. Friends like the poet and the student,
find the professor stiff, and care little for truth or manners."""


def utility_of(rest: str) -> Callable[[records.Prompt, str], float]:
    """The utility of the rater group named `rest`, for the lab's own prompts, matched by text; any real number.

    Raises `InputError`: no such group; in use, a prompt that is not the lab's.
    """
    rater = GROUPS.get(rest)
    if rater is None:
        problem = f"there is no group {rest!r}" if rest else "a group is missing"
        raise InputError(f"utility 'lab:{rest}': {problem}; write one of {', '.join(f'lab:{name}' for name in GROUPS)}")
    world = load()

    def utility(prompt: records.Prompt, completion: str) -> float:
        if prompt.text not in world.by_text:
            raise InputError(
                f"utility 'lab:{rest}': prompt {prompt.id!r} ({prompt.text!r}) is not one of the lab's, and its raters "
                "know no others; take prompts from suites/creative.yaml, search.yaml or modes.yaml, or another utility"
            )
        return rater.utility(world, prompt.text, completion.strip())

    return utility


@cache
def voice_share_and_entropy(prompt: Prompt) -> dict[str, tuple[float, float]]:
    """Return P(voice | x) and H(y | x, voice) in nats for every voice that speaks."""
    by_voice = {}
    for voice, share in prompt.shares.items():
        if share > 0:
            branches = [branch for branch in prompt.branches if branch.voice == voice]
            weights = tuple(branch.probability / share for branch in branches)
            inner = (w * math.fsum(s.entropy for s in b.slots) for w, b in zip(weights, branches, strict=True))
            by_voice[voice] = (share, entropy_of(weights) + math.fsum(inner))
    return by_voice
