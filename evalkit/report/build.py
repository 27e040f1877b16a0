"""The report: one HTML file that opens offline and asks the network for nothing.

Model output, prompts, names and the manifest are data from strangers. The template escapes all of it; completions
travel as JSON and are shown as text by page.js; the Content-Security-Policy lets no script run but the two whose
hashes it names.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from typing import Any

from evalkit.records import Estimate, Summary
from evalkit.report import effects, figures, provenance, readings, samples, tables, tries
from evalkit.report.content import JSON, ReportContent
from evalkit.report.offline import asset, finite, render
from evalkit.report.verdict import Verdict, verdict
from evalkit.report.wording import LEVEL, counted, label, listed
from evalkit.stats import FEW

SECTIONS: tuple[tuple[effects.Role, str, str], ...] = (
    ("quality", "Quality", "How good the answers are, each judged on its own."),
    ("diversity", "Diversity", "How much one prompt's answers differ from each other."),
    (
        "other",
        "For context",
        "Measures without a better direction; they help to read the others and are never gains or losses.",
    ),
)


def build_report(content: ReportContent) -> str:
    """The report as HTML, ready to be written as UTF-8."""
    packed = samples.pack(content)
    return render(
        "page.html.jinja",
        [asset("evalkit.report", "style.css")],
        [asset("evalkit.report", name) for name in ("charts.js", "page.js", "downloads.js")],
        _data(content, packed),
        _view(content, packed) | {"blocks": packed.blocks},
    )


def _view(content: ReportContent, packed: samples.Samples) -> dict[str, Any]:
    """All that the template prints."""
    summary, told = content.summary, verdict(content.summary)
    return {
        "title": content.title,
        "summary": summary,
        "facts": _facts(content),
        "runs": provenance.run_rows(content),
        "notes": content.notes,
        "baseline": next((arm.baseline for arm in summary.arms if arm.baseline), ""),
        "verdict": told,
        "arm_pairs": [f"{arm.arm} against {arm.baseline}" for arm in told.arms],
        "quality": _options(content, "quality"),
        "diversity": _options(content, "diversity"),
        "distance": {role: any(figures) for role, figures in _distance(summary).items()},
        "sections": _sections(content),
        "bar": _bar(summary),
        "has_variants": any(not effects.is_whole(metric) for metric in effects.betters(summary)),
        "curves": tries.curve_tables(summary),
        "readings": readings.rows(summary),
        "units": {measure: text.unit for measure, text in content.metrics.items()},
        "colours": figures.palette(summary),
        "provenance": content.provenance,
        "origins": provenance.provenances(content),
        "signatures": provenance.signatures(summary),
        "left_out": packed.left_out,
        "has_samples": any(packed.blocks),
        "alpha": effects.ALPHA,
        "confidence": LEVEL,
        "method": "bootstrap" if len(summary.prompts) >= FEW else "Student's t",
    }


def _options(content: ReportContent, role: effects.Role) -> list[str]:
    """What the selectors offer: every measure of that side with its unit."""
    measures = figures.plottable(content.summary, role)
    units = [content.metrics[measure].unit if measure in content.metrics else "" for measure in measures]
    return [
        f"{label(measure)}, in {unit}" if unit else label(measure)
        for measure, unit in zip(measures, units, strict=True)
    ]


def _facts(content: ReportContent) -> list[str]:
    """What every number on the page rests on."""
    summary = content.summary
    drawn = sorted({estimate.samples for estimate in summary.estimates})
    each = " or ".join(f"{n:,}" for n in drawn)
    prompts = counted(len(summary.prompts), "prompt")
    return [
        f"{prompts}, {each} completions each per arm" if drawn else prompts,
        counted(len(summary.arms), "arm"),
        *([counted(len(content.runs), "run")] if content.runs else []),
    ]


def _sections(content: ReportContent) -> list[tuple[str, str, list[tables.MetricTable]]]:
    every = tables.tables(content.summary, content.metrics)
    found = [(title, lead, [table for table in every if table.role == role]) for role, title, lead in SECTIONS]
    return [section for section in found if section[2]]


def _data(content: ReportContent, packed: samples.Samples) -> JSON:
    """All that page.js reads."""
    summary = content.summary
    told = verdict(summary)
    return {
        "file": re.sub(r"[^A-Za-z0-9._-]+", "-", content.title).strip("-.") or "report",
        "summary": finite(asdict(summary)),
        "csv": tables.estimates_csv(summary),
        "overview": _overview(summary),
        "readings": _readings(summary),
        "curves": tries.curve_figures(summary),
        "distance": _distance(summary),
        "forests": [figures.forest(summary, arm.arm, arm.baseline) for arm in told.arms],
        "prompts": packed.prompts,
        "arms": [{"name": name, "colour": colour} for name, colour in figures.palette(summary).items()],
        "losses": _losses(summary, told),
    }


def _overview(summary: Summary) -> JSON:
    """First-screen figures: [quality][diversity], or one row of dot plots where one side was not measured."""
    quality, diversity = figures.plottable(summary, "quality"), figures.plottable(summary, "diversity")
    if quality and diversity:
        return [[figures.frontier(summary, q, d) for d in diversity] for q in quality]
    return (
        [[figures.dots(summary, d) for d in diversity]] if diversity else [[figures.dots(summary, q)] for q in quality]
    )


def _readings(summary: Summary) -> JSON:
    """Sentences for the top of the frontier: [quality][diversity]."""
    quality, diversity = figures.plottable(summary, "quality"), figures.plottable(summary, "diversity")
    return [[readings.sentences(summary, q, d) for d in diversity] for q in quality]


def _bar(summary: Summary) -> str:
    """What a useful completion reaches, and how many do, in words."""
    if summary.bar is None:
        return ""
    passing = [f"{arm} {share:.0%}" for arm, share in summary.bar.passing.items()]
    at_least = f"{summary.bar.at_least:.3g}".replace("-", "−")
    return (
        f"Useful are completions with {label(summary.bar.measure)} of at least {at_least} ({summary.bar.source}); "
        f"so are, of each arm's: {listed(passing)}."
    )


def _distance(summary: Summary) -> dict[str, list[figures.Figure | None]]:
    """Each measure against KL from the baseline, by side of the trade, in the order of its selector."""
    roles: tuple[effects.Role, ...] = ("quality", "diversity")
    return {
        role: [figures.distance(summary, measure) for measure in figures.plottable(summary, role)] for role in roles
    }


def _losses(summary: Summary, told: Verdict) -> JSON:
    """How much each prompt lost, by compared arm and measure: what the browser sorts by."""
    found = effects.estimates(summary)
    measures = figures.measures(summary, "diversity") + figures.measures(summary, "quality")
    losses = []
    for arm in told.arms:
        for measure in measures:
            pair = found.get((measure, arm.arm)), found.get((measure, arm.baseline))
            if pair[0] and pair[1]:
                name = f"{label(measure)}: {arm.arm} against {arm.baseline}"
                losses.append({"name": name, "values": _loss(pair[0], pair[1])})
    return losses


def _loss(estimate: Estimate, baseline: Estimate) -> list[float | None]:
    sign = 1 if estimate.better == "lower" else -1
    pairs = zip(estimate.values, baseline.values, strict=False)
    lost = [None if a is None or b is None else sign * (a - b) for a, b in pairs]
    return [value if value is not None and math.isfinite(value) else None for value in lost]
