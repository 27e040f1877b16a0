"""All lexical metrics on 100 000 completions of 64 words, in a process of its own: seconds, memory, and a peer.

    python -m bench.volume [--completions N] [--peer-python PATH]

Completions stand in groups of 64, as a run has them. The peer, `diversity` (Shaib et al. 2024), measures a few groups:
compression ratio, n-gram diversity, self-repetition, ROUGE-L homogenization. It takes every group alone, so its time
on all of them is that of one times their number; as one corpus it could not do them, for its homogenization takes the
square. It needs an older transformers and so an environment of its own, made with uv where --peer-python names none.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from bench.metrics import group_of, zipf_texts
from bench.peers import interpreter
from evalkit.metrics.registry import definitions, parse

PEER = "diversity==0.3.1"
A_GROUP, WORDS = 64, 64
PEER_GROUPS = 3
MOST_GIB = 2.0
RATIO = 50
LEXICAL = ("evalkit.metrics.diversity.lexical", "evalkit.metrics.diversity.rouge")
OF_PEER = """
import importlib.util, json, sys, time, types
# Its __init__ imports packages that it does not ask for, and `evaluate` breaks on a new pyarrow: what is measured here
# (compression, n-grams, repetition, ROUGE-L) needs neither.
sys.modules["evaluate"] = types.SimpleNamespace(load=None)
package = types.ModuleType("diversity")
package.__path__ = list(importlib.util.find_spec("diversity").submodule_search_locations)
sys.modules["diversity"] = package
from diversity.compression import compression_ratio
from diversity.homogenization import homogenization_score
from diversity.ngram_diversity import ngram_diversity_score
from diversity.self_repetition import self_repetition_score
groups = json.load(sys.stdin)
began = time.perf_counter()
for texts in groups:
    compression_ratio(texts)
    ngram_diversity_score(texts, 4)
    self_repetition_score(texts, verbose=False)
    homogenization_score(texts, "rougel", verbose=False)
print((time.perf_counter() - began) / len(groups))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=100_000)
    parser.add_argument("--peer-python", type=Path, help=f"an interpreter that can import {PEER}")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    groups = asked.completions // A_GROUP
    if asked.alone:
        print(json.dumps(measure_alone(groups)))
        return
    python = asked.peer_python or interpreter(PEER, "rouge_score", ("torch",))
    theirs = peer_seconds(python) * groups
    command = [sys.executable, "-m", "bench.volume", "--alone", "--completions", str(asked.completions)]
    ours = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(f"{groups * A_GROUP:,} completions x {WORDS} words in groups of {A_GROUP}")
    print(
        f"  {len(ours['seconds'])} metrics, tokenizing included: {ours['whole']:.1f} s, peak {ours['gib']:.2f} GiB "
        f"(bound {MOST_GIB:g})"
    )
    for name, seconds in sorted(ours["seconds"].items(), key=lambda pair: -pair[1]):
        print(f"    {name:<24} {seconds:6.1f} s")
    print(
        f"  {PEER}, four metrics, {PEER_GROUPS} groups scaled to all: {theirs:.0f} s; "
        f"ratio {theirs / ours['whole']:.0f} (bound {RATIO})"
    )


def measure_alone(groups: int) -> dict[str, object]:
    """All groups in memory, as a run holds them, then every metric on every group."""
    measures = [parse(name) for name, found in definitions().items() if found.function.__module__ in LEXICAL]
    held = [group_of(zipf_texts(A_GROUP, WORDS, seed=seed)) for seed in range(groups)]
    began = time.perf_counter()
    for group in held:
        assert len(group.words) == A_GROUP
    seconds = {"tokenizing": time.perf_counter() - began}
    for measure in measures:
        started = time.perf_counter()
        for group in held:
            measure(group)
        seconds[str(measure)] = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": seconds, "whole": time.perf_counter() - began, "gib": peak}


def peer_seconds(python: Path) -> float:
    """Seconds a group."""
    texts = [[" ".join(words) for words in zipf_texts(A_GROUP, WORDS, seed=seed)] for seed in range(PEER_GROUPS)]
    done = subprocess.run(
        [str(python), "-c", OF_PEER], input=json.dumps(texts), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{PEER} failed:\n{done.stderr[-1500:]}")
    return float(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
