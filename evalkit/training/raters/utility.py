"""Stated utilities: how good a completion is, by a rule that anyone can read.

A utility is found by name in the entry-point group `evalkit.utilities`, which maps a name to a factory
`(rest: str) -> Utility`. A config writes `NAME` or `NAME:REST`; what REST means is the factory's own, and it raises
`InputError` where it cannot use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points

import regex

from evalkit.errors import InputError
from evalkit.metrics.answer_match import matcher
from evalkit.metrics.timed_regex import is_found
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.tokenize_13a import tokenize
from evalkit.records import Prompt

GROUP = "evalkit.utilities"
Utility = Callable[[Prompt, str], float]
"""(prompt, completion text without surrounding white space) -> how good it is; any real number, higher is better."""
Factory = Callable[[str], Utility]


def open_utility(weights: Mapping[str, float]) -> Utility:
    """The weighted sum of named utilities: {"words": -0.05, "pattern:sea": 1} is pattern minus a twentieth of words.

    White space around a completion is taken off before it is judged.
    Raises `InputError`: no names, an unknown name, a REST that its utility cannot use, a weight that is no number.
    """
    known = {entry.name: entry for entry in sorted(entry_points(group=GROUP))}
    if not weights:
        raise InputError(f"a utility needs a name and its weight, as in {{words: -0.05}}; known: {', '.join(known)}")
    terms = [(_check_weight(name, weight), _open(name, known)) for name, weight in weights.items()]

    def total(prompt: Prompt, completion: str) -> float:
        text = completion.strip()
        return math.fsum(weight * utility(prompt, text) for weight, utility in terms)

    return total


def words(rest: str) -> Utility:
    """Number of words and punctuation signs (tokenizer 13a), as the metric `length` counts them; 0 or more."""
    _refuse_rest("words", rest)
    return lambda _, text: float(len(tokenize(text)))


def distinct(rest: str) -> Utility:
    """Share of distinct words among a completion's words (tokenizer 13a, case kept); in (0, 1], 0 without words."""
    _refuse_rest("distinct", rest)

    def share(_: Prompt, text: str) -> float:
        tokens = tokenize(text)
        return len(set(tokens)) / len(tokens) if tokens else 0.0

    return share


def pattern(rest: str) -> Utility:
    """1 where the regular expression `rest` is found in a completion, else 0. Raises `InputError` where it is none."""
    if not rest:
        raise InputError(r"utility 'pattern' needs a regular expression after a colon, as in 'pattern:(?i)\bsea\b'")
    try:
        wanted = regex.compile(rest)
    except regex.error as error:
        raise InputError(f"utility 'pattern:{rest}': not a regular expression: {error}") from None

    return lambda prompt, text: float(is_found(wanted, text, f"prompt {prompt.id!r}: utility 'pattern:{rest}'"))


def accuracy(rest: str) -> Utility:
    """1 where a completion gives its prompt's answer, else 0. In use, raises `InputError` on a prompt without one."""
    _refuse_rest("accuracy", rest)

    def is_right(prompt: Prompt, text: str) -> float:
        matches = matcher(prompt)
        if matches is None:
            raise InputError(f"utility 'accuracy' needs prompts with an `answer`; prompt {prompt.id!r} has none")
        return float(matches(text))

    return is_right


def _open(name: str, known: Mapping[str, EntryPoint]) -> Utility:
    plugin, _, rest = name.partition(":")
    if plugin not in known:
        raise InputError(f"there is no utility {plugin!r}{did_you_mean(plugin, known)}; known: {', '.join(known)}")
    factory: Factory = known[plugin].load()
    return factory(rest)


def _check_weight(name: str, weight: float) -> float:
    if not math.isfinite(weight):
        raise InputError(f"utility {name!r} has weight {weight}; it must be a finite number")
    return weight


def _refuse_rest(name: str, rest: str) -> None:
    if rest:
        raise InputError(f"utility '{name}:{rest}': {name!r} takes nothing after its name")
