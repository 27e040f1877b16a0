"""The voice classifier against the truth: in the lab who speaks is known exactly."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evalkit.analysis.voice_mixture import corrections, mixture
from evalkit.lab import world
from evalkit.lab.grammar import VOICES
from evalkit.metrics.diversity.voices import predicted_shares
from evalkit.metrics.embeddings.encoder import encode
from evalkit.metrics.voices.classifier import VoiceClassifier, train
from evalkit.suite.schema import load_suite

SUITE = Path(__file__).parents[2] / "suites" / "voices.yaml"
DRAWS = 16
BASE = dict.fromkeys(VOICES, 1.0)
TUNED = {"professor": 4.0, "student": 0.3, "rude": 0.05, "poet": 0.5}
"""How much more often than in the world each voice speaks."""


@pytest.fixture(scope="module")
def classifier() -> VoiceClassifier:
    voices = load_suite(SUITE).voices
    texts = [text for members in voices.values() for text in members]
    return train(encode(texts), [voice for voice, members in voices.items() for _ in members])


def draw(tilt: dict[str, float], seed: int = 0) -> tuple[list[list[str]], list[str]]:
    """Completions of the suite's prompts by the grammar with tilted shares, prompt by prompt; who says each."""
    grammar, rng = world.load(), random.Random(seed)
    texts, speakers = [], []
    for prompt in load_suite(SUITE).prompts:
        branches = grammar.by_text[prompt.text].branches
        weights = [branch.probability * tilt.get(branch.voice, 0.0) for branch in branches]
        chosen = rng.choices(branches, weights, k=DRAWS)
        texts.append([branch.sample(rng) for branch in chosen])
        speakers += [branch.voice for branch in chosen]
    return texts, speakers


@pytest.mark.parametrize("tilt", [BASE, TUNED], ids=["as the base", "as a tuned model"])
def test_hand_written_examples_hear_who_speaks(classifier: VoiceClassifier, tilt: dict[str, float]) -> None:
    """Examples of other questions, completions it never saw: nine of ten are predicted, shares are right to 5 percent."""
    texts, speakers = draw(tilt)
    predicted = [classifier.predict(encode(members)) for members in texts]
    names = [classifier.names[index] for index in np.concatenate(predicted)]
    assert np.mean([name == speaker for name, speaker in zip(names, speakers, strict=True)]) > 0.9
    shares = np.array([predicted_shares(one, len(VOICES)) for one in predicted])
    truth = Counter(speakers)
    for share in mixture(classifier.names, corrections(classifier, [shares]), shares):
        assert share.corrected == pytest.approx(truth[share.voice] / len(speakers), abs=0.05)


def test_exact_shares_lie_in_the_intervals_where_examples_are_like_completions() -> None:
    """Examples drawn from the world itself, six times 15 a voice: of 24 intervals at 95 %, 4 may miss (p = 0.6 %)."""
    pool, speakers = draw(BASE, seed=1)
    texts = [text for members in pool for text in members]
    completions, spoken = draw(TUNED)
    rows = [encode(members) for members in completions]
    truth = Counter(spoken)
    inside = []
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(texts))
        chosen = [index for voice in VOICES for index in [i for i in order if speakers[i] == voice][:15]]
        learned = train(encode([texts[index] for index in chosen]), [speakers[index] for index in chosen])
        shares = np.array([predicted_shares(learned.predict(row), len(VOICES)) for row in rows])
        found = mixture(learned.names, corrections(learned, [shares]), shares)
        inside += [share.low <= truth[share.voice] / len(spoken) <= share.high for share in found]
    assert sum(inside) >= 20
