"""How cost grows with the work: exponents of time and memory against prompts, completions and arms, command by command.

    python -m bench.growth [--prompts N] [--samples N] [--arms N] [--doublings N] [--only COMMAND]

Each command is a process of its own on texts that are made up (30 to 60 words by Zipf's law, topics of each prompt's
own), with all lexical measures in all variants. Time is the processor's, user and system, so that a busy machine does
not spoil it; memory is the peak of the resident set. What the same command takes on hardly any texts is taken off
both, for what is there before the work begins would flatten the curve. An exponent is the slope of a line through the
logarithms, by least squares: 1 is twice the cost for twice the work; "nan" is a cost too small to be told.

Up to 3 277 prompts what measures without a closed form cost across prompts is bounded, so exponents are below 1 there;
--prompts 3500 shows what comes after, and takes long.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

MOST = 1.15
"""Exponent of time that no command may go beyond."""
METRICS = ["distinct_n", "ead_n", "ngram_entropy", "self_bleu", "self_repetition", "simpson_ngrams",
           "compression_ratio", "length", "rouge_l_homogenization", "task_checks"]  # fmt: skip
VOCABULARY, TOPIC = 5000, 40
RUNS = 3
"""Runs of the same prompts, for commands that take several."""
FILL = """
import sys
from pathlib import Path
from bench.growth import texts_of
from evalkit.inference.plan import make_plan
from evalkit.records import Completion
from evalkit.run import begin
from evalkit.runs.folder import open_store
from evalkit.suite.schema import load_suite

plan = make_plan(load_suite(Path(sys.argv[1])), "transformers")
with open_store(Path(sys.argv[2]), print) as store:
    begin(store, plan, [])
    for shard in plan.shards:
        longest = 60 - 2 * int(shard.arm.name.removeprefix("arm-"))
        drawn = [
            Completion(prompt.prompt_id, slot, text, (5, 6, 7), (), "stop")
            for prompt in shard.prompts
            for slot, text in enumerate(texts_of(int(prompt.prompt_id[1:]), shard.sampling.n, longest, shard.seed))
        ]
        store.put(shard.key, drawn, shard.arm.name)
