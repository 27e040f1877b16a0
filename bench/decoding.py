"""How often readings of decoding paths keep their word, by simulation where the truth is known; and what they cost.

    python -m bench.decoding [--trials N [--write]]

Without `--trials` only what they cost.

- The lab: facts and riddles, of which every text is listed (`evalkit.lab.decoded`), so that accuracy and the number of
  different answers among 16 are known exactly at any setting. Base: the grammar; tuned: its exact optimum. Prompts are
  drawn from the pool, completions from the exact distributions; the truth is of the curves, not of straight lines.
- A path that turns back and meets zero three times, and one that meets it where it bends.
- Twenty settings that all give back the same: what the one that looks best is said to give back.

`--write` puts the table into docs/decoding-paths.md. Seeds are fixed: the same numbers come back.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from evalkit.analysis.decoding.held_against import Columns
from evalkit.analysis.decoding.readings import read_decoding
from evalkit.analysis.decoding.recovery import recovered
from evalkit.analysis.decoding.trades import read_where_equal, resample
from evalkit.analysis.decoding.zeros import Zeros, zeros
from evalkit.analysis.estimates import Measured
from evalkit.analysis.intervals import mean_intervals
from evalkit.lab.decoded import Texts, texts_of
from evalkit.lab.optimum import optimum
from evalkit.lab.rater import GROUPS
from evalkit.lab.world import load
from evalkit.metrics.decoding import Ranged
from evalkit.plumbing.arrays import Array
from evalkit.records import Arm, Sampling

PAGE = Path(__file__).parent.parent / "docs" / "decoding-paths.md"
BEGIN, END = "<!-- python -m bench.decoding --trials 200 --write -->", "<!-- end -->"
BETA = 8.0
N = 16
TEMPERATURES = (0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
SIZES = (12, 24, 64, 200)


@dataclass(frozen=True)
class Curves:
    """Exact values of a pool of prompts at one setting."""

    right: Array
    """(pool,) chance that an answer is right."""
    different: Array
    """(pool,) expected number of different answers among `N`."""


@cache
def pool() -> tuple[tuple[Texts, Texts], ...]:
    """Each prompt's texts, by the base and by its tuned relative."""
    world = load()
    prompts = (*world.of_kind("fact")[::6], *world.of_kind("riddle"))
    return tuple((texts_of(one), texts_of(optimum(one, GROUPS["scholars"], BETA))) for one in prompts)


def chances(is_tuned: bool, temperature: float) -> Array:
    """(pool, most texts) probability of each text; no text is missing where there are fewer."""
    rows = [pair[is_tuned].probabilities(temperature) for pair in pool()]
    table = np.zeros((len(rows), max(map(len, rows))))
    for place, row in enumerate(rows):
        table[place, : len(row)] = row / row.sum()
    return table


def rights() -> Array:
    """(pool, most texts) 1 where a text is right."""
    table = np.zeros((len(pool()), max(len(base.right) for base, _ in pool())))
    for place, (base, _) in enumerate(pool()):
        table[place, : len(base.right)] = base.right
    return table


def exact(is_tuned: bool, temperature: float) -> Curves:
    table = chances(is_tuned, temperature)
    return Curves((table * rights()).sum(axis=1), (1 - (1 - table) ** N).sum(axis=1))


def drawn(rng: np.random.Generator, table: Array, prompts: NDArray[np.int64]) -> tuple[Array, Array]:
    """Accuracy and the number of different answers of N completions of each of `prompts` (any shape)."""
    counts = rng.multinomial(N, table[prompts])
    return (counts * rights()[prompts]).sum(axis=-1) / N, (counts > 0).sum(axis=-1)


@dataclass(frozen=True)
class Draws:
    """Of (trials, prompts) draws of the pool, values minus the base's."""

    quality: Array
    """(S, trials, prompts)."""
    diversity: Array


def draws(trials: int, prompts: int, temperatures: Sequence[float] = TEMPERATURES, seed: int = 0) -> Draws:
    rng = np.random.default_rng([seed, prompts])
    which = rng.integers(0, len(pool()), size=(trials, prompts))
    right, different = drawn(rng, chances(False, 1.0), which)
    along = [drawn(rng, chances(True, temperature), which) for temperature in temperatures]
    return Draws(np.stack([one - right for one, _ in along]), np.stack([other - different for _, other in along]))


