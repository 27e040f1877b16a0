"""Who speaks: a classifier learns the suite's voices and hears one in every completion."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.intervals import by_cluster
from evalkit.analysis.voice_mixture import corrections, mixture, shift
from evalkit.metrics.diversity.voices import shares_heard
from evalkit.metrics.embeddings.encoder import Encoder, encode
from evalkit.metrics.voices.classifier import ALPHA, VoiceClassifier, train
from evalkit.metrics.voices.examples import Examples
from evalkit.plumbing.arrays import Array, finite_fields
from evalkit.plumbing.progress import Listener
from evalkit.records import Alarm, Arm, Group, Voices


@dataclass(frozen=True)
class Heard:
    """All arms' groups, with `voices` where the suite has some."""

    groups: Mapping[str, Sequence[Group]]
    alarms: tuple[Alarm, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)
    """The classifier's figures, and each arm's mixture of voices: voices.json. Empty without voices."""


def hear_voices(
    voices: Examples, encoder: Encoder, arms: Sequence[Arm], groups: Mapping[str, Sequence[Group]], tell: Listener
) -> Heard:
    """Train the classifier on the suite's examples and let it hear every completion; nothing without voices.

    A classifier that is no better than chance leaves all corrected shares undefined, and is an alarm.
    """
    if not voices:
        return Heard(groups)
    classifier = _learn(voices, encoder, tell)
    heard = _hear(classifier, groups, encoder, tell)
    count = len(classifier.names)
    shares = {arm: np.array([shares_heard(one, count) for one in members]) for arm, members in heard.items()}
    clusters = clusters_of([group.prompt for group in next(iter(groups.values()), ())])
    possible = corrections(classifier, [by_cluster(own.T, clusters).T for own in shares.values()])
    correction = possible.mean(axis=0)
    identity = _identity(voices, encoder, correction)
    voiced = {}
    for arm in arms:
        home = heard[arm.baseline] if arm.baseline is not None else [None] * len(groups[arm.name])
        voiced[arm.name] = [
            dataclasses.replace(group, voices=Voices(classifier.names, own, correction, other, identity))
            for group, own, other in zip(groups[arm.name], heard[arm.name], home, strict=True)
        ]
    return Heard(voiced, tuple(_alarms(classifier)), _card(arms, classifier, possible, shares, clusters))


def _learn(voices: Examples, encoder: Encoder, tell: Listener) -> VoiceClassifier:
    texts = [text.strip() for members in voices.values() for text in members]
    labels = [voice for voice, members in voices.items() for _ in members]
    tell.stage("learn the voices", len(set(texts)))
    return train(encode(texts, tell.advance, encoder), labels)


def _hear(
    classifier: VoiceClassifier, groups: Mapping[str, Sequence[Group]], encoder: Encoder, tell: Listener
) -> dict[str, list[Any]]:
    """Arm -> the voices heard on each prompt."""
    texts = sorted({text for arm in groups.values() for group in arm for text in group.texts})
    tell.stage("hear the voices", len(texts))
    spoken = dict(zip(texts, classifier.hear(encode(texts, tell.advance, encoder)), strict=True))
    return {
        arm: [np.array([spoken[text] for text in group.texts], dtype=np.int64) for group in members]
        for arm, members in groups.items()
    }


def _alarms(classifier: VoiceClassifier) -> list[Alarm]:
    if classifier.above_chance:
        return []
    examples = int(classifier.confusion.sum())
    message = (
        f"the classifier of voices is right on {classifier.accuracy:.0%} of {examples} examples that it had not seen, "
        f"which is not above chance (p < {ALPHA:g}): all corrected shares are undefined. Give more examples, or voices "
        "that differ"
    )
    return [Alarm("all arms", "voices", message)]


def _card(
    arms: Sequence[Arm],
    classifier: VoiceClassifier,
    possible: Array,
    shares: Mapping[str, Array],
    clusters: Sequence[str],
) -> dict[str, Any]:
    correction = possible.mean(axis=0)
    alone = {arm: by_cluster(own.T, clusters).T for arm, own in shares.items()}
    return {
        "voices": list(classifier.names),
        "accuracy": classifier.accuracy,
        "above_chance": classifier.above_chance,
        "confusion": classifier.confusion.tolist(),
        "shares": {
            arm.name: [finite_fields(asdict(share)) for share in mixture(classifier.names, possible, alone[arm.name])]
            for arm in arms
        },
        "shift": {
            arm.name: finite_fields(
                asdict(shift(correction, *_paired(shares[arm.name], shares[arm.baseline], clusters)))
            )
            for arm in arms
            if arm.baseline is not None
        },
    }


def _paired(own: Array, home: Array, clusters: Sequence[str]) -> tuple[Array, Array]:
    """Shares of two arms, a row a unit of resampling, of the prompts on which both were heard."""
    both = np.hstack([own, home])
    both[np.isnan(both).any(axis=1)] = np.nan
    first, second = np.split(by_cluster(both.T, clusters).T, 2, axis=1)
    return first, second


def _identity(voices: Examples, encoder: Encoder, correction: Array) -> str:
    """All arms of a run decide the correction, so the same examples beside other arms are another classifier."""
    examples = [[voice, list(texts)] for voice, texts in voices.items()]
    decides = json.dumps([encoder.identity, examples, correction.round(6).tolist()])
    return hashlib.sha256(decides.encode()).hexdigest()[:12]
