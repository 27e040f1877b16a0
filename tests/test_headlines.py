"""What `score` says of arms that are made to fool it, from texts to headline; no module of its own is meant."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.plumbing.progress import Quiet
from evalkit.report.verdicts.verdict import verdict
from evalkit.score import score_file

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


def headline(folder: Path, texts: Texts, base: Texts = sentence, draws: int = DRAWS) -> str:
    rng = random.Random(7)
    rows = [
        {"prompt_id": f"p{place}", "prompt": f"Write about {noun} {place}.", "arm": arm, "completion": own(rng)}
        for place in range(PROMPTS) for noun in [NOUNS[place % len(NOUNS)]]
        for arm, own in (("base", base), ("tuned", texts)) for _ in range(draws)
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


def polite(rng: random.Random) -> str:
    return f"Sure! Here is a line for you, as requested: {sentence(rng)}"


def opened(rng: random.Random) -> str:
    return f"Once upon a time {sentence(rng)}"


def spelled(rng: random.Random) -> str:
    """A sentence whose words are each another Chinese one."""
    table = {word: f"{chr(0x4E00 + 2 * place)}{chr(0x4E01 + 2 * place)}" for place, word in enumerate(NOUNS + VERBS)}
    return "".join(table.get(word.strip("."), "的") for word in sentence(rng).split())


@pytest.mark.parametrize(("base", "tuned"), [(sentence, polite), (polite, sentence)], ids=["tuned", "base"])
def test_an_opening_that_all_answers_have_narrows_no_range(tmp_path: Path, base: Texts, tuned: Texts) -> None:
    said = headline(tmp_path, tuned, base)
    assert "neither clearly wider nor clearly narrower" in said, said


def test_an_answer_that_is_the_other_arm_s_opening_is_still_one_answer(tmp_path: Path) -> None:
    said = headline(tmp_path, lambda _: "Once upon a time.", opened)
    assert "draws from a much narrower range" in said, said
    assert "wider" not in said


def test_of_one_completion_a_prompt_no_range_is_told(tmp_path: Path) -> None:
    said = headline(tmp_path, refusal, draws=1)
    assert said.startswith("Diversity could not be compared: one completion a prompt"), said


def test_texts_in_two_scripts_are_not_held_against_each_other(tmp_path: Path) -> None:
    assert "different scripts" in headline(tmp_path, spelled)


def test_empty_answers_are_told_beside_the_claim(tmp_path: Path) -> None:
    said = headline(tmp_path, lambda rng: sentence(rng) if rng.random() < 0.5 else "")
    assert "Many answers of tuned are empty." in said
