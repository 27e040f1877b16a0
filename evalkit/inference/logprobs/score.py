"""Checkpoints read texts that are already there: what is asked of each, the loading, and the cache.

A question is put to one checkpoint, which is loaded at most once for all that is asked of it. Log-probs are asked of
the engine that samples the checkpoint, so that what is subtracted from them was made alike; whole next-token
distributions of `DISTRIBUTION_ENGINE`, which is that engine or another load. What was read once is kept in the cache.
The pairs of a call are made when it is made, so that of millions of completions a few thousand are in memory.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import EngineError
from evalkit.inference.engines.base import DistributionEngine, Engine, Pair, Progress, by_load, engine_class
from evalkit.inference.logprobs.questions import Answer, Quantity, Question, Reading, Tokens
from evalkit.inference.plan import Plan
from evalkit.inference.workers.calls import Call, Load
from evalkit.inference.workers.crew import make_calls
from evalkit.inference.workers.places import place_of
from evalkit.plumbing.array_cache import recall_into, remember
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.prose import listed
from evalkit.records import Group

PORTION = 16_384
"""Tokens, of prompts and completions, that are read before it is told that they are."""


@dataclass(frozen=True)
class Scoring:
    """A question for the sake of one arm, and how its groups take the answer in."""

    arm: str
    question: Question
    attach: Callable[[Sequence[Group], Answer], Sequence[Group]]


@dataclass(frozen=True)
class Prepared:
    """How one need of measures is met: what is known without reading, what is to be read, and what cannot be."""

    groups: Mapping[str, Sequence[Group]]
    """Arms whose groups are complete already."""
    scorings: Sequence[Scoring]
    obstacles: Mapping[str, str]
    """Arm -> why its groups must do without."""


def read(plan: Plan, questions: Sequence[Question], tell: Listener) -> list[Answer]:
    """The answers, in the questions' order: from the cache, or from the checkpoints.

    Raises `EngineError`, and `StoreError` where there is no room for what lies on disk.
    """
    by_key = {question.distinct.key: question for question in questions}
    readings = {key: Reading(question) for key, question in by_key.items()}
    open_questions: dict[tuple[str, str], dict[str, Question]] = defaultdict(dict)
    for key, question in by_key.items():
        if len(question.distinct) and not recall_into("readings", key, readings[key].arrays):
            open_questions[question.reader.checkpoint.name, question.engine][key] = question
    calls = _Calls(by_key, readings, tell)
    loads = []
    for engine in dict.fromkeys(engine for _, engine in open_questions):
        readers = [plan.checkpoints[name].checkpoint for name, of in open_questions if of == engine]
        for names in by_load([(engine, reader) for reader in readers]):
            checkpoints = tuple(plan.checkpoints[name].checkpoint for name in names)
            loads.append(calls.load(engine, checkpoints, [open_questions[name, engine] for name in names]))
    if loads:
        make_calls(place_of(plan.cluster), loads, tell)
    return [readings[question.distinct.key].answer(question.distinct) for question in questions]


class _Calls:
    """Questions become calls, and answers go to the cache as soon as they are whole."""

    def __init__(self, questions: Mapping[str, Question], readings: Mapping[str, Reading], tell: Listener) -> None:
        self._questions = questions
        self._readings = readings
        self._tell = tell
        self._looking = threading.Lock()
        self._looked_at: tuple[str, int, Sequence[Tokens]] = "", -1, ()

    def load(
        self, engine: str, checkpoints: tuple[Checkpoint, ...], questions: Sequence[Mapping[str, Question]]
    ) -> Load:
        """All that is asked of checkpoints that share a load, a mapping of keys to questions for each of them."""
        block = engine_class(engine).shard_size
        longest = max(question.distinct.longest for own in questions for question in own.values())
        calls = [
            self._call(checkpoint, key, range(start, min(start + block, len(question.distinct))))
            for checkpoint, own in zip(checkpoints, questions, strict=True)
            for key, question in own.items()
            for start in range(0, len(question.distinct), block)
        ]
        doing = (
            f"{listed([checkpoint.name for checkpoint in checkpoints])} {'reads' if len(checkpoints) == 1 else 'read'}"
        )
        return Load(doing, engine, checkpoints, longest, tuple(calls))

    def _call(self, checkpoint: Checkpoint, key: str, pairs: range) -> Call:
        def ask(engine: Engine, progress: Progress) -> Sequence[Any]:
            answer: list[Any] = []
            for portion in portions(self._pairs(key, pairs)):
                answer += _answer(engine, self._questions[key].quantity, portion)
                progress(len(portion), 0)
            return answer

        def keep(answer: Sequence[Any]) -> None:
            self._keep(key, pairs, answer)

        def halves(_: bool) -> list[Call]:
            middle = len(pairs) // 2
            return [self._call(checkpoint, key, part) for part in (pairs[:middle], pairs[middle:]) if part]

        kind = f"{checkpoint.name} {self._questions[key].quantity}"
        return Call(checkpoint, len(pairs), ask, keep, halves, refuse=_fail, kind=kind)

    def _pairs(self, key: str, pairs: range) -> list[Pair]:
        """Some of a question's pairs; threads of all replicas ask, and most of them for the same prompt."""
        question, made = self._questions[key], []
        with self._looking:
            for row, place in question.distinct.places(pairs):
                if self._looked_at[:2] != (key, row):
                    self._looked_at = key, row, question.texts[row]
                made.append((question.prompts[row], self._looked_at[2][place]))
        return made

    def _keep(self, key: str, pairs: range, answer: Sequence[Any]) -> None:
        reading = self._readings[key]
        reading.put(pairs, answer)
        if not reading.missing:
            remember("readings", key, reading.whole(), self._tell.note)


def portions(pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    """The pairs of a call, in portions that keep an engine full and are soon enough read to tell of."""
    begin = tokens = 0
    for place, pair in enumerate(pairs):
        tokens += sum(map(len, pair))
        if tokens >= PORTION:
            yield pairs[begin : place + 1]
            begin, tokens = place + 1, 0
    if begin < len(pairs):
        yield pairs[begin:]


def _fail(error: EngineError) -> None:
    raise error


def _answer(engine: Engine, quantity: Quantity, pairs: Sequence[Pair]) -> Sequence[Any]:
    if quantity == "logprobs":
        return [math.fsum(row) for row in engine.logprobs(pairs)]
    whole = cast(DistributionEngine, engine)
    return (
        whole.next_token_distributions(pairs)
        if quantity == "next_token_distributions"
        else whole.prefix_logprobs(pairs)
    )