@cache
def truths() -> dict[str, float]:
    """Where the exact curves meet the base's, and what they have there."""
    base, start = exact(False, 1.0), exact(True, 1.0)

    def different(temperature: float) -> float:
        return float((exact(True, temperature).different - base.different).mean())

    def right(temperature: float) -> float:
        return float((exact(True, temperature).right - base.right).mean())

    ends = TEMPERATURES[0], TEMPERATURES[-1]
    as_various, as_good = brentq(different, *ends), brentq(right, *ends)
    return {
        "T where diversity is the base's": as_various,
        "T where quality is the base's": as_good,
        "quality there, against base": right(as_various),
        "quality there, against T = 1": right(as_various) - float((start.right - base.right).mean()),
        "diversity there, against base": different(as_good),
        "diversity there, against T = 1": different(as_good) - float((start.different - base.different).mean()),
    }


@dataclass(frozen=True)
class Kept:
    """Of one reading over many trials."""

    held: float
    """Share of the trials with an interval whose interval holds the truth."""
    told: float
    """Share of the trials with an interval."""


def kept(found: Sequence[tuple[float, float] | None], truth: float) -> Kept:
    known = [ends for ends in found if ends is not None]
    held = [low <= truth <= high for low, high in known]
    return Kept(float(np.mean(held)) if held else np.nan, len(known) / len(found))


def of_crossings(prompts: int, trials: int) -> tuple[Kept, Kept]:
    """Where diversity is the base's, and where quality is: without the readings there, which take longer."""
    values, names = draws(trials, prompts), list(truths())
    ends = [[_nearest(zeros(TEMPERATURES, of[:, trial]), truths()[name]) for trial in range(trials)]
            for name, of in ((names[0], values.diversity), (names[1], values.quality))]  # fmt: skip
    return kept(ends[0], truths()[names[0]]), kept(ends[1], truths()[names[1]])


def of_lab(prompts: int, trials: int, temperatures: Sequence[float] = TEMPERATURES) -> dict[str, Kept]:
    """Each reading's name -> how often it holds."""
    values, start = draws(trials, prompts, temperatures), temperatures.index(1.0)
    readings: dict[str, list[tuple[float, float] | None]] = {name: [] for name in truths()}
    names = list(readings)
    for trial in range(trials):
        both = values.quality[:, trial], values.diversity[:, trial]
        resampled = resample(both)
        for level, (name, here, there) in ((1, names[:1] + names[2:4]), (0, names[1:2] + names[4:6])):
            readings[name].append(_nearest(zeros(temperatures, both[level]), truths()[name]))
            found = read_where_equal(resampled, range(len(temperatures)), start, level, 1 - level)
            readings[here].append(_ends(found.against_baseline))
            readings[there].append(_ends(found.against_start))
    return {name: kept(found, truths()[name]) for name, found in readings.items()}


def _ends(ranged: Ranged) -> tuple[float, float] | None:
    return None if ranged.low is None or ranged.high is None else (ranged.low, ranged.high)


def _nearest(found: Zeros, truth: float) -> tuple[float, float] | None:
    """The span that holds it, or that is nearest; the page shows all."""
    return min(found.spans, key=lambda ends: max(ends[0] - truth, truth - ends[1]), default=None)


BENDS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "three crossings": ((-0.5, 0.5, -0.5, 0.5), (0.5, 1.5, 2.5)),
    "a crossing where it bends": ((-0.6, 0.0, 0.2, 0.4), (1.0,)),
    "flat beside zero, never across": ((-0.5, -0.2, -0.2, -0.5), ()),
}
"""Means at settings 0 to 3 of paths whose values vary by 1 a prompt, half of it common to all settings; and where they
truly meet zero."""


def of_bends(name: str, prompts: int, trials: int) -> tuple[float, float]:
    """Shares of (trial, true crossing) that a span holds, and of trials that find a crossing at all."""
    means, true = BENDS[name]
    rng = np.random.default_rng([len(name), prompts])
    common = rng.normal(size=(trials, 1, prompts))
    values = np.array(means)[:, None] + np.sqrt(0.5) * (common + rng.normal(size=(trials, len(means), prompts)))
    found = [zeros(range(len(means)), one) for one in values]
    held = [any(low <= point <= high for low, high in one.spans) for one in found for point in true]
    return float(np.mean(held)) if held else np.nan, float(np.mean([bool(one.points) for one in found]))


@dataclass(frozen=True)
class Picked:
    """What is said of the setting that looks best among twenty that are alike."""

    held: float
    """By the interval for all settings at once."""
    held_alone: float
    """By the setting's own interval, which takes no notice of the choice."""
    excess: float
    """Mean share that it is said to give back beyond the truth."""


