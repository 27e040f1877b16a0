"""Which words arms gained and lost, with places where they are said, and what they make of the user's list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.analysis.figure_data import Quote
from evalkit.analysis.words.coding import ORDERS
from evalkit.analysis.words.log_odds import PRIOR
from evalkit.metrics.summary import Summary
from evalkit.metrics.word_use import Gap, Level, PhraseUse, WordChange, WordShift
from evalkit.plumbing.arrays import JSON, is_number
from evalkit.plumbing.prose import counted, listed
from evalkit.report.content.content import ReportContent
from evalkit.report.html.render import sentence
from evalkit.report.plots import figures, markers
from evalkit.report.plots.grouped_dots import Dot, Series, grouped_dots
from evalkit.report.plots.words import quoted, rates_text, times_text, word_bars
from evalkit.report.wording import interval_text, interval_words, p_text, value_text

NAMED = 3
"""Words that the sentence above a chart names."""
DRAWN = 12
"""Listed phrases in the chart: those of which most is made."""
UNLIKE = 1.5
"""Times as many words from which a reader is warned that counts of prompts go by length too."""


@dataclass(frozen=True, slots=True)
class WordRow:
    """One word or phrase."""

    phrase: str
    says: str
    """On how many prompts, in words."""
    rates: str
    times: str
    sureness: str
    parts: str
    """What moved with it as parts of it, in words; empty where nothing did."""
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One arm against its baseline."""

    arm: str
    baseline: str
    says: str
    cautions: tuple[str, ...]
    tested: str
    gained: tuple[WordRow, ...]
    lost: tuple[WordRow, ...]


@dataclass(frozen=True, slots=True)
class PhraseRow:
    """One listed phrase under one arm."""

    phrase: str
    arm: str
    times: str
    cells: tuple[tuple[str, str], ...]
    """(value, interval) of: per 1 000 words, its change, share of completions, its change."""
    mark: str
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class WordsView:
    """What the template prints."""

    signature: str
    completions: int
    prior: int
    """Words that it weighs."""
    changes: tuple[ChangeView, ...]
    options: tuple[str, ...]
    """Of the selector: arms of which any word moved."""
    phrases: tuple[PhraseRow, ...]
    left_out: int
    """Listed phrases that no arm says."""
    is_drawn: bool


def words_view(content: ReportContent) -> WordsView | None:
    """None where no arm has a baseline and no phrase is listed."""
    use = content.summary.words
    if use is None:
        return None
    quotes: dict[tuple[str, str], list[Quote]] = {}
    for quote in content.figure_data.quotes:
        quotes.setdefault((quote.arm, quote.phrase), []).append(quote)
    said = {phrase.phrase for phrase in use.phrases if phrase.times}
    listed_phrases = {phrase.phrase for phrase in use.phrases}
    return WordsView(
        signature=use.signature,
        completions=use.completions,
        prior=round(PRIOR),
        changes=tuple(_change(change, quotes) for change in use.changes),
        options=tuple(_against(change) for change in use.changes if change.gained or change.lost),
        phrases=tuple(_phrase(phrase, quotes) for phrase in _by_phrase(use.phrases) if phrase.phrase in said),
        left_out=len(listed_phrases - said - {""}),
        is_drawn=listed_figure(content.summary) is not None,
    )


def arm_figures(summary: Summary) -> dict[str, figures.Figure]:
    """Arm -> its bars, of those of which any word moved."""
    numbers = markers.numbers(summary)
    bars = {
        change.arm: word_bars(change, numbers.get(change.arm, 0), numbers.get(change.baseline, 0))
        for change in (summary.words.changes if summary.words else ())
    }
    return {arm: figure for arm, figure in bars.items() if figure}


def one_by_one(summary: Summary) -> JSON:
    """For the selector: each arm with its bars, and which to show first."""
    drawn = arm_figures(summary)
    changes = {change.arm: change for change in (summary.words.changes if summary.words else ())}
    return {
        "first": 0,
        "prompts": [
            {"text": _against(changes[arm]), "says": sentence(_sentence(changes[arm])), "figure": figure}
            for arm, figure in drawn.items()
        ],
    }


def _against(change: WordChange) -> str:
    return f"{change.arm} against {change.baseline}"


def listed_figure(summary: Summary) -> figures.Figure | None:
    """Listed phrases that are said at all, an arm a dot, those on top of which most is made."""
    uses = [use for use in (summary.words.phrases if summary.words else ()) if use.phrase and use.times]
    most: dict[str, float] = {}
    for use in uses:
        most[use.phrase] = max(most.get(use.phrase, 0.0), use.per_thousand.value or 0.0)
    phrases = sorted(most, key=lambda phrase: -most[phrase])[:DRAWN]
    if not phrases or summary.words is None:
        return None
    numbers, symbols = markers.numbers(summary), markers.symbols(summary)
    by_name = {(use.arm, use.phrase): use for use in summary.words.phrases}
    series = [
        Series(arm.name, numbers[arm.name], symbols[arm.name],
               tuple(_dot(by_name.get((arm.name, phrase))) for phrase in phrases))
        for arm in summary.arms
    ]  # fmt: skip
    return grouped_dots(phrases, series, {"title": {"text": "times per 1 000 words"}, "rangemode": "tozero"})


def _dot(use: PhraseUse | None) -> Dot | None:
    if use is None or not is_number(use.per_thousand.value):
        return None
    level, gap = use.per_thousand, use.per_thousand_gap
    hover = f"{value_text(level)} per 1 000 words, {interval_words(level)}"
    return Dot(level.low, level.value or 0.0, level.high, hover, gap is None or _is_clear(gap))


