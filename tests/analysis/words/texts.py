"""Made-up groups of texts, and counts of their words by the simplest way there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.records import Arm, Completion, Group, Groups, Prompt


def group(prompt: str, texts: Sequence[str]) -> Group:
    return Group(
        Prompt(prompt, f"About {prompt}?"),
        tuple(Completion(prompt, slot, text, (), (), "stop") for slot, text in enumerate(texts)),
    )


def groups_of(texts: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, list[Group]]:
    """Arm -> its texts of each prompt."""
    return {arm: [group(f"p{row}", of_row) for row, of_row in enumerate(rows)] for arm, rows in texts.items()}


def arms_of(groups: Groups, baseline: str) -> list[Arm]:
    return [Arm(name, name, None, None, None if name == baseline else baseline) for name in groups]


def occurrences(phrase: str, texts: Sequence[str]) -> int:
    """In texts of words with spaces between."""
    wanted = phrase.split()
    return sum(
        words[at : at + len(wanted)] == wanted
        for words in (text.lower().split() for text in texts)
        for at in range(len(words) - len(wanted) + 1)
    )
