"""Decoding paths on the page: a chart and sentences by the measure that is picked, and all numbers as tables."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.metrics.decoding import Crossing, Decoding, Ranged
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import JSON, is_number
from evalkit.plumbing.prose import listed
from evalkit.report.html.render import sentence
from evalkit.report.plots.decoding_paths import decoding_figure
from evalkit.report.verdicts.decoding import measures_of, name_of, path_words, sentences, share_words
from evalkit.report.verdicts.plain_names import named, pictured
from evalkit.report.wording import interval_text, label, value_text


@dataclass(frozen=True, slots=True)
class CrossingRow:
    """One path by one measure."""

    path: str
    checkpoint: str
    measure: str
    at: str
    spans: str
    there: tuple[tuple[str, str, str], ...]
    """(the other measure, against the baseline, against the start), of each that was read there."""


@dataclass(frozen=True, slots=True)
class GivenRow:
    """One setting by one measure."""

    arm: str
    measure: str
    share: str
    quality: str
    marks: str


@dataclass(frozen=True, slots=True)
class DecodingView:
    """What the template prints."""

    options: tuple[str, ...]
    is_drawn: bool
    said: tuple[str, ...]
    """By the measure that is shown first, for pages without scripts."""
    references: str
    crossings: tuple[CrossingRow, ...]
    given: tuple[GivenRow, ...]
    quality: str


def decoding_view(summary: Summary) -> DecodingView | None:
    """None where no checkpoint is drawn along a path, or nothing could be read of one."""
    found = summary.decoding
    measures = measures_of(found) if found else []
    if found is None or not measures:
        return None
    traits = effects.traits(summary)
    return DecodingView(
        options=tuple(named(metric, traits[metric]) for metric in measures),
        is_drawn=any(decoding_figure(summary, metric) for metric in measures),
        said=tuple(sentences(found, measures[_first(summary, measures)])),
        references=listed(dict.fromkeys(found.references.values())),
        crossings=tuple(_crossing_row(found, crossing) for crossing in found.crossings),
        given=tuple(_given_rows(found)),
        quality=label(found.quality) if found.quality else "",
    )


def one_by_one(summary: Summary) -> JSON:
    """For the selector: each measure's figure and sentences, and which to show first."""
    found = summary.decoding
    measures = measures_of(found) if found else []
    if found is None or not measures:
        return None
    return {
        "first": _first(summary, measures),
        "prompts": [
            {"says": [sentence(one) for one in sentences(found, metric)], "figure": decoding_figure(summary, metric)}
            for metric in measures
        ],
    }


def _first(summary: Summary, measures: list[str]) -> int:
    traits = effects.traits(summary)
    return min(range(len(measures)), key=lambda place: pictured(traits[measures[place]]))


def _crossing_row(found: Decoding, crossing: Crossing) -> CrossingRow:
    path = found.paths[crossing.path]
    trades = [one for one in found.trades if (one.path, one.at_equal) == (crossing.path, crossing.metric)]
    return CrossingRow(
        path=path_words(path),
        checkpoint=path.checkpoint,
        measure=label(crossing.metric),
        at=listed(f"{name_of(path)} = {at:.3g}" for at in crossing.at) if crossing.at else "nowhere",
        spans=listed((_span(span.low, span.high) for span in crossing.spans), "or") if crossing.spans else "",
        there=tuple(
            (label(one.metric), _cell(one.against_baseline), _cell(one.against_start))
            for one in trades
            if is_number(one.against_baseline.value)
        ),
    )


def _span(low: float | None, high: float | None) -> str:
    return f"{'…' if low is None else f'{low:.3g}'} to {'…' if high is None else f'{high:.3g}'}"


def _given_rows(found: Decoding) -> list[GivenRow]:
    rows = []
    for recovery in found.recoveries:
        for one in recovery.settings:
            marks = [
                *(["most without clearly lower quality"] if one.arm == recovery.free else []),
                *(["no less, for all one can tell"] if one.arm in recovery.as_good else []),
                *(["all of it at the best quality"] if one.arm == recovery.full else []),
                *(["quality clearly lower"] if one.is_worse else []),
            ]
            rows.append(
                GivenRow(one.arm, label(recovery.metric), share_words(one), _cell(one.quality), "; ".join(marks))
            )
    return rows


def _cell(ranged: Ranged) -> str:
    interval = interval_text(ranged)
    return f"{value_text(ranged, signed=True)}" + (f" ({interval})" if interval else " (no interval)")
