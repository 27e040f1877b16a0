"""Win rates by people, by simulation with raters whose truth is known: coverage, and how many labels are needed.

    python -m bench.annotation [--runs N] [--write]

- Coverage: the share of 95 % intervals that hold the true win rate, uniform and active choice, of 2, 5 and 20 raters
  and 20 and 100 prompts; raters lean to an arm, prefer what stands first, and say tie.
- Labels: how many active choice needs for the interval of so many uniformly chosen ones, by how much is known before.

`--write` puts the tables into docs/human-win-rate.md. Seeds are fixed: the same numbers come back.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalkit.plumbing.arrays import Array
from evalkit.preferences.active_choice import sampling_chances
from evalkit.preferences.ballots import Ballots
from evalkit.preferences.crossed import Codes, Crossed, codes_of
from evalkit.preferences.known_pairs import FLOOR, FOLDS
from evalkit.preferences.predicted_ballots import mean_prediction
from evalkit.preferences.predicted_votes import fitted, predicted
from evalkit.preferences.win_rate import estimate

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()
COMPLETIONS = 8
"""Of each prompt and arm: 64 pairs a prompt."""
FIRST, GROWTH = 10, 1.2
"""The simulated chooser looks at the votes again when they have grown by so much; the real one does every time."""


@dataclass(frozen=True)
class World:
    """Prompts, completions and raters, all drawn anew in every run; logits throughout."""

    prompts: int
    raters: int
    gap: float = 0.4
    """By how much the arm is better."""
    of_prompts: float = 0.5
    """Spread of that gap over prompts."""
    of_completions: float = 1.0
    """Spread of each completion's worth; the difference of two has 1.4 times as much."""
    leaning: float = 0.3
    """Spread over raters of what they give to the arm besides."""
    first: float = 0.4
    """What stands first is given so much, and raters differ in it by as much."""
    tie: float = 0.5
    """Davidson's nu."""
    proxy: float = 0.7
    """Correlation of the proxy with a completion's worth, of one prompt and arm."""
    useless: int = 4
    """Further proxies that say nothing."""

    def truth(self, leanings: Array | None = None, firsts: Array | None = None) -> float | Array:
        """The win rate over all prompts, pairs and orders: of raters like these, or (runs,) of these (runs, R)."""
        spread = np.hypot(self.of_prompts, np.sqrt(2) * self.of_completions)
        if leanings is None or firsts is None:
            spread = np.hypot(spread, np.hypot(self.leaning, self.first))
            rates = [self.win(self.gap + spread * NODES + side * self.first) @ NODE_WEIGHTS for side in (1, -1)]
            return float(np.mean(rates))
        shift = self.gap + leanings[..., None] + spread * NODES
        rates = [self.win(shift + side * firsts[..., None]) @ NODE_WEIGHTS for side in (1, -1)]
        return np.asarray(np.mean(rates, axis=(0, 2)))

    def win(self, logit: Array) -> Array:
        """Chance of a win, a tie counted half."""
        half = np.exp(logit / 2)
        win, tie, loss = half, np.full_like(half, self.tie), 1 / half
        return np.asarray((win + tie / 2) / (win + tie + loss))

    def vote(self, rng: np.random.Generator, logit: Array) -> Array:
        half = np.exp(logit / 2)
        total = half + self.tie + 1 / half
        dice = rng.uniform(size=logit.shape) * total
        return np.where(dice < half, 1.0, np.where(dice < half + self.tie, 0.5, 0.0))


@dataclass(frozen=True)
class Runs:
    """Many runs of one world: `worth` and `known` of completions, leanings of raters."""

    world: World
    worth: Array
    """(runs, prompts, 2 arms, completions), the prompt's gap with the arm's."""
    known: Array
    """(runs, prompts, 2, completions, 1 + useless)."""
    leanings: Array
    firsts: Array

    @classmethod
    def drawn(cls, world: World, runs: int, rng: np.random.Generator) -> Runs:
        own = rng.normal(0, world.of_completions, (runs, world.prompts, 2, COMPLETIONS))
        noise = rng.normal(0, 1, (*own.shape, 1 + world.useless))
        noise[..., 0] = world.proxy * own / world.of_completions + np.sqrt(1 - world.proxy**2) * noise[..., 0]
        gaps = world.gap + rng.normal(0, world.of_prompts, (runs, world.prompts))
        own[:, :, 0] += gaps[:, :, None]
        return cls(
            world,
            own,
            noise / np.sqrt(2),
            rng.normal(0, world.leaning, (runs, world.raters)),
            rng.normal(world.first, world.first, (runs, world.raters)),
        )

    def truths(self) -> tuple[float, Array]:
        every = self.world.truth()
        these = self.world.truth(self.leanings, self.firsts)
        assert isinstance(every, float)
        assert not isinstance(these, float)
        return every, these


