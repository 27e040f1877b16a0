"""Groups get the classes of their completions, as classifiers and judges tell which of them say the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from evalkit.metrics.divisions.classifier import PAIR_WEIGHTS, Answers, Told, pair_model
from evalkit.metrics.divisions.divided import CLASSIFIER, GIVEN, JUDGE, Division, division_of
from evalkit.metrics.divisions.greedy import Divided, short_of
from evalkit.metrics.divisions.judged import divide_groups
from evalkit.metrics.estimators.ngrams import Ints
from evalkit.metrics.judge_server import Judge
from evalkit.metrics.registry import Measure
from evalkit.metrics.summary import Alarm
from evalkit.plumbing.array_cache import key_of, recall, remember
from evalkit.plumbing.lazily import Made, each
from evalkit.plumbing.models import Batch, ask
from evalkit.plumbing.progress import Listener
from evalkit.records import Group, Groups

PROMPTS = 32
"""Prompts that are divided together, and kept together: enough pairs to fill batches, few enough to be done soon."""


@dataclass(frozen=True)
class _Portion:
    """Some consecutive groups of an arm."""

    arm: str
    start: int
    stop: int

    def of(self, groups: Groups) -> list[Group]:
        return [groups[self.arm][index] for index in range(self.start, self.stop)]

    def answers(self, groups: Groups, overlap: bool) -> list[Answers]:
        return [(group.texts, short_of(group) if overlap else "asked") for group in self.of(groups)]


def divisions_of(measures: Iterable[Measure]) -> list[Division]:
    """Who divides completions for these measures, each once."""
    found = (division_of(measure.definition, measure.params) for measure in measures)
    return list(dict.fromkeys(division for division in found if division is not None))


def with_divisions(groups: Groups, measures: Iterable[Measure], tell: Listener) -> tuple[Groups, list[Alarm]]:
    """The groups with `Group.divisions`, and what could not be told; as they are where no measure needs any.

    Classes by a classifier come from the cache where they are known. Raises `MetricError`, `CheckpointError`,
    `EngineError`.
    """
    divisions = [division for division in divisions_of(measures) if division.source != GIVEN]
    if not divisions:
        return groups, []
    divided = {division: _divide(division, groups, tell) for division in divisions}
    alarms = [alarm for division, by_arm in divided.items() for alarm in _alarms(division, by_arm)]
    rows = {
        arm: [
            {division.key: _known(by_arm[arm][index]) for division, by_arm in divided.items()}
            for index in range(len(of_arm))
        ]
        for arm, of_arm in groups.items()
    }
    return {arm: each(of_arm, DividedBy(rows[arm])) for arm, of_arm in groups.items()}, alarms


@dataclass(frozen=True)
class DividedBy:
    """Groups get the classes of their completions."""

    rows: Sequence[dict[str, Ints | None]]

    def __call__(self, index: int, group: Group) -> Group:
        return group.having(divisions=self.rows[index])


def _divide(division: Division, groups: Groups, tell: Listener) -> dict[str, list[Divided]]:
    """Arm -> each prompt's division."""
    portions = [
        _Portion(arm, start, min(start + PROMPTS, len(of_arm)))
        for arm, of_arm in groups.items()
        for start in range(0, len(of_arm), PROMPTS)
    ]
    tell.stage(f"divide answers by {_name(division)}", sum(map(len, groups.values())))
    way = {CLASSIFIER: _by_classifier, JUDGE: _by_judge}[division.source]
    divided: dict[str, list[Divided]] = {arm: [] for arm in groups}
    for portion, of_portion in zip(portions, way(division, portions, groups, tell), strict=True):
        divided[portion.arm] += of_portion
    return divided


def _by_judge(
    division: Division, portions: Sequence[_Portion], groups: Groups, tell: Listener
) -> Iterator[list[Divided]]:
    judge = Judge(str(dict(division.parameters)["model"]), f"{JUDGE}/distinct_k")
    for portion in portions:
        yield divide_groups(judge, portion.of(groups))
        tell.advance(portion.stop - portion.start)


def _by_classifier(
    division: Division, portions: Sequence[_Portion], groups: Groups, tell: Listener
) -> list[list[Divided]]:
    parameters = dict(division.parameters)
    overlap = bool(parameters["overlap"])
    how = {name: value for name, value in parameters.items() if name != "model"}
    by = {"division": {**how, **PAIR_WEIGHTS(model=str(parameters["model"]), **how)}}
    keys = [key_of(by | {"answers": _hash(portion.answers(groups, overlap))}) for portion in portions]
    known: dict[int, list[Divided]] = {}
    for number, (key, portion) in enumerate(zip(keys, portions, strict=True)):
        arrays = recall("classes", key)
        if arrays is not None:
            known[number] = _from_arrays(arrays)
            tell.advance(portion.stop - portion.start)
    missing = [number for number in range(len(portions)) if number not in known]

    def keep(place: int, told: Sequence[Told]) -> None:
        number = missing[place]
        known[number] = [Divided(np.array(classes, np.int64), asked, unread) for classes, asked, unread in told]
        remember("classes", keys[number], _as_arrays(known[number]), tell.note)
        tell.advance(len(told))

    if missing:
        batches = [_batch(portions[number], groups, overlap) for number in missing]
        ask(pair_model(parameters).opened(), "divide", batches, keep)
    return [known[number] for number in range(len(portions))]


def _batch(portion: _Portion, groups: Groups, overlap: bool) -> Batch:
    return Batch(Made(portion.stop - portion.start, partial(portion.answers, groups, overlap)))


def _hash(answers: Sequence[Answers]) -> str:
    digest = hashlib.sha256()
    for texts, short in answers:
        digest.update(f"{len(texts)} {short}\0".encode())
        for text in texts:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0\0")
    return digest.hexdigest()


def _as_arrays(divided: Sequence[Divided]) -> list[np.ndarray[Any, Any]]:
    """Classes one after the other; of each prompt how many answers it has, how many pairs were asked and unread."""
    counts = np.array([[len(one.classes), one.asked, one.unread] for one in divided], dtype=np.int64).reshape(-1, 3)
    return [np.concatenate([one.classes for one in divided]).astype(np.int32), counts]


def _from_arrays(arrays: Sequence[np.ndarray[Any, Any]]) -> list[Divided]:
    classes, counts = arrays
    parts = np.split(classes.astype(np.int64), np.cumsum(counts[:, 0])[:-1])
    return [Divided(part, int(asked), int(unread)) for part, (_, asked, unread) in zip(parts, counts, strict=True)]


def _name(division: Division) -> str:
    return f"{division.source} {dict(division.parameters)['model']}"


def _known(divided: Divided) -> Ints | None:
    return divided.classes if divided.is_known else None


def _alarms(division: Division, by_arm: dict[str, list[Divided]]) -> Iterator[Alarm]:
    """For each arm of which some pairs of answers could not be told."""
    what, why = {
        CLASSIFIER: (
            "pairs of answers are too long for the classifier, or in words that it does not know",
            "set max_tokens to read less of each, or name another model",
        ),
        JUDGE: ("pairs of answers got something else than YES or NO from the judge", "look at what it says"),
    }[division.source]
    for arm, divided in by_arm.items():
        asked, unread = sum(one.asked for one in divided), sum(one.unread for one in divided)
        if unread:
            without = sum(not one.is_known for one in divided)
            message = (
                f"{_name(division)}: {unread:,} of {asked:,} {what}. They count as "
                f"different; {without:,} of {len(divided):,} prompts, where they are too many, have no value. To mend "
                f"it, {why}"
            )
            yield Alarm(arm, "divided", message)
