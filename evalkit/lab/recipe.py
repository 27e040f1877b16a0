"""All that decides the shipped checkpoints, as values: change one and the fingerprint changes with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from evalkit.lab.grammar import Grammar
from evalkit.lab.rater import GROUPS, Rater
from evalkit.training.schedule import annealing

VERSION = 2
"""Raised by hand when the code of the recipe changes what comes out without changing a value below."""


@dataclass(frozen=True)
class Schedule:
    """One stage of training: optimiser steps, texts a step, and the peak of a linear warm-up and decay to zero.

    `peak` is Adam's learning rate (embeddings, norms, heads), `matrix_peak` Muon's (the layers' matrices).
    """

    steps: int
    batch: int
    peak: float
    matrix_peak: float
    warmup: int = 20

    def rate(self, step: int) -> float:
        """Return the share of the peak rates to use at a step, counted from 0."""
        return annealing(step, self.steps, self.warmup)


@dataclass(frozen=True)
class LadderCheckpoint:
    """One tuned checkpoint: whose reward model it was tuned on, and how near to the base it was held."""

    name: str
    group: str
    beta: float


LADDER = (
    LadderCheckpoint("ppo-1", "scholars", 1.0),
    LadderCheckpoint("ppo-0.5", "scholars", 0.5),
    LadderCheckpoint("ppo-0.2", "scholars", 0.2),
    LadderCheckpoint("ppo-0.1", "scholars", 0.1),
    LadderCheckpoint("friends", "friends", 0.2),
)


@dataclass(frozen=True)
class Tuning:
    """How a checkpoint of the ladder is tuned by PPO: updates of `batch` episodes, each gone over `epochs` times."""

    updates: int = 24
    batch: int = 256
    epochs: int = 2
    learning_rate: float = 7e-4


@dataclass(frozen=True)
class Recipe:
    """The whole recipe. Counts are per prompt unless they say otherwise.

    samples: completions drawn from the base that the raters compare two by two. held_out: further ones, to test on.
    fit_samples: grammar texts that cross entropy is measured on. probe_samples: completions drawn for the figures.
    """

    seed: int = 0
    base: Schedule = field(default_factory=lambda: Schedule(800, 64, 1e-2, 2e-2))
    reward: Schedule = field(default_factory=lambda: Schedule(150, 96, 2e-3, 5e-3))
    samples: int = 128
    held_out: int = 24
    fit_samples: int = 32
    probe_samples: int = 32
    raters: Mapping[str, Rater] = field(default_factory=lambda: dict(GROUPS))
    tuning: Tuning = field(default_factory=Tuning)
    ladder: tuple[LadderCheckpoint, ...] = LADDER

    def quick(self) -> Recipe:
        """Return the same recipe cut down to seconds, to test that it runs; its models are poor."""
        return replace(
            self,
            base=replace(self.base, steps=30),
            reward=replace(self.reward, steps=6),
            samples=16,
            held_out=4,
            fit_samples=2,
            probe_samples=4,
            tuning=replace(self.tuning, updates=2, batch=32),
        )

    def fingerprint(self, grammar: Grammar) -> str:
        """Return a hash of the recipe's inputs: version, grammar, settings and seeds."""
        inputs = {"version": VERSION, "grammar": grammar.fingerprint, "settings": asdict(self)}
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
