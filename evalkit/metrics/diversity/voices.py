"""Whose voices a model still has: shares of the suite's voices among a prompt's completions.

A base model speaks with everybody's voice; tuning lets those speak whom the raters liked. Voices are predicted by a
classifier of the suite's own examples, and counts are corrected for its mistakes (`voices.classifier`). The correction
is linear, so that per-prompt values average to the arm's and stay free of bias; single ones may leave [0, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import MetricError
from evalkit.metrics.declaration import metric
from evalkit.records import Group, Voices

Floats = NDArray[np.float64]
CITES = "Forman 2008; Saerens et al. 2002"


@metric(
    name="voice_share",
    unit="share",
    better="neither",
    side="neither",
    family="voices",
    plain="how often the voice speaks",
    needs={"voices"},
    version="1.0",
    cites=CITES,
)
def voice_share(group: Group, *, voice: str) -> float:
    """Share of the completions that `voice` speaks, corrected for the classifier's mistakes.

    Range: [0, 1] on average; a single prompt's value may lie outside, because the correction subtracts what other
    voices' mistakes add, and cutting it off would bias the mean.

    Bias: none at any k, as far as completions of a voice are mistaken as often as its examples are. The interval of
    the mean is over prompts; the classifier's own uncertainty is in that of the run's voices.json.

    Cost: O(k V); the completions are embedded once for all voices.

    Undefined: without completions, or where the classifier is no better than chance. Raises `MetricError` on a voice
    that the suite does not have.
    """
    voices = _voices(group)
    return float(_corrected_shares(voices, voices.predicted)[_index(voices, voice)])


@metric(
    name="voice_heard",
    unit="share",
    better="neither",
    side="neither",
    family="voices",
    plain="how often the voice is heard",
    bounds=(0, 1),
    needs={"voices"},
    version="1.0",
    cites="",
)
def voice_heard(group: Group, *, voice: str) -> float:
    """Share of the completions whose predicted voice is `voice`, the classifier's mistakes included.

    Range: [0, 1].

    Bias: towards equal shares, by the classifier's mistakes: rare voices are predicted too often; `voice_share` is free
    of it.

    Cost: O(k V); the completions are embedded once for all voices.

    Undefined: without completions. Raises `MetricError` on a voice that the suite does not have.
    """
    voices = _voices(group)
    return float(predicted_shares(voices.predicted, len(voices.names))[_index(voices, voice)])


@metric(
    name="voice_entropy",
    unit="nats",
    better="higher",
    side="diversity",
    family="voices",
    plain="variety of voices",
    bounds=(0, None),
    of_draws=True,
    needs={"voices"},
    version="1.0",
    cites="Miller 1955",
)
def voice_entropy(group: Group) -> float:
    """Entropy of the voices that answer one prompt: 0 when one voice says all, log V when V voices speak alike.

    Range: [0, log V + (V - 1) / 2k]; above log V only by the correction for finite k.

    Bias: the entropy of shares seen in k draws is too low by about (V - 1) / 2k, which is added (Miller 1955, for the
    voices that are there). Shares are corrected for the classifier's mistakes and cut to [0, 1] first: where voices
    are few and the classifier errs often, it stays too high.

    Cost: O(k + V^2).

    Undefined: without completions, or where the classifier is no better than chance.
    """
    voices = _voices(group)
    shares = _corrected_shares(voices, voices.predicted)
    if np.isnan(shares).any():
        return float("nan")
    clipped = np.clip(shares, 0, 1)
    distribution = clipped[clipped > 0] / clipped.sum()
    entropy = max(0.0, -float(distribution @ np.log(distribution)))
    return entropy + (len(distribution) - 1) / (2 * len(voices.predicted))


@metric(
    name="voice_shift",
    unit="total variation",
    better="neither",
    side="neither",
    family="voices",
    plain="shift between voices",
    of_draws=True,
    needs={"voices"},
    version="1.0",
    cites=CITES,
)
def voice_shift(group: Group) -> float:
    """How far the prompt's mixture of voices has moved from the baseline's: half the sum of what each gained or lost.

    It is the share of completions that would have to change their speaker. What is gained and lost in the completions
    of even sample indices is added with the signs that those of odd ones show, and the other way round.

    Range: [0, 1] on average, 0 for the baseline; single values may be negative.

    Bias: plain total variation is never negative, and so above 0 wherever there is noise. This is 0 on average
    where nothing moved, at every k; where voices moved by less than the noise of k / 2 completions, it is too low:
    compare at equal k.

    Cost: O(k + V^2).

    Undefined: below two completions on either side, or where the classifier is no better than chance.
    """
    voices = _voices(group)
    if voices.baseline_predicted is None:
        return 0.0
    even, odd = (
        _corrected_shares(voices, voices.predicted[half::2])
        - _corrected_shares(voices, voices.baseline_predicted[half::2])
        for half in (0, 1)
    )
    return float(np.sign(odd) @ even + np.sign(even) @ odd) / 4


def predicted_shares(predicted: NDArray[np.int64], voices: int) -> Floats:
    """(V,) shares of the voices among (k,) predictions, each an index from 0 to V - 1; NaN without completions."""
    counts = np.bincount(predicted, minlength=voices).astype(np.float64)
    shares: Floats = counts / len(predicted) if len(predicted) else np.full(voices, np.nan)
    return shares


def _corrected_shares(voices: Voices, predicted: NDArray[np.int64]) -> Floats:
    """(V,) shares of the voices, corrected for the classifier's mistakes; they add up to 1."""
    corrected: Floats = voices.correction @ predicted_shares(predicted, len(voices.names))
    return corrected


def _index(voices: Voices, voice: str) -> int:
    if voice not in voices.names:
        raise MetricError(f"the suite has no voice {voice!r}; its voices: {', '.join(voices.names)}")
    return voices.names.index(voice)


def _voices(group: Group) -> Voices:
    assert group.voices is not None, "classify_voices.py fills them for metrics that need voices"
    return group.voices
