"""What checkpoints read of groups on disk is what they read of groups in memory, and few of them are there at a time."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.inference.engines.base import Pair
from evalkit.inference.engines.transformers import TransformersEngine
from evalkit.inference.logprobs import score
from evalkit.inference.logprobs.attach import fill_needs
from evalkit.inference.plan import Plan, make_plan
from evalkit.inference.workers import calls
from evalkit.plumbing.lazily import Lazy
from evalkit.plumbing.progress import Quiet
from evalkit.records import RANKS, Completion, Group, NextTokenDistributions, Prompt
from evalkit.runs.stored_groups import OfPrompts
from evalkit.suite.schema import Suite
from tests.inference.engines.conftest import write_tiny_checkpoint

METRICS = ("kl_reverse", "kl_forward", "token_entropy")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "tiny"
    write_tiny_checkpoint(folder)
    return folder


class Asked(list[Pair]):
    """Pairs that an engine was asked about, if anybody wants to know."""

    are_kept = True

    def note(self, pairs: Sequence[Pair]) -> None:
        self.extend(pairs if self.are_kept else ())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Those that an engine was asked about which makes up what it says: of each token by its id."""
    pairs = Asked()

    class MadeUp:
        def turn_to(self, _: object) -> None:
            pass

        def logprobs(self, asked: Sequence[Pair]) -> list[tuple[float, ...]]:
            pairs.note(asked)
            return [tuple(-0.1 * token - len(prompt) for token in text) for prompt, text in asked]

        def next_token_distributions(self, asked: Sequence[Pair]) -> list[NextTokenDistributions]:
            pairs.note(asked)
            rows = [np.array(text, dtype=np.float32) for _, text in asked]
            return [NextTokenDistributions(row, np.outer(row, np.arange(len(RANKS))).astype("f4")) for row in rows]

    @contextmanager
    def opened(*_: object, **__: object) -> Iterator[MadeUp]:
        yield MadeUp()

    monkeypatch.setattr(calls, "open_engine", opened)
    return pairs


def planned(home: Path, prompts: int, words: int = 2) -> Plan:
    suite = Suite.model_validate({
        "name": "crossed",
        "checkpoints": {
            "base": {"path": str(home), "kind": "base"},
            "framed": {"path": str(home), "kind": "base", "frame": {"template": "w5 {prompt}"}},
        },
        "sampling": {"n": 4, "max_tokens": 6},
        "metrics": list(METRICS),
        # Some prompts are put twice, so that pairs repeat across groups too.
        "prompts": [{"id": f"p{row}", "text": f"w{9 + row % words}"} for row in range(prompts)],
    })  # fmt: skip
    return make_plan(suite, "transformers")


@dataclass(frozen=True, eq=False)
class Made(OfPrompts[Group]):
    """Groups that are made on every look, as those on disk are."""

    prompts: tuple[Prompt, ...]
    first: int
    completions: int
    tokens: int
    all_answer: bool = True

    def __len__(self) -> int:
        return len(self.prompts)

    def make(self, index: int) -> Group:
        drawn = np.random.default_rng([self.first, index]).integers(8, 12, (self.completions, self.tokens)).tolist()
        made = (
            Completion("", slot, "", tuple(text[: 1 + slot % self.tokens]), (-0.5,) * (1 + slot % self.tokens), "stop")
            for slot, text in enumerate(drawn)
        )
        return Group(self.prompts[index], tuple(made))


def written(plan: Plan, completions: int, tokens: int) -> dict[str, Made]:
    prompts = tuple(plan.suite.prompts)
    return {arm.name: Made(prompts, place, completions, tokens) for place, arm in enumerate(plan.arms)}


def said(group: Group) -> list[object]:
    along = group.next_token_distributions
    assert group.baseline is not None
    assert along is not None
    return [
        group.completions, group.baseline.completions,
        *(None if row is None else row.tolist() for row in (group.baseline_logprobs, group.forward_logprobs)),
        *((one.entropy.tolist(), one.logprobs_at_ranks.tolist()) for one in along),
    ]  # fmt: skip


def test_groups_on_disk_are_read_as_those_in_memory(
    home: Path, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TransformersEngine, "shard_size", 7)
    plan = planned(home, 6)
    stored = written(plan, 9, 3)
    found = []
    for place, groups in enumerate([{arm: list(of_arm) for arm, of_arm in stored.items()}, stored, stored]):
        # The first two with a cache of their own, the third with the second's.
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / str(min(place, 1))))
        asked.clear()
        filled, alarms = fill_needs(plan, groups, Quiet())
        assert alarms == []
        assert all(isinstance(of_arm, Lazy) == (place > 0) for of_arm in filled.values())
        found.append(([said(group) for of_arm in filled.values() for group in of_arm], list(asked)))
    in_memory, on_disk, again = found
    assert on_disk == in_memory
    assert again == (in_memory[0], [])
    [before] = {len(prompt.token_ids) for prompt in plan.checkpoints["base"].rendered}
    for group in fill_needs(plan, stored, Quiet())[0]["framed"]:
        texts = [one.token_ids for one in group.completions]
        assert group.baseline_logprobs == pytest.approx(
            [sum(-0.1 * token - before for token in text) for text in texts]
        )


def test_memory_does_not_grow_with_what_is_read(home: Path, asked: Asked, tmp_path: Path) -> None:
    """Completions of 60 tokens: 4 KB each as distributions. While they are read, keys and places take half a KB."""

    def peak(prompts: int) -> int:
        plan = planned(home, prompts, prompts)
        groups = written(plan, 20, 60)
        tracemalloc.start()
        filled, _ = fill_needs(plan, groups, Quiet())
        for of_arm in filled.values():
            assert sum(len(group.next_token_distributions or ()) for group in of_arm) == prompts * 20
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    asked.are_kept = False
    peak(13)  # what the first time takes, whatever is read, would hide what many take
    few, many = peak(13), peak(78)
    assert (many - few) / (65 * 2 * 20) < 1000


class Told(Quiet):
    """How far each stage was said to be."""

    def __init__(self) -> None:
        self.steps: dict[str, list[int]] = {}

    def stage(self, name: str, total: int) -> None:
        self._now = self.steps.setdefault(name, [])

    def advance(self, amount: int, tokens: int = 0) -> None:
        self._now.append(amount)


def test_long_calls_tell_of_themselves_as_they_are_read(
    home: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call of a thousand texts under a large vocabulary takes minutes."""
    plan = planned(home, 6)
    groups = written(plan, 9, 3)
    monkeypatch.setattr(score, "PORTION", 50)
    told = Told()
    fill_needs(plan, groups, told)
    read = [steps for name, steps in told.steps.items() if "read" in name]
    assert [sum(steps) for steps in read] == [len(asked)]
    assert all(len(steps) >= sum(steps) // 20 for steps in read)


@given(st.lists(st.tuples(st.lists(st.just(1), max_size=9), st.lists(st.just(2), max_size=9))), st.integers(1, 40))
def test_portions_are_all_pairs_in_their_order_and_no_longer_than_need_be(pairs: list[Pair], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "PORTION", size)
        found = [list(portion) for portion in score.portions(pairs)]
    assert [pair for portion in found for pair in portion] == pairs
    for portion in found[:-1]:
        assert sum(map(len, portion[-1])) + sum(len(part) for pair in portion[:-1] for part in pair) >= size
    assert all(sum(len(part) for pair in portion[:-1] for part in pair) < size for portion in found)
