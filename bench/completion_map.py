"""The map of all completions at scale: seconds, memory and bytes it takes, and how soon a browser answers.

    python -m bench.completion_map [--completions N] [--dimensions N] [--out FILE]

Completions, no two alike, are made up with their embeddings: two arms answer 200 prompts, each prompt has subjects of
its own and each subject words of its own; the second arm speaks of fewer subjects. Seconds are of the processor, all
its cores together, and by the clock; milliseconds are by the clock, in a new Chromium.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench.report_page import chromium, make_content, make_vocabulary, timed
from evalkit.analysis.atlas import draw_atlas
from evalkit.analysis.embedding_map import map_completions
from evalkit.analysis.figure_data import FigureData
from evalkit.records import Completion, Group, Prompt
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report

Result = TypeVar("Result")
PROMPTS = 200
ARMS = ("base", "tuned-1")
SUBJECTS, FEWER = 12, 3
WORDS_OF_A_SUBJECT, WORDS = 6, 12
MAP = "document.getElementById('atlas')"
READ = "document.querySelectorAll('#atlas-chosen .to-text').length === 5"
STEPS = {
    "map drawn, from when it is near": (f"{MAP}.scrollIntoView()", f"{MAP}.dataset.drawn"),
    "text and its neighbours shown": (f"{MAP}.dispatchEvent(key('ArrowRight'))", READ),
    "magnified": (f"{MAP}.dataset.drawn = ''; {MAP}.dispatchEvent(key('+'))", f"{MAP}.dataset.drawn"),
    "whole map again": (f"{MAP}.dataset.drawn = ''; {MAP}.dispatchEvent(key('0'))", f"{MAP}.dataset.drawn"),
}
"""What is done, and when it is done."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=200_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--out", type=Path, help="keep the page here")
    asked = parser.parse_args()
    content = make_mapped_content(asked.completions, asked.dimensions)
    print(f"{asked.completions:,} completions, {asked.dimensions} dimensions; {peak():.2f} GiB with their embeddings")
    mapped = told("the maps", lambda: with_maps(content))
    page = told("the page", lambda: build_report(mapped))
    began = page.index('id="atlas-points"')
    print(f"  {len(page.encode()):,} bytes, {page.index('</script>', began) - began:,} of them the map of all answers")
    with tempfile.TemporaryDirectory() as folder:
        path = asked.out or Path(folder) / "report.html"
        path.write_text(page, encoding="utf-8")
        for what, milliseconds in in_browser(path).items():
            print(f"    {what:<30} {milliseconds:>12,.0f} ms")


def make_mapped_content(completions: int, dimensions: int) -> ReportContent:
    """A run whose groups have embeddings."""
    rng = np.random.default_rng(0)
    content = make_content(PROMPTS, 1, len(ARMS), WORDS)
    samples = completions // PROMPTS // len(ARMS)
    vocabulary = np.array(make_vocabulary(rng)[0])
    of_arms = directions(rng, len(ARMS), dimensions)
    groups: dict[str, list[Group]] = {arm: [] for arm in ARMS}
    for prompt in (group.prompt for group in content.groups[ARMS[0]]):
        topic = directions(rng, 1, dimensions) + 0.6 * directions(rng, SUBJECTS, dimensions)
        own = rng.choice(vocabulary, (SUBJECTS, WORDS_OF_A_SUBJECT))
        for arm, name in enumerate(ARMS):
            subjects = rng.integers(0, FEWER if arm else SUBJECTS, samples)
            rows = topic[subjects] + 0.3 * of_arms[arm] + 0.5 * directions(rng, samples, dimensions)
            words = np.concatenate(
                [rng.choice(vocabulary, (samples, WORDS - 3)), rng.permuted(own[subjects], axis=1)[:, :3]], axis=1
            )
            groups[name].append(make_embedded(prompt, words, rows))
    return replace(content, groups=groups)


def directions(rng: np.random.Generator, count: int, dimensions: int) -> np.ndarray:
    rows = rng.standard_normal((count, dimensions), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_embedded(prompt: Prompt, words: np.ndarray, rows: np.ndarray) -> Group:
    texts = [" ".join(of_text) for of_text in words]
    completions = tuple(Completion(prompt.id, slot, text, (), (), "stop") for slot, text in enumerate(texts))
    return Group(prompt, completions, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


def with_maps(content: ReportContent) -> ReportContent:
    """The same with what the report draws of its groups' embeddings."""
    maps = FigureData(completion_map=map_completions(content.groups), atlas=draw_atlas(content.groups))
    return replace(content, figure_data=maps)


def told(what: str, work: Callable[[], Result]) -> Result:
    cpu, clock = time.process_time(), time.perf_counter()
    result = work()
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    print(f"  {what:<20} {cpu:6.1f} s of processors, {clock:6.1f} s by the clock; peak {peak():.2f} GiB")
    return result


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def in_browser(path: Path) -> dict[str, float]:
    """What a reader waits for -> milliseconds."""
    with chromium() as driver:
        began = time.perf_counter()
        driver.get(path.absolute().as_uri())
        opened = {"page loaded": 1000 * (time.perf_counter() - began)}
        driver.execute_cdp_cmd("Runtime.evaluate", {"expression": "key = (key) => new KeyboardEvent('keydown', {key})"})
        return opened | {what: timed(driver, act, done) for what, (act, done) in STEPS.items()}


if __name__ == "__main__":
    main()
