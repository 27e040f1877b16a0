"""How often "where it changed" names what did not change, and finds what did, by simulation; and what it costs.

    python -m bench.where_changed [--trials N [--write]]

Without `--trials` only what it costs.

- Tags: 120 prompts with six tags, some of which overlap, and two measures that hang together. Nothing differs between
  tags; or one tag of 12 prompts goes further than the rest, by so many standard deviations of prompts' differences.
- Prompts: 120 prompts, 16 completions each under both arms, two measures. Nothing changed; or some prompts did.

What is named goes through the same function as in a report. `--write` puts the tables into docs/where-it-changed.md.
Seeds are fixed: the same numbers come back.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalkit.analysis.where_changed import where_changed
from evalkit.metrics.declaration import Traits
from evalkit.metrics.summary import Estimate, Part, WhereChanged
from evalkit.plumbing.arrays import Array
from evalkit.records import CONFIDENCE

PAGE = Path(__file__).parent.parent / "docs" / "where-it-changed.md"
BEGIN, END = "<!-- python -m bench.where_changed --trials 300 --write -->", "<!-- end -->"
PROMPTS, SAMPLES, MEASURES = 120, 16, 2
NAMES = tuple(f"p{row}" for row in range(PROMPTS))
TAGS = {"shifted": (0, 12), "a": (12, 20), "b": (20, 40), "c": (40, 70), "d": (70, 110), "half": (6, 66)}
"""Tag -> the first of its prompts, and the first after them. "half" has half of the shifted ones."""
PARTS = tuple(Part("tag", tag, NAMES[start:end]) for tag, (start, end) in TAGS.items())
ALIKE = 0.7
"""Correlation of the two measures' differences on a prompt."""
SHIFTS = (0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Differences:
    """What prompts' differences are drawn from, with mean 0 and standard deviation 1."""

    name: str
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array]
    clusters: tuple[str, ...] = ()


