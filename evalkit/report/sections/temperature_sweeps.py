"""Temperature sweeps read where they are equal, in words: for the top of the frontier and the table below it."""

from __future__ import annotations

from evalkit.metrics.summary import Reading, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.report.wording import interval_text, label, number_text, value_text, with_level


def sentence_of(reading: Reading) -> str:
    """`At equal reward (0.2 to 0.6, which both reach) tuned has distinct_n −0.10 against base (...).`"""
    if not is_number(reading.value):
        return (
            f"{reading.checkpoint} and {reading.baseline} reach no common {label(reading.at_equal)}, so that "
            f"{label(reading.metric)} cannot be read at an equal one; nothing is extrapolated."
        )
    interval = interval_text(reading)
    known = with_level(interval) if interval else "no interval: few resamples have a common range"
    return (
        f"At equal {label(reading.at_equal)} ({range_of(reading)}) {reading.checkpoint} has {label(reading.metric)} "
        f"{value_text(reading, signed=True)} against {reading.baseline} ({known})."
    )


def range_of(reading: Reading) -> str:
    """Where both sweeps are."""
    if not (is_number(reading.start) and is_number(reading.end)):
        return "none"
    ends = [number_text(end) for end in (reading.start, reading.end)]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def rows(summary: Summary) -> list[tuple[str, ...]]:
    """Every reading as a row: checkpoint, baseline, what differs, where equal, the common range, gap, interval."""
    return [
        (
            reading.checkpoint,
            reading.baseline,
            label(reading.metric),
            label(reading.at_equal),
            range_of(reading),
            value_text(reading, signed=True),
            interval_text(reading),
        )
        for reading in summary.readings
    ]


def sentences(summary: Summary, quality: str, diversity: str) -> list[str]:
    """What the sweeps say of this pair: diversity at equal quality, then quality at equal diversity."""
    wanted = ((diversity, quality), (quality, diversity))
    return [
        sentence_of(reading)
        for pair in wanted
        for reading in summary.readings
        if (reading.metric, reading.at_equal) == pair
    ]
