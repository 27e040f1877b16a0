"""Checkpoints read texts that are already there: what is asked of each, the loading, and the cache.

A question is put to one checkpoint, which is loaded at most once for all that is asked of it. Log-probs are asked of
the engine that samples the checkpoint, so that what is subtracted from them was made alike; whole next-token
distributions of `DISTRIBUTION_ENGINE`, which is that engine or another load. What was read once is kept in the cache.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np

from evalkit.inference.engines.base import (
    DISTRIBUTION_ENGINE,
    DistributionEngine,
    Engine,
    Pair,
    by_load,
    engine_class,
    open_engine,
)
from evalkit.inference.plan import Plan
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
    for engine in dict.fromkeys(engine for _, engine in open_questions):
        readers = [plan.checkpoints[name].checkpoint for name, of in open_questions if of == engine]
        for names in by_load([(engine, checkpoint) for checkpoint in readers]):
            shared_questions = {name: open_questions[name, engine] for name in names}
            for key, answer in _ask(plan, engine, shared_questions, tell):
                remember("readings", key, _pack(by_key[key], answer), tell.note)
                answers[key] = answer
    return [_one_a_pair(question, answers[key]) for key, question in zip(keys, questions, strict=True)]


def split(groups: Sequence[Group], answer: Answer) -> list[Answer]:
    """An answer about every completion of `groups`, cut into one part a group."""
    ends = np.cumsum([len(group.completions) for group in groups]).tolist()
    return [answer[end - len(group.completions) : end] for group, end in zip(groups, ends, strict=True)]


def _engine(plan: Plan, question: Question) -> str:
    return plan.checkpoints[question.checkpoint].engine if question.quantity == "logprobs" else DISTRIBUTION_ENGINE


def _ask(
    plan: Plan, engine: str, questions: Mapping[str, Mapping[str, Question]], tell: Listener
) -> Iterator[tuple[str, Answer]]:
    """(key, answer about the distinct pairs) of each question to checkpoints that share a load, which is made once."""
    first, *others = (plan.checkpoints[name].checkpoint for name in questions)
    tell.stage(f"load {listed(list(questions))} ({engine})", 1)
    longest = max(question.longest for by_key in questions.values() for question in by_key.values())
    with open_engine(engine, first, longest, *others) as opened:
        tell.advance(1)
        for checkpoint, by_key in zip((first, *others), questions.values(), strict=True):
            if others:
                opened.turn_to(checkpoint)
            tell.stage(f"{checkpoint.name} reads", sum(len(question.distinct) for question in by_key.values()))
            for key, question in by_key.items():
                yield key, _read_all(opened, question, engine_class(engine).shard_size, tell)


def _read_all(engine: Engine, question: Question, block: int, tell: Listener) -> Answer:
    answer: list[Any] = []
    for start in range(0, len(question.distinct), block):
        part = question.distinct[start : start + block]
        answer += _answer(engine, question.quantity, part)
        tell.advance(len(part))
    return answer


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
        "weights": checkpoint.fingerprint,
        "dtype": checkpoint.dtype,
        "engine": engine,
        "engine_version": engine_class(engine).version(),
        "asked": question.quantity,
        "version": VERSION,
        "pairs": question.distinct,
    })  # fmt: skip
