"""The words of the lab: four YAML files, read into prompts with their branches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from evalkit.lab.grammar import VOICES, Branch, Grammar, Prompt, Slot

Words = Mapping[str, list[str]]
SLOT = re.compile(r"\{(\^?)(\w+)\}")


@cache
def load() -> Grammar:
    """Return the world that ships with evalkit."""
    return Grammar(prompts())


def prompts() -> tuple[Prompt, ...]:
    """Read all prompts: creative, facts, choices, riddles."""
    return (*creative(), *questions("facts", "fact"), *choices(), *questions("riddles", "riddle"))


def creative() -> Iterator[Prompt]:
    """Read the free creative lines, one prompt a theme."""
    world = read("creative")
    common = world["common"]
    for group, genre in world["genres"].items():
        templates = {**common["templates"], **genre["templates"]}
        for theme in genre["themes"]:
            words = {**listed(common), **listed(genre), **listed(theme)}
            branches = tuple(
                Branch(voice, share / len(templates[voice]), None, parts(template, words))
                for voice, share in world["shares"].items()
                for template in templates[voice]
            )
            yield Prompt(
                theme["id"], "creative", group, theme["text"], branches, held_back=theme.get("held_back", False)
            )


def questions(file: str, kind: str) -> Iterator[Prompt]:
    """Read the prompts that have a right answer: facts and riddles."""
    world = read(file)
    for row in world["prompts"]:
        branches = tuple(
            branch
            for voice in VOICES
            for right in (True, False)
            if (mass := world["shares"][voice] * chance(world["right"][voice], right)) > 0
            for branch in answers(world, row, voice, right, mass)
        )
        group = row["id"].split("-")[0] if kind == "riddle" else "fact"
        yield Prompt(
            row["id"], kind, group, row["text"], branches, row["answer"], row["match"], row.get("held_back", False)
        )


def answers(world: dict[str, Any], row: dict[str, Any], voice: str, right: bool, mass: float) -> Iterator[Branch]:
    """Make one branch a template for a voice that is right, or wrong, with total probability `mass`."""
    templates = [
        text.replace("{^frame}", f"{row['frame'][:1].upper()}{row['frame'][1:]} {{answer}}")
        if "{^frame}" in text
        else text
        for text in world["templates"][voice]
    ]
    words = {**world["lists"], "answer": [row["answer"]] if right else row["wrong"]}
    for template in templates:
        yield Branch(voice, mass / len(templates), right, parts(template, words))


def chance(p: float, happens: bool) -> float:
    """Return the probability of an event of probability `p`, or of its opposite."""
    return p if happens else 1 - p


def choices() -> Iterator[Prompt]:
    """Read the choices, whose probabilities are stated outright."""
    world = read("choices")
    (voice,) = world["shares"]
    for group, rows in world["groups"].items():
        for row in rows:
            stated = row.get("probabilities")
            weights = stated or {choice: row.get("decay", 1.0) ** rank for rank, choice in enumerate(row["choices"])}
            total = sum(weights.values())
            slot = Slot(tuple(weights), tuple(weight / total for weight in weights.values()))
            yield Prompt(row["id"], "choice", group, row["text"], (Branch(voice, 1.0, None, (slot, ".")),))


def read(file: str) -> dict[str, Any]:
    """Read one of the world's YAML files."""
    text = resources.files(__name__).joinpath(f"{file}.yaml").read_text(encoding="utf-8")
    world: dict[str, Any] = yaml.safe_load(text)
    return world


def listed(entries: Mapping[str, Any]) -> dict[str, list[str]]:
    """Keep the word lists of a table; a single text (a theme's topic) is a list of one."""
    kept = {name: [value] if isinstance(value, str) else value for name, value in entries.items()}
    return {name: value for name, value in kept.items() if isinstance(value, list)}


def parts(template: str, words: Words) -> tuple[str | Slot, ...]:
    """Split a template into literal text and slots; a slot with one option is literal text."""
    made: list[str | Slot] = []
    end = 0
    for match in SLOT.finditer(template):
        made.append(template[end : match.start()])
        options = [o[:1].upper() + o[1:] if match[1] else o for o in words[match[2]]]
        made.append(options[0] if len(options) == 1 else zipf(options))
        end = match.end()
    made.append(template[end:])
    return tuple(part for part in made if part)


def zipf(options: list[str]) -> Slot:
    """Return a slot under the Zipf-Mandelbrot law, weight 1 / (rank + 1): the skew of words in ordinary text."""
    weights = [1 / (rank + 1) for rank in range(1, len(options) + 1)]
    return Slot(tuple(options), tuple(weight / sum(weights) for weight in weights))
