"""A text set: all completions of all arms to the prompts of a run. Its words are split by one tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.plumbing.by_row import by_row
from evalkit.plumbing.lazily import each
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.tokenizer import SPACED, Asked, Name, choose_by, counted, letters_of, signature, unspaced_of
from evalkit.records import Group, Groups, Prompt

AT_ONCE = 50_000
"""Texts of groups on disk that a model is asked about together at least, some tens of megabytes."""


def portions(groups: Iterable[Group], at_once: int | None = None) -> Iterator[list[tuple[Prompt, Sequence[str]]]]:
    """Consecutive groups' (prompt, texts): `at_once` texts or little more, by default `AT_ONCE`.

    For what asks a model, which is loaded once for many texts.
    """
    most = AT_ONCE if at_once is None else at_once
    waiting: list[tuple[Prompt, Sequence[str]]] = []
    for group in groups:
        waiting.append((group.prompt, group.texts))
        if sum(len(texts) for _, texts in waiting) >= most:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def split_alike(groups: Groups, tokenizer: Asked, tell: Listener) -> dict[str, Sequence[Group]]:
    """The groups with the tokenizer that is asked for, or the one that fits the scripts of all of them together.

    Raises `MetricError` where a package of it is missing.
    """
    name = _fitting(groups, tell) if tokenizer == "auto" else tokenizer
    signature(name)
    return {arm: each(of_arm, SplitBy(name)) for arm, of_arm in groups.items()}


@dataclass(frozen=True)
class SplitBy:
    """Groups get a tokenizer."""

    name: Name

    def __call__(self, index: int, group: Group) -> Group:
        return replace(group, tokenizer=self.name)


def words_of(groups: Groups) -> str:
    """Signature of what splits the words of these groups."""
    return signature(next((of_arm[0].tokenizer for of_arm in groups.values() if of_arm), SPACED))


def _fitting(groups: Groups, tell: Listener) -> Name:
    tell.stage("tell scripts apart", max(map(len, groups.values()), default=0))
    looked_at = by_row(_unspaced, groups, tell.advance)
    prompts = {prompt.id: prompt.text for prompt, _ in looked_at}
    han, other = (sum(counts[column] for _, counts in looked_at) for column in (0, 1))
    letters = sum(by_row(_letters, groups)) if han + other else 0
    name, share = choose_by([counted(prompts.values()), (han, other, letters)])
    if name != SPACED:
        tell.note(f"words are split by {name}: {share:.0%} of the letters are of scripts without spaces between words")
    return name


def _unspaced(row: int, groups: Mapping[str, Group]) -> tuple[Prompt, tuple[int, int]]:
    """One prompt, and the letters of its completions under all arms that are of scripts without spaces."""
    members = list(groups.values())
    return members[0].prompt, unspaced_of(one.text for group in members for one in group.completions)


def _letters(row: int, groups: Mapping[str, Group]) -> int:
    return letters_of(one.text for group in groups.values() for one in group.completions)
