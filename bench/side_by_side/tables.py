"""The tables: what a peer says, what evalkit says of the same texts, how far apart they are, and what each took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.side_by_side.ours import Measured
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.prose import counted

IN_ITS_WORDS = " in its words"
OURS: Mapping[str, Mapping[str, str]] = {
    "novelty-bench": {
        "classes": "`distinct_k`, same judge",
        "utility": "`noveltybench_utility`, own classes",
        "classes by ROUGE-1": "`distinct_k`, another judge",
    },
    "artificial-hivemind": {"within a model": "homogeneity, diagonal", "between models": "homogeneity"},
    "verbalized-sampling": {
        "avg_diversity": "`embedding_distance`",
        "avg_rouge_l": "`rouge_l_homogenization`",
        "avg_rouge_l in its words": "the same in its words",
        "avg_distinct_n": "`distinct_n`, another thing",
        "avg_response_length": "`length`, another thing",
    },
    "where-diversity-collapses": {
        "EAD": "`ead_n`, mean of n = 1..5",
        "EAD in its words": "the same in its words, at most 1",
        "EAD across": "`ead_n` on first completions",
        "EAD across in its words": "the same in its words, at most 1",
        "SBERT": "`embedding_distance`",
        "SBERT across": "`embedding_distance` on first completions",
        "VENDI": "`vendi`",
        "VENDI across": "`vendi` on first completions",
        "NLI": "1 + `nli_diversity`",
    },
    "emb-diversity": {
        "vendi_score": "`vendi`",
        "mean_pw_dist": "`embedding_distance`",
        "renyi_entropy": "log of `vendi\\|q:2`",
    },
    "lm-eval": {
        "exact_match, first": "`accuracy` of the first",
        "exact_match, first, +- 1.96 stderr": "its interval",
        "exact_match, all": "`accuracy`",
        "exact_match, all, +- 1.96 stderr": "its interval",
    },
    "inspect": {
        "accuracy": "`accuracy`",
        "ci": "its interval",
        "ci, clustered": "its interval, `cluster` stated",
        "pass_at_4": "`pass_at_k\\|k:4`",
    },
}
"""Peer -> its measure -> what stands beside it."""
HEAD = (
    "| peer's measure | evalkit's | texts | peer | evalkit | furthest apart | peer, s | evalkit, s |",
    "|---|---|---|---|---|---|---|---|",
)


def written(theirs: Mapping[str, Measured], own: Mapping[str, Measured]) -> str:
    """One table a peer."""
    parts = []
    for peer, measured in theirs.items():
        rows = [
            row for measure, name in OURS[peer].items() for row in _rows(measure, name, measured, own.get(peer, {}))
        ]
        parts.append("\n".join([f"### {peer}\n", *HEAD, *rows, ""]))
    return "\n".join(parts)


def _rows(measure: str, name: str, theirs: Measured, own: Measured) -> list[str]:
    peers = theirs.get(measure.removesuffix(IN_ITS_WORDS), {})
    return [
        _row(measure, name, texts, of_set, own[measure][texts]) for texts, of_set in peers.items() if measure in own
    ]


def _row(measure: str, name: str, texts: str, theirs: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    pairs = [_defined(theirs[arm]["values"], own[arm]["values"]) for arm in theirs]
    one, other = (" / ".join(_figure(pair[side], measure) for pair in pairs) for side in (0, 1))
    apart = max(float(np.abs(first - second).max()) for first, second in pairs)
    seconds = [sum(side[arm]["seconds"] for arm in theirs) for side in (theirs, own)]
    left_out = sum(np.size(own[arm]["values"]) - np.size(pair[1]) for arm, pair in zip(theirs, pairs, strict=True))
    where = f"{texts}, without {counted(left_out, 'prompt')}" if left_out else texts
    cells = [measure, name, where, one, other, _distance(apart), *(f"{taken:.2f}" for taken in seconds)]
    return f"| {' | '.join(cells)} |"


def _defined(theirs: Any, own: Any) -> tuple[Array, Array]:
    """Both on the prompts where evalkit's figure is defined; where peers print 0 for want of any, it is not."""
    first, second = np.atleast_1d(theirs), np.atleast_1d(own)
    known = ~np.isnan(second)
    return first[known], second[known]


def _figure(values: Array, measure: str) -> str:
    """The mean over prompts, or an interval's two ends."""
    if measure.startswith("ci") or measure.endswith("stderr"):
        return f"{values[0]:.4f} to {values[1]:.4f}"
    mean = float(np.mean(values))
    return f"{mean:.4f}" if abs(mean) < 100 else f"{mean:.0f}"


def _distance(apart: float) -> str:
    return "0" if apart == 0 else f"{apart:.0e}" if apart < 1e-3 else f"{apart:.3f}" if apart < 100 else f"{apart:.0f}"
