"""The suites on voices and stepping stones ask what the lab's world knows, and no example gives an answer away."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.lab import world
from evalkit.metrics.answer_match import matcher
from evalkit.records import Prompt

SUITES = Path(__file__).parents[2] / "suites"


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((SUITES / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", ["voices", "stepping-stones"])
def test_every_prompt_is_one_of_the_world_s(name: str) -> None:
    prompts = read(name)["prompts"]
    assert len(prompts) >= 40
    for prompt in prompts:
        own = world.load().by_text[prompt["text"]]
        assert own.id == prompt["id"]
        assert not own.held_back


@pytest.mark.parametrize("name", ["voices", "stepping-stones"])
def test_answers_tell_right_from_wrong(name: str) -> None:
    rng = random.Random(0)
    for prompt in read(name)["prompts"]:
        if "answer" in prompt:
            matches = matcher(Prompt(prompt["id"], prompt["text"], answer=prompt["answer"], match=prompt["match"]))
            assert matches is not None
            for branch in world.load().by_text[prompt["text"]].branches:
                text = branch.sample(rng)
                assert matches(text) == branch.right, text


def test_all_riddles_are_asked() -> None:
    asked = {prompt["id"] for prompt in read("stepping-stones")["prompts"]}
    assert {prompt.id for prompt in world.load().of_kind("riddle")} <= asked


def test_examples_speak_of_other_things_than_the_prompts() -> None:
    suite = read("voices")
    examples = [text for texts in suite["voices"].values() for text in texts]
    for prompt in suite["prompts"]:
        if prompt.get("match") == "regex":
            matches = matcher(Prompt(prompt["id"], prompt["text"], answer=prompt["answer"], match="regex"))
            assert matches is not None
            assert not [text for text in examples if matches(text)], prompt["id"]
