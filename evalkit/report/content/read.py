"""A finished run's folder is read back as what its report is made from: no model, no sampling, no measuring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, starmap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from evalkit.analysis.figure_data import read_figure_data
from evalkit.errors import MetricError, RecordsError
from evalkit.metrics.registry import parse
from evalkit.plumbing.arrays import finite_or_none
from evalkit.plumbing.lazily import each
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.records import Arm, Group, Groups
from evalkit.report.content.content import MetricText, ReportContent, Scores, metric_text
from evalkit.runs.asked import PROMPTS_FILE, read_prompts
from evalkit.runs.groups import groups_of
from evalkit.runs.manifest import FILE, ShardRow, first_fault, read_json, read_manifest
from evalkit.runs.summary import read_summary


def read_content(folder: Path, tell: Listener = QUIET) -> ReportContent:
    """What the report of a finished run shows.

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
    groups = groups_of(folder, prompts, [*drawn, *kept], summary.arms, tell)
    empty = [arm.name for arm in summary.arms if arm.name not in groups]
    if empty:
        raise RecordsError(f"{folder / FILE} names no shards of arm {', '.join(empty)}: it was changed by hand")
    return ReportContent(
        title=summary.suite,
        summary=summary,
        groups=groups,
        rendered=rendered,
        scores=_scores(folder / "scores.parquet", groups, summary.arms),
        provenance=manifest.to_json(),
        metrics=metric_texts(sorted({estimate.metric for estimate in summary.estimates})),
        figure_data=read_figure_data(folder),
    )


def _scores(path: Path, groups: Groups, arms: Sequence[Arm]) -> Scores:
    """Score -> arm -> per prompt -> per completion, from the rows of scores.parquet."""
    try:
        table = pq.read_table(path, columns=["score", "arm", "prompt_id", "slot", "value"])
    except (OSError, KeyError, pa.ArrowException) as error:
        raise RecordsError(f"{path} cannot be read: {error}") from None
    return {
        score: {arm.name: each(groups[arm.name], _Rows.of(table, score, arm.name)) for arm in arms}
        for score in pc.unique(table["score"]).to_pylist()
    }


@dataclass(frozen=True)
class _Rows:
    """The rows of one score and arm, those of a prompt together."""

    places: Mapping[str, slice]
    """Prompt -> where its rows are."""
    slots: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, table: pa.Table, score: str, arm: str) -> _Rows:
        rows = table.filter(pc.and_(pc.equal(table["score"], score), pc.equal(table["arm"], arm)))
        ids = rows["prompt_id"].combine_chunks().dictionary_encode()
        codes = ids.indices.to_numpy()
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(len(ids.dictionary) + 1)).tolist()
        places = dict(zip(ids.dictionary.to_pylist(), starmap(slice, pairwise(edges)), strict=True))
        values = rows["value"].to_numpy().astype(np.float64)
        return cls(places, rows["slot"].to_numpy()[order], values[order])

    def __call__(self, index: int, group: Group) -> list[float | None]:
        rows = self.places.get(group.prompt.id, slice(0, 0))
        known = dict(zip(self.slots[rows].tolist(), map(finite_or_none, self.values[rows].tolist()), strict=True))
        return [known.get(completion.sample_index) for completion in group.completions]


def metric_texts(names: Sequence[str]) -> dict[str, MetricText]:
    """What the measures mean; one whose plug-in is not installed here is shown without explanation."""
    texts = {}
    for name in names:
        try:
            texts[name] = metric_text(parse(name))
        except MetricError:
            continue
    return texts
