"""Differences of one arm to its baseline and what to make of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.analysis.effects import Outcome
from evalkit.metrics.declaration import Traits
from evalkit.metrics.summary import Difference, Summary
from evalkit.records import Better
from evalkit.report.verdicts.plain_names import named, pictured
from evalkit.report.wording import interval_text, label, p_text, value_text, with_level


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference and what to make of it."""

    difference: Difference
    traits: Traits
    outcome: Outcome
    size: float | None
    """Standardised difference, without sign."""

    @property
    def name(self) -> str:
        return label(self.difference.metric)

    @property
    def plain(self) -> str:
        """What the measure counts, in everyday words."""
        return named(self.difference.metric, self.traits)

    @property
    def value(self) -> str:
        return value_text(self.difference, signed=True)

    @property
    def interval(self) -> str:
        return interval_text(self.difference)

    @property
    def words(self) -> str:
        """`reward +1.32 (95 % interval 1.20 to 1.44, Holm p < 0.001)`."""
        p = p_text(self.difference.p_adjusted)
        notes = [with_level(self.interval)] * bool(self.interval) + [f"Holm {p}"] * bool(p)
        return f"{self.name} {self.value} ({', '.join(notes)})" if notes else f"{self.name} {self.value}"


Findings = Mapping[str, Sequence[Finding]]
"""Arm -> its findings, the strongest first."""


def findings(arm: str, baseline: str, summary: Summary, metrics: Collection[str] | None = None) -> list[Finding]:
    """Those of the plain measures, or of `metrics`, the strongest first."""
    betters, traits, estimates = effects.betters(summary), effects.traits(summary), effects.estimates(summary)
    kept = []
    for difference in summary.differences:
        wanted = effects.is_plain(difference.metric) if metrics is None else difference.metric in metrics
        if (difference.arm, difference.baseline) != (arm, baseline) or not wanted:
            continue
        better: Better = betters.get(difference.metric, "neither")
        effect = effects.effect(difference, estimates.get((difference.metric, baseline)))
        size = abs(effect.value) if effect else None
        declared = traits.get(difference.metric, Traits())
        kept.append(Finding(difference, declared, effects.outcome(difference, better), size))
    return sorted(kept, key=lambda finding: -(finding.size or 0.0))


def telling(findings: Sequence[Finding]) -> Finding:
    """The one that tells its side: the first that a reader can picture, else the strongest."""
    return min(findings, key=lambda finding: pictured(finding.traits))


def most_telling(findings: Sequence[Finding]) -> list[Finding]:
    """Of one side its most telling gain and its most telling loss, or where nothing is clear the most telling."""
    kinds = [[finding for finding in findings if finding.outcome == outcome] for outcome in ("gained", "lost")]
    return [telling(kind) for kind in kinds if kind] or [telling(findings)]
