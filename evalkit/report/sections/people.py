"""What people preferred: win rates of their votes, beside those of proxies that stand for them, and where they part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evalkit.analysis.intervals import Mean
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import counted, short, showable
from evalkit.preferences.agreement.two_way import Estimate
from evalkit.preferences.crossed import FEW, Crossed
from evalkit.preferences.people import People
from evalkit.preferences.proxies import Contested, Disagreement
from evalkit.preferences.win_rate import WinRate
from evalkit.report.plots import figures, markers
from evalkit.report.plots.grouped_dots import Dot, Series, grouped_dots, upright
from evalkit.report.verdicts.people_claims import is_clear, mean_of
from evalkit.report.wording import LEVEL, interval_text, interval_words, label, number_text, value_text

TEXT = 600
"""Characters of a text that are shown of a contested pair."""
FINDINGS = {1: "▲ preferred", -1: "▼ not preferred", 0: "no clear preference"}
CLASSES = {1: "gained", -1: "lost", 0: "unclear"}


@dataclass(frozen=True, slots=True)
class RateRow:
    """One win rate in words; `votes` and what follows are empty where nobody voted."""

    arm: str
    baseline: str
    by: str
    rate: str
    interval: str
    finding: str
    style: str
    at_equal_length: str = ""
    votes: str = ""
    pairs: str = ""
    prompts: str = ""
    raters: str = ""
    ties: str = ""


@dataclass(frozen=True, slots=True)
class StandingRow:
    arm: str
    score: str
    interval: str


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """One proxy beside people, in words."""

    says: str
    contested: tuple[Contested, ...]


@dataclass(frozen=True, slots=True)
class PeopleView:
    """What the section prints."""

    facts: str
    notes: tuple[str, ...]
    rows: tuple[RateRow, ...]
    standings: tuple[StandingRow, ...]
    baseline: str
    """Of the standings."""
    conflicts: tuple[ConflictRow, ...]
    is_drawn: bool


def people_view(people: People | None, summary: Summary) -> PeopleView | None:
    """None where nobody was asked."""
    if people is None:
        return None
    ranked = people.standings
    return PeopleView(
        _facts(people),
        tuple(_notes(people)),
        (*map(_rate_row, people.rates), *_proxy_rows(people)),
        tuple(StandingRow(one.arm, value_text(mean_of(one.score), signed=True), interval_text(mean_of(one.score)))
              for one in ranked.arms) if ranked else (),
        ranked.baseline if ranked else "",
        tuple(map(_conflict_row, people.disagreements)),
        win_rate_figure(people, summary) is not None,
    )  # fmt: skip


def win_rate_figure(people: People | None, summary: Summary) -> figures.Figure | None:
    """A row for all people, each group and each proxy; an arm a dot, hollow where 0.5 is in its interval."""
    if people is None:
        return None
    whom = list(dict.fromkeys([*map(_by, people.rates), *(f"by {label(one.proxy)}" for one in people.proxies)]))
    rates: dict[tuple[str, str], Mean] = {(one.arm, _by(one)): mean_of(one.rate) for one in people.rates}
    rates |= {(one.arm, f"by {label(one.proxy)}"): one.rate for one in people.proxies}
    numbers, symbols = markers.numbers(summary), markers.symbols(summary)
    arms = [arm.name for arm in summary.arms if any((arm.name, by) in rates for by in whom)]
    series = [Series(arm, numbers[arm], symbols[arm], tuple(_dot(rates.get((arm, by))) for by in whom)) for arm in arms]
    if not any(dot for one in series for dot in one.dots):
        return None
    axis = {"title": {"text": "win rate against the baseline<br>(preferred →)"}, "range": [0, 1]}
    figure = grouped_dots(whom, series, axis)
    figure["layout"]["shapes"].append(upright(0.5))
    return figure


def _dot(mean: Mean | None) -> Dot | None:
    if mean is None or mean.value != mean.value:
        return None
    return Dot(mean.low, mean.value, mean.high, f"{value_text(mean)}, {interval_words(mean)}", is_clear(mean) != 0)


def _facts(people: People) -> str:
    parts = [counted(people.labels, "vote"), counted(people.raters, "rater")]
    if is_number(people.agreed.value):
        parts.append(f"two raters answer a pair alike in {_share(people.agreed)} of cases")
    if is_number(people.alpha.value):
        parts.append(f"Krippendorff's alpha {number_text(people.alpha.value)}")
    return " · ".join(parts)


def _notes(people: People) -> Iterable[str]:
    if people.aside:
        yield (
            f"{counted(people.aside, 'answer')} count for nothing here: skipped pairs, repeats, checks of attention, "
            "and those of excluded raters."
        )
    if people.unknown:
        yield f"{counted(people.unknown, 'vote')} left out: not on completions of this run, of an arm and its baseline."
    few = list(dict.fromkeys(_by(one) for one in people.rates if one.rate.of_these_raters))
    if few:
        yield (
            f"With fewer than {FEW} equally busy raters ({', '.join(few)}) an interval is about these raters alone, "
            "on other prompts; how others of their kind would vote cannot be told from so few."
        )


def _rate_row(one: WinRate) -> RateRow:
    mean = mean_of(one.rate)
    sign = is_clear(mean)
    return RateRow(
        one.arm,
        one.baseline,
        _by(one),
        value_text(mean),
        interval_text(mean),
        FINDINGS[sign],
        CLASSES[sign],
        _with_interval(one.at_equal_length),
        f"{one.labels:,}",
        f"{one.pairs:,}",
        f"{one.prompts:,}",
        f"{one.raters:,}",
        f"{one.ties:.0%}",
    )


def _proxy_rows(people: People) -> Iterable[RateRow]:
    against = {one.arm: one.baseline for one in people.rates}
    for one in people.proxies:
        sign = is_clear(one.rate)
        found = FINDINGS[sign].replace("preferred", "better").replace("preference", "difference")
        yield RateRow(
            one.arm, against[one.arm], f"by {label(one.proxy)}", value_text(one.rate), interval_text(one.rate), found,
            CLASSES[sign],
        )  # fmt: skip


def _conflict_row(one: Disagreement) -> ConflictRow:
    says = (
        f"{label(one.proxy)} orders {_share(one.against)} of {counted(one.pairs, 'pair')} the other way round "
        "than most who voted on them"
    )
    if one.undecided:
        says += f"; to both answers of {one.undecided:,} more that people order it gives the same score"
    return ConflictRow(f"{says}.", tuple(map(_shown, one.contested)))


def _share(share: Crossed | Estimate) -> str:
    """`40% (95 % interval 30% to 50%)`."""
    interval = f" ({LEVEL} interval {share.low:.0%} to {share.high:.0%})" if share.high > share.low else ""
    return f"{share.value:.0%}{interval}"


def _shown(one: Contested) -> Contested:
    return Contested(
        one.prompt_id, short(showable(one.prompt), TEXT), one.pairs, one.against, short(showable(one.preferred), TEXT),
        short(showable(one.scored), TEXT), one.votes_for, one.votes,
    )  # fmt: skip


def _by(one: WinRate) -> str:
    return "all raters" if one.group is None else one.group


def _with_interval(crossed: Crossed | None) -> str:
    if crossed is None:
        return ""
    mean = mean_of(crossed)
    return f"{value_text(mean)} ({interval_text(mean)})" if interval_text(mean) else value_text(mean)
