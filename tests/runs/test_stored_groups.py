"""Groups on disk are the groups in memory, whatever the order and the cut of their shards, and take no memory."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.records import Arm, Completion, Group, Prompt, Thinking
from evalkit.runs import groups as module
from evalkit.runs.groups import group_completions
from evalkit.runs.manifest import ShardRow
from evalkit.runs.shards import table_of, to_parquet
from evalkit.runs.stored_groups import Source, StoredGroups, prompts_of

ARM = Arm("a", "a", "base", None, None)
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def completion(prompt: str, sample: int, words: int) -> Completion:
    ids = tuple(range(sample, sample + words))
    logprobs = tuple(-0.5 * number for number in ids)
    return Completion(prompt, sample, "word é " * words, ids, logprobs, "length" if words % 2 else "stop")


def source(drawn: list[Completion], row: ShardRow) -> Source:
    table = table_of(to_parquet(drawn, "a", NOW))
    return Source(row, lambda: table)


sizes = st.lists(st.integers(0, 6), min_size=1, max_size=5)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes, st.randoms(use_true_random=False), st.booleans())
def test_groups_on_disk_are_those_in_memory(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], chance: object, is_listed: bool
) -> None:
    prompts = [Prompt(f"p{place}", "?") for place in range(len(sizes))]
    every = [
        completion(prompt.id, sample, sample + place)
        for place, (prompt, size) in enumerate(zip(prompts, sizes, strict=True))
        for sample in range(size)
    ]
    want = [Group(prompt, tuple(one for one in every if one.prompt_id == prompt.id)) for prompt in prompts]
    chance.shuffle(every)  # type: ignore[attr-defined]
    parts = [part for part in (every[::3], every[1::3], every[2::3]) if part]
    rows = [
        ShardRow(
            arm="a",
            key=str(place),
            prompts=list(dict.fromkeys(one.prompt_id for one in part)) if is_listed else None,
            slots=(0, 9) if is_listed else None,
        )
        for place, part in enumerate(parts)
    ]
    sources = {"a": [source(part, row) for part, row in zip(parts, rows, strict=True)]}
    assert list(group_completions({"a": ARM}, prompts, sources, len(every))["a"]) == want
    monkeypatch.setattr(module, "IN_MEMORY", -1)
    stored = group_completions({"a": ARM}, prompts, sources, len(every))["a"]
    assert isinstance(stored, StoredGroups)
    assert list(stored) == want
    assert prompts_of(stored) == tuple(prompts)


def test_of_a_shard_that_holds_more_only_the_runs_own_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", -1)
    drawn = [completion(prompt, sample, 2) for prompt in ("p", "q") for sample in range(4)]
    row = ShardRow(arm="a", key="k", prompts=["q"], slots=(1, 3), part=True)
    [group] = group_completions({"a": ARM}, [Prompt("q", "?")], {"a": [source(drawn, row)]}, 2)["a"]
    assert [one.sample_index for one in group.completions] == [1, 2]


def test_thinking_is_taken_apart_on_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = Arm("a", "a", "base", None, None, thinking=Thinking("<t>", "</t>"))
    drawn = [Completion("p", 0, "<t>so</t>Blue.", (), (), "stop")]
    sources = {"a": [source(drawn, ShardRow(arm="a", key="k"))]}
    in_memory = group_completions({"a": arm}, [Prompt("p", "?")], sources, 1)["a"]
    monkeypatch.setattr(module, "IN_MEMORY", -1)
    assert list(group_completions({"a": arm}, [Prompt("p", "?")], sources, 1)["a"]) == in_memory
    assert in_memory[0].completions[0].thinking == "so"


WALK = """
import resource, sys
from pathlib import Path
import numpy as np, pyarrow as pa
from evalkit.analysis.overview import look_at
from evalkit.plumbing import by_row
from evalkit.records import Arm, Prompt
from evalkit.runs.groups import group_completions
from evalkit.runs.manifest import ShardRow
from evalkit.runs.shards import COLUMNS
from evalkit.runs.stored_groups import Source

by_row.cores = lambda: 1  # all in this process, whose memory is looked at
K, TOKENS = 1000, 48
PROMPTS = int(sys.argv[1])
words = np.array([f"w{word}" for word in range(5000)])

def table(prompt):
    rng = np.random.default_rng(prompt)
    texts = [" ".join(row) for row in words[rng.integers(0, 5000, (K, 30))].tolist()]
    ids = pa.ListArray.from_arrays(np.arange(0, K * TOKENS + 1, TOKENS, dtype=np.int32),
                                   pa.array(rng.integers(0, 30000, K * TOKENS), pa.int32()))
    logprobs = pa.ListArray.from_arrays(np.arange(0, K * TOKENS + 1, TOKENS, dtype=np.int32),
                                        pa.array(-rng.random(K * TOKENS), pa.float32()))
    ends = pa.array(["stop"] * K).dictionary_encode().cast(COLUMNS.field("finish_reason").type)
    return pa.table([[f"p{prompt}"] * K, pa.array(range(K), pa.int32()), texts, ids, logprobs, ends,
                     pa.nulls(K, pa.string()), pa.nulls(K, pa.int32())], schema=COLUMNS)

prompts = [Prompt(f"p{prompt}", "?") for prompt in range(PROMPTS)]
sources = {"a": [Source(ShardRow(arm="a", key=str(prompt)), lambda prompt=prompt: table(prompt))
                 for prompt in range(PROMPTS)]}
groups = group_completions({"a": Arm("a", "a", "base", None, None)}, prompts, sources, PROMPTS * K)
seen = look_at(groups, ["a"])
assert sum(one.completions for one in seen["a"]) == PROMPTS * K
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory_does_not_grow_with_the_completions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def peak(prompts: int) -> float:
        done = subprocess.run([sys.executable, "-c", WALK, str(prompts)], check=True, capture_output=True, text=True)
        return float(done.stdout)

    few, many = peak(21), peak(63)
    # 42 000 completions more would be 340 MB of objects. What is seen of them takes 2 MB; allocators waste some.
    assert many - few < 80, f"{few:.0f} MiB for 21 000 completions, {many:.0f} MiB for 63 000"


def test_numbers_come_back_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", -1)
    logprobs = tuple(np.random.default_rng(0).normal(size=50).astype(np.float32).tolist())
    one = Completion("p", 0, "x", tuple(range(50)), logprobs, "stop")
    [group] = group_completions({"a": ARM}, [Prompt("p", "?")], {"a": [source([one], ShardRow(arm="a", key="k"))]}, 1)[
        "a"
    ]
    assert group.completions == (one,)
