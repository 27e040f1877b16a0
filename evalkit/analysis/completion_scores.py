"""Scores of single completions, each computed once, and their means over a prompt's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from evalkit.analysis.sampled_arms import SampledArms
from evalkit.metrics.registry import Measure
from evalkit.metrics.text_sets import words_of
from evalkit.plumbing.array_cache import key_of, recall, remember
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.progress import Listener
from evalkit.records import Group

UNSCORED_SHARE = 0.1
"""The share of a prompt's completions that may lack a score before the prompt's mean is undefined."""
Scores = Mapping[str, Sequence[Array]]
"""Arm -> one (k,) array a prompt, a number a completion; NaN where a completion has none."""


def score_arms(measures: Sequence[Measure], sampled: SampledArms, tell: Listener) -> dict[str, Scores]:
    """Measure -> its scores, of those measures that are scores. Raises what loading their models raises."""
    return {
        str(measure): {arm.name: score_completions(measure, sampled.groups[arm.name], tell) for arm in sampled.arms}
        for measure in measures
        if measure.definition.kind == "score"
    }


def score_completions(measure: Measure, groups: Sequence[Group], tell: Listener) -> list[Array]:
    """A score of every completion; kept in the cache, because a score may load a model of its own."""
    if "scores" in measure.definition.needs:
        return [np.asarray(array, dtype=np.float64) for array in measure(groups)]  # read from files, not made
    key = _cache_key(measure, groups)
    cached = recall("scores", key)
    if cached is not None:
        return cached
    scores = [np.asarray(array, dtype=np.float64) for array in measure(groups)]
    remember("scores", key, scores, tell.note)
    return scores


def mean_scores(scores: Sequence[Array]) -> Array:
    """(P,) mean score a prompt; NaN where over a tenth of its completions have none: the rest would mislead."""
    return np.array([_mean(array[~np.isnan(array)], len(array)) for array in scores], dtype=np.float64)


def _mean(defined: Array, completions: int) -> float:
    enough = len(defined) > 0 and len(defined) >= (1 - UNSCORED_SHARE) * completions
    return float(defined.mean()) if enough else float("nan")


def _cache_key(measure: Measure, groups: Sequence[Group]) -> str:
    digest = hashlib.sha256()
    for group in groups:
        prompt = group.prompt
        checks = prompt.checks if "checks" in measure.definition.needs else ()
        for part in (prompt.id, prompt.text, prompt.answer or "", prompt.match, *checks, *group.texts, ""):
            digest.update(part.encode("utf-8", "surrogatepass") + b"\0\0")
    signature = measure.signature(0, "", tokenizer=words_of({"": groups}))
    return key_of({"measure": signature, "groups": digest.hexdigest()})
