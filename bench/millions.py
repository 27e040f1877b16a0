"""Millions of completions through one run: memory of all processes, seconds, how both grow, and the way from the cache.

    python -m bench.millions [SIZES] [--metrics NAMES] [--read-by-arms] [--embed]
    python -m bench.millions --merge [SIZES] [--metrics NAMES] [--embed]
    python -m bench.millions --score [SIZES] [--metrics NAMES]

    SIZES: [--prompts N] [--samples N] [--arms N] [--doublings N]

A simulated engine draws 48 tokens a completion (words by Zipf's law, half of them of the prompt's own topic) into the
real store; `evalkit run` then finds all of it in the cache, measures it and writes the page. Memory is looked at ten
times a second, over the whole tree of processes: what is private (anonymous) and what is resident altogether. Time is
the processors', which a busy machine does not spoil; its exponent of growth is the slope of a line through the
logarithms, by least squares: 1 is twice the time for twice the work. A run of next to nothing is taken off first, of
the way from the cache too: it is the time until libraries are there.
3 million completions: `--prompts 500 --samples 1024 --doublings 0`.

`--read-by-arms` adds measures for which checkpoints read each other's completions, and their own again, and `--embed`
those that go by embeddings; checkpoints and encoder are made up (`bench.made_up`), so that what is measured is all
around them. `--merge` has the arms in two runs of the same prompts and measures `evalkit report` of both. `--score`
writes the completions into a file of rows, a sample of every prompt after the other, and measures `evalkit score`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from bench.growth import exponent
from evalkit.inference.plan import Plan, make_plan
from evalkit.records import Completion
from evalkit.runs.folder import Store, open_store
from evalkit.suite.schema import load_suite

MOST_GIB = 4.0
MOST_EXPONENT = 1.1
FROM_CACHE = 200_000
"""Completions a second that a second run should bring from the cache."""
TOKENS, WORDS, VOCABULARY, TOPIC = 48, 36, 8000, 60
METRICS = ["distinct_n", "ead_n", "ngram_entropy", "self_bleu", "simpson_ngrams", "length", "sequence_entropy",
           "task_checks"]  # fmt: skip
READING = ["kl_reverse", "kl_forward", "token_entropy"]
"""Measures for which checkpoints read."""
EMBEDDING = ["embedding_distance", "distinct_k", "vendi"]
"""Measures that go by embeddings."""
ON_TEXTS = [name for name in METRICS if name != "sequence_entropy"]
AT_ONCE = 64
"""Samples of each prompt that are drawn together for a file of rows."""
BETWEEN_LOOKS = 0.1
FEWEST_SECONDS = 3.0
"""Time of a stage from which on what it tells is held against what it took."""


@dataclass(frozen=True)
class Cost:
    """Of one process and all that it starts."""

    seconds: float
    cpu: float
    """Seconds of all processors together."""
    private: float
    """GiB of anonymous memory at most, ..."""
    resident: float
    """... and of all that is resident, files too."""
    stages: dict[str, float]
    """Seconds of each stage that the run told of."""
    foretold: dict[str, float]
    """Of each stage that told of itself again and again, by which share of its time what it told was off at most, from
    its first tenth on."""
    reading: float = 0.0
    """Seconds of a processor that the way from the cache to groups takes."""


@dataclass(frozen=True)
class Work:
    """What is measured."""

    prompts: int
    samples: int
    arms: tuple[int, ...]
    metrics: tuple[str, ...]


Kind = Literal["run", "merge", "score"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--arms", type=int, default=6)
    parser.add_argument("--doublings", type=int, default=1, help="double the prompts so many times")
    parser.add_argument("--metrics", help=f"default: {','.join(METRICS)}, or those of them that texts allow")
    parser.add_argument("--read-by-arms", action="store_true", help=f"also {', '.join(READING)}")
    parser.add_argument("--embed", action="store_true", help=f"also {', '.join(EMBEDDING)}")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--merge", action="store_const", dest="kind", const="merge", help="a report of two runs")
    kinds.add_argument("--score", action="store_const", dest="kind", const="score", help="of a file of rows")
    parser.add_argument("--read", nargs=2, metavar=("SUITE", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--fill", nargs=2, metavar=("SUITE", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--write-rows", nargs=2, metavar=("SUITE", "FILE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write_rows:
        write_rows(Path(asked.write_rows[0]), Path(asked.write_rows[1]))
        return
    if asked.fill:
        simulate(Path(asked.fill[0]), Path(asked.fill[1]))
        return
    if asked.read:
        print(read_again(Path(asked.read[0]), Path(asked.read[1])))
        return
    sizes = [asked.prompts * 2**doubling for doubling in range(asked.doublings + 1)]
    kind: Kind = asked.kind or "run"
    metrics = asked.metrics.split(",") if asked.metrics else [*(ON_TEXTS if kind == "score" else METRICS)]
    metrics += [*(READING if asked.read_by_arms else []), *(EMBEDDING if asked.embed else [])]
    program = "bench.made_up" if asked.read_by_arms or asked.embed else "evalkit"

    def measured(prompts: int, samples: int) -> Cost:
        return measure(Work(prompts, samples, tuple(range(asked.arms)), tuple(metrics)), kind, program)

    nothing = measured(4, 4)
    completions = [prompts * asked.samples * asked.arms for prompts in sizes]
    costs = []
    for count, prompts in zip(completions, sizes, strict=True):
        costs.append(measured(prompts, asked.samples))
        tell(count, costs[-1], nothing)
    if len(costs) > 1:
        slope = exponent(completions, [cost.cpu - nothing.cpu for cost in costs])
        print(f"the processors' time grows with exponent {slope:.2f} (bound {MOST_EXPONENT:g})")


def tell(completions: int, cost: Cost, nothing: Cost) -> None:
    work = cost.cpu - nothing.cpu
    print(
        f"{completions:,} completions: {cost.seconds:.0f} s, {cost.cpu:.0f} s of processors "
        f"({1e6 * work / completions:.0f} a million, {cost.cpu / cost.seconds:.1f} of {os.cpu_count()} cores at work); "
        f"private {cost.private:.2f} GiB (bound {MOST_GIB:g}), resident {cost.resident:.2f} GiB; "
        f"{1024**3 * (cost.private - nothing.private) / completions:.0f} bytes a completion over the "
        f"{nothing.private:.2f} GiB of a run of nothing; load {os.getloadavg()[0]:.1f}"
    )
    if cost.reading:
        print(
            f"    from the cache, checked and laid out: "
            f"{completions / max(cost.reading - nothing.reading, 1e-9):,.0f} completions a second "
            f"of one processor (bound {FROM_CACHE:,})"
        )
    for stage, seconds in cost.stages.items():
        off = f", its time foretold within {cost.foretold[stage]:.0%}" if stage in cost.foretold else ""
        print(f"    {stage:<40} {seconds:8.1f} s{off}")


def measure(work: Work, kind: Kind, program: str) -> Cost:
    """What `program` needs for a run whose samples are all in the cache, a report of two such, or scoring a file."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as name:
        folder = Path(name)
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
        return MEASURED[kind](work, folder, [sys.executable, "-m", program], environment)


