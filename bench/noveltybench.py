"""NoveltyBench's published classes and scores, measured here: its two numbers beside ours, model by model.

    git clone https://github.com/novelty-bench/novelty-bench.github.io
    python -m bench.noveltybench novelty-bench.github.io/eval

For every `scores.jsonl` (or, where there is none, `partitions.jsonl`) below the folder: ours as `evalkit score` has it,
theirs as the `summary.json` beside it says, how far these are apart, and the largest difference on any prompt from the
file's own `utility` and number of classes. Files without the texts, as later commits have them, are measured on their
classes and scores all the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import EvalkitError
from evalkit.metrics.summary import Estimate
from evalkit.plumbing.progress import Quiet
from evalkit.score import score_files

DISTINCT, UTILITY = "given/distinct_k", "given/utility_k|orders:drawn"
FILES = ("scores.jsonl", "partitions.jsonl")


@dataclass(frozen=True)
class Row:
    """One model on one set of prompts."""

    model: str
    prompts: int
    distinct: Estimate
    utility: Estimate | None
    """None where its file holds no scores."""
    theirs: dict[str, float]
    """Their summary; empty where there is none."""
    apart: float
    """Largest difference on a prompt."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="`eval` of the site's repository, or a folder below it")
    folder = parser.parse_args().folder
    found = [path for one in sorted({path.parent for path in folder.rglob("*.jsonl")}) if (path := best_file(one))]
    if not found:
        sys.exit(f"{folder}: no {' or '.join(FILES)} below it; clone novelty-bench/novelty-bench.github.io")
    print("\n".join(table(list(rows(folder, found)))))


def best_file(folder: Path) -> Path | None:
    """Of one model's files, the one that says most."""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def rows(folder: Path, files: Sequence[Path]) -> Iterator[Row]:
    for path in files:
        try:
            yield row(str(path.parent.relative_to(folder)), path)
        except EvalkitError as error:
            print(f"{path}: {error}", file=sys.stderr)


def row(model: str, path: Path) -> Row:
    """Our estimates of one file, held against what it says itself."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    has_scores = "generation_scores" in lines[0]
    metrics = [DISTINCT, *(["score/generation_scores", UTILITY] if has_scores else [])]
    with tempfile.TemporaryDirectory() as folder:
        summary = score_files([with_texts(path, lines, Path(folder))], metrics, None, Quiet()).summary
    by_metric = {estimate.metric: estimate for estimate in summary.estimates}
    theirs = {str(line["id"]): line for line in lines}
    apart = [
        abs((value or 0.0) - expected)
        for metric, estimate in by_metric.items()
        for prompt, value in zip(summary.prompts, estimate.values, strict=True)
        if (expected := stated(metric, theirs[prompt])) is not None
    ]
    beside = path.with_name("summary.json")
    said = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    return Row(model, len(lines), by_metric[DISTINCT], by_metric.get(UTILITY), said, max(apart))


def with_texts(path: Path, lines: Sequence[dict[str, Any]], folder: Path) -> Path:
    """The file; or one with numbers in the place of texts that were left out of it."""
    if all("generations" in line for line in lines):
        return path
    filled = folder / path.name
    rows = [line | {"generations": [str(number) for number in range(len(line["partition"]))]} for line in lines]
    filled.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return filled


def stated(metric: str, line: dict[str, Any]) -> float | None:
    """What their file says of a prompt, in our terms."""
    if metric == DISTINCT and "partition_scores" in line:
        return float(len(line["partition_scores"]))
    if metric == DISTINCT:  # the number of the last class, counted from 0; of classes where the version is told
        return float(line["distinct"]) + ("partition_config" not in line)
    return float(line["utility"]) if metric == UTILITY else None


def table(found: Sequence[Row]) -> Iterator[str]:
    """Markdown: theirs, ours with its interval, and the differences."""
    yield "| model | prompts | distinct: theirs | ours (95 %) | utility: theirs | ours (95 %) | means apart | at most |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in found:
        pairs = [("mean_distinct", one.distinct), ("mean_utility", one.utility)]
        apart = [abs((ours.value or 0.0) - one.theirs[name]) for name, ours in pairs if ours and name in one.theirs]
        cells = [cell for name, ours in pairs for cell in (number(one.theirs.get(name)), with_interval(ours))]
        largest = f"{max(apart):.0e}" if apart else "-"
        yield f"| {one.model} | {one.prompts} | {' | '.join(cells)} | {largest} | {one.apart:.0e} |"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def with_interval(ours: Estimate | None) -> str:
    return "-" if ours is None else f"{number(ours.value)} ({number(ours.low)} to {number(ours.high)})"


if __name__ == "__main__":
    main()
