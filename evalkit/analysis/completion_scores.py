"""Scores of single completions, each computed once, and their means over a prompt's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from evalkit.analysis.overview import Overview, hash_of
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.checkpoints.folder import Weights
from evalkit.metrics.registry import Measure
from evalkit.metrics.text_sets import words_of
from evalkit.metrics.valid_answers import identity_of
from evalkit.plumbing.array_cache import key_of, recall, remember
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.lazily import Watched
from evalkit.plumbing.models import one_sitting, telling
from evalkit.plumbing.progress import Listener, Scaled
from evalkit.records import Group, Groups, Prompt

UNSCORED_SHARE = 0.1
"""The share of a prompt's completions that may lack a score before the prompt's mean is undefined."""
Scores = Mapping[str, Sequence[Array]]
"""Arm -> one (k,) array a prompt, a number a completion; NaN where a completion has none."""


def score_arms(
    measures: Sequence[Measure], sampled: SampledArms, overview: Overview, tell: Listener
) -> dict[str, Scores]:
    """Measure -> its scores, of those of `measures` that are scores. Raises what loading their models raises."""
    return {
        str(measure): _score_arms(measure, sampled.groups, overview, tell)
        for measure in measures
        if measure.definition.kind == "score"
    }


def _score_arms(measure: Measure, groups: Groups, overview: Overview, tell: Listener) -> Scores:
    if "scores" in measure.definition.needs:
        return {arm: _scored(measure, of_arm) for arm, of_arm in groups.items()}  # read from files, not made
    keys = {
        arm: _cache_key(measure, of_arm, [(seen.prompt, seen.texts) for seen in overview[arm]])
        for arm, of_arm in groups.items()
    }
    scores = {arm: known for arm, key in keys.items() if (known := recall("scores", key)) is not None}
    missing = {arm: sum(seen.different for seen in overview[arm]) for arm in groups if arm not in scores}
    if missing:
        tell.stage(f"score {measure}", sum(missing.values()))
    with one_sitting():
        for arm, texts in missing.items():
            scores[arm] = _told(measure, groups[arm], texts, tell)
            remember("scores", keys[arm], scores[arm], tell.note)
    return {arm: scores[arm] for arm in groups}


def score_completions(measure: Measure, groups: Sequence[Group], tell: Listener) -> list[Array]:
    """A score of every completion; kept in the cache, because a score may load a model of its own.

    Each group is a unit of the stage that is told of.
    """
    key = _cache_key(measure, groups, [(group.prompt, hash_of(group.texts)) for group in groups])
    cached = recall("scores", key)
    if cached is not None:
        tell.advance(len(groups))
        return cached
    scores = _told(measure, groups, len(groups), tell)
    remember("scores", key, scores, tell.note)
    return scores


def _told(measure: Measure, groups: Sequence[Group], units: int, tell: Listener) -> list[Array]:
    """Scores; of `units` of the stage is told by the answers of the model that is asked, else by looks at groups."""
    if not isinstance(measure.definition.identity, Weights):
        return _scored(measure, Watched(groups, Scaled(tell.advance, len(groups), units)))
    with telling(tell.advance, units):
        return _scored(measure, groups)


def _scored(measure: Measure, groups: Sequence[Group]) -> list[Array]:
    return [np.asarray(array, dtype=np.float64) for array in measure(groups)]


def mean_scores(scores: Sequence[Array]) -> Array:
    """(P,) mean score a prompt; NaN where over a tenth of its completions have none: the rest would mislead."""
    return np.array([_mean(array[~np.isnan(array)], len(array)) for array in scores], dtype=np.float64)


def _mean(defined: Array, completions: int) -> float:
    enough = len(defined) > 0 and len(defined) >= (1 - UNSCORED_SHARE) * completions
    return float(defined.mean()) if enough else float("nan")


def _cache_key(measure: Measure, groups: Sequence[Group], asked: Sequence[tuple[Prompt, bytes]]) -> str:
    """`asked`: each group's prompt, and the hash of its texts."""
    digest = hashlib.sha256()
    for prompt, texts in asked:
        checks = prompt.checks if "checks" in measure.definition.needs else ()
        valid = identity_of(prompt) if "valid" in measure.definition.needs else ()
        for part in (prompt.id, prompt.text, prompt.answer or "", prompt.match, *checks, *valid, texts.hex(), ""):
            digest.update(part.encode("utf-8", "surrogatepass") + b"\0\0")
    signature = measure.signature(0, "", tokenizer=words_of({"": groups}))
    return key_of({"measure": signature, "groups": digest.hexdigest()})