def _run(work: Work, folder: Path, evalkit: Sequence[str], environment: Mapping[str, str]) -> Cost:
    suite = write_suite(folder / "suite.yaml", work)
    _bench("--fill", suite, folder / "samples", environment)
    cost = watched([*evalkit, *_running(suite, folder / "run")], environment)
    return replace(cost, reading=float(_bench("--read", suite, folder / "again", environment).splitlines()[-1]))


def _merge(work: Work, folder: Path, evalkit: Sequence[str], environment: Mapping[str, str]) -> Cost:
    half = len(work.arms) // 2
    runs = {"one": replace(work, arms=work.arms[:half]), "two": replace(work, arms=work.arms[half:])}
    for name, part in runs.items():
        suite = write_suite(folder / f"{name}.yaml", part)
        _bench("--fill", suite, folder / f"samples-{name}", environment)
        subprocess.run([*evalkit, *_running(suite, folder / name)], check=True, capture_output=True, env=environment)
    folders = [str(folder / name) for name in runs]
    page = ["--out", str(folder / "comparison.html"), "--json-lines"]
    return watched([*evalkit, "report", *folders, *page], environment)


def _score(work: Work, folder: Path, evalkit: Sequence[str], environment: Mapping[str, str]) -> Cost:
    rows, page = folder / "rows.jsonl", folder / "report.html"
    _bench("--write-rows", write_suite(folder / "suite.yaml", work), rows, environment)
    words = ["score", str(rows), "--metrics", ",".join(work.metrics), "--report", str(page), "--json-lines"]
    return watched([*evalkit, *words], environment)


