"""Bias and interval coverage of prompt information, by simulation: the tables of docs/prompt-information.md.

    python -m bench.prompt_information [--trials N]

Without `--trials` the bias alone; what the figure costs is in `bench.metrics`.

- Bias: the lab's 46 choice prompts, whose laws are exact, mixed with their own mean ("template share" s): at s = 1
  every prompt gets the same answers. What a few others tell, averaged over choices of them, beside what all 45 tell.
- Coverage: suites of questions that are drawn anew, each with a law of its own; the share of 95 % intervals that hold
  the figure's mean over all such suites, of one arm and of the paired difference between two, and how often two draws
  of one law are called different.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.intervals import mean_intervals, mean_p_values
from evalkit.lab.world import load
from evalkit.metrics.diversity.prompt_information import information, with_shares, without_each
from evalkit.plumbing.arrays import Array
from evalkit.records import CONFIDENCE

ANSWERS, DESIGNS, LARGE = 30, 200, 40_000
SHARES = (0.0, 0.5, 0.9, 0.99, 1.0)
OTHERS = (1, 2, 4, 8, 16, 45)
SUITES = ((20, 8, 8), (60, 8, 8), (110, 16, 8), (60, 8, 4))
"""Questions, completions of each, others."""
LEAST = 1e-300
"""In the place of chances of 0, whose logarithm counts 0 times."""
Laws = Callable[[np.random.Generator, int], Array]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=0, help="simulate so many suites of each kind")
    trials = parser.parse_args().trials
    print("\n".join(bias_table()))
    if trials:
        print("\n".join(["", *coverage_table(trials)]))


def lab_laws() -> Array:
    """(46, answers) chances of the lab's choices."""
    prompts = load().of_kind("choice")
    answers = sorted({answer for prompt in prompts for answer in prompt.choices})
    return np.array([[prompt.choices.get(answer, 0.0) for answer in answers] for prompt in prompts])


def bias_table() -> list[str]:
    laws, rng = lab_laws(), np.random.default_rng(0)
    circles = [rng.permutation(len(laws)) for _ in range(DESIGNS)]
    head = " | ".join(f"{others} others" for others in OTHERS)
    lines = [f"| template share | entropy within a prompt | {head} |", "|---" * (2 + len(OTHERS)) + "|"]
    for share in SHARES:
        mixed = (1 - share) * laws + share * laws.mean(axis=0)
        told = [np.mean([exact(mixed[circle], others) for circle in circles]) for others in OTHERS]
        cells = [f"{share:g}", f"{entropy(mixed):.2f}", *(f"{nats:.3f}" for nats in told)]
        lines.append(f"| {' | '.join(cells)} |")
    most = " | ".join(f"{math.log(1 + others):.3f}" for others in OTHERS)
    return [*lines, f"| at most | | {most} |"]


def entropy(laws: Array) -> float:
    """Mean over prompts, nats."""
    return float(-(laws * np.log(np.maximum(laws, LEAST))).sum(axis=1).mean())


def exact(laws: Array, others: int) -> float:
    """Expectation of the figure for prompts in a circle."""
    mixed = sum(np.roll(laws, -step, axis=0) for step in range(others + 1)) / (others + 1)
    told = (laws * (np.log(np.maximum(laws, LEAST)) - np.log(np.maximum(mixed, LEAST)))).sum(axis=1)
    return max(0.0, float(told.mean()))


@dataclass(frozen=True)
class Population:
    """Questions of which suites are drawn: under a base and under a tuned arm."""

    name: str
    base: Laws
    template: float
    """Share of one template in the tuned arm's law."""

    def draw(self, rng: np.random.Generator, questions: int) -> tuple[Array, Array]:
        laws = self.base(rng, questions)
        return laws, (1 - self.template) * laws + self.template * _template()


def _template() -> Array:
    return np.random.default_rng(5).dirichlet(np.full(ANSWERS, 0.5))


def _unlike(rng: np.random.Generator, questions: int) -> Array:
    return rng.dirichlet(np.full(ANSWERS, 0.3), size=questions)


def _of_topics(rng: np.random.Generator, questions: int) -> Array:
    topics = np.random.default_rng(6).dirichlet(np.full(ANSWERS, 0.2), size=12)
    return np.asarray(0.7 * topics[rng.integers(12, size=questions)] + 0.3 * _unlike(rng, questions))


def _mostly_template(rng: np.random.Generator, questions: int) -> Array:
    own = rng.beta(0.5, 3, size=(questions, 1))
    return np.asarray((1 - own) * _template() + own * rng.dirichlet(np.full(ANSWERS, 0.1), size=questions))


POPULATIONS = (
    Population("every question has answers of its own", _unlike, 0.5),
    Population("questions of 12 topics", _of_topics, 0.5),
    Population("mostly one template, a few questions apart", _mostly_template, 0.5),
)


def coverage_table(trials: int) -> list[str]:
    lines = [
        "| questions | suite, completions, others | figure | mean covered | difference covered | false alarms at 5 % |",
        "|---|---|---|---|---|---|",
    ]
    for population in POPULATIONS:
        for questions, completions, others in SUITES:
            rng = np.random.default_rng(0)
            truths = [exact(laws, others) for laws in population.draw(np.random.default_rng(1), LARGE)]
            drawn = [
                [figure(laws, completions, others, rng) for laws in (suite[0], suite[0], suite[1])]
                for suite in (population.draw(rng, questions) for _ in range(trials))
            ]
            base, again, tuned = np.moveaxis(np.array(drawn), 1, 0)
            cells = [
                f"{truths[0]:.2f}",
                _percent(covered(base, truths[0])),
                _percent(covered(tuned - base, truths[1] - truths[0])),
                _percent(float(np.mean(mean_p_values(again - base) < 0.05))),
            ]
            sizes = f"{questions}, {completions}, {others}"
            lines.append(f"| {population.name} | {sizes} | {' | '.join(cells)} |")
    return lines


def figure(laws: Array, completions: int, others: int, rng: np.random.Generator) -> Array:
    """(P,) parts of the figure of one suite whose prompts stand in a circle."""
    questions = len(laws)
    above = rng.random((questions, completions, 1)) > laws.cumsum(axis=1)[:, None, :]
    answers = np.minimum(above.sum(axis=2), ANSWERS - 1)
    places = (np.arange(questions)[:, None] + np.arange(others + 1)) % questions
    logs = np.log(np.maximum(laws, LEAST))[places[:, :, None], answers[:, None, :]]
    own, under = logs[:, 0].ravel(), np.moveaxis(logs[:, 1:], 1, 2).reshape(-1, others)
    whole = information(own, under).reshape(questions, completions).mean(axis=1)
    less = without_each(own, under).reshape(questions, completions, others).mean(axis=1)
    return with_shares(np.column_stack([whole, whole[:, None] - less]), places[:, 1:])


def covered(drawn: Array, truth: float) -> float:
    """Share of rows, (trials, questions), whose interval holds the truth."""
    return float(np.mean([mean.low <= truth <= mean.high for mean in mean_intervals(drawn, CONFIDENCE)]))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
