"""How often words are called moved that are not, by simulation; and what counting the words of a large run takes.

    python -m bench.words [--trials N] [--write] [--prompts P --completions K --arms A]

Words are drawn for prompts that are as unlike as they come: each has a rate of its own for each word (gamma, so that a
few prompts ask for it and most do not), and so has each completion; the arm writes twice as much on some prompts and
less on others. Nothing moves: every p below 0.05 is a false one. Beside it the paper's z, of words as draws.
Then a tenth of the words does move, and what is called clear at a false discovery rate of 5 % is counted.

`--write` puts the tables into docs/words-gained.md. Seeds are fixed: the same numbers come back.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.analysis.words.changed import word_use
from evalkit.analysis.words.log_odds import (
    FALSE,
    at_equal_lengths,
    discovery_rates,
    informative_prior,
    log_odds_ratio,
    p_of,
    words_at_equal_lengths,
    z_over_prompts,
)
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.lazily import Lazy
from evalkit.records import Arm, Completion, Group, Prompt

SIZES = (12, 24, 60, 200)
COMPLETIONS, LENGTH, WORDS = 8, 60, 300
PAGE = Path(__file__).parent.parent / "docs" / "words-gained.md"
BEGIN, END = "<!-- python -m bench.words -->", "<!-- end -->"


@dataclass(frozen=True)
class Suite:
    """Simulated counts (P, V) of both arms, and their words (P,)."""

    own: Array
    other: Array
    words: Array
    other_words: Array


def suite(
    rng: np.random.Generator, prompts: int, rate: float, asked_for: float, moved: int = 0, times: float = 1.0
) -> Suite:
    """Counts of WORDS words, of which the first `moved` are said `times` as often by the arm.

    `asked_for`: shape of the gamma of rates over prompts; the lower, the fewer prompts ask for a word.
    """
    lengths = COMPLETIONS * LENGTH * rng.gamma(4, 1 / 4, (2, prompts))
    lengths[0] *= np.where(rng.random(prompts) < 0.5, 2.0, 0.7)
    words = np.maximum(lengths.round(), 1)
    rates = rate * rng.gamma(asked_for, 1 / asked_for, (prompts, WORDS))
    factor = np.where(np.arange(WORDS) < moved, times, 1.0)
    # A completion that says a word once says it again.
    bursts = rng.gamma(0.5 * COMPLETIONS, 1 / (0.5 * COMPLETIONS), (2, prompts, WORDS))
    counts = rng.poisson(rates * bursts * words[:, :, None] * np.stack([factor, np.ones(WORDS)])[:, None, :])
    return Suite(counts[0].astype(np.float64), counts[1].astype(np.float64), words[0], words[1])


def z_and_p(drawn: Suite) -> tuple[Array, Array, Array]:
    """(V,) z over prompts, its p, and the paper's z of the same counts."""
    own = at_equal_lengths(drawn.own, drawn.words, drawn.other_words)
    other = at_equal_lengths(drawn.other, drawn.other_words, drawn.words)
    excess = own - other
    z = z_over_prompts(excess.sum(axis=0), (excess**2).sum(axis=0))
    words = float(words_at_equal_lengths(drawn.words, drawn.other_words).sum())
    own, other = own.sum(axis=0), other.sum(axis=0)
    prior = informative_prior(own, other, words, words) + 1e-9
    theirs = log_odds_ratio(own, other, words, words, prior, 500.0) / np.sqrt(1 / (own + prior) + 1 / (other + prior))
    return z, p_of(z, (np.abs(excess) > 1e-9).sum(axis=0)), theirs


def enough(drawn: Suite, least: int = 8) -> Array:
    return np.flatnonzero(((drawn.own + drawn.other) > 0).sum(axis=0) >= least)


RATES = (("a common word (20 in 1 000)", 0.02), ("a rare one (1 in 1 000)", 0.001))
ASKED = (("every prompt", 4.0), ("one prompt in ten, mostly", 0.1))