MEASURED = {"run": _run, "merge": _merge, "score": _score}


def _running(suite: Path, out: Path) -> list[str]:
    return ["run", str(suite), "--engine", "transformers", "--out", str(out), "--json-lines"]


def _bench(what: str, suite: Path, place: Path, environment: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "bench.millions", what, str(suite), str(place)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def write_suite(path: Path, work: Work) -> Path:
    suite = {
        "name": "millions",
        "checkpoints": {f"arm-{arm}": {"path": "lab:base", "kind": "base"} for arm in work.arms},
        "metrics": list(work.metrics),
        "variants": ["matched", "pooled"],
        "sampling": {"n": work.samples, "max_tokens": TOKENS, "seed": 1},
        "prompts": [
            {"id": f"p{row}", "text": f"Write a line about thing {row}.", "checks": ["max_words:45"]}
            for row in range(work.prompts)
        ],
    }
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return path


def simulate(suite: Path, folder: Path) -> None:
    """Put simulated completions where samples of this suite are looked for."""
    from evalkit.inference.settle import begin

    plan = make_plan(load_suite(suite), "transformers")
    with open_store(folder, print) as store:
        begin(store, plan, [])
        _fill(plan, store)


def write_rows(suite: Path, path: Path) -> None:
    """The simulated completions as rows: one sample of every prompt, then the next, which is the worst order."""
    read = load_suite(suite)
    ends, words = _law()
    with path.open("w", encoding="utf-8") as file:
        for shorter, arm in enumerate(read.checkpoints):
            for start in range(0, read.sampling.n, AT_ONCE):
                count, rng = min(AT_ONCE, read.sampling.n - start), np.random.default_rng([shorter, start])
                longest = WORDS - 2 * shorter
                drawn = [list(_completions(one.id, count, longest, rng, ends, words)) for one in read.prompts]
                for sample in range(count):
                    for prompt, of_prompt in zip(read.prompts, drawn, strict=True):
                        row = {"prompt_id": prompt.id, "prompt": prompt.text, "arm": arm, "checks": prompt.checks}
                        file.write(json.dumps(row | {"completion": of_prompt[sample].text}) + "\n")


def read_again(suite: Path, folder: Path) -> float:
    """Seconds of a processor until a new folder has all of a run's samples from the cache, as groups."""
    from evalkit.inference.sample import read_groups
    from evalkit.inference.settle import begin

    plan = make_plan(load_suite(suite), "transformers")
    with open_store(folder, print) as store:
        began = time.process_time()
        plan, _ = begin(store, plan, [])
        groups = read_groups(plan, store)
        taken = time.process_time() - began
        assert sum(map(len, groups.values())) == len(plan.arms) * len(plan.suite.prompts)
    return taken


def _fill(plan: Plan, store: Store) -> None:
    ends, words = _law()
    for shard in plan.shards:
        rng = np.random.default_rng(shard.seed)
        shorter = int(shard.arm.name.removeprefix("arm-"))
        drawn: list[Completion] = []
        for prompt in shard.prompts:
            drawn += _completions(prompt.prompt_id, len(shard.sample_indices), WORDS - 2 * shorter, rng, ends, words)
        store.put(shard.key, drawn, shard.arm.name, call=shard.call)


def _law() -> tuple[np.ndarray, np.ndarray]:
    """(VOCABULARY,) chances of the words, added up, and the words."""
    law = 1 / np.arange(1, VOCABULARY + 1)
    return np.cumsum(law / law.sum()), np.array([f"w{word * 7919 % 99_991:x}" for word in range(VOCABULARY)])


def _completions(
    prompt: str, count: int, longest: int, rng: np.random.Generator, ends: np.ndarray, words: np.ndarray
) -> Iterator[Completion]:
    topic = np.random.default_rng([*prompt.encode()]).integers(0, VOCABULARY, TOPIC)
    said = np.searchsorted(ends, rng.random((count, longest)))
    own = rng.random(said.shape) < 1 / 2
    said[own] = rng.choice(topic, own.sum())
    texts = [" ".join(row) for row in words[said.clip(max=VOCABULARY - 1)].tolist()]
    tokens = rng.integers(0, 30_000, (count, TOKENS)).tolist()
    logprobs = (-rng.exponential(3.0, (count, TOKENS))).tolist()
    for sample, (text, ids, chances) in enumerate(zip(texts, tokens, logprobs, strict=True)):
        yield Completion(prompt, sample, text, tuple(ids), tuple(chances), "stop" if sample % 40 else "length")


def watched(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run a command to its end, its memory looked at on the way."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    private, resident, over = [0.0], [0.0], threading.Event()

    def look() -> None:
        while not over.wait(BETWEEN_LOOKS):
            sizes = [memory_of(one) for one in tree(process.pid)]
            private[0] = max(private[0], sum(one[0] for one in sizes))
            resident[0] = max(resident[0], sum(one[1] for one in sizes))

    looking = threading.Thread(target=look)
    looking.start()
    assert process.stderr is not None
    lines = process.stderr.readlines()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    over.set()
    looking.join()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{''.join(lines)[-2000:]}")
    events = [json.loads(line) for line in lines if line.startswith("{")]
    by_stage: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event["event"] == "progress":
            by_stage.setdefault(event["stage"], []).append(event)
    stages = {stage: told[-1]["seconds"] for stage, told in by_stage.items()}
    foretold = {stage: off for stage, told in by_stage.items() if (off := furthest_off(told)) is not None}
    return Cost(seconds, usage.ru_utime + usage.ru_stime, private[0], resident[0], stages, foretold)


def furthest_off(told: Sequence[dict[str, Any]]) -> float | None:
    """How far time / share done was at most from the time that a stage took, as a share of that; None of short ones."""
    whole = told[-1]["seconds"]
    known = [one for one in told[:-1] if one["done"] >= one["total"] / 10 and one["seconds"] >= FEWEST_SECONDS]
    if len(known) < 3:
        return None
    return max(abs(one["seconds"] * one["total"] / one["done"] - whole) / whole for one in known)


def tree(root: int) -> list[int]:
    """A process and all that come from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue  # it has ended
            children.setdefault(parent, []).append(int(entry.name))
    every, todo = [], [root]
    while todo:
        one = todo.pop()
        every.append(one)
        todo += children.get(one, ())
    return every


def memory_of(process: int) -> tuple[float, float]:
    """(anonymous, resident) GiB of a process; nothing of one that has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0, 0.0
    sizes = {
        line.partition(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith(("Rss", "VmRSS"))
    }
    anonymous = int(sizes.get("RssAnon", 0)) + int(sizes.get("RssShmem", 0))
    return anonymous / 2**20, int(sizes.get("VmRSS", 0)) / 2**20


if __name__ == "__main__":
    main()