def of_choice(prompts: int, trials: int, settings: int = 20, share: float = 0.5) -> Picked:
    """Tuning took 1 (0.8 of it varies by prompt), and every setting gives back `share` of it, and costs nothing."""
    rng = np.random.default_rng([settings, prompts])
    held, alone, excess = [], [], []
    for _ in range(trials):
        lost = rng.normal(1, 0.8, prompts)
        back = share * lost + rng.normal(0, 0.5, (settings, prompts))
        diversity = np.vstack([-lost, back - lost])
        quality = rng.normal(0, 0.3, (settings + 1, prompts))
        names = tuple(map(str, range(settings + 1)))
        found = recovered(Columns(names, (quality, diversity), prompts), "0")
        if found.free is None:
            continue
        best = next(one for one in found.settings if one.arm == found.free)
        assert best.share.low is not None
        assert best.share.high is not None
        assert best.share.value is not None
        held.append(best.share.low <= share <= best.share.high)
        excess.append(best.share.value - share)
        row = back[int(found.free) - 1]
        [own] = mean_intervals((best.share.value + (row - best.share.value * lost) / lost.mean())[None, :], 0.95)
        alone.append(own.low <= share <= own.high)
    return Picked(float(np.mean(held)), float(np.mean(alone)), float(np.mean(excess)))


def seconds(prompts: int, settings: int = 12, diversities: int = 10) -> float:
    """All readings of two checkpoints."""
    rng = np.random.default_rng(prompts)
    temperatures = np.linspace(0.5, 1.6, settings)
    arms = [
        Arm(f"{checkpoint}@T={t:g}", checkpoint, "base", Sampling(8, float(t), 1.0, 0.0, 9, (), 0), f"base@T={t:g}")
        for checkpoint in ("base", "tuned")
        for t in temperatures
    ]
    made = {
        arm.name: rng.normal(float(arm.sampling is not None and arm.sampling.temperature), 1, prompts) for arm in arms
    }
    measures = [Measured(f"d{place}", "s", "higher", made, 8) for place in range(diversities)]
    began = time.perf_counter()
    assert read_decoding(arms, Measured("q", "s", "lower", made, 8), measures) is not None
    return time.perf_counter() - began


def tables(trials: int) -> Iterator[str]:
    yield f"Share of intervals that hold the exact value, of {trials:,} trials; in brackets the trials that have one.\n"
    yield "| reading, in the lab | exact | " + " | ".join(f"{size} prompts" for size in SIZES) + " |"
    yield "|---" * (len(SIZES) + 2) + "|"
    found = [of_lab(size, trials) for size in SIZES]
    for name, truth in truths().items():
        cells = " | ".join(f"{_percent(one[name].held)} ({_percent(one[name].told)})" for one in found)
        yield f"| {name} | {truth:.3f} | {cells} |"
    yield f"\nPaths that bend, {10 * trials:,} trials: true crossings held; in brackets trials that find a crossing.\n"
    yield "| path | " + " | ".join(f"{size} prompts" for size in SIZES) + " |\n" + "|---" * (len(SIZES) + 1) + "|"
    for name in BENDS:
        pairs = [of_bends(name, size, 10 * trials) for size in SIZES]
        cells = " | ".join(
            f"{_percent(held) if held == held else 'none to hold'} ({_percent(any_)})" for held, any_ in pairs
        )
        yield f"| {name} | {cells} |"
    yield f"\nThe best of twenty equal settings, each of which gives back half, {10 * trials:,} trials.\n"
    yield "| | " + " | ".join(f"{size} prompts" for size in SIZES) + " |\n" + "|---" * (len(SIZES) + 1) + "|"
    picked = [of_choice(size, 10 * trials) for size in SIZES]
    yield "| held by the interval for all settings at once | " + " | ".join(_percent(one.held) for one in picked) + " |"
    yield "| held by its own interval alone | " + " | ".join(_percent(one.held_alone) for one in picked) + " |"
    yield "| said to give back too much by | " + " | ".join(f"{one.excess:.3f}" for one in picked) + " |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=0, help="simulate so many suites of each size")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/decoding-paths.md")
    asked = parser.parse_args()
    for prompts in (100, 1_000, 10_000):
        print(f"2 checkpoints x 12 settings, 10 measures of diversity, {prompts:,} prompts: {seconds(prompts):.2f} s")
    lines = []
    for line in tables(asked.trials) if asked.trials else ():
        print(line, flush=True)
        lines.append(line)
    if asked.write and lines:
        head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text("\n".join([head + BEGIN, *lines, END]) + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
