"""The report: one HTML file that opens offline and asks the network for nothing.

Model output, prompts, names and the manifest are data from strangers. The template escapes all of it; completions
travel as JSON and are shown as text by the scripts; the Content-Security-Policy lets no script run but the two whose
hashes it names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from evalkit.analysis import effects
from evalkit.analysis.clusters import sized
from evalkit.analysis.intervals import units
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.arrays import JSON, is_number
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.plumbing.prose import counted, listed
from evalkit.records import Side
from evalkit.report.content.content import ReportContent
from evalkit.report.html.render import asset, holdable, render
from evalkit.report.plots import figures, markers
from evalkit.report.plots.kl_tradeoff import kl_tradeoff
from evalkit.report.sections import (
    asking,
    atlas,
    cards,
    curves,
    decoding_paths,
    embedding_map,
    homogeneity,
    joint_rows,
    loss_split,
    next_token,
    opinions,
    overview,
    people,
    prompt_information,
    provenance,
    raters,
    samples,
    tables,
    target_choices,
    temperature_sweeps,
    thinking,
    trainings,
    voices,
    where_changed,
    words,
)
from evalkit.report.sections.alarm_lines import alarm_lines
from evalkit.report.sections.ranking_view import RankingView, ranking_view, slider
from evalkit.report.verdicts.joint import Joints
from evalkit.report.verdicts.people_claims import with_people
from evalkit.report.verdicts.verdict import Verdict, verdict
from evalkit.report.verdicts.ways import way_words
from evalkit.report.wording import LEVEL, label, number_text

SCRIPTS = (
    "names.js",
    "charts.js",
    "report.js",
    "sections.js",
    "page.js",
    "map.js",
    "atlas_points.js",
    "atlas_canvas.js",
    "atlas.js",
    "browser.js",
    "ranking.js",
    "contents.js",
    "downloads.js",
)
"""In this order; a later one uses what an earlier one made."""
SECTIONS: tuple[tuple[Side, str, str], ...] = (
    ("quality", "Quality", "How good the answers are, each judged on its own."),
    ("diversity", "Diversity", "How much one prompt's answers differ from each other."),
    ("match", "Agreement", "How near answers come to stated chances, or to what people wrote."),
    (
        "neither",
        "For context",
        "Measures without a better direction; they help to read the others and are never gains or losses.",
    ),
)


def build_report(content: ReportContent, tell: Listener = QUIET) -> str:
    """The report as HTML, ready to be written as UTF-8."""
    packed = samples.pack(content, tell)
    tell.stage("write the report", 1)
    conclusion = with_people(verdict(content.summary), content.people)
    data = _data(content, packed, conclusion)
    page = render(
        "page.html.jinja",
        [asset("evalkit.report.html", "style.css")],
        [asset("evalkit.report.html", name) for name in SCRIPTS],
        data,
        _view(content, packed, conclusion) | _drawn(data) | {"blocks": packed.blocks},
    )
    tell.advance(1)
    return page


def _view(content: ReportContent, packed: samples.Samples, conclusion: Verdict) -> dict[str, Any]:
    """All that the template prints, but for which figures there are."""
    summary = content.summary
    return {
        "title": content.title,
        "summary": summary,
        "facts": _facts(content),
        "runs": provenance.run_rows(content),
        "notes": content.notes,
        "baseline": next((arm.baseline for arm in summary.arms if arm.baseline), ""),
        "verdict": conclusion,
        "alarms": alarm_lines(summary),
        "headline_cards": cards.cards_of(conclusion) if conclusion.arms else None,
        "thinking": thinking.rows(content),
        "asking": asking.rows(content),
        "equal_quality": _equal_quality(summary, conclusion),
        "quality_filter": _quality_filter(summary),
        "other_arms": _other_arms(conclusion),
        "ranking": _ranking(content, conclusion),
        "joints": joint_rows.joint_rows(conclusion),
        "arm_pairs": [f"{arm.arm} against {arm.baseline}" for arm in conclusion.arms],
        "overview": overview.overview(content),
        "sections": _sections(content),
        "bar": _bar(summary),
        "has_variants": any(not effects.is_plain(metric) for metric in effects.betters(summary)),
        "curves": curves.curve_tables(curves.over_k(summary)),
        "loss_split": loss_split.split_view(summary),
        "homogeneity": homogeneity.homogeneity_view(content),
        "prompt_information": prompt_information.prompt_information_view(summary, _joints(conclusion)),
        "decoding": decoding_paths.decoding_view(summary),
        "where": where_changed.where_view(content),
        "words": words.words_view(content),
        "map": embedding_map.map_view(content),
        "atlas": atlas.atlas_view(content),
        "sweeps": temperature_sweeps.rows(summary),
        "next_token": next_token.next_token_view(summary, content.figure_data.shapes),
        "choices": target_choices.choices_view(content),
        "people": people.people_view(content.people, summary),
        "opinions": opinions.opinions_view(content),
        "raters": raters.raters(summary),
        "trainings": trainings.trainings(summary, content.figure_data.trainings),
        "units": _units(content),
        "colours": markers.colours(summary),
        "provenance": content.provenance,
        "label": label,
        "way_words": way_words,
        "origins": provenance.provenances(content),
        "signatures": provenance.signatures(summary),
        "left_out": packed.left_out,
        "shown": packed.shown,
        "has_samples": any(packed.blocks),
        "meanings": content.figure_data.meanings,
        "alpha": effects.ALPHA,
        "confidence": LEVEL,
        "method": "skewness-corrected",
        "over": "clusters of prompts" if units(summary.clusters, 0) else "prompts",
        "sized": sized(len(summary.prompts), summary.clusters),
    }


def _drawn(data: Mapping[str, Any]) -> dict[str, Any]:
    """Which figures there are, for which the template makes room."""
    kl_sides = {side: any(by_measure) for side, by_measure in data["kl_tradeoff"].items()}
    return {"kl_tradeoff": kl_sides, "drawn": list(data["figures"])}


def _units(content: ReportContent) -> dict[str, str]:
    """Measure, in each of its forms -> its unit."""
    forms = {estimate.metric: split_variant(estimate.metric)[1] for estimate in content.summary.estimates}
    units = {measure: text.unit for measure, text in content.metrics.items()}
    return units | {form: units[plain] for form, plain in forms.items() if plain in units}


def _equal_quality(summary: Summary, conclusion: Verdict) -> cards.Equal | None:
    """None where quality and diversity are not both known."""
    is_known = figures.plottable(summary, "quality") and figures.plottable(summary, "diversity")
    return cards.equal_quality(summary, conclusion) if conclusion.arms and is_known else None


def _other_arms(conclusion: Verdict) -> list[tuple[str, cards.Cards]]:
    """Headline and cards of every arm that the cards at the top are not about alone."""
    return [(arm.headline, cards.arm_cards(arm)) for arm in conclusion.arms if conclusion.about != (arm.arm,)]


def _joints(conclusion: Verdict) -> Joints:
    return {(joint.arm, joint.side): joint for arm in conclusion.arms for joint in arm.joints}


def _ranking(content: ReportContent, conclusion: Verdict) -> RankingView | None:
    return ranking_view(content, conclusion.arms[0].baseline) if conclusion.arms else None


def _facts(content: ReportContent) -> list[str]:
    """What every number on the page rests on."""
    summary = content.summary
    drawn = sorted({estimate.samples for estimate in summary.estimates})
    each = " or ".join(f"{n:,}" for n in drawn)
    prompts = sized(len(summary.prompts), summary.clusters)
    return [
        f"{prompts}, {each} completion{'' if drawn == [1] else 's'} each per arm" if drawn else prompts,
        counted(len(summary.arms), "arm"),
        *([counted(len(content.runs), "run")] if content.runs else []),
    ]


def _sections(content: ReportContent) -> list[tuple[str, str, list[tables.MetricTable]]]:
    """Title, lead and tables of every side that has a table."""
    every = tables.tables(content.summary, content.metrics)
    by_side = {side: [table for table in every if table.side == side] for side, *_ in SECTIONS}
    return [(title, lead, by_side[side]) for side, title, lead in SECTIONS if by_side[side]]


def _data(content: ReportContent, packed: samples.Samples, conclusion: Verdict) -> dict[str, JSON]:
    """All that the scripts read."""
    summary = content.summary
    return {
        "file": re.sub(r"[^A-Za-z0-9._-]+", "-", content.title).strip("-.") or "report",
        "summary": holdable(asdict(summary)),
        "csv": tables.estimates_csv(summary),
        "overview": overview.drawn(summary),
        "overview_sentences": overview.said(summary),
        "curves": curves.curve_figures(curves.over_k(summary)),
        "kl_tradeoff": _kl_tradeoff(summary),
        "forests": [figures.forest(summary, arm.arm, arm.baseline) for arm in conclusion.arms],
        "figures": section_figures(content),
        "choices": target_choices.one_by_one(content),
        "opinions": opinions.one_by_one(content),
        "decoding": decoding_paths.one_by_one(summary),
        "where": where_changed.where_figures(summary),
        "word_changes": words.one_by_one(summary),
        "splits": loss_split.one_by_one(summary),
        "prompts": packed.prompts,
        "arms": [{"name": name, "colour": colour} for name, colour in markers.colours(summary).items()],
        "words": packed.words,
        "losses": _losses(summary, conclusion),
        "rankings": slider(content, conclusion.arms[0].baseline) if conclusion.arms else [],
        "map": embedding_map.map_data(content),
        "atlas": atlas.atlas_data(content),
        "names": _names(summary),
    }


def section_figures(content: ReportContent) -> dict[str, figures.Figure]:
    """Figures without a selector, by the id of their element."""
    summary, figure_data = content.summary, content.figure_data
    card: Any = content.provenance.get("voices")
    by_id = {
        "rank-plot": next_token.by_rank(summary, figure_data.shapes),
        "along-plot": next_token.along(summary),
        "voices-plot": voices.shares(summary, card) if card else None,
        "people-plot": people.win_rate_figure(content.people, summary),
        "raters-plot": raters.gains(summary),
        "homogeneity-plot": homogeneity.heat_map(summary),
        "prompt-information-plot": prompt_information.chart(summary),
        "opinions-plot": opinions.chart(summary),
    }
    by_id["listed-phrases-plot"] = words.listed_figure(summary)
    squares = target_choices.squares(content).values()
    by_id |= {f"choices-plot-{index}": square for index, square in enumerate(squares)}
    training_curves = trainings.curves(summary, figure_data.trainings)
    by_id |= {f"training-{name}-plot": curve for name, curve in training_curves.items()}
    return {element: figure for element, figure in by_id.items() if figure}


def _names(summary: Summary) -> dict[str, str]:
    """Measure -> its name for readers; plain ones first."""
    measures = sorted(effects.betters(summary), key=lambda measure: not effects.is_plain(measure))
    return {measure: label(measure) for measure in measures}


def _bar(summary: Summary) -> str:
    """What a useful completion reaches, and how many do, in words."""
    if summary.bar is None:
        return ""
    passing = [f"{arm} {share:.0%}" for arm, share in summary.bar.passing.items()]
    return (
        f"Useful are completions with {label(summary.bar.measure)} of at least {number_text(summary.bar.at_least)} "
        f"({summary.bar.source}); so are, of each arm's: {listed(passing)}."
    )


def _quality_filter(summary: Summary) -> str:
    """Which completions the card of equal quality is about, in words."""
    if summary.bar is None:
        return ""
    return (
        f"among answers that are good enough, as many of each arm ({label(summary.bar.measure)} of at least "
        f"{number_text(summary.bar.at_least)}, {summary.bar.source})"
    )


def _kl_tradeoff(summary: Summary) -> dict[str, list[figures.Figure | None]]:
    """Each measure against KL from the baseline, by side of the trade, in the order of its selector."""
    sides: tuple[tuple[str, Side], ...] = (("quality", overview.upward_side(summary)), ("diversity", "diversity"))
    return {
        axis: [kl_tradeoff(summary, measure) for measure in figures.plottable(summary, side)] for axis, side in sides
    }


def _losses(summary: Summary, conclusion: Verdict) -> JSON:
    """How much each prompt lost, by compared arm and measure: what the browser sorts by."""
    estimates = effects.estimates(summary)
    losses = []
    for arm in conclusion.arms:
        sides: tuple[Side, ...] = ("diversity", "quality", "match")
        for side in sides:
            for measure in figures.measures(summary, side):
                compared, baseline = estimates.get((measure, arm.arm)), estimates.get((measure, arm.baseline))
                if compared and baseline:
                    name = f"{label(measure)}: {arm.arm} against {arm.baseline}"
                    losses.append({"name": name, "side": side, "values": _loss(compared, baseline)})
    return losses


def _loss(estimate: Estimate, baseline: Estimate) -> list[float | None]:
    sign = 1 if estimate.better == "lower" else -1
    pairs = zip(estimate.values, baseline.values, strict=False)
    lost = [None if a is None or b is None else sign * (a - b) for a, b in pairs]
    return [float(f"{value:.4g}") if is_number(value) else None for value in lost]
