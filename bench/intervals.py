"""How often intervals and tests keep their word, by simulation with laws whose mean is known.

    python -m bench.intervals [--trials N] [--write]

- Intervals: the share of 95 % intervals that hold the mean, of 8 to 200 prompts, and how much wider they are than
  Student's t. The p-value of "the mean is what it is" is below 0.05 in all other trials: the two agree.
- Clusters: prompts that belong together, taken as one draw each and, beside it, as so many.
- Gate: a loss of exactly what is allowed. How often it passes, and how often it is called a regression, at 5 %.

`--write` puts the tables into docs/intervals.md. Seeds are fixed: the same numbers come back.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats as scipy_stats

from evalkit.analysis.intervals import Bounds, mean_intervals
from evalkit.gate.stats.noninferiority import weigh
from evalkit.plumbing.arrays import Array
from evalkit.records import CONFIDENCE, Margin

SIZES = (8, 12, 20, 30, 64, 200)
GATE_SIZES = (10, 20, 30, 64)
GATE_TRIALS = 4000
PAGE = Path(__file__).parent.parent / "docs" / "intervals.md"
BEGIN, END = "<!-- python -m bench.intervals -->", "<!-- end -->"
SHARES = (0.0, 1.0)


@dataclass(frozen=True)
class Law:
    """What prompts' values are drawn from."""

    name: str
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array]
    mean: float
    bounds: Bounds | None = None


def rare(rng: np.random.Generator, shape: tuple[int, ...], samples: int, often: float, seldom: float) -> Array:
    """Shares of right answers among so many, each prompt with a chance of its own: Beta, mostly near 0."""
    return np.asarray(rng.binomial(samples, rng.beta(often, seldom, shape)) / samples)


LAWS = (
    Law("normal", lambda rng, shape: rng.normal(size=shape), 0.0),
    Law("uniform", lambda rng, shape: rng.uniform(size=shape), 0.5),
    Law("exponential", lambda rng, shape: rng.exponential(size=shape), 1.0),
    Law("lognormal", lambda rng, shape: rng.lognormal(size=shape), math.exp(0.5)),
    Law("Student-3", lambda rng, shape: rng.standard_t(3, shape), 0.0),
    Law("rare accuracy, 8 samples, mean 0.05", lambda rng, shape: rare(rng, shape, 8, 0.2, 3.8), 0.05, SHARES),
    Law("rare accuracy, 32 samples, mean 0.1", lambda rng, shape: rare(rng, shape, 32, 0.25, 2.25), 0.1, SHARES),
    Law("accuracy, 16 samples, mean 0.5", lambda rng, shape: rare(rng, shape, 16, 0.5, 0.5), 0.5, SHARES),
    Law("right or wrong, mean 0.1", lambda rng, shape: rng.binomial(1, 0.1, shape).astype(float), 0.1, SHARES),
    Law("right or wrong, mean 0.5", lambda rng, shape: rng.binomial(1, 0.5, shape).astype(float), 0.5, SHARES),
    Law("difference of two such, mean 0.05", lambda rng, shape: rng.choice([-1.0, 0, 1], shape, p=[0.05, 0.85, 0.1]),
        0.05, (-1.0, 1.0)),
    Law("counts, mean 1", lambda rng, shape: rng.poisson(1.0, shape).astype(float), 1.0),
)  # fmt: skip


HARD = (
    Law("lognormal, sigma 1.5", lambda rng, shape: rng.lognormal(0, 1.5, shape), math.exp(1.125)),
    Law("one in 10 lognormal, else 0", lambda rng, shape: rng.binomial(1, 0.1, shape) * rng.lognormal(size=shape),
        0.1 * math.exp(0.5)),
    Law("differences: one in 20 loses 1, the rest gain 1/19",
        lambda rng, shape: rng.choice([-1.0, 1 / 19], shape, p=[0.05, 0.95]), 0.0),
)  # fmt: skip
"""Laws that no method holds on small suites: what decides the mean is mostly not seen."""
HARD_SIZES, HARD_TRIALS = (8, 20, 30, 64), 4000


