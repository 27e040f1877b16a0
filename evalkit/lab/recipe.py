"""All that decides the shipped checkpoints, as values: change one and the fingerprint changes with it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

from evalkit.lab.grammar import Grammar
from evalkit.lab.rater import Rater

VERSION = 1
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
        return min(1.0, (step + 1) / self.warmup) * (1 - step / self.steps)


@dataclass(frozen=True)
class Recipe:
    """The whole recipe. Counts are per prompt unless they say otherwise.

    samples: completions drawn from the model for each round of tuning; the base's also make the reward's pairs.
    best_of: of so many completions the rater picks one to train on. rounds: how often that is repeated.
    fit_samples: grammar texts that cross entropy is measured on. probe_samples: completions drawn for the figures.
    """

    seed: int = 0
    base: Schedule = field(default_factory=lambda: Schedule(800, 64, 1e-2, 2e-2))
    tune: Schedule = field(default_factory=lambda: Schedule(120, 64, 1e-3, 2e-3))
    reward: Schedule = field(default_factory=lambda: Schedule(150, 96, 2e-3, 5e-3))
    samples: int = 128
    best_of: int = 4
    rounds: int = 2
    held_out: int = 24
    fit_samples: int = 32
    probe_samples: int = 32
    rater: Rater = field(default_factory=Rater)

    def quick(self) -> Recipe:
        """Return the same recipe cut down to seconds, to test that it runs; its models are poor."""
        return replace(
            self,
            base=replace(self.base, steps=30),
            tune=replace(self.tune, steps=6),
            reward=replace(self.reward, steps=6),
            samples=16,
            held_out=4,
            fit_samples=2,
            probe_samples=4,
        )

    def fingerprint(self, grammar: Grammar) -> str:
        """Return a hash of the recipe's inputs: version, grammar, settings and seeds."""
        inputs = {"version": VERSION, "grammar": grammar.fingerprint, "settings": asdict(self)}
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
