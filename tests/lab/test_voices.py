"""The voice classifier against the truth: in the lab who speaks is known exactly."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evalkit.diversity.encoder import encode
from evalkit.diversity.mixture import corrections, mixture
from evalkit.diversity.voice_classifier import VoiceClassifier, train
from evalkit.diversity.voices import shares_heard
from evalkit.lab import world
from evalkit.lab.grammar import VOICES
from evalkit.suite import load_suite

SUITE = Path(__file__).parents[2] / "suites" / "voices.yaml"
DRAWS = 16
BASE = dict.fromkeys(VOICES, 1.0)
TILTS = (BASE, {"professor": 4.0, "student": 0.3, "rude": 0.05})
"""How much more often than in the world each voice speaks."""


@pytest.fixture(scope="module")
def classifier() -> VoiceClassifier:
    voices = load_suite(SUITE).voices
    texts = [text for members in voices.values() for text in members]
    return train(encode(texts), [voice for voice, members in voices.items() for _ in members])


def draw(tilt: dict[str, float]) -> tuple[list[list[str]], list[str]]:
    """Completions of the suite's prompts by the grammar with tilted shares, prompt by prompt; who says each."""
    grammar, rng = world.load(), random.Random(0)
    texts, speakers = [], []
    for prompt in load_suite(SUITE).prompts:
        branches = grammar.by_text[prompt.text].branches
        weights = [branch.probability * tilt.get(branch.voice, 0.0) for branch in branches]
        chosen = rng.choices(branches, weights, k=DRAWS)
        texts.append([branch.sample(rng) for branch in chosen])
        speakers += [branch.voice for branch in chosen]
    return texts, speakers


def test_voices_are_heard_and_shares_lie_in_their_intervals(classifier: VoiceClassifier) -> None:
    """Learned from hand-written examples of other questions; judged on completions it never saw.

    Of eight intervals at 95 % one may miss: that two do has a chance of 6 %.
    """
    inside = []
    for tilt in TILTS:
        texts, speakers = draw(tilt)
        heard = [classifier.hear(encode(members)) for members in texts]
        names = [classifier.names[index] for index in np.concatenate(heard)]
        assert np.mean([name == speaker for name, speaker in zip(names, speakers, strict=True)]) > 0.9
        shares = np.array([shares_heard(one, len(VOICES)) for one in heard])
        truth = Counter(speakers)
        found = mixture(classifier.names, corrections(classifier, [shares]), shares)
        inside += [share.low <= truth[share.voice] / len(speakers) <= share.high for share in found]
    assert sum(inside) >= 7


def test_with_examples_that_look_like_completions_shares_are_exact() -> None:
    """Trained on the world's own texts, a world with quite other shares is heard to a percent."""
    texts, speakers = draw(BASE)
    learned = train(encode([text for members in texts for text in members]), speakers)
    tilted, spoken = draw({"professor": 1.0, "student": 0.2, "rude": 3.0, "poet": 2.0})
    heard = np.array([shares_heard(learned.hear(encode(members)), len(VOICES)) for members in tilted])
    truth = Counter(spoken)
    for share in mixture(learned.names, corrections(learned, [heard]), heard):
        assert share.spoken == pytest.approx(truth[share.voice] / len(spoken), abs=0.01)
