"""The tokenizers of words, by name: our own fast ones, and sacreBLEU's where they are asked for by name.

13a is for scripts that put spaces between words. Which one is taken unasked is decided by script, for all texts of a
run together: the arms of a comparison must be counted alike, and what one arm does must not choose for it alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Literal

from evalkit.errors import MetricError
from evalkit.plumbing.tokenize_13a import characters, count_letters, tokenize, tokenize_unspaced, tokenize_zh

Name = Literal["13a", "zh", "13a+char", "char", "intl", "ja-mecab", "ko-mecab", "flores200"]
Asked = Literal["auto", "13a", "zh", "13a+char", "char", "intl", "ja-mecab", "ko-mecab", "flores200"]
Words = tuple[str, ...]
Letters = tuple[int, int, int]
"""(Chinese characters, letters of other scripts without spaces, all letters); 0 letters where the first two are."""
SPACED: Name = "13a"
SHARE = 0.1
"""From this share of letters on, a script without spaces is one that the texts are written in."""
_OWN: dict[str, Callable[[str], Words]] = {
    "13a": tokenize,
    "zh": tokenize_zh,
    "13a+char": tokenize_unspaced,
    "char": characters,
}
_PEERS = {
    "intl": ("tokenizer_intl", "TokenizerV14International", "sacrebleu"),
    "ja-mecab": ("tokenizer_ja_mecab", "TokenizerJaMecab", "'sacrebleu[ja]'"),
    "ko-mecab": ("tokenizer_ko_mecab", "TokenizerKoMecab", "'sacrebleu[ko]'"),
    "flores200": ("tokenizer_spm", "Flores200Tokenizer", "sacrebleu sentencepiece"),
}
"""Module, class, and what pip installs."""


def tokenizer(name: Name) -> Callable[[str], Words]:
    """The function that splits a text into words. Raises `MetricError` where a package of it is missing."""
    return _OWN[name] if name in _OWN else _of_peer(name)


def signature(name: Name) -> str:
    """What stands behind `tok:`; of a tokenizer with a dictionary, its version too. Raises as `tokenizer` does."""
    return name if name in _OWN else str(_peer(name).signature())


def check(name: Asked) -> None:
    """Raise `MetricError` where a tokenizer is asked for that is not installed."""
    if name != "auto":
        signature(name)


def choose(prompts: Iterable[str], completions: Iterable[str]) -> tuple[Name, float]:
    """The tokenizer that fits these texts' scripts, and the share of letters that decided it.

    13a below `SHARE` of letters without spaces, in the prompts and in the completions; else zh, or 13a+char where a
    share of those letters is not Chinese. The prompts alone are enough: an arm that leaves their language, or all
    arms, must not change the counting.
    """
    return choose_by([counted(prompts), counted(completions)])


def choose_by(sets: Sequence[Letters]) -> tuple[Name, float]:
    """`choose`, of sets of texts whose letters are counted."""
    share = max((han + other) / max(1, letters) for han, other, letters in sets)
    if share < SHARE:
        return SPACED, share
    chinese, others = (sum(counts[column] for counts in sets) for column in (0, 1))
    return ("zh" if others < SHARE * (chinese + others) else "13a+char"), share


def unspaced_of(texts: Iterable[str]) -> tuple[int, int]:
    """(Chinese characters, letters of other scripts without spaces) in texts."""
    han = other = 0
    for text in texts:
        counts = count_letters(text)
        han, other = han + counts[0], other + counts[1]
    return han, other


def letters_of(texts: Iterable[str]) -> int:
    """Letters of any script in texts."""
    return sum(sum(map(str.isalpha, text)) for text in texts)


def counted(texts: Iterable[str]) -> Letters:
    """The letters of texts."""
    kept = list(texts)
    han, other = unspaced_of(kept)
    return han, other, letters_of(kept) if han + other else 0


def _of_peer(name: Name) -> Callable[[str], Words]:
    peer = _peer(name)

    def split(text: str) -> Words:
        # A peer takes one line of valid Unicode; a model may write several, and half a surrogate pair.
        line = " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")
        return tuple(peer(line).split())

    return split


@cache
def _peer(name: Name) -> Any:
    module, made, packages = _PEERS[name]
    try:
        return getattr(importlib.import_module(f"sacrebleu.tokenizers.{module}"), made)()
    except (ImportError, RuntimeError):
        raise MetricError(f"tokenizer {name!r} is not installed here: python -m pip install {packages}") from None
    except OSError as error:
        raise MetricError(f"tokenizer {name!r} needs a model that could not be fetched: {error}") from None