"""
EVALKIT = [sys.executable, "-m", "evalkit"]


@dataclass(frozen=True)
class Size:
    """How much work there is."""

    prompts: int
    samples: int
    arms: int


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    seconds: float
    mebibytes: float


@dataclass(frozen=True)
class Laid:
    """What lies on disk for the commands."""

    texts: Path
    suites: tuple[Path, ...]
    runs: tuple[Path, ...]


COMMANDS: dict[str, Callable[[Laid, Path], list[str]]] = {
    "score": lambda laid, out: ["score", str(laid.texts), "--metrics", ",".join(METRICS), "--report", str(out)],
    "run from the cache": lambda laid, _: [
        "run",
        str(laid.suites[0]),
        "--engine",
        "transformers",
        "--out",
        str(laid.runs[0]),
    ],
    "report": lambda laid, out: ["report", str(laid.runs[0]), "--out", str(out)],
    "merge": lambda laid, out: ["report", *map(str, laid.runs[:2]), "--out", str(out)],
    "gate": lambda laid, _: ["gate", str(laid.runs[1]), "--baseline", str(laid.runs[0]), "--json"],
    "history": lambda laid, out: ["report", "--history", *map(str, laid.runs), "--out", str(out)],
}
FIRST = ("score", "run from the cache")
"""Commands that the others need to have been run, or that need none."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--arms", type=int, default=2)
    parser.add_argument("--doublings", type=int, default=2)
    parser.add_argument("--only", choices=COMMANDS, action="append", help="this command; repeat it for several")
    asked = parser.parse_args()
    smallest = Size(asked.prompts, asked.samples, asked.arms)
    commands = asked.only or list(COMMANDS)
    table = Table("command", "along", "seconds", "MiB", "time", "memory")
    lines = list(axes(smallest, asked.doublings))
    with Progress(*Progress.get_default_columns(), console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("sizes", total=1 + sum(len(sizes) for _, sizes in lines))

        def cost_at(size: Size) -> dict[str, Cost]:
            cost = measure(size, commands)
            shown.advance(task)
            return cost

        nothing = cost_at(Size(2, 2, 2))
        for along, sizes in lines:
            costs = [cost_at(size) for size in sizes]
            for command in commands:
                table.add_row(*row(command, along, sizes, [cost[command] for cost in costs], nothing[command]))
    Console(width=130).print(table)
    before = (f"{command} {cost.seconds:.1f} s {cost.mebibytes:.0f} MiB" for command, cost in nothing.items())
    print(f"bound of time {MOST:g}; taken off, as it is there before the work: {', '.join(before)}")


def axes(smallest: Size, doublings: int) -> Iterator[tuple[str, list[Size]]]:
    """Each size doubled by itself."""
    for along in ("prompts", "samples", "arms"):
        yield along, [replace(smallest, **{along: getattr(smallest, along) * 2**i}) for i in range(doublings + 1)]


def row(command: str, along: str, sizes: Sequence[Size], costs: Sequence[Cost], nothing: Cost) -> list[str]:
    work = [getattr(size, along) for size in sizes]
    seconds = [cost.seconds - nothing.seconds for cost in costs]
    mebibytes = [cost.mebibytes - nothing.mebibytes for cost in costs]
    time = exponent(work, seconds)
    return [
        command,
        f"{'completions' if along == 'samples' else along} {', '.join(map(str, work))}",
        ", ".join(f"{one:.2f}" for one in seconds),
        ", ".join(f"{one:.0f}" for one in mebibytes),
        f"{time:.2f}{' (!)' if time > MOST else ''}",
        f"{exponent(work, mebibytes):.2f}",
    ]


def exponent(work: Sequence[float], cost: Sequence[float]) -> float:
    """Slope of log cost over log work; NaN where no cost can be told from what is there without work."""
    if min(cost) <= 0:
        return float("nan")
    return float(np.polyfit(np.log(work), np.log(cost), 1)[0])


def measure(size: Size, commands: Sequence[str]) -> dict[str, Cost]:
    """What each command costs on work of this size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        caches = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        try:
            laid = lay(folder, size)
            own = {command: cost_of(COMMANDS[command](laid, folder / "page.html")) for command in FIRST}
            for suite, run in zip(laid.suites[1:], laid.runs[1:], strict=True) if {*commands} - {*FIRST} else ():
                cost_of(["run", str(suite), "--engine", "transformers", "--out", str(run)])
            rest = [command for command in commands if command not in FIRST]
            return own | {command: cost_of(COMMANDS[command](laid, folder / "page.html")) for command in rest}
        finally:
            if caches is None:
                del os.environ["XDG_CACHE_HOME"]
            else:
                os.environ["XDG_CACHE_HOME"] = caches


def lay(folder: Path, size: Size) -> Laid:
    """Texts, suites whose samples are in the cache, and where their runs will be."""
    prompts = [{"id": f"p{place}", "text": f"Write a line about thing {place}.", "checks": ["max_words:45"]}
               for place in range(size.prompts)]  # fmt: skip
    suites = tuple(write_suite(folder / f"suite-{run}.yaml", prompts, size, seed=run) for run in range(RUNS))
    for suite in suites:
        fill_cache(suite, folder)
    runs = tuple(folder / f"run-{place}" for place in range(RUNS))
    return Laid(write_texts(folder / "texts.jsonl", prompts, size), suites, runs)


def write_suite(path: Path, prompts: Sequence[dict[str, object]], size: Size, seed: int) -> Path:
    checkpoints = {f"arm-{place}": {"path": "lab:base", "kind": "base"} for place in range(size.arms)}
    suite = {
        "name": "growth",
        "checkpoints": checkpoints,
        "metrics": METRICS,
        "quality": "task_checks",
        "gate": {"rules": [{"metrics": "diversity", "allow": {"standard_errors": 3}}]},
        "sampling": {"n": size.samples, "max_tokens": 8, "seed": seed},
        "prompts": list(prompts),
    }
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return path


def fill_cache(suite: Path, folder: Path) -> None:
    """Put made-up texts where samples of this suite are looked for.

    In a process of its own: the peak memory of whatever starts a process counts as that process's.
    """
    command = [sys.executable, "-c", FILL, str(suite), str(folder / f"{suite.stem}-samples")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def texts_of(prompt: int, count: int, longest: int, seed: int) -> Iterator[str]:
    """Texts of 30 to `longest` words: half from a Zipf law, half from a few that are the prompt's own."""
    rng = np.random.default_rng([prompt, seed])
    law = 1 / np.arange(1, VOCABULARY + 1)
    topic = rng.integers(0, VOCABULARY, TOPIC)
    for length in rng.integers(30, longest + 1, count):
        words = np.searchsorted(np.cumsum(law / law.sum()), rng.random(length))
        own = rng.random(length) < 1 / 2
        words[own] = rng.choice(topic, own.sum())
        yield " ".join(f"w{word * 7919 % 99_991:x}" for word in words)


def write_texts(path: Path, prompts: Sequence[dict[str, object]], size: Size) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for arm in range(size.arms):
            for place, prompt in enumerate(prompts):
                texts = list(texts_of(place, size.samples, 60 - 2 * arm, 7 + arm))
                row = {"prompt_id": prompt["id"], "prompt": prompt["text"], "checks": prompt["checks"],
                       "arm": f"arm-{arm}", "completions": texts}  # fmt: skip
                file.write(json.dumps(row) + "\n")
    return path


def cost_of(arguments: Sequence[str]) -> Cost:
    """Run evalkit to its end; a gate may refuse or be unable to tell."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen([*EVALKIT, *arguments], env=os.environ | threads, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in ((0, 1, 3) if arguments[0] == "gate" else (0,)):
        sys.exit(f"evalkit {' '.join(arguments)} failed:\n{told[-1500:]}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
