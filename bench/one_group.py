"""Lexical metrics on 100 000 completions of 64 words as ONE group: seconds and peak memory of each in its own process.

    python -m bench.one_group [--completions N]

So large a group is what a pooled corpus is. ROUGE-L of all pairs is left out: its time goes with the square.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

from bench.metrics import group_of, zipf_texts
from evalkit.metrics.registry import definitions, parse

WORDS = 64
MOST_GIB = 2.0
LEXICAL = "evalkit.metrics.diversity.lexical"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=100_000)
    parser.add_argument("--metric", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.metric:
        print(json.dumps(measure_alone(asked.metric, asked.completions)))
        return
    print(f"{asked.completions:,} completions x {WORDS} words as one group (bound {MOST_GIB:g} GiB)")
    for name in (name for name, found in definitions().items() if found.function.__module__ == LEXICAL):
        command = [sys.executable, "-m", "bench.one_group", "--metric", name, "--completions", str(asked.completions)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout)
        print(f"  {name:<20} {found['seconds']:6.1f} s, peak {found['gib']:.2f} GiB, value {found['value']:.6g}")


def measure_alone(name: str, completions: int) -> dict[str, float]:
    """Tokenizing and one metric, in this process."""
    group = group_of(zipf_texts(completions, WORDS))
    began = time.perf_counter()
    value = parse(name)(group)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "value": value}


if __name__ == "__main__":
    main()
