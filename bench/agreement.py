"""How often intervals of agreement hold the truth, and how many raters who answer at random are found, by simulation.

    python -m bench.agreement [--trials N] [--write]

- Intervals: two groups of raters with stated utilities; the truth is that of all raters and all pairs of the kind.
- Random raters: among honest ones, with and without a minority of opposite values.

`--write` puts the tables into docs/agreement.md. Seeds are fixed: the same numbers come back.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalkit.plumbing.arrays import Array
from evalkit.preferences.agreement.coefficients import Answers, agreement, couples, share
from evalkit.preferences.agreement.disagreement import disagreement
from evalkit.preferences.agreement.random_raters import Evidence, named, predicted, probabilities
from evalkit.preferences.agreement.ratings import CATEGORIES, NEITHER, directions
from evalkit.preferences.agreement.two_way import Estimate, Index

PAGE = Path(__file__).parent.parent / "docs" / "agreement.md"
BEGIN, END = "<!-- python -m bench.agreement -->", "<!-- end -->"
ALL_RATERS, ALL_PAIRS = 250, 4000
"""What stands for all raters of a group, and for all pairs."""
REPEATED = 0.3
"""Share of answers asked for once more."""


@dataclass(frozen=True)
class World:
    """Two groups of raters over the same pairs."""

    spread: float
    """How much raters of a group differ: in how sharply they see a difference, in taste, in how readily they tie."""
    raters: int
    """Of each group."""
    pairs: int
    answers: int
    """A pair and group."""

    @property
    def name(self) -> str:
        return f"{self.raters} raters a group, {self.pairs} pairs, {self.answers} answers a pair"


SPREADS = (0.0, 0.25, 0.5)
SHAPES = ((6, 60, 6), (8, 100, 3), (12, 100, 4), (20, 200, 3))


def laws(spread: float, raters: int, pairs: int, rng: np.random.Generator) -> Array:
    """[2 x raters, pairs, 3] probabilities of each answer; group 0 and 1 share half of what they value."""
    shared, own = rng.normal(0, 1.1, pairs), rng.normal(0, 1.1, (2, pairs))
    gap = np.repeat(shared + own, raters, axis=0) + rng.normal(0, spread, (2 * raters, pairs))
    sharp = np.exp(rng.normal(0, spread, 2 * raters))[:, None]
    ties = np.clip(0.12 * np.exp(rng.normal(0, spread, 2 * raters)), 0, 0.6)[:, None]
    first = (1 - ties) / (1 + np.exp(-sharp * gap))
    return np.stack([first, 1 - ties - first, np.broadcast_to(ties, first.shape)], axis=2)


def draw(law: Array, rng: np.random.Generator) -> Answers:
    """[R, I] one answer each."""
    return (rng.random(law.shape[:2])[..., None] > law.cumsum(axis=2)[..., :2]).sum(axis=2).astype(np.int8)


def seen(world: World, law: Array, rng: np.random.Generator) -> tuple[Answers, Answers]:
    """Answers and repeats of a labelling: each pair is given to so many raters of each group."""
    answers, again = draw(law, rng), draw(law, rng)
    for group in (0, 1):
        rows = slice(group * world.raters, (group + 1) * world.raters)
        turn = rng.random((world.raters, world.pairs)).argsort(axis=0).argsort(axis=0)
        answers[rows][turn >= world.answers] = -1
    again[(answers < 0) | (rng.random(answers.shape) > REPEATED)] = -1
    return answers, again


def truths(spread: float) -> dict[str, float]:
    """Of all raters and all pairs: exact in the probabilities."""
    law = laws(spread, ALL_RATERS, ALL_PAIRS, np.random.default_rng(99))
    first, second = law[:ALL_RATERS], law[ALL_RATERS:]
    alone = [1 - (part**2).sum(axis=2).mean() for part in (first, second)]
    inside = [_inside(part) for part in (first, second)]
    means = [part.mean(axis=(0, 1)) for part in (first, second)]
    total = 1 - (first.mean(axis=0) * second.mean(axis=0)).sum(axis=1).mean()
    noise, within = float(np.mean(alone)), float(np.mean(inside))
    by_chance = float(means[0] @ means[0])
    kappa = (1 - inside[0] - by_chance) / (1 - by_chance)
    across = float(means[0] @ means[1])
    return {
        "raw, inside": 1 - inside[0],
        "Fleiss' kappa": kappa,
        "Krippendorff's alpha": kappa,
        "raw, between": 1 - total,
        "Cohen's kappa, between": (1 - total - across) / (1 - across),
        "ties": float(law[..., NEITHER].mean()),
        "same again": 1 - noise,
        "noise": noise,
        "persons": within - noise,
        "values": total - within,
        "noise's share": noise / total,
    }


def _inside(law: Array) -> float:
    """Chance that two different raters differ."""
    number = len(law)
    sums = law.sum(axis=0)
    alike = ((sums**2).sum(axis=1) - (law**2).sum(axis=(0, 2))) / (number * (number - 1))
    return float(1 - alike.mean())


def measured(world: World, rng: np.random.Generator) -> dict[str, Estimate]:
    """One labelling's figures."""
    answers, again = seen(world, laws(world.spread, world.raters, world.pairs, rng), rng)
    ones, others = np.arange(world.raters), np.arange(world.raters, 2 * world.raters)
    inside, between = couples(answers, CATEGORIES, ones), couples(answers, CATEGORIES, ones, others)
    both: Sequence[Index] = [ones, others]
    parts = disagreement(answers, again, ones, others, CATEGORIES)
    everybody = np.arange(2 * world.raters)
    twice = (answers >= 0) & (again >= 0)
    return {
        "raw, inside": agreement("raw", inside, CATEGORIES, [ones]),
        "Fleiss' kappa": agreement("fleiss", inside, CATEGORIES, [ones]),
        "Krippendorff's alpha": agreement("krippendorff", inside, CATEGORIES, [ones]),
        "raw, between": agreement("raw", between, CATEGORIES, both),
        "Cohen's kappa, between": agreement("cohen", between, CATEGORIES, both),
        "ties": share(np.where(answers < 0, np.nan, answers == NEITHER), everybody),
        "same again": share(np.where(twice, answers == again, np.nan), everybody),
        "noise": parts.noise,
        "persons": parts.persons,
        "values": parts.values,
        "noise's share": parts.noise_share,
    }


