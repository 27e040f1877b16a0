"""A made-up run with every section that a report can have, for the tests that open it in a browser."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from evalkit.analysis.intervals import Mean
from evalkit.analysis.where_changed import with_where_changed
from evalkit.metrics.summary import Bar, Crossover, Curve, Estimate, Reading, Summary
from evalkit.preferences.agreement.two_way import Estimate as Agreement
from evalkit.preferences.crossed import Crossed
from evalkit.preferences.davidson import Standing, Standings
from evalkit.preferences.people import People
from evalkit.preferences.proxies import Contested, Disagreement, ProxyRate
from evalkit.preferences.win_rate import WinRate
from evalkit.records import Prompt
from evalkit.report.content.content import ReportContent
from evalkit.report.verdicts.joint import forms_for_all
from tests.report.example import estimate
from tests.report.paths import with_paths
from tests.report.told import with_information

KL = {"base": 0.0, "tuned T=0.5": 5.1, "tuned T=0.7": 4.3, "tuned T=1": 2.9, "tuned T=1.3": 1.6}
TOLD = {"base": 2.05, "tuned T=1": 0.6}
VOICES = ("polite", "rude")


def whole_content(sweep: ReportContent) -> ReportContent:
    """The sweep with variants, a bar, curves, crossovers, readings, paths, KL, voices and agreement."""
    summary = sweep.summary
    arms = [arm.name for arm in summary.arms]
    prompts = len(summary.prompts)
    kl = [
        estimate("kl_reverse", arm, [KL[arm] * (0.9 + place / 300) for place in range(prompts)], "neither")
        for arm in arms
    ]
    useful = [_useful(found) for found in summary.estimates if found.metric == "vendi"]
    clear = [dataclasses.replace(d, metric=f"useful/{d.metric}") for d in summary.differences if d.metric == "vendi"]
    summary = dataclasses.replace(
        summary,
        estimates=(*summary.estimates, *kl, *useful),
        differences=(*summary.differences, *clear),
        bar=Bar("reward", 0.25, "the median of base", dict.fromkeys(arms, 0.5)),
        curves=tuple(_curve(name, arm, place) for name in ("best_of", "pass_at") for place, arm in enumerate(arms)),
        crossovers=(Crossover("best_of", "reward", "s", "tuned T=1", "base", 6.6, 4.1, None, 32),),
        readings=(Reading("tuned", "base", "vendi", "reward", "s", -1.2, -1.5, -0.9, 0.2, 0.6),),
    )
    summary = with_paths(summary, diversities=("vendi", "self_bleu"))
    summary = with_information(dataclasses.replace(sweep, summary=summary), TOLD).summary
    summary = _where_changed(summary, [group.prompt for group in sweep.groups["base"]])
    return dataclasses.replace(
        sweep,
        people=people_said(arms[1:]),
        summary=summary,
        provenance=sweep.provenance | {"voices": _voices(arms), "agreement": _agreement(arms)},
    )


def _where_changed(summary: Summary, prompts: Sequence[Prompt]) -> Summary:
    """What two measures say of tags, and of single prompts, whose errors are made up."""
    told = [
        dataclasses.replace(found, errors=(0.05,) * len(prompts)) if found.metric == "distinct_n|n:2" else found
        for found in summary.estimates
    ]
    tagged = [
        dataclasses.replace(prompt, tags=(*prompt.tags, f"a tag of some length, number {row % 7}"))
        for row, prompt in enumerate(prompts)
    ]
    summary = dataclasses.replace(summary, estimates=tuple(told))
    return with_where_changed(summary, tagged, forms_for_all(summary))


def people_said(arms: list[str], name: str = "writers", text: str = "A line of a poem.") -> People:
    """Two groups who want opposite things of every arm, and a proxy that takes a side."""
    rates = [
        WinRate(arm, "base", group, Crossed(value, value - 0.05, value + 0.05, group == "readers"), 400, 380, 60, 12, 0.2,
                Crossed(0.5, 0.4, 0.6, False))
        for arm in arms
        for group, value in ((None, 0.55), ("readers", 0.35), (name, 0.7))
    ]  # fmt: skip
    contested = Contested("line-00", f"Write {text}", 4, 3, text, "", 2.5, 3)
    standings = Standings("base", tuple(Standing(arm, Crossed(0.4, 0.2, 0.6, False)) for arm in arms), 0.5)
    return People(
        tuple(rates),
        tuple(ProxyRate(arm, "reward", Mean(0.4, 0.38, 0.42, 60)) for arm in arms),
        (Disagreement("reward", 120, Crossed(0.4, 0.3, 0.5, True), 3, (contested,)),),
        standings,
        labels=400,
        raters=12,
        agreed=Agreement(0.7, 0.6, 0.8, 50, 12, "pairs and raters"),
        alpha=Agreement(0.31, 0.2, 0.4, 50, 12, "pairs and raters"),
        aside=7,
        unknown=2,
    )


def _useful(found: Estimate) -> Estimate:
    return dataclasses.replace(found, metric=f"useful/{found.metric}")


def _curve(name: str, arm: str, place: int) -> Curve:
    ks = (1, 2, 4, 8, 16, 32)
    values = tuple(0.2 + 0.1 * place + 0.1 * step / (1 + place) for step in range(len(ks)))
    lows, highs = tuple(v - 0.03 for v in values), tuple(v + 0.03 for v in values)
    return Curve(name, "reward", "reward", f"{name}|of:4|v:1.0", arm, ks, values, lows, highs, 0.95, 60)


def _voices(arms: list[str]) -> dict[str, object]:
    share = {"heard": 0.5, "spoken": 0.48, "low": 0.41, "high": 0.55}
    return {
        "voices": VOICES,
        "accuracy": 0.93,
        "above_chance": True,
        "confusion": [[19, 1], [2, 18]],
        "shares": {arm: [{"voice": voice} | share for voice in VOICES] for arm in arms},
        "shift": {arm: {"value": 0.2, "low": 0.1, "high": 0.3} for arm in arms[1:]},
    }


def _agreement(arms: list[str]) -> list[dict[str, object]]:
    row = {"first": "reward", "second": "accuracy", "value": -0.21, "low": -0.3, "high": -0.12, "prompts": 60}
    return [{"arm": arm} | row for arm in arms]
