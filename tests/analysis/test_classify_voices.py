"""Voices are classified, end to end on made embeddings: shift without false moves, alarms, and the card of the classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import pytest

from evalkit.analysis import classify_voices as classify_voices_module
from evalkit.analysis.classify_voices import ClassifiedVoices, classify_voices
from evalkit.metrics import text_sets
from evalkit.metrics.diversity.voices import voice_share, voice_shift
from evalkit.metrics.embeddings.encoder import Encoder
from evalkit.plumbing.lazily import Picked
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Completion, Group, Groups, Prompt

VOICES = {"professor": tuple(f"professor {i}" for i in range(12)), "rude": tuple(f"rude {i}" for i in range(12))}


@dataclass(frozen=True)
class FakeEncoder:
    identity: str = "fake"


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text lies where its first word says; "mumble" lies between the voices, on the one side or on the other."""

    def fake(texts: list[str], *_: object, **__: object) -> np.ndarray:
        places = {"professor": (1.0, 0.0), "rude": (0.0, 1.0)}
        rows = []
        for text in texts:
            kind, number = text.split()
            noise = np.random.default_rng(int(number)).standard_normal(2) * 0.05
            rows.append(np.array(places.get(kind, (0.7, 0.7))) + noise)
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)

    monkeypatch.setattr("evalkit.analysis.classify_voices.encode", fake)


def classified(groups: Groups, voices: dict[str, tuple[str, ...]] = VOICES) -> ClassifiedVoices:
    """Of a base and a tuned arm, or of the base alone."""
    arms = [Arm(name, name, None, None, None if name == "base" else "base") for name in groups]
    return classify_voices(voices, cast("Encoder", FakeEncoder()), arms, groups, Quiet())


def completions(shares: np.ndarray, k: int, seed: int) -> list[Group]:
    """One prompt a share: k completions, each the professor's with that chance."""
    rng = np.random.default_rng(seed)
    groups = []
    for index, share in enumerate(shares):
        texts = [f"{'professor' if rng.random() < share else 'rude'} {rng.integers(1000)}" for _ in range(k)]
        made = tuple(Completion(f"p{index}", slot, text, (), (), "stop") for slot, text in enumerate(texts))
        groups.append(Group(Prompt(f"p{index}", "?"), made))
    return groups


def test_shares_and_shift_are_those_that_were_made() -> None:
    own = np.random.default_rng(0).beta(4, 4, size=60)
    groups = {"base": completions(own, 64, 1), "tuned": completions(own * 0.4, 64, 2)}
    found = classified(groups).groups
    share = np.mean([voice_share(group, voice="professor") for group in found["tuned"]])
    assert share == pytest.approx(0.4 * own.mean(), abs=0.03)  # four standard errors of 3 840 completions
    moved = [voice_shift(group) for group in found["tuned"]]
    assert np.mean(moved) == pytest.approx(0.6 * own.mean(), abs=0.04)


def test_a_baseline_has_not_moved() -> None:
    found = classified({name: completions(np.full(4, 0.5), 4, 1) for name in ("base", "tuned")}).groups
    assert [voice_shift(group) for group in found["base"]] == [0] * 4


def test_the_card_holds_confusion_and_mixtures() -> None:
    groups = {"base": completions(np.full(10, 0.5), 20, 1), "tuned": completions(np.full(10, 0.0), 20, 2)}
    card = classified(groups).card
    assert (card["accuracy"], card["confusion"]) == (1.0, [[12, 0], [0, 12]])
    [professor, rude] = card["shares"]["tuned"]
    assert (professor["voice"], professor["heard"], rude["heard"]) == ("professor", 0.0, 1.0)
    assert rude["spoken"] == pytest.approx(1, abs=0.02)  # 12 examples of each leave the rest open
    assert rude["low"] > 0.8
    moved = card["shift"]["tuned"]
    assert moved["low"] <= moved["value"] <= moved["high"]
    assert moved["value"] == pytest.approx(0.5, abs=0.15)


def test_voices_that_cannot_be_told_apart_are_an_alarm_and_leave_no_share() -> None:
    mumbled = {name: tuple(f"mumble {100 * index + i}" for i in range(12)) for index, name in enumerate("ab")}
    found = classified({"base": completions(np.full(3, 0.5), 4, 1), "tuned": completions(np.zeros(3), 4, 2)}, mumbled)
    [alarm] = found.alarms
    assert "not above chance" in alarm.message
    assert np.isnan(voice_share(found.groups["tuned"][0], voice="a"))
    assert found.card["shares"]["base"][0]["spoken"] is None


def test_voices_of_groups_on_disk_are_those_of_groups_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"base": completions(np.full(7, 0.5), 5, 1), "tuned": completions(np.full(7, 0.2), 5, 2)}
    want = classified(groups)
    asked: list[int] = []

    def encode(texts: list[str], *more: object, **named: object) -> np.ndarray:
        asked.append(len(texts))
        return made(texts, *more, **named)

    made = classify_voices_module.encode
    monkeypatch.setattr(classify_voices_module, "encode", encode)
    monkeypatch.setattr(text_sets, "AT_ONCE", 12)
    found = classified({arm: Picked(of_arm, tuple(range(7))) for arm, of_arm in groups.items()})
    assert asked[1:] == [15, 15, 5] * 2, "the first are the examples"
    assert found.card == want.card
    for arm, of_arm in want.groups.items():
        for one, other in zip(found.groups[arm], of_arm, strict=True):
            assert one.voices is not None
            assert other.voices is not None
            assert one.voices.predicted.tolist() == other.voices.predicted.tolist()
            assert one.voices.classifier == other.voices.classifier


def test_a_suite_without_voices_is_left_as_it_is() -> None:
    groups = {"base": completions(np.zeros(2), 2, 0)}
    found = classified(groups, {})
    assert found.groups is groups
    assert found.card == {}
