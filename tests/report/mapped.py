"""Made-up runs whose texts have made-up embeddings: equal ones for equal texts, unrelated ones for others."""

from __future__ import annotations

import dataclasses
import hashlib
from unittest import mock

import numpy as np

from evalkit.analysis.atlas import draw
from evalkit.analysis.embedding_map import map_completions
from evalkit.analysis.homogeneity import accords, homogeneity
from evalkit.records import Group
from evalkit.report.content.content import ReportContent

DIMENSIONS = 16


def with_map(content: ReportContent) -> ReportContent:
    groups = {arm: [_embedded(group) for group in own] for arm, own in content.groups.items()}
    alike = homogeneity(content.summary.arms, groups, content.summary.clusters, "made-up")
    figure_data = dataclasses.replace(
        content.figure_data, completion_map=map_completions(groups), accords=accords(alike, groups)
    )
    summary = dataclasses.replace(content.summary, homogeneity=alike)
    return dataclasses.replace(content, summary=summary, figure_data=figure_data)


def embedding(text: str) -> np.ndarray:
    seed = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4]
    row = np.random.default_rng(int.from_bytes(seed, "big")).normal(size=DIMENSIONS)
    return (row / np.linalg.norm(row)).astype(np.float32)


def with_atlas(content: ReportContent, fewest: int = draw.FEWEST) -> ReportContent:
    """The same with an atlas of its first prompts; t-SNE of more would take seconds."""
    groups = {arm: [_embedded(group) for group in own[:8]] for arm, own in content.groups.items()}
    with mock.patch.object(draw, "FEWEST", fewest):
        atlas = draw.draw_atlas(groups)
    assert atlas is not None
    return dataclasses.replace(content, figure_data=dataclasses.replace(content.figure_data, atlas=atlas))


def _embedded(group: Group) -> Group:
    return dataclasses.replace(group, embeddings=np.array([embedding(text) for text in group.texts]))
