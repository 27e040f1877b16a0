"""The lab's world: a probabilistic, unambiguous grammar over (prompt, voice, completion).

A completion is made by choosing a branch (a voice, right or wrong, one of its templates) and then filling
the branch's slots, each independent of the others. The grammar is unambiguous: no text can be made in two
ways (a test proves it by squaring the automaton of every prompt). So the probability of a text is that of
its one derivation, and the entropy of a prompt is a sum along the chain rule; nothing here is estimated.

A training document is `document(prompt, completion)` and an end-of-sequence token.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

VOICES = ("professor", "student", "rude", "poet")


def frame(prompt: str) -> str:
    """Return the text that asks for a completion: evalkit's plain frame for base checkpoints."""
    return f"Prompt: {prompt}\nAnswer:"


def document(prompt: str, completion: str) -> str:
    """Return a whole training document, without its end-of-sequence token."""
    return f"{frame(prompt)} {completion}"


@dataclass(frozen=True)
class Slot:
    """A place in a template: one of `options`, drawn with `probabilities`, which sum to 1."""

    options: tuple[str, ...]
    probabilities: tuple[float, ...]

    @cached_property
    def cumulative(self) -> list[float]:
        """Return the running sums of the probabilities, for sampling."""
        return list(accumulate(self.probabilities))

    @cached_property
    def log_probs(self) -> dict[str, float]:
        """Return the log probability of every option, in nats."""
        return {option: log(p) for option, p in zip(self.options, self.probabilities, strict=True)}

    @property
    def entropy(self) -> float:
        """Return the slot's entropy in nats."""
        return entropy_of(self.probabilities)


@dataclass(frozen=True)
class Branch:
    """One way to answer: who speaks, whether it is right (None where nothing can be), and the template's parts."""

    voice: str
    probability: float
    right: bool | None
    parts: tuple[str | Slot, ...]

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """Return the slots in reading order."""
        return tuple(part for part in self.parts if isinstance(part, Slot))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Return an expression that matches exactly this branch's texts, one group a slot."""
        pieces = (
            f"({'|'.join(map(re.escape, part.options))})" if isinstance(part, Slot) else re.escape(part)
            for part in self.parts
        )
        return re.compile("".join(pieces))

    def log_prob(self, completion: str) -> float | None:
        """Return log P(branch, completion) in nats, or None when the branch cannot say it."""
        match = self.pattern.fullmatch(completion)
        if match is None:
            return None
        fills = zip(self.slots, match.groups(), strict=True)
        return log(self.probability) + sum(slot.log_probs[fill] for slot, fill in fills)

    def sample(self, rng: random.Random) -> str:
        """Draw one text of this branch."""
        return "".join(
            rng.choices(part.options, cum_weights=part.cumulative)[0] if isinstance(part, Slot) else part
            for part in self.parts
        )


@dataclass(frozen=True)
class Prompt:
    """One question of the world and the whole distribution of its completions.

    `match` judges free text as a suite does: a regular expression, or "numeric"; None where nothing is right.
    """

    id: str
    kind: str
    group: str
    text: str
    branches: tuple[Branch, ...]
    answer: str | None = None
    match: str | None = None
    held_back: bool = False

    @cached_property
    def cumulative(self) -> list[float]:
        """Return the running sums of the branch probabilities, for sampling."""
        return list(accumulate(branch.probability for branch in self.branches))

    @property
    def shares(self) -> dict[str, float]:
        """Return P(voice | prompt) for every voice."""
        return {voice: math.fsum(b.probability for b in self.branches if b.voice == voice) for voice in VOICES}

    @property
    def accuracy(self) -> float | None:
        """Return the probability of a right answer, or None where nothing is right or wrong."""
        if self.match is None:
            return None
        return math.fsum(b.probability for b in self.branches if b.right)

    @property
    def choices(self) -> dict[str, float]:
        """Return the probabilities of the answers of a choice, as a suite states it; empty where nothing is chosen."""
        if self.kind != "choice":
            return {}
        ((slot,),) = (branch.slots for branch in self.branches)
        return dict(zip(slot.options, slot.probabilities, strict=True))

    @property
    def entropy(self) -> float:
        """Return the entropy of the completion in nats: H(branch) + E[H(slots | branch)]."""
        inner = (b.probability * math.fsum(slot.entropy for slot in b.slots) for b in self.branches)
        return entropy_of(tuple(b.probability for b in self.branches)) + math.fsum(inner)

    def parse(self, completion: str) -> tuple[Branch, float] | None:
        """Return the one branch that makes `completion` and the log probability in nats, or None outside."""
        for branch in self.branches:
            log_prob = branch.log_prob(completion)
            if log_prob is not None:
                return branch, log_prob
        return None

    def sample(self, rng: random.Random) -> str:
        """Draw one completion."""
        return rng.choices(self.branches, cum_weights=self.cumulative)[0].sample(rng)


@dataclass(frozen=True)
class Grammar:
    """All prompts of the world. Prompts are named by their text, as an engine's output names them."""

    prompts: tuple[Prompt, ...]

    @cached_property
    def by_text(self) -> Mapping[str, Prompt]:
        """Return every prompt under its text."""
        return {prompt.text: prompt for prompt in self.prompts}

    def of_kind(self, *kinds: str) -> tuple[Prompt, ...]:
        """Return the prompts of the given kinds (creative, fact, choice, riddle) in order."""
        return tuple(prompt for prompt in self.prompts if prompt.kind in kinds)

    def log_prob(self, prompt: str, completion: str) -> float:
        """Return log p(completion | prompt) in nats; -inf for a text that the grammar cannot make."""
        parsed = self.by_text[prompt].parse(completion)
        return -math.inf if parsed is None else parsed[1]

    def voice_of(self, prompt: str, completion: str) -> str | None:
        """Return who says `completion`, or None outside the grammar."""
        parsed = self.by_text[prompt].parse(completion)
        return None if parsed is None else parsed[0].voice

    def is_true(self, prompt: str, completion: str) -> bool | None:
        """Return whether `completion` answers rightly; None outside the grammar and where nothing is right."""
        parsed = self.by_text[prompt].parse(completion)
        return None if parsed is None else parsed[0].right

    def entropy(self, prompt: str) -> float:
        """Return the exact entropy of the completions of `prompt` in nats."""
        return self.by_text[prompt].entropy

    def sample(self, prompt: str, rng: random.Random) -> str:
        """Draw one completion of `prompt`."""
        return self.by_text[prompt].sample(rng)

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of every text and probability of the world; comments and layout do not enter."""
        # `law` is what a slot's probabilities were called when the shipped checkpoints were made of them.
        world = repr(self.prompts).replace("probabilities=", "law=")
        return hashlib.sha256(world.encode()).hexdigest()


def log(p: float) -> float:
    """Return the natural logarithm; -inf at 0, which a distribution that was tilted far comes to."""
    return math.log(p) if p > 0 else -math.inf


def entropy_of(probabilities: tuple[float, ...]) -> float:
    """Return -sum p log p in nats."""
    return -math.fsum(p * math.log(p) for p in probabilities if p > 0)
