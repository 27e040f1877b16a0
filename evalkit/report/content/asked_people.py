"""What people said of a run, for its report: from the folder, where `evalkit annotate` wrote it, and from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evalkit.errors import RecordsError
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.prose import counted
from evalkit.preferences.annotation import votes
from evalkit.preferences.people import people
from evalkit.preferences.read_annotations import read_annotations
from evalkit.report.content.content import ReportContent

ANNOTATIONS = "annotations.sqlite"


def with_asked_people(
    content: ReportContent, folder: Path, tell: Listener, annotations: Sequence[Path] = ()
) -> ReportContent:
    """The content with what people said. Raises `RecordsError` on files that cannot be read."""
    said = read_annotations([*_in_run(folder), *annotations], tell.note)
    summary = content.summary
    found = people(said, summary.arms, content.groups, content.scores, summary.clusters)
    counting = votes(said)
    if found is None and counting:
        tell.note(
            f"none of {counted(len(counting), 'vote')} is on completions of {folder}, of an arm and its baseline: "
            "the report says nothing of people; are they of another run?"
        )
    return replace(content, people=found)


def with_people_if_readable(content: ReportContent, folder: Path, tell: Listener) -> ReportContent:
    """The same at the end of a run, whose results a damaged file of answers must not cost: it is a note then."""
    try:
        return with_asked_people(content, folder, tell)
    except RecordsError as error:
        tell.note(f"{error}; the report says nothing of people until `evalkit report` makes it again")
        return content


def _in_run(folder: Path) -> list[Path]:
    """What people said on the page of `evalkit annotate`; a file without a byte is of one that was killed at once."""
    path = folder / ANNOTATIONS
    return [path] if path.is_file() and path.stat().st_size else []
