"""Checkpoints read texts that are already there: what is asked of each, the loading, and the cache.

A question is put to one checkpoint, which is loaded at most once for all that is asked of it. Log-probs are asked of
the engine that samples the checkpoint, so that what is subtracted from them was made alike; whole next-token
distributions of `DISTRIBUTION_ENGINE`, which is that engine or another load. What was read once is kept in the cache.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import EngineError
from evalkit.inference.engines.base import (
    DISTRIBUTION_ENGINE,
    DistributionEngine,
    Engine,
    Pair,
    Progress,
    by_load,
    engine_class,
)
from evalkit.inference.plan import Plan
from evalkit.inference.workers.calls import Call, Load
from evalkit.inference.workers.crew import make_calls
from evalkit.inference.workers.places import place_of
from evalkit.plumbing.array_cache import key_of, recall, remember
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.prose import listed
from evalkit.records import Group, NextTokenDistributions

Quantity = Literal["logprobs", "next_token_distributions", "prefix_logprobs"]
"""Log-prob of each completion; the `NextTokenDistributions` along it; log-prob that an answer begins with it, as whole
words."""
VERSION = 2
"""Raised by hand when the same question gets another answer."""
Answer = Sequence[Any]
"""One item a pair: a float, or `NextTokenDistributions`."""


@dataclass(frozen=True)
class Question:
    """What a checkpoint of the plan is asked about pairs of a prompt and a completion."""

    checkpoint: str
    quantity: Quantity
    pairs: tuple[Pair, ...]

    @cached_property
    def distinct(self) -> list[Pair]:
        """A collapsed arm says the same thing many times; it is read once."""
        return list(dict.fromkeys(self.pairs))

    @property
    def longest(self) -> int:
        return max((len(prompt) + len(completion) for prompt, completion in self.pairs), default=0)


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
    """The answers, in the questions' order: from the cache, or from the checkpoints. Raises `EngineError`."""
    keys = [_key(plan, question) for question in questions]
    by_key = dict(zip(keys, questions, strict=True))
    answers: dict[str, Answer] = {}
    open_questions: dict[tuple[str, str], dict[str, Question]] = defaultdict(dict)
    for key, question in by_key.items():
        known = recall("readings", key) if question.pairs else []
        if known is None:
            open_questions[question.checkpoint, _engine(plan, question)][key] = question
        else:
            answers[key] = _unpack(question, known)
    reading = _Reading(by_key, tell)
    loads = []
    for engine in dict.fromkeys(engine for _, engine in open_questions):
        readers = [plan.checkpoints[name].checkpoint for name, of in open_questions if of == engine]
        for names in by_load([(engine, reader) for reader in readers]):
            checkpoints = tuple(plan.checkpoints[name].checkpoint for name in names)
            loads.append(reading.load(engine, checkpoints, [open_questions[name, engine] for name in names]))
    if loads:
        make_calls(place_of(plan.cluster), loads, tell)
    answers |= reading.answers
    return [_one_a_pair(question, answers[key]) for key, question in zip(keys, questions, strict=True)]


class _Reading:
    """Questions become calls, and answers go to the cache as soon as they are whole."""

    def __init__(self, questions: Mapping[str, Question], tell: Listener) -> None:
        self.answers: dict[str, Answer] = {}
        self._questions = questions
        self._tell = tell
        self._known: dict[str, dict[Pair, Any]] = defaultdict(dict)

    def load(
        self, engine: str, checkpoints: tuple[Checkpoint, ...], questions: Sequence[Mapping[str, Question]]
    ) -> Load:
        """All that is asked of checkpoints that share a load, a mapping of keys to questions for each of them."""
        block = engine_class(engine).shard_size
        longest = max(question.longest for own in questions for question in own.values())
        calls = [
            self._call(checkpoint, key, question.distinct[start : start + block])
            for checkpoint, own in zip(checkpoints, questions, strict=True)
            for key, question in own.items()
            for start in range(0, len(question.distinct), block)
        ]
        doing = (
            f"{listed([checkpoint.name for checkpoint in checkpoints])} {'reads' if len(checkpoints) == 1 else 'read'}"
        )
        return Load(doing, engine, checkpoints, longest, tuple(calls))

    def _call(self, checkpoint: Checkpoint, key: str, pairs: Sequence[Pair]) -> Call:
        def ask(engine: Engine, progress: Progress) -> Answer:
            answer = _answer(engine, self._questions[key].quantity, pairs)
            progress(len(pairs), 0)
            return answer

        def keep(answer: Answer) -> None:
            self._keep(key, pairs, answer)

        def halves(_: bool) -> list[Call]:
            middle = len(pairs) // 2
            return [self._call(checkpoint, key, part) for part in (pairs[:middle], pairs[middle:]) if part]

        return Call(checkpoint, len(pairs), ask, keep, halves, refuse=_fail)

    def _keep(self, key: str, pairs: Sequence[Pair], answer: Answer) -> None:
        question, known = self._questions[key], self._known[key]
        known.update(zip(pairs, answer, strict=True))
        if len(known) == len(question.distinct):
            self.answers[key] = [known[pair] for pair in question.distinct]
            remember("readings", key, _pack(question, self.answers[key]), self._tell.note)


def _fail(error: EngineError) -> None:
    raise error


def split(groups: Sequence[Group], answer: Answer) -> list[Answer]:
    """An answer about every completion of `groups`, cut into one part a group."""
    ends = np.cumsum([len(group.completions) for group in groups]).tolist()
    return [answer[end - len(group.completions) : end] for group, end in zip(groups, ends, strict=True)]


def _engine(plan: Plan, question: Question) -> str:
    return plan.checkpoints[question.checkpoint].engine if question.quantity == "logprobs" else DISTRIBUTION_ENGINE


def _answer(engine: Engine, quantity: Quantity, pairs: Sequence[Pair]) -> Answer:
    if quantity == "logprobs":
        return [math.fsum(row) for row in engine.logprobs(pairs)]
    whole = cast(DistributionEngine, engine)
    return (
        whole.next_token_distributions(pairs)
        if quantity == "next_token_distributions"
        else whole.prefix_logprobs(pairs)
    )


def _one_a_pair(question: Question, answer: Answer) -> Answer:
    known = dict(zip(question.distinct, answer, strict=True))
    return [known[pair] for pair in question.pairs]


def _pack(question: Question, answer: Answer) -> list[Array]:
    if question.quantity != "next_token_distributions":
        return [np.array(answer, dtype=np.float64)]
    return [
        np.concatenate([distributions.entropy for distributions in answer]),
        np.concatenate([distributions.logprobs_at_ranks for distributions in answer]),
    ]


def _unpack(question: Question, arrays: Sequence[Array]) -> Answer:
    if not question.pairs:
        return []
    if question.quantity != "next_token_distributions":
        return cast(list[float], arrays[0].tolist())
    ends = np.cumsum([len(completion) for _, completion in question.distinct])[:-1]
    return [NextTokenDistributions(*both) for both in zip(*(np.split(array, ends) for array in arrays), strict=True)]


def _key(plan: Plan, question: Question) -> str:
    checkpoint = plan.checkpoints[question.checkpoint].checkpoint
    engine = _engine(plan, question)
    return key_of({
        **checkpoint.settings.departures,
        "weights": checkpoint.fingerprint,
        "dtype": checkpoint.dtype,
        "engine": engine,
        "engine_version": engine_class(engine).version(),
        "asked": question.quantity,
        "version": VERSION,
        "pairs": question.distinct,
    })  # fmt: skip
