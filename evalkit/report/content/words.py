"""What words say of runs that are read back: counted anew where the summary does not have it.

That is so of what an older evalkit wrote, and of several runs together, whose arms have other baselines there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from evalkit.analysis.figure_data import FigureData
from evalkit.analysis.words.changed import word_use
from evalkit.analysis.words.quotes import quotes
from evalkit.errors import MetricError
from evalkit.metrics.summary import Summary
from evalkit.metrics.text_sets import split_alike
from evalkit.plumbing.arrays import JSON
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.tokenizer import Asked
from evalkit.records import Groups
from evalkit.report.content.content import ReportContent


def with_words(content: ReportContent, tell: Listener) -> ReportContent:
    """The content of one run, with what words say of it."""
    if content.summary.words is not None:
        return content
    tokenizer = _tokenizer([content.provenance])
    summary, figure_data = counted_anew(content.summary, content.figure_data, content.groups, tokenizer, (), tell)
    return replace(content, summary=summary, figure_data=figure_data)


def merged_words(
    contents: Sequence[ReportContent], summary: Summary, figure_data: FigureData, groups: Groups, tell: Listener
) -> tuple[Summary, FigureData]:
    """The same of several runs: on the prompts that all asked, and the phrases that any of them lists."""
    listed = [use.phrase for content in contents if content.summary.words for use in content.summary.words.phrases]
    phrases = [phrase for phrase in dict.fromkeys(listed) if phrase]
    tokenizer = _tokenizer([content.provenance for content in contents])
    return counted_anew(summary, figure_data, groups, tokenizer, phrases, tell)


def counted_anew(
    summary: Summary,
    figure_data: FigureData,
    groups: Groups,
    tokenizer: Asked,
    phrases: Sequence[str],
    tell: Listener,
) -> tuple[Summary, FigureData]:
    """Summary and figures with words counted in these groups; as they are, with a note, where nothing splits them."""
    try:
        split = split_alike(groups, tokenizer, tell)
    except MetricError as error:
        tell.note(f"the report says nothing of words gained and lost: {error}")
        return summary, figure_data
    found = word_use(summary.arms, split, summary.clusters, phrases, tell)
    return replace(summary, words=found), replace(figure_data, quotes=quotes(found, split, tell))


def _tokenizer(manifests: Sequence[Mapping[str, JSON]]) -> Asked:
    """The one that all runs' suites ask for; else whichever fits the texts."""
    suites = [manifest.get("suite") for manifest in manifests]
    asked = {str(suite.get("tokenizer")) if isinstance(suite, Mapping) else "auto" for suite in suites}
    return next((name for name in get_args(Asked) if asked == {name}), "auto")
