"""What a report is made of: values that the caller has read; nothing here touches a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evalkit.analysis.figure_data import FigureData
from evalkit.metrics.registry import Measure
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import JSON
from evalkit.preferences.people import People
from evalkit.records import Better, Group
from evalkit.runs.stored_scores import Scores as Scores  # what a page's scores are


@dataclass(frozen=True, slots=True)
class MetricText:
    """What a reader must know about a metric to understand its numbers."""

    unit: str
    better: Better
    summary: str
    cites: str = ""


@dataclass(frozen=True, slots=True)
class RunOrigin:
    """One of the runs that a report of several is made from."""

    name: str
    """What its arms' names begin with."""
    folder: str
    """As the user called it."""
    prompts: int
    """All that it asked."""
    manifest: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class ReportContent:
    """Everything that one report shows."""

    title: str
    summary: Summary
    groups: Mapping[str, Sequence[Group]] = field(default_factory=dict)
    """Arm name -> its completions, one group a prompt, in prompt order."""
    rendered: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Arm name -> prompt id -> the prompt exactly as that checkpoint saw it."""
    scores: Scores = field(default_factory=dict)
    provenance: Mapping[str, JSON] = field(default_factory=dict)
    """The run's manifest, shown whatever its keys are."""
    metrics: Mapping[str, MetricText] = field(default_factory=dict)
    """Measure -> what it means; a measure that is missing here is shown without explanation."""
    figure_data: FigureData = field(default_factory=FigureData)
    """What is shown besides the summary's numbers."""
    people: People | None = None
    """What people said of the arms, where they were asked."""
    runs: Sequence[RunOrigin] = ()
    """The runs, where there are several."""
    notes: Sequence[str] = ()
    """What a reader of several runs must know: what is left out, what stands there once, what is not compared."""


def metric_text(measure: Measure) -> MetricText:
    """What the report says of a measure."""
    definition = measure.definition
    return MetricText(definition.unit, definition.better, definition.summary, definition.cites)
