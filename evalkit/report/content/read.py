"""A finished run's folder is read back as what its report is made from: no model, no sampling, no measuring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evalkit.analysis.figure_data import read_figure_data
from evalkit.analysis.where_changed import with_where_changed
from evalkit.errors import MetricError, RecordsError
from evalkit.metrics.registry import parse
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.report.content.asked_people import with_asked_people
from evalkit.report.content.content import MetricText, ReportContent, metric_text
from evalkit.report.content.words import with_words
from evalkit.report.verdicts.joint import forms_for_all
from evalkit.runs.asked import PROMPTS_FILE, read_prompts
from evalkit.runs.groups import groups_of
from evalkit.runs.manifest import FILE, ShardRow, first_fault, read_json, read_manifest
from evalkit.runs.stored_scores import read_scores
from evalkit.runs.summary import read_summary


def read_content(folder: Path, tell: Listener = QUIET, annotations: Sequence[Path] = ()) -> ReportContent:
    """What the report of a finished run shows.

    `annotations`: files of what people said of it, besides what is in the folder itself.
    Nothing in it is changed. Raises `RecordsError` on a folder that is none, or is damaged.
    """
    manifest = read_manifest(folder)
    summary = read_summary(folder / "summary.json")
    prompts, prompts_file = read_prompts(folder), read_json(folder / PROMPTS_FILE)
    try:
        rendered = TypeAdapter(dict[str, dict[str, str]]).validate_python(prompts_file["rendered"])
    except (KeyError, TypeError, ValidationError) as error:
        raise RecordsError(f"{folder} is not a run's folder that this evalkit wrote: {first_fault(error)}") from None
    if manifest.kept is None:
        raise RecordsError(
            f"{folder / FILE} lacks the key 'kept', the completions that each arm kept: an older evalkit wrote it; "
            "give its `evalkit run` again"
        )
    drawn = [row for row in manifest.shards if row.arm not in manifest.kept]
    kept = [ShardRow(arm=arm, key=key) for arm, key in manifest.kept.items()]
    unknown = sorted(set(summary.prompts) - {prompt.id for prompt in prompts})
    if unknown:
        raise RecordsError(f"{folder / PROMPTS_FILE} lacks prompt {unknown[0]!r}, which summary.json has")
    if summary.where_changed is None:  # an older evalkit's, which knows no errors: only tags and topics are tested
        summary = with_where_changed(summary, prompts, forms_for_all(summary))
    groups = groups_of(folder, prompts, [*drawn, *kept], summary.arms, tell)
    empty = [arm.name for arm in summary.arms if arm.name not in groups]
    if empty:
        raise RecordsError(f"{folder / FILE} names no shards of arm {', '.join(empty)}: it was changed by hand")
    scores = read_scores(folder / "scores.parquet", groups)
    content = ReportContent(
        title=summary.suite,
        summary=summary,
        groups=groups,
        rendered=rendered,
        scores=scores,
        provenance=manifest.to_json(),
        metrics=metric_texts(sorted({estimate.metric for estimate in summary.estimates})),
        figure_data=read_figure_data(folder),
    )
    return with_asked_people(with_words(content, tell), folder, tell, annotations)


def metric_texts(names: Sequence[str]) -> dict[str, MetricText]:
    """What the measures mean; one whose plug-in is not installed here is shown without explanation."""
    texts = {}
    for name in names:
        try:
            texts[name] = metric_text(parse(name))
        except MetricError:
            continue
    return texts
