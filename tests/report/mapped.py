"""Made-up runs whose texts have made-up embeddings: equal ones for equal texts, unrelated ones for others."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from evalkit.analysis.embedding_map import map_completions
from evalkit.analysis.homogeneity import accords, homogeneity
from evalkit.report.content.content import ReportContent

DIMENSIONS = 16


def with_map(content: ReportContent) -> ReportContent:
    groups = {
        arm: [
            dataclasses.replace(group, embeddings=np.array([embedding(text) for text in group.texts])) for group in own
        ]
        for arm, own in content.groups.items()
    }
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