def null_rows(trials: int) -> Iterator[list[str]]:
    for name, rate in RATES:
        for asked, shape in ASKED:
            for prompts in SIZES:
                rng = np.random.default_rng([prompts, int(1e4 * rate), int(10 * shape)])
                found = [(drawn, z_and_p(drawn), enough(drawn)) for drawn in _suites(rng, trials, prompts, rate, shape)]
                z, p, theirs = (np.concatenate([parts[at][kept] for _, parts, kept in found]) for at in range(3))
                if len(z) < 200:
                    continue
                yield [
                    name, asked, str(prompts), f"{z.std():.2f}",
                    f"{100 * (p < 0.05).mean():.1f} %", f"{100 * (p < 0.001).mean():.2f} %",
                    f"{100 * (np.abs(theirs) > 1.96).mean():.0f} %",
                ]  # fmt: skip


def _suites(rng: np.random.Generator, trials: int, prompts: int, rate: float, shape: float) -> Iterator[Suite]:
    return (suite(rng, prompts, rate, shape) for _ in range(trials))


def discovery_rows(trials: int) -> Iterator[list[str]]:
    for prompts in SIZES[1:]:
        for moved, times in ((0, 1.0), (WORDS // 10, 3.0)):
            rng = np.random.default_rng([prompts, moved])
            false, right = [], []
            for _ in range(trials):
                drawn = suite(rng, prompts, 0.004, 0.5, moved, times)
                kept = enough(drawn)
                called = kept[discovery_rates(z_and_p(drawn)[1][kept]) <= FALSE]
                false.append((called >= moved).sum() / max(1, len(called)))
                right.append((called < moved).sum() / max(1, moved))
            share = f"{100 * np.mean(right):.0f} %" if moved else ""
            yield [str(prompts), f"{moved} of {WORDS}", share, f"{100 * np.mean(false):.1f} %"]


def table(head: list[str], rows: Iterator[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(trials: int) -> str:
    head = ["a word", "asked for by", "prompts", "sd of z", "p < 0.05", "p < 0.001", "the paper's z beyond 1.96"]
    found = ["prompts", "words that moved threefold", "of them called clear", "false among those called clear"]
    return f"{table(head, null_rows(trials))}\n\n{table(found, discovery_rows(trials))}"


@dataclass(frozen=True, eq=False)
class Drawn(Lazy[Group]):
    """Groups that are drawn when they are looked at, as those of a large run are read."""

    arm: int
    prompts: int
    completions: int

    def __len__(self) -> int:
        return self.prompts

    def make(self, index: int) -> Group:
        rng = np.random.default_rng([self.arm, index])
        ranks = np.minimum(rng.zipf(1.3, (self.completions, 50)), 20_000)
        prompt = str(index)
        texts = (" ".join(f"w{rank}" for rank in row) + "." for row in ranks)
        return Group(
            Prompt(prompt, "?"),
            tuple(Completion(prompt, slot, text, (), (), "stop") for slot, text in enumerate(texts)),
        )


def speed(prompts: int, completions: int, arms: int) -> None:
    from bench.words import Drawn as Named  # the processes that count know no __main__

    names = [f"arm-{number}" for number in range(arms)]
    groups = {name: Named(number, prompts, completions) for number, name in enumerate(names)}
    compared = [Arm(name, name, None, None, None if name == names[0] else names[0]) for name in names]
    began = time.perf_counter()
    use = word_use(compared, groups)
    took = time.perf_counter() - began
    assert use is not None
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 2**20
    change = use.changes[0]
    print(f"{prompts} prompts x {completions} completions x {arms} arms: {took:.0f} s, peak {peak:.2f} GiB a process, "
          f"{change.tested} phrases on {change.least_prompts} prompts or more")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--completions", type=int, default=64)
    parser.add_argument("--arms", type=int, default=3)
    asked = parser.parse_args()
    text = tables(asked.trials)
    print(text)
    if asked.write:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    speed(asked.prompts, asked.completions, asked.arms)


if __name__ == "__main__":
    main()