def _change(change: WordChange, quotes: dict[tuple[str, str], list[Quote]]) -> ChangeView:
    return ChangeView(
        arm=change.arm,
        baseline=change.baseline,
        says=_sentence(change),
        cautions=tuple(_cautions(change)),
        tested=_tested(change),
        gained=tuple(_row(change, shift, change.arm, quotes) for shift in change.gained),
        lost=tuple(_row(change, shift, change.baseline, quotes) for shift in change.lost),
    )


def _sentence(change: WordChange) -> str:
    """Some of either side."""
    parts = [
        f"{change.arm} says {word}: {listed(_with_rates(change, shift) for shift in _telling(shifts))}"
        for shifts, word in ((change.gained, "more"), (change.lost, "less"))
        if shifts
    ]
    return "; ".join(parts) or f"No word or phrase moved clearly from {change.baseline} to {change.arm}"


def _telling(shifts: Sequence[WordShift]) -> list[WordShift]:
    """Those that moved on most prompts from not being said at all, or to it."""
    return sorted(shifts, key=lambda shift: -abs(shift.prompts - shift.baseline_prompts))[:NAMED]


def _with_rates(change: WordChange, shift: WordShift) -> str:
    return f"{quoted(shift.phrase)} ({rates_text(shift, change.baseline)})"


def _cautions(change: WordChange) -> list[str]:
    longer = max(change.words, change.baseline_words)
    shorter = max(1, min(change.words, change.baseline_words))
    if longer < UNLIKE * shorter:
        return []
    name = change.arm if change.words > change.baseline_words else change.baseline
    if not min(change.words, change.baseline_words):
        return [f"{change.baseline if name == change.arm else change.arm} writes no word at all."]
    return [
        f"{name} writes {longer / shorter:.1f} times as many words: on how many prompts it says a word goes by that "
        "too. Rates and tests are at equal lengths."
    ]


def _tested(change: WordChange) -> str:
    if not change.tested:
        return f"Nothing could be tested: {_why_untested(change)}."
    hidden = max(0, change.clear - sum(1 + len(shift.parts) for shift in (*change.gained, *change.lost)))
    more = f"; {hidden:,} less sure ones or parts of others are not shown" if hidden else ""
    return (
        f"{change.tested:,} words and phrases of up to {ORDERS} words that occur on {change.least_prompts} prompts or "
        f"more were tested; {change.clear:,} moved clearly{more}. Rarer ones are left out."
    )


def _why_untested(change: WordChange) -> str:
    least = f"a word is tested that occurs on {change.least_prompts} or more"
    if not change.prompts:
        return f"on no prompt do both {change.arm} and {change.baseline} write any word"
    if change.prompts < change.least_prompts:
        prompts = counted(change.prompts, "prompt")
        return f"{change.arm} and {change.baseline} both write words on {prompts} only, and {least}"
    return f"no word occurs on so many of the {change.prompts} prompts, and {least}"


def _row(change: WordChange, shift: WordShift, said_by: str, quotes: dict[tuple[str, str], list[Quote]]) -> WordRow:
    return WordRow(
        phrase=shift.phrase,
        says=f"on {shift.prompts} of {change.prompts} prompts, {change.baseline} on {shift.baseline_prompts}",
        rates=rates_text(shift, change.baseline),
        times=times_text(shift.log_odds),
        sureness=f"z {shift.z:+.1f}, q {p_text(shift.q).removeprefix('p ').removeprefix('= ')}".replace("-", "−"),
        parts=_parts(shift.parts),
        quotes=tuple(quotes.get((said_by, shift.phrase), ())),
    )


def _parts(parts: Sequence[str]) -> str:
    if not parts:
        return ""
    return f"its {'part' if len(parts) == 1 else 'parts'} {listed(map(quoted, parts))} moved with it"


def _by_phrase(uses: Sequence[PhraseUse]) -> list[PhraseUse]:
    """All arms of a phrase beside each other, all phrases together first."""
    order = list(dict.fromkeys(use.phrase for use in uses))
    return sorted(uses, key=lambda use: (use.phrase != "", order.index(use.phrase)))


def _phrase(use: PhraseUse, quotes: dict[tuple[str, str], list[Quote]]) -> PhraseRow:
    gap = use.per_thousand_gap
    return PhraseRow(
        phrase=use.phrase,
        arm=use.arm,
        times=f"{use.times:,}",
        cells=(
            _cell(use.per_thousand) if use.times else ("0", ""),
            _cell(gap, signed=True),
            _share(use.share, " %"),
            _share(use.share_gap, signed=True),
        ),
        mark="" if gap is None or not is_number(gap.value) else _mark(gap),
        quotes=tuple(quotes.get((use.arm, use.phrase), ())),
    )


def _mark(gap: Gap) -> str:
    if not _is_clear(gap):
        return "not clear"
    return "more" if (gap.value or 0.0) > 0 else "less"


def _is_clear(gap: Gap) -> bool:
    return is_number(gap.q) and gap.q < 0.05


def _cell(number: Level | Gap | None, signed: bool = False) -> tuple[str, str]:
    return ("", "") if number is None else (value_text(number, signed), interval_text(number))


def _share(number: Level | Gap | None, sign: str = "", signed: bool = False) -> tuple[str, str]:
    """In per cent, or in points of them."""
    if number is None or not is_number(number.value):
        return "", ""
    hundreds = [None if part is None else 100 * part for part in (number.value, number.low, number.high)]
    value, interval = _cell(Level(*hundreds), signed)
    return f"{value}{sign}", interval