def _lopsided(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.asarray(1 - rng.exponential(size=shape))


def _in_twos(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Two wordings of each question, whose differences have a correlation of 0.8."""
    questions = np.repeat(rng.normal(size=(*shape[:-1], shape[-1] // 2)), 2, axis=-1)
    return np.asarray(np.sqrt(0.8) * questions + np.sqrt(0.2) * rng.normal(size=shape))


WORLDS = (
    Differences("normal", lambda rng, shape: rng.normal(size=shape)),
    Differences("exponential", _lopsided),
    Differences("Student-3", lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3)),
    Differences("two wordings a question", _in_twos, tuple(f"q{row // 2}" for row in range(PROMPTS))),
)


@dataclass(frozen=True)
class Named:
    """What came of some trials, each number a share."""

    anything: float
    """Trials in which anything was named."""
    wrong: float
    """Mean share of wrong ones among those named, 0 where none was: the false-discovery rate."""
    found: float
    """Of those that changed, how many were named."""
    held: float
    """Of the intervals of those named, how many hold the truth; not of the few that are named where nothing changed."""


def of_tags(world: Differences, shift: float, trials: int, seed: int = 0) -> Named:
    """Trials in which the differences of the tag "shifted" have moved by so much under both measures."""
    rng = np.random.default_rng([seed, int(10 * shift)])
    truth = np.where(np.arange(PROMPTS) < TAGS["shifted"][1], -shift, 0.0) - 0.3
    rows: list[tuple[list[bool], int, int]] = []
    for _ in range(trials):
        shared, own = world.draw(rng, (1, PROMPTS)), world.draw(rng, (MEASURES, PROMPTS))
        gaps = truth + np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * own
        found = where_changed([_pair(place, row) for place, row in enumerate(gaps)], NAMES, PARTS, world.clusters)
        rows.append(_judged_tags(found, truth, bool(shift)))
    return _named(rows, MEASURES if shift else 0)


def _judged_tags(found: WhereChanged, truth: Array, shifted: bool) -> tuple[list[bool], int, int]:
    """Whether each named one is right, of how many the interval holds the truth, how many were found.

    A tag that shares prompts with the shifted one is neither wrong nor found.
    """
    right, held, hits = [], 0, 0
    for change in found.changes:
        for part in change.parts:
            start, end = TAGS[part.name]
            if not part.stands_out:
                continue
            assert part.low is not None
            assert part.high is not None
            held += part.low <= truth[start:end].mean() <= part.high
            right.append(shifted and part.name in ("shifted", "half"))
            hits += shifted and part.name == "shifted"
    return right, held, hits


def _pair(place: int, gaps: Array) -> tuple[Estimate, Estimate]:
    here = Estimate(f"m{place}", "s", "tuned", 0.0, None, None, CONFIDENCE, PROMPTS, SAMPLES, "higher", tuple(gaps),
                    Traits("diversity"))  # fmt: skip
    return here, replace(here, arm="base", values=(0.0,) * PROMPTS)


@dataclass(frozen=True)
class Completions:
    """What one prompt's completions are worth under an arm: values and their errors, of (2 measures, P) prompts."""

    name: str
    draw: Callable[[np.random.Generator, Array], tuple[Array, Array]]
    """(seed, (P,) how far a prompt has changed) -> (MEASURES, P) values, (MEASURES, P) errors."""
    change: float
    """How far a changed prompt goes, ..."""
    truth: float
    """... and what that makes of its value."""
    traits: Traits


def _scores(rng: np.random.Generator, change: Array) -> tuple[Array, Array]:
    """Rewards with a spread that differs by prompt; the second measure hangs together with the first."""
    spread = np.exp(rng.normal(0, 0.4, (1, PROMPTS, 1)))
    shared = rng.normal(size=(1, PROMPTS, SAMPLES))
    noise = np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * rng.normal(size=(MEASURES, PROMPTS, SAMPLES))
    drawn = change[None, :, None] + spread * noise
    return drawn.mean(axis=2), drawn.std(axis=2, ddof=1) / np.sqrt(SAMPLES)


def _answers(rng: np.random.Generator, change: Array) -> tuple[Array, Array]:
    """Right or wrong, each with a chance of one half less what has changed."""
    right = rng.binomial(SAMPLES, 0.5 + change, (MEASURES, PROMPTS)) / SAMPLES
    return right, np.sqrt(right * (1 - right) / (SAMPLES - 1))


def _different(rng: np.random.Generator, change: Array) -> tuple[Array, Array]:
    """Share of different texts among completions that are drawn from 20 answers, or as many less as have changed."""
    texts = np.maximum(2, np.round(20 + 40 * change)).astype(np.int64)
    drawn = rng.integers(0, texts[:, None], (MEASURES, PROMPTS, SAMPLES))
    counts = (drawn[..., None] == np.arange(20)).sum(axis=2)
    types, single = (counts > 0).sum(axis=2), (counts == 1).sum(axis=2)
    # Without a completion: a text less among one fewer where it was the only one, else as many among one fewer.
    error = np.sqrt((SAMPLES - 1) / SAMPLES * single * (SAMPLES - single) / SAMPLES) / (SAMPLES - 1)
    return types / SAMPLES, error


VOCABULARY, LENGTH = 200, 12
_CHANCES = 1 / np.arange(1, VOCABULARY + 1)
_CHANCES /= _CHANCES.sum()


def _words(rng: np.random.Generator, change: Array) -> tuple[Array, Array]:
    """Share of words not repeated in texts of 12 words that follow Zipf's law; where it changed, the 20 likeliest."""
    chances = np.where(change[:, None] < 0, _few(), _CHANCES)
    words = np.empty((MEASURES, PROMPTS, SAMPLES * LENGTH), dtype=np.int64)
    for row, own in enumerate(chances):
        words[:, row] = rng.choice(VOCABULARY, (MEASURES, SAMPLES * LENGTH), p=own)
    held = np.zeros((MEASURES, PROMPTS, SAMPLES, VOCABULARY), dtype=np.bool_)
    np.put_along_axis(held, words.reshape(MEASURES, PROMPTS, SAMPLES, LENGTH), True, axis=3)
    holders = held.sum(axis=2)
    alone = (held & (holders == 1)[:, :, None]).sum(axis=3)
    types = (holders > 0).sum(axis=2)
    without = (types[..., None] - alone) / ((SAMPLES - 1) * LENGTH)
    return types / (SAMPLES * LENGTH), np.sqrt((SAMPLES - 1) * without.var(axis=2))


def _few() -> Array:
    chances = np.where(np.arange(VOCABULARY) < 20, _CHANCES, 0.0)
    return np.asarray(chances / chances.sum())


def _expected_words(chances: Array) -> float:
    return float((1 - (1 - chances) ** (SAMPLES * LENGTH)).sum() / (SAMPLES * LENGTH))


def _expected_share(texts: int) -> float:
    return float(texts * (1 - (1 - 1 / texts) ** SAMPLES) / SAMPLES)


KINDS = (
    Completions("a score", _scores, -2.0, -2.0, Traits("quality")),
    Completions("right or wrong", _answers, -0.45, -0.45, Traits("quality", bounds=(0.0, 1.0))),
    Completions("words not repeated", _words, -1.0, _expected_words(_few()) - _expected_words(_CHANCES),
                Traits("diversity", bounds=(0.0, 1.0))),
    Completions("different texts of 20", _different, -0.4, _expected_share(4) - _expected_share(20),
                Traits("diversity", bounds=(0.0, 1.0))),
)  # fmt: skip
CHANGED = PROMPTS // 10


def of_prompts(kind: Completions, changed: int, trials: int, seed: int = 0) -> Named:
    """Trials in which so many of the prompts have changed."""
    rng = np.random.default_rng([seed, changed])
    change = np.where(np.arange(PROMPTS) < changed, kind.change, 0.0)
    rows: list[tuple[list[bool], int, int]] = []
    for _ in range(trials):
        arms = [(name, *kind.draw(rng, moved)) for name, moved in (("tuned", change), ("base", np.zeros(PROMPTS)))]
        here, there = (
            [
                Estimate(f"m{place}", "s", arm, 0.0, None, None, CONFIDENCE, PROMPTS, SAMPLES, "higher",
                         tuple(values[place]), kind.traits, tuple(errors[place]))
                for place in range(MEASURES)
            ]
            for arm, values, errors in arms
        )  # fmt: skip
        found = where_changed(list(zip(here, there, strict=True)), NAMES, ())
        right, held = [], 0
        for named in (each for measure in found.changes for each in measure.prompts):
            is_changed = int(named.prompt[1:]) < changed
            right.append(is_changed)
            held += named.low <= (kind.truth if is_changed else 0.0) <= named.high
        rows.append((right, held, sum(right)))
    return _named(rows, MEASURES * changed)


def _named(rows: Sequence[tuple[list[bool], int, int]], changed: int) -> Named:
    named = sum(len(right) for right, *_ in rows)
    return Named(
        anything=float(np.mean([bool(right) for right, *_ in rows])),
        wrong=float(np.mean([1 - sum(right) / len(right) if right else 0.0 for right, *_ in rows])),
        found=sum(hits for *_, hits in rows) / (changed * len(rows)) if changed else float("nan"),
        held=sum(held for _, held, _ in rows) / named if named and changed else float("nan"),
    )


def seconds(prompts: int) -> float:
    """Both families of tests of one arm against its baseline."""
    rng, names = np.random.default_rng(prompts), tuple(f"p{row}" for row in range(prompts))
    parts = [
        Part("tag", tag, names[start * prompts // PROMPTS : end * prompts // PROMPTS])
        for tag, (start, end) in TAGS.items()
    ]
    base, tuned = (
        [
            Estimate(f"m{place}", "s", arm, 0.0, None, None, CONFIDENCE, prompts, SAMPLES, "higher",
                     tuple(rng.normal(size=prompts)), Traits("quality"), (0.25,) * prompts)
            for place in range(MEASURES)
        ]
        for arm in ("base", "tuned")
    )  # fmt: skip
    began = time.perf_counter()
    where_changed(list(zip(tuned, base, strict=True)), names, parts)
    return time.perf_counter() - began


HEAD = "anything named | wrong among named | found | intervals of those named held |"


def tag_table(trials: int) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"Tags, {trials:,} trials: 120 prompts, six tags, two measures, so 12 tests."
    yield ""
    yield f"| differences of prompts | one tag went further by | {HEAD}"
    yield "|---|---|---|---|---|---|"
    for world in WORLDS:
        for shift in (0.0, *SHIFTS):
            yield _line(world.name, f"{shift:g} deviations" if shift else "nothing", of_tags(world, shift, trials))


def prompt_table(trials: int) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"Single prompts, {trials:,} trials: 120 prompts, 16 completions, two measures, so 240 tests."
    yield ""
    yield f"| measure | changed prompts | {HEAD}"
    yield "|---|---|---|---|---|---|"
    for kind in KINDS:
        for changed in (0, CHANGED, PROMPTS // 2):
            yield _line(kind.name, str(changed), of_prompts(kind, changed, trials))


def _line(*cells: str | Named) -> str:
    words = []
    for cell in cells:
        shares = (cell.anything, cell.wrong, cell.found, cell.held) if isinstance(cell, Named) else None
        words += (
            [str(cell)]
            if shares is None
            else ["" if np.isnan(share) else f"{share:.1%}".replace("%", " %") for share in shares]
        )
    return f"| {' | '.join(words)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=0, help="simulate so many suites of each kind")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/where-it-changed.md")
    given = parser.parse_args()
    for prompts in (100, 1_000, 10_000):
        print(f"6 tags, two measures, {prompts:,} prompts: {seconds(prompts):.2f} s")
    if not given.trials:
        return
    text = "\n".join([*tag_table(given.trials), "", *prompt_table(given.trials)])
    if not given.write:
        print(text)
        return
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
