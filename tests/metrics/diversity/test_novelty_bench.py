"""NoveltyBench's numbers from its own classes, as its code counts them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.metrics.registry import parse
from evalkit.records import Completion, Given, Group, Prompt
from evalkit.runs.exchange.novelty_bench import read_novelty_bench
from evalkit.runs.exchange.rows import Tally

GIVEN = Given({"generation_scores": np.array([3.0, 4.0, 3.0])}, {}, np.array([0, 1, 0]))


def group(given: Given | None) -> Group:
    return Group(Prompt("p", "x"), tuple(Completion("p", slot, "t", (), (), "stop") for slot in range(3)), given=given)


def test_distinct_counts_classes_and_utility_gives_repeats_nothing() -> None:
    assert parse("noveltybench_distinct")(group(GIVEN)) == 2
    # numpy.average([3, 4, 0], weights=0.8 ** numpy.arange(3)), as the benchmark's score.py has it.
    assert parse("noveltybench_utility")(group(GIVEN)) == pytest.approx((3 + 0.8 * 4) / (1 + 0.8 + 0.64))


@pytest.mark.parametrize("name", ["noveltybench_distinct", "noveltybench_utility"])
def test_without_classes_there_is_no_value(name: str) -> None:
    assert math.isnan(parse(name)(group(None)))


PUBLISHED = [
    # novelty-bench/novelty-bench.github.io, eval/03-27-2025/curated/MODEL/scores.jsonl: `id`, `partition`,
    # `generation_scores`, `utility`; the number of classes is what its leaderboard calls distinct.
    (
        [0, 1, 1, 1, 0, 1, 1, 1, 1, 1],
        [10, 10, 0, 0, 0, 0, 0, 0, 0, 0],
        4.033044898566017,
    ),  # google/gemma-2-2b-it, curated-1
    (
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 1],
        [9, 8, 9, 9, 10, 9, 9, 9, 8, 0],
        8.604283972706819,
    ),  # google/gemma-2-2b-it, curated-50
    (
        [0, 1, 2, 3, 4, 5, 6, 7, 1, 8],
        [10, 10, 10, 10, 10, 9, 10, 10, 0, 10],
        9.550673628196883,
    ),  # meta-llama/Llama-3.1-8B-Instruct, curated-7
    (
        [0, 1, 2, 2, 0, 2, 3, 4, 1, 2],
        [10, 10, 9, 0, 0, 0, 10, 9, 0, 0],
        6.333869409246179,
    ),  # meta-llama/Llama-3.1-8B-Instruct, curated-80
    (
        [0, 0, 1, 2, 0, 0, 0, 0, 0, 0],
        [10, 0, 8, 10, 0, 0, 0, 0, 0, 0],
        4.534934930387566,
    ),  # openai/gpt-4o-2024-11-20, curated-20
    (
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [10, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        2.2405804992033427,
    ),  # openai/gpt-4o-2024-11-20, curated-3
    # The same of wildchat/google/gemma-2-2b-it, WildChat-bd46526b79a015b555962906cc4352d8 and
    # WildChat-585f6ae9db72ab606fe34fd56cbe109e; and of version 1.1, whose classes and scores are language models' and
    # which writes null for repeats: curated/google/gemma-2-2b-it/v1.1, curated-75 and curated-80.
    ([0, 0, 0, 0, 1, 0, 0, 0, 0, 1], [5, 0, 0, 0, 6, 0, 0, 0, 0, 0], 1.6709353130858848),
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 3], [9, 9, 9, 8, 8, 7, 8, 7, 8, 0], 8.185713422053723),
    ([0, 1, 0, 1, 0, 0, 2, 2, 0, 3], [9, 7, None, None, None, None, 8, None, None, 8], 3.981711815546752),
    ([0, 1, 2, 3, 4, 5, 0, 3, 1, 1], [7, 6, 6, 9, 3, 5, None, None, None, None], 5.179146635518512),
]


@pytest.mark.parametrize(("partition", "scores", "utility"), PUBLISHED)
def test_published_classes_and_scores_give_the_published_numbers(
    partition: list[int], scores: list[int | None], utility: float
) -> None:
    row = {"id": "p", "prompt": "x", "generations": ["t"] * 10, "partition": partition, "generation_scores": scores}
    rows = list(read_novelty_bench([("file:1", row)], Tally("file")))
    quality = np.array([one.scores["generation_scores"] for one in rows])
    given = Given({"generation_scores": quality}, {}, np.array([one.said for one in rows]))
    completions = tuple(Completion("p", slot, "t", (), (), "stop") for slot in range(10))
    of_prompt = Group(Prompt("p", "x"), completions, given=given, quality=quality)
    assert parse("noveltybench_distinct")(of_prompt) == parse("given/distinct_k")(of_prompt) == max(partition) + 1
    assert parse("noveltybench_utility")(of_prompt) == pytest.approx(utility, abs=1e-12)
    assert parse("given/utility_k|orders:drawn")(of_prompt) == pytest.approx(utility, abs=1e-12)
