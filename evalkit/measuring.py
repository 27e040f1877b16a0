"""Measures meet completions: embeddings are made once, scores once, metrics a prompt at a time."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.diversity.encoder import EMBEDDED, Encoder, encode
from evalkit.measure import Measure
from evalkit.progress import Listener
from evalkit.records import Alarm, Arm, Group
from evalkit.stats import Array
from evalkit.store import key_of, recall, remember
from evalkit.summary import Measured

UNSCORED_SHARE = 0.1
"""The share of a prompt's completions that may lack a score before the prompt's mean is undefined."""
Groups = Mapping[str, Sequence[Group]]
"""Arm name -> one group a prompt, in prompt order."""


@dataclass(frozen=True)
class Measurements:
    """Every measure's values a prompt, and every score a completion (measure -> arm -> one array a prompt)."""

    measured: tuple[Measured, ...]
    scores: Mapping[str, Mapping[str, Sequence[Array]]]
    alarms: tuple[Alarm, ...]
    """Scores that could not be given to all completions."""


def measure_groups(
    measures: Sequence[Measure],
    arms: Sequence[Arm],
    groups: Groups,
    samples: int,
    tell: Listener,
    baseline: str = "",
    encoder: Encoder = EMBEDDED,
) -> Measurements:
    """Compute all measures on all arms; `baseline` is the fingerprint of the baseline checkpoint.

    Measures of log-probs are defined for draws from the raw law only (temperature 1, nothing cut off), and undefined
    for the other arms. Raises `MetricError`, `CheckpointError`, `EngineError` (from scores that load a model).
    """
    if any("embeddings" in measure.definition.needs for measure in measures):
        groups = _embed(groups, tell, encoder)
    measured: list[Measured] = []
    scores: dict[str, dict[str, list[Array]]] = {}
    unscored: list[Alarm] = []
    tell.stage("measure", len(measures) * len(arms))
    for measure in measures:
        values: dict[str, Array] = {}
        if measure.definition.kind == "score":
            scores[str(measure)] = {arm.name: score_completions(measure, groups[arm.name], tell) for arm in arms}
            values = {arm: _means(arrays) for arm, arrays in scores[str(measure)].items()}
            unscored += [alarm for arm in arms for alarm in _unscored(measure, arm, values[arm.name])]
            tell.advance(len(arms))
        else:
            for arm in arms:
                values[arm.name] = _metric(measure, arm, groups[arm.name])
                tell.advance(1)
        signature = measure.signature(samples, encoder.identity, baseline, _classifier(groups))
        measured.append(Measured(str(measure), signature, measure.definition.better, values))
    return Measurements(tuple(measured), scores, tuple(unscored))


def _classifier(groups: Groups) -> str:
    """Which classifier heard the voices; empty where none was asked for."""
    members = (group for arm in groups.values() for group in arm)
    return next((group.voices.classifier for group in members if group.voices is not None), "")


def _embed(groups: Groups, tell: Listener, encoder: Encoder) -> dict[str, list[Group]]:
    texts = sorted({text for arm in groups.values() for group in arm for text in group.texts})
    tell.stage("embed texts", len(texts))
    vectors = encode(texts, tell.advance, encoder)
    row = {text: index for index, text in enumerate(texts)}
    return {
        arm: [dataclasses.replace(g, embeddings=vectors[[row[text] for text in g.texts]]) for g in members]
        for arm, members in groups.items()
    }


def _metric(measure: Measure, arm: Arm, groups: Sequence[Group]) -> Array:
    if "logprobs" in measure.definition.needs and not arm.is_raw:
        return np.full(len(groups), np.nan)
    return np.array([measure(group) if group.completions else np.nan for group in groups], dtype=np.float64)


def score_completions(measure: Measure, groups: Sequence[Group], tell: Listener) -> list[Array]:
    """A score of every completion; kept in the cache, because a score may load a model of its own."""
    key = _score_key(measure, groups)
    known = recall("scores", key)
    if known is not None:
        return known
    arrays = [np.asarray(array, dtype=np.float64) for array in measure(groups)]
    remember("scores", key, arrays, tell.note)
    return arrays


def _score_key(measure: Measure, groups: Sequence[Group]) -> str:
    digest = hashlib.sha256()
    for group in groups:
        prompt = group.prompt
        for part in (prompt.id, prompt.text, prompt.answer or "", prompt.match, *group.texts, ""):
            digest.update(part.encode("utf-8", "surrogatepass") + b"\0\0")
    return key_of({"measure": measure.signature(0, ""), "groups": digest.hexdigest()})


def _means(arrays: Sequence[Array]) -> Array:
    """Mean score a prompt; undefined where more than a tenth of its completions have none: the rest would mislead."""
    return np.array([_mean(array[~np.isnan(array)], len(array)) for array in arrays], dtype=np.float64)


def _mean(scored: Array, completions: int) -> float:
    enough = len(scored) > 0 and len(scored) >= (1 - UNSCORED_SHARE) * completions
    return float(scored.mean()) if enough else float("nan")


def _unscored(measure: Measure, arm: Arm, means: Array) -> list[Alarm]:
    left_out = int(np.isnan(means).sum())
    if "answer" in measure.definition.needs or not left_out:
        return []
    message = (
        f"{measure} is undefined for {left_out} of {len(means)} prompts: the model behind it cannot read over "
        f"{UNSCORED_SHARE:.0%} of their completions (too long for it, or in words that it does not know)"
    )
    return [Alarm(arm.name, "unscored", message)]