@dataclass(frozen=True)
class Votes:
    """(runs, labels) each."""

    prompts: Codes
    raters: Codes
    wins: Array
    weights: Array
    """One over the pair's chance, in units of the chance that a uniform choice gives it."""
    expected: Array
    """What was predicted of the pair ..."""
    of_all: Array
    """... and of all pairs of its prompt and both orders, on average."""


def turns(rng: np.random.Generator, runs: int, prompts: int, labels: int) -> Codes:
    """(runs, labels) prompts round by round, each round in an order of its own."""
    rounds = -(-labels // prompts)
    order = rng.permuted(np.broadcast_to(np.arange(prompts), (runs, rounds, prompts)), axis=2)
    return order.reshape(runs, -1)[:, :labels]


def uniform(runs: Runs, labels: int, rng: np.random.Generator, in_turn: bool = False) -> Votes:
    shape = (len(runs.worth), labels)
    world = runs.world
    prompts = turns(rng, shape[0], world.prompts, labels) if in_turn else rng.integers(0, world.prompts, shape)
    one, other = rng.integers(0, COMPLETIONS, (2, *shape))
    raters = _raters(rng, shape, world.raters)
    side = rng.choice([-1.0, 1.0], size=shape)
    wins = _asked(runs, rng, np.arange(shape[0])[:, None], prompts, one, other, raters, side)
    half = np.full(shape, 0.5)
    return Votes(prompts, raters, wins, np.ones(shape), half, half)


def active(runs: Runs, labels: int, rng: np.random.Generator, floor: float = FLOOR) -> Votes:
    """Prompts take turns; of the one whose turn it is, a pair is drawn by its predicted uncertainty."""
    number, world = len(runs.worth), runs.world
    rows, shape = np.arange(number), (number, labels)
    prompts, raters = turns(rng, number, world.prompts, labels), _raters(rng, shape, world.raters)
    size = runs.known.shape[-1] + 2
    differences, coefficients = np.zeros((*shape, size)), np.zeros((number, FOLDS, size))
    wins, chance, drawn = np.empty(shape), np.empty(shape), np.empty(shape, dtype=np.int64)
    own = prompts[:, None] % FOLDS == np.arange(FOLDS)[:, None]
    looks = _looks(labels)
    for turn in range(labels):
        if turn in looks:
            past = differences[:, None, :turn], wins[:, None, :turn]
            coefficients = fitted(*past, own[:, :, :turn].astype(float))
        prompt = prompts[:, turn]
        pairs = _pairs(runs.known[rows, prompt])
        sampling = sampling_chances(predicted(pairs, coefficients[rows, prompt % FOLDS]), floor)
        dice = rng.uniform(size=(number, 1))
        drawn[:, turn] = pick = np.minimum((np.cumsum(sampling, axis=1) < dice).sum(axis=1), sampling.shape[1] - 1)
        one, other = np.divmod(pick, COMPLETIONS)
        side = rng.choice([-1.0, 1.0], size=number)
        wins[:, turn] = _asked(runs, rng, rows, prompt, one, other, raters[:, turn], side)
        differences[:, turn] = pairs[rows, pick]
        differences[:, turn, -1] = side
        chance[:, turn] = sampling[rows, pick]
    return predicted_for(runs, Votes(prompts, raters, wins, 1 / (sampling.shape[1] * chance), wins, wins), differences)


def predicted_for(runs: Runs, votes: Votes, differences: Array) -> Votes:
    """With what the votes on the other folds' prompts predict of each."""
    rows = np.arange(len(votes.wins))
    others = votes.prompts[:, None] % FOLDS != np.arange(FOLDS)[:, None]
    coefficients = fitted(differences[:, None], votes.wins[:, None], others.astype(float))
    expected, of_all = np.empty(votes.wins.shape), np.empty(votes.wins.shape)
    for prompt in range(runs.world.prompts):
        of_fold = coefficients[:, prompt % FOLDS]
        here = votes.prompts == prompt
        expected = np.where(here, predicted(differences, of_fold), expected)
        of_all = np.where(here, mean_prediction(_pairs(runs.known[rows, prompt]), of_fold)[:, None], of_all)
    return replace(votes, expected=expected, of_all=of_all)


def win_rate(votes: Votes, run: int) -> Crossed:
    """What evalkit makes of one run's votes."""
    wins, weights = votes.wins[run], votes.weights[run] / votes.weights[run].mean()
    shares, prompts = np.full(len(wins), 1 / len(wins)), codes_of(votes.prompts[run].tolist())
    return estimate(Ballots(prompts, votes.raters[run], wins, weights, shares, votes.expected[run], votes.of_all[run]))


def _looks(labels: int) -> set[int]:
    looks, reached = set(), float(FIRST)
    while reached < labels:
        looks.add(round(reached))
        reached *= GROWTH
    return looks


def _pairs(known: Array) -> Array:
    """(runs, pairs, d + 2) of (runs, 2, completions, d): differences, then 1 for the arm and 0 for the order."""
    every = known[:, 0, :, None] - known[:, 1, None, :]
    flat = every.reshape(len(known), -1, known.shape[-1])
    return np.concatenate([flat, np.ones((*flat.shape[:2], 1)), np.zeros((*flat.shape[:2], 1))], axis=2)


def _raters(rng: np.random.Generator, shape: tuple[int, int], raters: int) -> Codes:
    """Each gives as many votes, in random order."""
    return rng.permuted(np.broadcast_to(np.arange(shape[1]) % raters, shape), axis=1)


def _asked(runs: Runs, rng: np.random.Generator, rows: Codes, prompts: Codes, one: Codes, other: Codes,
           raters: Codes, side: Array) -> Array:  # fmt: skip
    logit = runs.worth[rows, prompts, 0, one] - runs.worth[rows, prompts, 1, other] + runs.leanings[rows, raters]
    return runs.world.vote(rng, logit + side * runs.firsts[rows, raters])


PAGE = Path(__file__).parent.parent / "docs" / "human-win-rate.md"
RATERS, PROMPTS = (2, 5, 20), (20, 100)
LABELS = {20: (60, 200), 100: (100, 300)}
WORLD = World(100, 20, of_completions=1.7, first=0.3, proxy=0.75)
"""Two raters who both choose agree on 75 of 100 pairs."""
PROXIES = (0.0, 0.6, 0.75, 0.9, 0.97)
NEEDS = (100, 150, 200, 300, 450)
Choice = Callable[[Runs, int, np.random.Generator], Votes]


def coverage(world: World, labels: int, runs: int, choice: Choice, seed: int = 0) -> float:
    """Share of intervals that hold the truth: of raters like these or, where they are too few, of these raters."""
    rng = np.random.default_rng(seed)
    drawn = Runs.drawn(world, runs, rng)
    votes = choice(drawn, labels, rng)
    every, these = drawn.truths()
    intervals = [win_rate(votes, run) for run in range(runs)]
    truths = [these[run] if one.of_these_raters else every for run, one in enumerate(intervals)]
    return float(np.mean([one.low <= truth <= one.high for one, truth in zip(intervals, truths, strict=True)]))


def squared_width(world: World, labels: int, runs: int, choice: Choice, seed: int = 0) -> float:
    """Of the interval, the mean over runs."""
    rng = np.random.default_rng(seed)
    votes = choice(Runs.drawn(world, runs, rng), labels, rng)
    return float(np.mean([(one.high - one.low) ** 2 for one in (win_rate(votes, run) for run in range(runs))]))


def labels_for(world: World, width: float, runs: int, choice: Choice) -> float:
    """How many labels give so squared an interval: it falls with one over their number, to what prompts leave."""
    widths = [squared_width(world, labels, runs, choice) for labels in NEEDS]
    slope, level = np.polyfit(1 / np.array(NEEDS), widths, 1)
    return float(slope / (width - level))


def in_turn(runs: Runs, labels: int, rng: np.random.Generator) -> Votes:
    return uniform(runs, labels, rng, in_turn=True)


def flat(runs: Runs, labels: int, rng: np.random.Generator) -> Votes:
    """As the active choice, but every pair of a prompt as likely as any other."""
    return active(runs, labels, rng, floor=1.0)


def agreement(world: World, runs: int = 300, labels: int = 200) -> tuple[float, float]:
    """Of votes that choose: how often another rater's vote on the pair agrees, and how often the proxy does."""
    rng = np.random.default_rng(1)
    drawn, shape = Runs.drawn(world, runs, rng), (runs, labels)
    rows, prompts = np.arange(runs)[:, None], rng.integers(0, world.prompts, shape)
    one, other = rng.integers(0, COMPLETIONS, (2, *shape))
    asked = [
        _asked(drawn, rng, rows, prompts, one, other, rng.integers(0, world.raters, shape),
               rng.choice([-1.0, 1.0], size=shape))
        for _ in range(2)
    ]  # fmt: skip
    chose = asked[0] != 0.5
    both = chose & (asked[1] != 0.5)
    better = drawn.known[rows, prompts, 0, one, 0] > drawn.known[rows, prompts, 1, other, 0]
    return float((asked[0] == asked[1])[both].mean()), float((better == (asked[0] == 1))[chose].mean())


def coverage_table(runs: int) -> Iterator[str]:
    yield "| raters | prompts | labels | uniform choice | active choice |"
    yield "|---|---|---|---|---|"
    for raters in RATERS:
        for prompts in PROMPTS:
            for labels in LABELS[prompts]:
                world = replace(WORLD, raters=raters, prompts=prompts)
                both = [f"{coverage(world, labels, runs, choice):.1%}" for choice in (uniform, active)]
                yield f"| {raters} | {prompts} | {labels} | {' | '.join(both)} |"


def savings_table(runs: int) -> Iterator[str]:
    yield "| proxy agrees with a vote | prompts in turn | and predictions | and uncertain pairs (active choice) |"
    yield "|---|---|---|---|"
    for proxy in PROXIES:
        world = replace(WORLD, proxy=proxy)
        width = squared_width(world, 300, runs, uniform)
        at = labels_for(world, width, runs, uniform)
        saved = [f"{1 - labels_for(world, width, runs, choice) / at:.0%}" for choice in (in_turn, flat, active)]
        yield f"| {agreement(world)[1]:.0%} | {' | '.join(saved)} |"


def widths_table(runs: int) -> Iterator[str]:
    yield "| labels | uniform choice, 100 prompts | active choice, 100 prompts | active choice, 20 prompts |"
    yield "|---|---|---|---|"
    for labels in (50, 100, 200, 400, 800):
        cells = [
            squared_width(replace(WORLD, prompts=prompts), labels, runs, choice) ** 0.5 / 2
            for prompts, choice in ((100, uniform), (100, active), (20, active))
        ]
        yield f"| {labels} | {' | '.join(f'± {half:.3f}' for half in cells)} |"


TABLES = {"coverage": (coverage_table, 1000), "savings": (savings_table, 300), "widths": (widths_table, 200)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, help="simulated runs a cell, in place of 200 to 1 000")
    parser.add_argument("--only", choices=TABLES)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/human-win-rate.md")
    given = parser.parse_args()
    for name, (table, runs) in TABLES.items():
        if given.only in (None, name):
            lines = list(table(given.runs or runs))
            print(f"\n{name}", *lines, sep="\n", flush=True)
            if given.write:
                _write(name, lines)


def _write(name: str, lines: list[str]) -> None:
    begin, end = f"<!-- python -m bench.annotation: {name} -->", "<!-- end -->"
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    PAGE.write_text("\n".join([f"{before}{begin}", *lines, f"{end}{after}"]), encoding="utf-8")


if __name__ == "__main__":
    main()