def coverage(world: World, trials: int, seed: int = 0) -> dict[str, float]:
    """Figure -> share of trials in which its interval holds the truth."""
    rng = np.random.default_rng([seed, world.raters, world.pairs, round(100 * world.spread)])
    truth = truths(world.spread)
    held: dict[str, int] = defaultdict(int)
    for _ in range(trials):
        for name, estimate in measured(world, rng).items():
            held[name] += estimate.low <= truth[name] <= estimate.high
    return {name: held[name] / trials for name in truth}


@dataclass(frozen=True)
class Crowd:
    """Raters of one group, some of them at random."""

    name: str
    raters: int = 20
    at_random: int = 2
    opposite: int = 0
    """Honest raters whose values are the others', turned round."""
    answers_a_pair: int = 5
    clear: float = 2.0
    """Standard deviation of the difference in worth of a pair's completions, in log-odds."""


CROWDS = (
    Crowd("2 of 20 at random"),
    Crowd("4 of 20 at random", at_random=4),
    Crowd("2 of 20, and 4 of opposite values", opposite=4),
    Crowd("2 of 8, all answer every pair", raters=8, answers_a_pair=8),
    Crowd("2 of 20, harder pairs", clear=1.5),
    Crowd("none of 20", at_random=0),
)
ANSWERS = (100, 200, 300, 400)


@dataclass(frozen=True)
class Finding:
    """Shares over trials; NaN where there is none to be found."""

    found: float
    """Of raters at random, those that are named."""
    false: float
    """Of honest raters, those that are named."""
    discovery: float
    """Of the named, those that are honest: the mean over trials."""


def finding(crowd: Crowd, answers: int, trials: int, seed: int = 0) -> Finding:
    """How a crowd is judged after so many answers of each rater, a tenth of them repeated."""
    rng = np.random.default_rng([seed, crowd.raters, answers, round(10 * crowd.clear), crowd.at_random])
    marks = np.array([_judged(crowd, answers, rng) for _ in range(trials)])
    at_random = np.arange(crowd.raters) < crowd.at_random
    found, false = marks[:, at_random], marks[:, ~at_random]
    discovery = false.sum(axis=1) / np.maximum(1, marks.sum(axis=1))
    return Finding(float(found.mean()) if found.size else np.nan, float(false.mean()), float(discovery.mean()))


def _judged(crowd: Crowd, answers: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """[R] who is named; those at random stand first, then those of opposite values."""
    pairs = answers * crowd.raters // crowd.answers_a_pair
    gap = np.repeat(rng.normal(0, crowd.clear, (1, pairs)), crowd.raters, axis=0)
    gap[crowd.at_random : crowd.at_random + crowd.opposite] *= -1
    gap[: crowd.at_random] = 0
    first = 0.9 / (1 + np.exp(-gap))
    law = np.stack([first, 0.9 - first, np.full(gap.shape, 0.1)], axis=2)
    given, again = draw(law, rng), draw(law, rng)
    turn = rng.random(given.shape).argsort(axis=0).argsort(axis=0)
    given[turn >= crowd.answers_a_pair] = -1
    again[(given < 0) | (rng.random(given.shape) > 0.1)] = -1
    one, two = directions(given), directions(again)
    twice = (one != 0) & (two != 0)
    trials, hits = predicted(one, np.zeros(crowd.raters, np.int64))
    return named(probabilities(Evidence(trials, hits, twice.sum(axis=1), (twice & (one == two)).sum(axis=1))))


def tables(trials: int) -> str:
    """Both tables, as Markdown."""
    names = list(truths(0.0))
    lines = [f"Shares of {trials:,} trials in which a 95 % interval held the truth, in per cent.", ""]
    lines += ["| spread of raters | labelling | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 2)]
    for spread in SPREADS:
        for shape in SHAPES:
            world = World(spread, *shape)
            held = coverage(world, trials)
            lines.append(
                f"| {spread:g} | {world.name} | " + " | ".join(f"{100 * held[name]:.1f}" for name in names) + " |"
            )
    few = max(10, trials // 10)
    lines += ["", f"Raters who answer at random: found / honest ones named, in per cent, over {few} trials.", ""]
    lines += [
        "| crowd | " + " | ".join(f"{count} answers each" for count in ANSWERS) + " |",
        "|---|" + "---|" * len(ANSWERS),
    ]
    for crowd in CROWDS:
        cells = [finding(crowd, count, few) for count in ANSWERS]
        lines.append(f"| {crowd.name} | " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _cell(cell: Finding) -> str:
    found = "-" if np.isnan(cell.found) else f"{100 * cell.found:.0f}"
    return f"{found} / {100 * cell.false:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/agreement.md")
    asked = parser.parse_args()
    text = tables(asked.trials)
    print(text)
    if asked.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
