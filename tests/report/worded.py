"""Made-up runs with the words that their arms gained and lost, and a list of phrases."""

from __future__ import annotations

import dataclasses

from evalkit.analysis.figure_data import Quote
from evalkit.analysis.words.changed import word_use
from evalkit.analysis.words.quotes import quotes
from evalkit.metrics.word_use import Gap, Level, PhraseUse, WordChange, WordShift, WordUse
from evalkit.report.content.content import ReportContent


def with_words(content: ReportContent, *phrases: str) -> ReportContent:
    """As a run counts them."""
    found = word_use(content.summary.arms, content.groups, content.summary.clusters, phrases)
    return having(content, found, *quotes(found, content.groups))


def with_words_of(content: ReportContent, text: str) -> ReportContent:
    """The same text said more, said less, listed and quoted."""
    arm, baseline = next((arm.name, arm.baseline) for arm in content.summary.arms if arm.baseline)
    assert baseline is not None
    more = WordShift(text, 2.0, 4.0, 0.0, 0.0, 2.0, 0.2, 38, 4, (text,))
    less = dataclasses.replace(more, log_odds=-2.0, z=-4.0)
    change = WordChange(arm, baseline, 60, 2000, 900, 50, 8, 9, (more,), (less,))
    level, gap = Level(1.5, 1.0, 2.0), Gap(0.5, 0.1, 0.9, 0.001, 0.002)
    use = WordUse("words", 8, (change,), (PhraseUse(text, arm, baseline, 3, level, Level(0.1, 0.05, 0.2), gap, gap),))
    return having(content, use, *(Quote(name, text, text, text, text, text) for name in (arm, baseline)))


def having(content: ReportContent, use: WordUse | None, *places: Quote) -> ReportContent:
    summary = dataclasses.replace(content.summary, words=use)
    figure_data = dataclasses.replace(content.figure_data, quotes=places)
    return dataclasses.replace(content, summary=summary, figure_data=figure_data)
