"""How far a run says it is, held against the work that it has done: counted, not timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.millions import Work, simulate, write_suite
from evalkit.analysis.comparison.openings import FIRST_PROMPTS
from evalkit.plumbing import by_row
from evalkit.run import run_suite
from evalkit.runs import groups as in_memory
from evalkit.runs.stored_groups import StoredGroups
from evalkit.suite.schema import load_suite

PROMPTS, SAMPLES, ARMS = 48, 4, 2


@dataclass
class Told:
    """What was told of a stage, each time with the work that was done in it by then."""

    name: str
    total: int
    done: list[tuple[int, int]] = field(default_factory=list)
    work: int = 0
    """At its end."""


@dataclass
class Witness:
    """Listens, and counts looks at completions."""

    stages: list[Told] = field(default_factory=list)
    looks: int = 0

    def stage(self, name: str, total: int) -> None:
        self.close()
        self.stages.append(Told(name, total))
        self.looks = 0

    def advance(self, amount: int, tokens: int = 0) -> None:
        now = self.stages[-1]
        now.done.append(((now.done[-1][0] if now.done else 0) + amount, self.looks))

    def ready(self) -> None:
        pass

    def reached(self, share: float) -> None:
        pass

    def ahead(self, seconds: float | None) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        if self.stages:
            self.stages[-1].work = self.looks


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """Of a run in one process whose samples are all in the cache, and whose completions lie on disk."""
    witness, folder = Witness(), tmp_path_factory.mktemp("told")

    def counted(of: Callable[..., Any]) -> Callable[..., Any]:
        def look(*args: Any) -> Any:
            witness.looks += 1
            return of(*args)

        return look

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(by_row, "cores", lambda: 1)
        patch.setattr(in_memory, "IN_MEMORY", -1)
        work = Work(PROMPTS, SAMPLES, tuple(range(ARMS)), ("distinct_n", "length", "task_checks"))
        suite = write_suite(folder / "suite.yaml", work)
        simulate(suite, folder / "samples")
        patch.setattr(StoredGroups, "make", counted(StoredGroups.make))
        run_suite(load_suite(suite), "transformers", folder / "run", witness)
    witness.close()
    return witness.stages


def test_a_stage_ends_when_all_of_its_units_are_done(stages: list[Told]) -> None:
    assert {one.name: one.done[-1][0] for one in stages if one.total} == {one.name: one.total for one in stages}
    assert max(Counter(one.name for one in stages).values()) == 1


def test_the_work_of_a_stage_is_foretold_within_a_fifth_from_its_first_tenth_on(stages: list[Told]) -> None:
    long = [one for one in stages if one.work >= PROMPTS]
    assert {one.name for one in long} == {
        "tell scripts apart", "look over", "score task_checks", "take first samples", "measure", "count tokens",
        "gather figures", "gather completions", "look for phrases", "count words", "look at words",
        "split what was lost",
    }  # fmt: skip
    for one in long:
        for done, work in one.done:
            if one.total / 10 <= done < one.total:
                assert abs(work * one.total / done - one.work) <= one.work / 5, f"{one.name}: {done} of {one.total}"


def test_no_completions_are_looked_at_where_nobody_tells_of_it(stages: list[Told]) -> None:
    """But for single ones that say what all of an arm are like."""
    untold = {one.name: one.work - one.done[-1][1] for one in stages if one.done}
    assert sum(untold.values()) <= 8 * ARMS, untold
    assert sum(one.work for one in stages) <= ARMS * (12 * PROMPTS + 2 * FIRST_PROMPTS)
