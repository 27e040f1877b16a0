"""Names of metrics as people type them: `Self-BLEU`, `distinct-2`, `pass@8`, `vendi@2`.

What they may mean is read off the declared names and parameters, so that a new metric is understood at once. Case,
hyphens, underscores and spaces make no difference. A number behind a name sets the metric's symbol, which is a
parameter of one letter (n, k, q), and the symbol at the end of a declared name may be left out before it: `distinct_2`
is `distinct_n` with n 2. A name's first words stand for it where no other begins so (`rouge-l`, `best@4`). Where
several metrics would do, `@` says k, as in pass@k, and another sign that it is not k.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_NUMBERED = re.compile(r"(?P<stem>.*[^\W\d_])(?P<sign>[\s_@-]*)(?P<number>\d+(?:\.\d+)?|(?<![^\W_])inf)")
_BETWEEN = re.compile(r"[\s_-]+")


@dataclass(frozen=True, slots=True)
class Spelled:
    """A declared name, and the parameter that a number behind it sets."""

    name: str
    given: Mapping[str, str] = field(default_factory=dict)


def meanings(said: str, symbols: Mapping[str, Sequence[str]]) -> list[Spelled]:
    """All that `said` may mean; one is what it means. `symbols`: declared name -> its symbols, the first one first."""
    if said in symbols:
        return [Spelled(said)]
    forms = _forms(said)
    alike = [Spelled(name) for name in symbols if _squeezed(name) in forms]
    begun = [
        Spelled(name) for name, of_name in symbols.items() if any(_without(name, symbol) in forms for symbol in of_name)
    ]
    return alike or begun or list(_numbered(said, symbols)) or list(_shortened(said, symbols))


def _numbered(said: str, symbols: Mapping[str, Sequence[str]]) -> Iterator[Spelled]:
    numbered = _NUMBERED.fullmatch(said.strip())
    if numbered is None:
        return
    forms = _forms(numbered["stem"] + numbered["sign"])
    possible = [(name, symbol) for name, of_name in symbols.items() for symbol in _meant(name, of_name, forms)]
    preferred = [(name, symbol) for name, symbol in possible if (symbol == "k") == ("@" in numbered["sign"])]
    yield from (Spelled(name, {symbol: numbered["number"]}) for name, symbol in preferred or possible)


def _shortened(said: str, symbols: Mapping[str, Sequence[str]]) -> Iterator[Spelled]:
    """Names that begin with what is said, in whole words: `rouge_l`, `simpson_2`, and `best@4` of `best_of_k`."""
    numbered = _NUMBERED.fullmatch(said.strip())
    stem, sign, number = (numbered["stem"], numbered["sign"], numbered["number"]) if numbered else (said, "", "")
    words = [word for word in _BETWEEN.split(stem.strip().casefold()) if word]
    begun = [name for name in symbols if words and name.split("_")[: len(words)] == words]
    if not number:
        # One word alone says too little: `rouge` is asked back.
        yield from (Spelled(name) for name in begun if len(words) > 1)
        return
    possible = [(name, of_name[0]) for name in begun if (of_name := symbols[name])]
    preferred = [(name, symbol) for name, symbol in possible if (symbol == "k") == ("@" in sign)]
    yield from (Spelled(name, {symbol: number}) for name, symbol in preferred)


def _meant(name: str, of_name: Sequence[str], forms: set[str]) -> Sequence[str]:
    """The symbols that a number sets, where `forms` is this name, whole or without a symbol at its end."""
    if _squeezed(name) in forms:
        return of_name[:1]
    return [symbol for symbol in of_name if _without(name, symbol) in forms]


def _forms(said: str) -> set[str]:
    """`pass@` is said of `pass_at_k`, `best_of@` of `best_of_k`."""
    return {_squeezed(said.replace("@", "_at_")), _squeezed(said.replace("@", "_"))} - {""}


def _without(name: str, symbol: str) -> str | None:
    """The name without the symbol at its end; None where it does not end so."""
    return _squeezed(name.removesuffix(f"_{symbol}")) if name.endswith(f"_{symbol}") else None


def _squeezed(name: str) -> str:
    return _BETWEEN.sub("", name).casefold()
