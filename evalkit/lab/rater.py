"""A simulated rater whose values are known, so that what tuning does to a model can be checked against them.

    utility(x, y) = manner[voice] + truth * (+1 right, -1 wrong) + typicality * (log p(y | x, voice) + H(y | x, voice))

It likes clear professor-like prose, dislikes rudeness, likes truth where it can tell (facts; a riddle's answer it
does not know), and mildly prefers the familiar: p is the grammar's, and the last bracket has mean 0 in every
voice. People do the same (Zhang et al. 2025 find typicality bias in preference data), and it is what makes
tuned models lose variety. Two completions are compared by Bradley-Terry, P(a over b) = sigmoid(u(a) - u(b)):
utility plus Gumbel noise of scale 1.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from evalkit.lab.grammar import Grammar, Prompt, entropy_of

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
        asked = grammar.by_text[prompt]
        parsed = asked.parse(completion)
        if parsed is None:
            return self.garbled
        branch, log_prob = parsed
        share, entropy = voice_law(asked)[branch.voice]
        typical = log_prob - math.log(share) + entropy
        right = self.truth * (1 if branch.right else -1) if asked.kind == "fact" else 0.0
        return self.manner[branch.voice] + right + self.typicality * typical

    def pick(self, utilities: Sequence[float], rng: random.Random) -> int:
        """Return the index of the preferred one: Plackett-Luce, whose pairs are Bradley-Terry."""
        noisy = [utility - math.log(rng.expovariate(1.0)) for utility in utilities]
        return max(range(len(noisy)), key=noisy.__getitem__)


@cache
def voice_law(prompt: Prompt) -> dict[str, tuple[float, float]]:
    """Return P(voice | x) and H(y | x, voice) in nats for every voice that speaks."""
    law = {}
    for voice, share in prompt.shares.items():
        if share > 0:
            own = [branch for branch in prompt.branches if branch.voice == voice]
            weights = tuple(branch.probability / share for branch in own)
            inner = (w * math.fsum(s.entropy for s in b.slots) for w, b in zip(weights, own, strict=True))
            law[voice] = (share, entropy_of(weights) + math.fsum(inner))
    return law
