"""Metrics on classes that are told: bias and coverage of their estimates, and what errors of who tells do to them.

    python -m bench.classes

Every prompt has a distribution over 20 classes (Dirichlet, of a concentration of its own) and a quality for each, so
that all limits are exact. Of 60 prompts drawn from 400, the share of 95 % intervals that hold the mean over all 400.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from evalkit.analysis.intervals import mean_intervals
from evalkit.metrics.divisions.greedy import Pair, divide_together
from evalkit.metrics.registry import parse
from evalkit.plumbing.arrays import Array
from evalkit.records import CONFIDENCE, Completion, Given, Group, Prompt

CLASSES, POPULATION, PROMPTS, DRAWS, SETS, TRIALS = 20, 400, 60, 32, 4, 2000
K, PATIENCE = 10, 0.8
ERRORS = (0.0, 0.02, 0.05, 0.1, 0.2)
BLANK = Group(Prompt("p", "?"), tuple(Completion("p", slot, f"text {slot}", (), (), "stop") for slot in range(DRAWS)))


def main() -> None:
    rng = np.random.default_rng(0)
    chances = np.stack([rng.dirichlet(np.full(CLASSES, 10 ** rng.uniform(-1.5, 0.5))) for _ in range(POPULATION)])
    quality = rng.uniform(1, 10, (POPULATION, CLASSES))
    drawn = np.stack([[rng.choice(CLASSES, DRAWS, p=row) for _ in range(SETS)] for row in chances])
    print("\n".join(coverage(rng, drawn, quality, limits(chances, quality))))
    print()
    print("\n".join(errors(rng, drawn[:, 0, :K])))
    print(f"\n120 prompts x 32 answers divided, without the time of who tells: {overhead(drawn):.2f} s")


def limits(chances: Array, quality: Array) -> dict[str, Array]:
    """Measure -> (POPULATION,) its exact value for draws from each prompt's distribution."""
    place = np.arange(K)[:, None, None]
    is_new = chances * (1 - chances) ** place  # (K, P, C): the draw at a place is the first of its class
    weights = PATIENCE ** np.arange(K)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(chances > 0, chances * np.log(chances), 0).sum(axis=1)
    return {
        f"given/distinct_k|k:{K}": (1 - (1 - chances) ** K).sum(axis=1),
        "given/simpson_classes": 1 - (chances**2).sum(axis=1),
        "given/class_entropy": entropy,
        f"given/utility_k|k:{K}": weights @ (is_new * quality).sum(axis=2) / weights.sum(),
    }


def coverage(rng: np.random.Generator, drawn: Array, quality: Array, truths: dict[str, Array]) -> Iterator[str]:
    """A row a measure."""
    yield f"| measure | limit | bias, % | intervals of {PROMPTS} prompts that hold it |"
    yield "|---|---|---|---|"
    for name, truth in truths.items():
        measure = parse(name)
        values = np.array(
            [[measure(group(one, marks)) for one in of_prompt] for of_prompt, marks in zip(drawn, quality, strict=True)]
        )
        prompts = rng.integers(POPULATION, size=(TRIALS, PROMPTS))
        sets = rng.integers(SETS, size=(TRIALS, PROMPTS))
        found = mean_intervals(values[prompts, sets], CONFIDENCE)
        held = np.mean([one.low <= truth.mean() <= one.high for one in found])
        bias = 100 * (values.mean() / truth.mean() - 1)
        yield f"| `{name}` | {truth.mean():.2f} | {bias:+.1f} | {held:.1%} |"


def group(classes: Array, marks: Array) -> Group:
    return replace(BLANK, given=Given(classes=classes), quality=marks[classes])


def errors(rng: np.random.Generator, drawn: Array) -> Iterator[str]:
    """distinct_k by a judge that errs on a share of the pairs, as a share of what it is without errors."""
    lists = [[f"{one} {slot}" for slot, one in enumerate(row)] for row in drawn]
    means = {
        kind: [divided_by(lists, rng, kind, share) for share in ERRORS] for kind in ("same", "different", "either")
    }
    yield f"| pairs judged wrongly | {' | '.join(f'{share:.0%}' for share in ERRORS)} |"
    yield f"|---|{'---|' * len(ERRORS)}"
    for kind, words in (("different", "called different"), ("same", "called the same"), ("either", "either way")):
        yield f"| {words} | {' | '.join(f'{mean:.2f}' for mean in means[kind])} |"


def divided_by(lists: Sequence[Sequence[str]], rng: np.random.Generator, kind: str, share: float) -> float:
    """Mean number of classes, where a share of the pairs that are different, the same, or either, is judged wrongly."""

    def same(pairs: list[Pair]) -> list[bool]:
        truth = np.array([first.split()[0] == second.split()[0] for _, first, second in pairs])
        may_err = {"same": ~truth, "different": truth, "either": np.ones_like(truth)}[kind]
        verdicts: list[bool] = (truth ^ (may_err & (rng.random(len(truth)) < share))).tolist()
        return verdicts

    divided = divide_together(lists, ["asked"] * len(lists), same)
    return float(np.mean([one.classes.max() + 1 for one in divided]))


def overhead(drawn: Array) -> float:
    lists = [[f"{one} {slot}" for slot, one in enumerate(row)] for row in drawn[:120, 0]]
    start = time.perf_counter()
    divide_together(lists, ["asked"] * len(lists), lambda pairs: [a.split()[0] == b.split()[0] for _, a, b in pairs])
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
