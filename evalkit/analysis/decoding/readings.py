"""Every path of every checkpoint against the baseline's reference arm: crossings, trades, what settings give back.

The reference is one point, the baseline as it is (temperature 1, nothing cut): "what tuning took" is what the
checkpoint lacks beside it with the same settings. Pure; linear in prompts, settings and measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from evalkit.analysis.comparison.temperature_sweeps import compared_checkpoints
from evalkit.analysis.decoding.held_against import columns, sign_of
from evalkit.analysis.decoding.paths import paths_of, reference_of, start_of
from evalkit.analysis.decoding.recovery import recovered
from evalkit.analysis.decoding.trades import WhereEqual, read_where_equal, resample, turned
from evalkit.analysis.decoding.zeros import zeros
from evalkit.analysis.estimates import Measured
from evalkit.metrics.decoding import Crossing, Decoding, DecodingPath, GivenBack, Recovery, Span, Trade
from evalkit.plumbing.arrays import Array
from evalkit.records import CONFIDENCE, Arm


def read_decoding(
    arms: Sequence[Arm], quality: Measured | None, diversities: Sequence[Measured], clusters: Sequence[str] = ()
) -> Decoding | None:
    """None where no checkpoint beside the baseline is drawn along a path.

    `clusters`: that of each prompt, where prompts belong together.
    """
    paths = paths_of(arms)
    pairs = compared_checkpoints(arms)
    subjects = [_subject(checkpoint, baseline, arms, paths) for checkpoint, baseline in pairs]
    subjects = [subject for subject in subjects if subject.paths]
    if not subjects:
        return None
    alone = [*([quality] if quality else []), *diversities]
    together = [(each, quality, diversity) for each in subjects if quality for diversity in diversities]
    return Decoding(
        confidence=CONFIDENCE,
        quality=quality.measure if quality else None,
        references={subject.checkpoint: subject.reference for subject in subjects},
        starts={subject.checkpoint: subject.start for subject in subjects},
        paths=tuple(paths),
        crossings=tuple(chain.from_iterable(_crossings(each, one, clusters) for each in subjects for one in alone)),
        trades=tuple(
            chain.from_iterable(_trades(each, quality, diversities, clusters) for each in subjects if quality)
        ),
        recoveries=tuple(chain.from_iterable(_recoveries(*pair, clusters) for pair in together)),
    )


@dataclass(frozen=True)
class _Subject:
    """A checkpoint that is held against the baseline."""

    checkpoint: str
    reference: str
    start: str
    arms: tuple[str, ...]
    paths: tuple[tuple[int, DecodingPath], ...]
    """Its paths, each with its place among all."""


def _subject(checkpoint: str, baseline: str, arms: Sequence[Arm], paths: Sequence[DecodingPath]) -> _Subject:
    own = [arm for arm in arms if arm.checkpoint == checkpoint]
    reference = reference_of([arm for arm in arms if arm.checkpoint == baseline])
    start = start_of(own, reference)
    along = tuple((place, path) for place, path in enumerate(paths) if path.checkpoint == checkpoint)
    return _Subject(checkpoint, reference.name, start.name, tuple(arm.name for arm in own), along)


def _crossings(subject: _Subject, measured: Measured, clusters: Sequence[str]) -> Iterator[Crossing]:
    held = columns(subject.arms, subject.reference, [measured], clusters)
    for place, path in subject.paths:
        if held is not None and set(path.arms) <= set(held.arms):
            [values] = held.rows(path.arms)
            yield _crossing(place, path, measured, values, held.prompts)


def _crossing(place: int, path: DecodingPath, measured: Measured, values: Array, prompts: int) -> Crossing:
    found = zeros(path.values, values)
    first, last = path.values[0], path.values[-1]
    room = 1e-9 * (last - first)
    spans = tuple(
        Span(None if low <= first + room else low, None if high >= last - room else high) for low, high in found.spans
    )
    elsewhere = _elsewhere(values) if not found.points else ""
    return Crossing(place, measured.measure, measured.signature, found.points, spans, elsewhere, prompts)


def _elsewhere(values: Array) -> Literal["more", "less"]:
    return "more" if values.mean() > 0 else "less"


def _trades(
    subject: _Subject, quality: Measured, diversities: Sequence[Measured], clusters: Sequence[str]
) -> Iterator[Trade]:
    """Of each measure of diversity: quality at the baseline's diversity, then diversity at its quality."""
    for together in _alike(subject, diversities):
        held = columns(subject.arms, subject.reference, [quality, *together], clusters)
        if held is None or subject.start not in held.arms:
            continue
        found, start = resample(held.values), held.arms.index(subject.start)
        for row, diversity in enumerate(together, start=1):
            for place, path in subject.paths:
                if set(path.arms) <= set(held.arms):
                    along = [held.arms.index(arm) for arm in path.arms]
                    at_diversity = read_where_equal(found, along, start, level=row, offer=0)
                    at_quality = read_where_equal(found, along, start, level=0, offer=row)
                    yield _trade(place, path, quality, diversity, at_diversity)
                    yield _trade(place, path, diversity, quality, at_quality)


def _alike(subject: _Subject, diversities: Sequence[Measured]) -> list[list[Measured]]:
    """Measures that have values for the same arms on the same prompts, whose resamples are drawn together, and once."""
    alike: dict[object, list[Measured]] = {}
    for diversity in diversities:
        known = [
            (arm, tuple(np.flatnonzero(np.isnan(diversity.values[arm]))))
            for arm in (subject.reference, *subject.arms)
            if arm in diversity.values
        ]
        alike.setdefault(tuple(known), []).append(diversity)
    return list(alike.values())


def _trade(place: int, path: DecodingPath, metric: Measured, equal: Measured, found: WhereEqual) -> Trade:
    is_met = not np.isnan(found.place)
    return Trade(
        place,
        metric.measure,
        equal.measure,
        f"{metric.signature} at {equal.signature}",
        float(np.interp(found.place, range(len(path.values)), path.values)) if is_met else None,
        turned(found.against_baseline, sign_of(metric)),
        turned(found.against_start, sign_of(metric)),
    )


def _recoveries(
    subject: _Subject, quality: Measured, diversity: Measured, clusters: Sequence[str]
) -> Iterator[Recovery]:
    held = columns(subject.arms, subject.reference, [quality, diversity], clusters)
    if held is None or subject.start not in held.arms:
        return
    found = recovered(held, subject.start)
    sign = sign_of(quality)
    yield Recovery(
        subject.checkpoint,
        subject.start,
        subject.reference,
        diversity.measure,
        f"{diversity.signature} beside {quality.signature}",
        found.lost,
        tuple(GivenBack(one.arm, one.share, turned(one.quality, sign), one.is_worse) for one in found.settings),
        found.free,
        found.as_good,
        found.full,
        held.prompts,
    )
