"""Places in real completions for each word and phrase that is told, so that a reader sees how it is said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from evalkit.analysis.figure_data import Quote
from evalkit.analysis.words.coding import coded
from evalkit.metrics.word_use import WordUse
from evalkit.plumbing.tokenizer import SPACED, Name
from evalkit.records import Group, Groups

PLACES = 3
"""Of each phrase under an arm, each on another prompt."""
AROUND = 60
"""Characters that are shown before and after it, at most."""
_SPACED = ("13a", "intl")
"""Tokenizers whose words stand between spaces and signs."""
_VARIANTS = {"'": "['\u2018\u2019]", '"': '["\u201c\u201d]'}


@dataclass
class _Sought:
    """A phrase that is looked for in one arm's completions."""

    arm: str
    phrase: str
    pattern: re.Pattern[str]
    found: list[Quote] = field(default_factory=list)


def quotes(use: WordUse | None, groups: Groups) -> tuple[Quote, ...]:
    """Of all that `use` tells: what is said more from the arm, what is said less from its baseline."""
    if use is None:
        return ()
    tokenizer: Name = next((of_arm[0].tokenizer for of_arm in groups.values() if of_arm), SPACED)
    wanted = dict.fromkeys(_wanted(use))
    sought = [_Sought(arm, phrase, pattern_of(phrase, tokenizer)) for arm, phrase in wanted if arm in groups]
    missing = sought
    for row in range(max(map(len, groups.values()), default=0)):
        by_arm = {arm: groups[arm][row] for arm in {one.arm for one in missing} if row < len(groups[arm])}
        for one in missing:
            if one.arm in by_arm and (quote := _first(one, by_arm[one.arm])):
                one.found.append(quote)
        missing = [one for one in missing if len(one.found) < PLACES]
        if not missing:
            break
    return tuple(quote for one in sought for quote in one.found)


def pattern_of(phrase: str, tokenizer: Name) -> re.Pattern[str]:
    """What finds a phrase's words in a text as it was written."""
    words = coded([phrase], tokenizer).words
    joined = r"[\s'\u2018\u2019]*".join("".join(map(_as_written, word)) for word in words)
    if tokenizer in _SPACED and words and words[0][0].isalnum():
        joined = rf"(?<![\w\-])(?<!\w['\u2019]){joined}"
    if tokenizer in _SPACED and words and words[-1][-1].isalnum():
        joined = rf"{joined}(?!\w)(?!['\u2019\-]\w)"
    return re.compile(joined, re.IGNORECASE)


def _as_written(sign: str) -> str:
    return _VARIANTS.get(sign, re.escape(sign))


def _wanted(use: WordUse) -> Sequence[tuple[str, str]]:
    changed = [(change.arm, shift.phrase) for change in use.changes for shift in change.gained]
    changed += [(change.baseline, shift.phrase) for change in use.changes for shift in change.lost]
    return changed + [(one.arm, one.phrase) for one in use.phrases if one.phrase and one.times]


def _first(one: _Sought, group: Group) -> Quote | None:
    for text in group.texts:
        match = one.pattern.search(text)
        if match:
            before, after = text[: match.start()], text[match.end() :]
            return Quote(one.arm, one.phrase, group.prompt.id, _end(before), _line(match.group()), _beginning(after))
    return None


def _end(text: str) -> str:
    line = _line(text)
    if len(line) <= AROUND:
        return line
    kept = line[-AROUND:]
    return "\u2026" + (kept.partition(" ")[2] or kept)


def _beginning(text: str) -> str:
    line = _line(text)
    if len(line) <= AROUND:
        return line
    kept = line[:AROUND]
    return (kept.rpartition(" ")[0] or kept) + "\u2026"


def _line(text: str) -> str:
    """On one line; spaces at its ends are kept, for it is put beside others."""
    return re.sub(r"\s+", " ", text)
