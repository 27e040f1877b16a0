"""Places in real completions for each word and phrase that is told, so that a reader sees how it is said."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.analysis.figure_data import Quote
from evalkit.analysis.words.coding import coded
from evalkit.metrics.word_use import WordUse
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.plumbing.tokenizer import Name
from evalkit.records import Group, Groups

PLACES = 3
"""Of each phrase under an arm, each on another prompt."""
AROUND = 60
"""Characters that are shown before and after it, at most."""
_SPACED = ("13a", "intl")
"""Tokenizers whose words stand between spaces and signs."""
_VARIANTS = {"'": "['\u2018\u2019]", '"': '["\u201c\u201d]'}


def quotes(use: WordUse | None, groups: Groups, tell: Listener = QUIET) -> tuple[Quote, ...]:
    """Of all that `use` tells: what is said more from the arm, what is said less from its baseline."""
    wanted = [] if use is None else [(arm, phrase) for arm, phrase in dict.fromkeys(_wanted(use)) if arm in groups]
    if not wanted:
        return ()
    prompts = max(map(len, groups.values()))
    tell.stage("find places of words", prompts)
    found: dict[tuple[str, str], list[Quote]] = {one: [] for one in wanted}
    patterns: dict[str, re.Pattern[str]] = {}
    for row in range(prompts):
        missing = [one for one, places in found.items() if len(places) < PLACES]
        if not missing:
            tell.advance(prompts - row)
            break
        by_arm = {arm: groups[arm][row] for arm in {arm for arm, _ in missing} if row < len(groups[arm])}
        for arm, phrase in missing:
            if arm in by_arm:
                pattern = patterns.setdefault(phrase, pattern_of(phrase, by_arm[arm].tokenizer))
                found[arm, phrase] += _first(arm, phrase, pattern, by_arm[arm])
        tell.advance(1)
    return tuple(quote for places in found.values() for quote in places)


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


def _first(arm: str, phrase: str, pattern: re.Pattern[str], group: Group) -> list[Quote]:
    """The first place in these completions, if there is one."""
    for text in group.texts:
        match = pattern.search(text)
        if match:
            before, after = _end(text[: match.start()]), _beginning(text[match.end() :])
            return [Quote(arm, phrase, group.prompt.id, before, _line(match.group()), after)]
    return []


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