@dataclass(frozen=True)
class Covered:
    """Shares of trials."""

    held: float
    under: float
    """The interval lies below the mean."""
    over: float
    width: float
    """Mean width over that of Student's t."""


def covered(values: Array, mean: float, bounds: Bounds | None = None, clusters: Sequence[str] = ()) -> Covered:
    """Of the rows of `values` (trials x prompts), through `mean_intervals`."""
    found = mean_intervals(values, CONFIDENCE, clusters, bounds)
    low, high = np.array([one.low for one in found]), np.array([one.high for one in found])
    slack = 1e-12 * max(1.0, abs(mean))
    under, over = float(np.mean(high < mean - slack)), float(np.mean(low > mean + slack))
    plain = 2 * scipy_stats.t.ppf((1 + CONFIDENCE) / 2, values.shape[1] - 1) * scipy_stats.sem(values, axis=1)
    return Covered(1 - under - over, under, over, float((high - low).mean() / plain.mean()))


def of_law(law: Law, prompts: int, trials: int, seed: int = 0) -> Covered:
    rng = np.random.default_rng([seed, prompts])
    return covered(law.draw(rng, (trials, prompts)), law.mean, law.bounds)


@dataclass(frozen=True)
class World:
    """Questions in several wordings each."""

    name: str
    sizes: tuple[int, ...]
    """Wordings of each question."""
    correlation: float
    """Within a question: the share of the variance that its wordings have in common."""
    is_skewed: bool = False

    @property
    def clusters(self) -> list[str]:
        return [str(question) for question, size in enumerate(self.sizes) for _ in range(size)]

    def draw(self, rng: np.random.Generator, trials: int) -> Array:
        """Values with mean 0: (trials, prompts)."""
        questions = rng.normal(size=(trials, len(self.sizes)))
        if self.is_skewed:
            questions = rng.exponential(size=questions.shape) - 1
        common = np.repeat(questions, self.sizes, axis=1)
        own = rng.normal(size=common.shape)
        return np.asarray(math.sqrt(self.correlation) * common + math.sqrt(1 - self.correlation) * own)


UNEQUAL = (1, 1, 1, 2, 2, 3, 3, 4, 5, 8) * 2
WORLDS = (
    World("20 questions x 5, correlation 0.9", (5,) * 20, 0.9),
    World("20 questions x 5, correlation 0.5", (5,) * 20, 0.5),
    World("20 questions x 5, correlation 0.1", (5,) * 20, 0.1),
    World("20 questions x 5, 0.9, skewed", (5,) * 20, 0.9, is_skewed=True),
    World("20 questions x 1 to 8, correlation 0.9", UNEQUAL, 0.9),
    World("20 questions x 1 to 8, 0.9, skewed", UNEQUAL, 0.9, is_skewed=True),
    World("40 questions x 1 to 8, correlation 0.5", UNEQUAL * 2, 0.5),
)


def of_world(world: World, trials: int, seed: int = 0) -> tuple[Covered, Covered]:
    """With the cluster as the unit, and with the prompt."""
    values = world.draw(np.random.default_rng([seed, len(world.clusters)]), trials)
    return covered(values, 0.0, clusters=world.clusters), covered(values, 0.0)


Pairs = Callable[[np.random.Generator, int], tuple[Array, Array]]
"""(new, base), each (prompts,), where new's mean is base's."""


def differing(law: Law, sign: int, deviation: float) -> Pairs:
    """A base of 5 +- 1, and differences with the law's shape, turned by `sign`."""

    def draw(rng: np.random.Generator, prompts: int) -> tuple[Array, Array]:
        base = rng.normal(5, 1, prompts)
        return base + sign * (law.draw(rng, (prompts,)) - law.mean) / deviation, base

    return draw


