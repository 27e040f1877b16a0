"""Who speaks: a classifier learns the suite's voices from examples and predicts the voice of every completion."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.intervals import by_cluster
from evalkit.analysis.voice_mixture import Share, corrections, mixture, shift
from evalkit.metrics.diversity.voices import predicted_shares
from evalkit.metrics.embeddings.encoder import Encoder, encode
from evalkit.metrics.summary import Alarm
from evalkit.metrics.text_sets import portions
from evalkit.metrics.voices.classifier import ALPHA, VoiceClassifier, train
from evalkit.metrics.voices.examples import Examples
from evalkit.plumbing.arrays import Array, finite_fields
from evalkit.plumbing.lazily import each, is_lazy
from evalkit.plumbing.progress import Listener
from evalkit.records import Arm, Group, Groups, Voices


@dataclass(frozen=True)
class ClassifiedVoices:
    """All arms' groups, with `voices` where the suite has some."""

    groups: Groups
    alarms: tuple[Alarm, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)
    """The classifier's figures, and each arm's mixture of voices: voices.json. Empty without voices."""


def classify_voices(
    examples: Examples, encoder: Encoder, arms: Sequence[Arm], groups: Groups, tell: Listener
) -> ClassifiedVoices:
    """Train the classifier on the suite's examples and classify every completion; nothing without examples.

    A classifier that is no better than chance leaves all corrected shares undefined, and is an alarm.
    """
    if not examples:
        return ClassifiedVoices(groups)
    classifier = _train(examples, encoder, tell)
    predicted = _predict(classifier, groups, encoder, tell)
    count = len(classifier.names)
    shares = {arm: np.array([predicted_shares(row, count) for row in rows]) for arm, rows in predicted.items()}
    clusters = clusters_of([group.prompt for group in next(iter(groups.values()), ())])
    possible = corrections(classifier, [by_cluster(of_arm.T, clusters).T for of_arm in shares.values()])
    correction = possible.mean(axis=0)
    identity = _identity(examples, encoder, correction)
    with_voices = {}
    for arm in arms:
        of_baseline = None if arm.baseline is None else predicted[arm.baseline]
        heard = Heard(classifier.names, predicted[arm.name], correction, of_baseline, identity)
        with_voices[arm.name] = each(groups[arm.name], heard)
    card = _card(arms, classifier, possible, shares, clusters)
    return ClassifiedVoices(with_voices, tuple(_alarms(classifier)), card)


@dataclass(frozen=True)
class Heard:
    """Groups get who says what."""

    names: tuple[str, ...]
    predicted: Sequence[NDArray[np.int64]]
    correction: Array
    of_baseline: Sequence[NDArray[np.int64]] | None
    identity: str

    def __call__(self, index: int, group: Group) -> Group:
        baseline = None if self.of_baseline is None else self.of_baseline[index]
        voices = Voices(self.names, self.predicted[index], self.correction, baseline, self.identity)
        return dataclasses.replace(group, voices=voices)


def _train(examples: Examples, encoder: Encoder, tell: Listener) -> VoiceClassifier:
    texts = [text.strip() for of_voice in examples.values() for text in of_voice]
    labels = [voice for voice, of_voice in examples.items() for _ in of_voice]
    tell.stage("learn the voices", len(set(texts)))
    return train(encode(texts, tell.advance, encoder), labels)


def _predict(
    classifier: VoiceClassifier, groups: Groups, encoder: Encoder, tell: Listener
) -> dict[str, list[NDArray[np.int64]]]:
    """Arm -> for each prompt the (k,) index of the voice that each completion is classified as."""
    if is_lazy(groups):
        tell.stage("classify the voices", sum(map(len, groups.values())))
        return {arm: list(_predict_portions(classifier, members, encoder, tell)) for arm, members in groups.items()}
    texts = sorted({text for arm in groups.values() for group in arm for text in group.texts})
    tell.stage("classify the voices", len(texts))
    predicted = dict(zip(texts, classifier.predict(encode(texts, tell.advance, encoder)), strict=True))
    return {
        arm: [np.array([predicted[text] for text in group.texts], dtype=np.int64) for group in members]
        for arm, members in groups.items()
    }


def _predict_portions(
    classifier: VoiceClassifier, groups: Sequence[Group], encoder: Encoder, tell: Listener
) -> Iterator[NDArray[np.int64]]:
    """The same of one arm whose completions are not in memory together."""
    for portion in portions(groups):
        predicted = classifier.predict(encode([text for _, texts in portion for text in texts], encoder=encoder))
        ends = np.cumsum([len(texts) for _, texts in portion])
        yield from np.split(predicted, ends[:-1])
        tell.advance(len(portion))


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
    """What voices.json holds, which says `heard` for predicted shares and `spoken` for corrected ones."""
    correction = possible.mean(axis=0)
    by_unit = {arm: by_cluster(of_arm.T, clusters).T for arm, of_arm in shares.items()}
    return {
        "voices": list(classifier.names),
        "accuracy": classifier.accuracy,
        "above_chance": classifier.above_chance,
        "confusion": classifier.confusion.tolist(),
        "shares": {
            arm.name: [_share_fields(share) for share in mixture(classifier.names, possible, by_unit[arm.name])]
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


def _share_fields(share: Share) -> dict[str, Any]:
    fields = {"voice": share.voice, "heard": share.predicted, "spoken": share.corrected}
    return finite_fields({**fields, "low": share.low, "high": share.high})


def _paired(shares: Array, of_baseline: Array, clusters: Sequence[str]) -> tuple[Array, Array]:
    """Predicted shares of two arms, a row a unit of resampling, of the prompts that both have completions of."""
    both = np.hstack([shares, of_baseline])
    both[np.isnan(both).any(axis=1)] = np.nan
    first, second = np.split(by_cluster(both.T, clusters).T, 2, axis=1)
    return first, second


def _identity(examples: Examples, encoder: Encoder, correction: Array) -> str:
    """All arms of a run decide the correction, so the same examples beside other arms are another classifier."""
    texts_of_voices = [[voice, list(texts)] for voice, texts in examples.items()]
    decides = json.dumps([encoder.identity, texts_of_voices, correction.round(6).tolist()])
    return hashlib.sha256(decides.encode()).hexdigest()[:12]
