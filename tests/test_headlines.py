"""What `score` says of arms that are made to fool it, from texts to headline; no module of its own is meant."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.progress import Quiet
from evalkit.report.verdict import verdict
from evalkit.texts import score_file

PROMPTS, DRAWS = 24, 6
METRICS = ["distinct_n", "self_bleu", "embedding_distance", "vendi"]
NOUNS = [
    "river",
    "lamp",
    "orchard",
    "train",
    "winter",
    "letter",
    "harbour",
    "piano",
    "bread",
    "bridge",
    "garden",
    "storm",
    "mirror",
    "candle",
    "forest",
    "window",
]
VERBS = [
    "forgets",
    "keeps",
    "sings",
    "follows",
    "paints",
    "carries",
    "breaks",
    "answers",
    "crosses",
    "remembers",
    "hides",
    "lights",
]
Texts = Callable[[random.Random], str]


def sentence(rng: random.Random) -> str:
    return f"The {rng.choice(NOUNS)} {rng.choice(VERBS)} a {rng.choice(NOUNS)} and {rng.choice(VERBS)} the {rng.choice(NOUNS)}."


def longer(rng: random.Random) -> str:
    return f"{sentence(rng)} {sentence(rng)}"


def cut(rng: random.Random) -> str:
    return " ".join(sentence(rng).split()[:6])


def garbage(rng: random.Random) -> str:
    return " ".join("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 8))) for _ in range(11))


def refusal(_: random.Random) -> str:
    return "I am sorry, but I cannot help with that."


def headline(folder: Path, texts: Texts) -> str:
    rng = random.Random(7)
    rows = [
        {"prompt_id": f"p{place}", "prompt": f"Write about {noun} {place}.", "arm": arm, "completion": own(rng)}
        for place in range(PROMPTS) for noun in [NOUNS[place % len(NOUNS)]]
        for arm, own in (("base", sentence), ("tuned", texts)) for _ in range(DRAWS)
    ]  # fmt: skip
    file = folder / "texts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return verdict(score_file(file, METRICS, "base", Quiet()).summary).headline


@pytest.mark.parametrize("texts", [sentence, longer, cut], ids=["the same law", "longer texts", "cut texts"])
def test_what_draws_alike_is_not_called_wider_or_narrower(tmp_path: Path, texts: Texts) -> None:
    said = headline(tmp_path, texts)
    assert said.startswith("tuned draws from a range neither clearly wider nor clearly narrower than base"), said


def test_garbage_is_called_wider_and_perhaps_noise(tmp_path: Path) -> None:
    said = headline(tmp_path, garbage)
    assert "wider" in said
    assert "noise is various too" in said


def test_a_refusal_on_every_prompt_is_narrower_and_said_to_be_one_answer(tmp_path: Path) -> None:
    said = headline(tmp_path, refusal)
    assert "draws from a much narrower range than base" in said
    assert "tuned gives the same answer to many different prompts" in said