_NAMED = {law.name: law for law in LAWS}
_LOGNORMAL = math.sqrt((math.e - 1) * math.e)
GATED: tuple[tuple[str, Pairs], ...] = (
    ("normal", differing(_NAMED["normal"], 1, 1.0)),
    ("exponential", differing(_NAMED["exponential"], 1, 1.0)),
    ("exponential, turned", differing(_NAMED["exponential"], -1, 1.0)),
    ("lognormal", differing(_NAMED["lognormal"], 1, _LOGNORMAL)),
    ("lognormal, turned", differing(_NAMED["lognormal"], -1, _LOGNORMAL)),
    ("Student-3", differing(_NAMED["Student-3"], 1, math.sqrt(3))),
)
UNITS = (Margin("absolute", 0.3), Margin("relative", 0.05), Margin("standard_errors", 3.0))


def gate_errors(pairs: Pairs, margin: Margin, prompts: int, trials: int, seed: int = 0) -> tuple[float, float]:
    """Where exactly what is allowed was lost: shares of wrong passes and wrong regressions at 5 %."""
    rng = np.random.default_rng([seed, prompts])
    passed = refused = 0
    for _ in range(trials):
        new, base = pairs(rng, prompts)
        lost = {"absolute": margin.size, "relative": 5 * margin.size, "standard_errors": margin.size / prompts**0.5}
        found = weigh(new - lost[margin.unit], base, margin)
        passed += found.within <= 0.05
        refused += found.beyond <= 0.05
    return passed / trials, refused / trials


def tables(trials: int) -> Iterator[str]:
    yield f"Shares of {trials:,} trials in which a 95 % interval held the mean; in brackets width over Student's t.\n"
    yield "| values | " + " | ".join(f"{size} prompts" for size in SIZES) + " |"
    yield "|---" * (len(SIZES) + 1) + "|"
    for law in LAWS:
        found = [of_law(law, size, trials) for size in SIZES]
        yield f"| {law.name} | " + " | ".join(f"{_percent(one.held)} ({one.width:.2f})" for one in found) + " |"
    yield f"\nClusters, {trials:,} trials: as clusters, and as if every prompt were a question of its own.\n"
    yield "| prompts | held, as clusters | held, as prompts |\n|---|---|---|"
    for world in WORLDS:
        together, alone = of_world(world, trials)
        yield f"| {world.name} | {_percent(together.held)} | {_percent(alone.held)} |"
    yield f"\nWhere they do not hold, {HARD_TRIALS:,} trials: values whose mean rests on what few prompts show.\n"
    yield "| values | " + " | ".join(f"{size} prompts" for size in HARD_SIZES) + " |"
    yield "|---" * (len(HARD_SIZES) + 1) + "|"
    for law in HARD:
        yield f"| {law.name} | " + " | ".join(_percent(of_law(law, n, HARD_TRIALS).held) for n in HARD_SIZES) + " |"
    yield f"\nThe gate, {GATE_TRIALS:,} trials: just what is allowed was lost. Wrong passes / regressions at 5 %.\n"
    yield "| differences | allowed | " + " | ".join(f"{size} prompts" for size in GATE_SIZES) + " |"
    yield "|---" * (len(GATE_SIZES) + 2) + "|"
    for name, pairs in GATED:
        for margin in UNITS:
            errors = [gate_errors(pairs, margin, size, GATE_TRIALS) for size in GATE_SIZES]
            told = " | ".join(f"{_percent(first)} / {_percent(second)}" for first, second in errors)
            yield f"| {name} | {margin.unit.replace('_', ' ')} {margin.size:g} | {told} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/intervals.md")
    asked = parser.parse_args()
    lines = []
    for line in tables(asked.trials):
        print(line, flush=True)
        lines.append(line)
    if asked.write:
        head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text("\n".join([head + BEGIN, *lines, END]) + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
