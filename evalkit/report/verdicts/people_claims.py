"""What people preferred, for the verdict: said where it is clear, and where a proxy clearly says the other way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from evalkit.analysis.intervals import Mean
from evalkit.plumbing.prose import counted, listed
from evalkit.preferences.crossed import Crossed
from evalkit.preferences.people import People
from evalkit.preferences.win_rate import WinRate
from evalkit.report.verdicts.verdict import Verdict
from evalkit.report.wording import interval_words, label, value_text

MOST = 3
"""Claims about people above the fold; the section has all."""


def with_people(conclusion: Verdict, people: People | None) -> Verdict:
    """People's judgement is the first thing beneath the headline."""
    claims = people_claims(people)
    if len(claims) > MOST:
        claims[MOST:] = [f"{counted(len(claims) - MOST, 'more claim')} about people: under “What people preferred”."]
    return replace(conclusion, besides=(*claims, *conclusion.besides))


def people_claims(people: People | None) -> list[str]:
    """A sentence an arm of which people clearly think one way, or groups of them opposite ways."""
    if people is None:
        return []
    by_arm: dict[str, list[WinRate]] = {}
    for rate in people.rates:
        by_arm.setdefault(rate.arm, []).append(rate)
    return [claim for rates in by_arm.values() if (claim := _claim(rates, people))]


def is_clear(mean: Mean) -> int:
    """1 where the interval lies above 0.5, -1 where it lies below, else 0."""
    return int(mean.low > 0.5) - int(mean.high < 0.5)


def mean_of(crossed: Crossed) -> Mean:
    return Mean(crossed.value, crossed.low, crossed.high, 0)


def _claim(rates: list[WinRate], people: People) -> str:
    every, *groups = rates
    signs = {is_clear(mean_of(one.rate)) for one in groups}
    if {1, -1} <= signs:
        sides = [one for one in groups if is_clear(mean_of(one.rate))]
        return f"Raters differ: {listed(_preference(one, _named(one)) for one in sides)}."
    sign = is_clear(mean_of(every.rate))
    if not sign:
        return ""
    who = f"The {counted(every.raters, 'rater')} asked" if every.rate.of_these_raters else "People"
    if every.raters == 1:
        who = "The one rater asked"
    verb = "prefers" if every.raters == 1 else "prefer"
    claim = f"{who} {_preference(every, verb=verb)}"
    return f"{claim}{''.join(_contradictions(every, sign, people))}."


def _named(one: WinRate) -> str:
    """A group; with its raters where the claim is about no others."""
    return f"{one.group} ({counted(one.raters, 'rater')} asked)" if one.rate.of_these_raters else str(one.group)


def _preference(one: WinRate, who: str = "", verb: str = "prefer") -> str:
    """`prefer tuned over base: 0.62 (95 % interval 0.57 to 0.67)`, by the side that they prefer."""
    mean = mean_of(one.rate)
    winner, loser = one.arm, one.baseline
    if is_clear(mean) < 0:
        winner, loser, mean = loser, winner, Mean(1 - mean.value, 1 - mean.high, 1 - mean.low, 0)
    said = f"{verb} {winner} over {loser}: {value_text(mean)} ({interval_words(mean)})"
    return f"{who} {said}" if who else said


def _contradictions(one: WinRate, sign: int, people: People) -> Iterable[str]:
    against = [proxy for proxy in people.proxies if proxy.arm == one.arm and is_clear(proxy.rate) == -sign]
    if against:
        told = [f"{label(proxy.proxy)} ({value_text(proxy.rate)} for {one.arm})" for proxy in against]
        yield f"; {listed(told)} {'says' if len(told) == 1 else 'say'} the other way"
