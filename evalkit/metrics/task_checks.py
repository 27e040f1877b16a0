"""Task checks: what a completion's text alone shows of whether it does what its prompt asks.

A check is written as a name, or as `name:argument`: `one_line`, `max_words:40`, `mentions:lamp|sea`, `language:en`.
Some are vital: a refusal, the prompt said back, a loop or another language is no answer, whatever else it has.
None of them says that an answer is good.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import regex

from evalkit.errors import MetricError
from evalkit.metrics.timed_regex import is_found
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.records import Prompt

Passes = Callable[[str], bool]
ODDS = 10
"""A language is ruled out where another is so much more probable. Of short texts one often is somewhat more."""
FEW_WORDS = 8
"""Below which a text need not hold common words."""
LONGEST_LOOP = 40
"""Words of the longest sequence whose repetition is looked for."""
ODD_SHARE = 0.2
"""Of the words, above which a text is no prose."""
COMMON_SHARE = 1 / 12
"""Of a longer text's words, the least that must be of the commonest: what is English words at random has hardly any."""
_COMMON = (
    "a about all an and are as at be but by can do for from had has have he her him his i if in into is it its just "
    "like me my no not of on one or our out she so than that the their them then there they this to up was we were "
    "what when where which who will with would you your"
)
_NAMES = (
    "en english fr french de german es spanish it italian pt portuguese nl dutch pl polish ru russian uk ukrainian "
    "cs czech sv swedish no norwegian da danish fi finnish hu hungarian ro romanian bg bulgarian el greek tr turkish "
    "ar arabic he hebrew fa persian hi hindi bn bengali ur urdu ta tamil th thai vi vietnamese id indonesian ms malay "
    "zh chinese ja japanese ko korean sw swahili la latin ca catalan"
)
_CODES = dict(zip(_NAMES.split()[1::2], _NAMES.split()[::2], strict=True))
_COMMON_ENGLISH = frozenset(_COMMON.split())
_SENTENCE_MARKS = ".!?…。！？।؟۔"
_CLOSING = "\"'”’»)]*_」』 "
_OPENING = "\"'“‘«([*_¿¡「『—–- …"
_ODD_WORD = re.compile(r"[a-z]{2,}[A-Z]|[^\W\d_]\d+[^\W\d_]|[<>{}\\|=~^_@$#\ufffd]|[A-Za-zÀ-ɏͰ-ӿ]{26,}")
_MARKUP = re.compile(
    r"https?://|www\.|</?[a-zA-Z][^>]*>|```|\{\{|\}\}|(?m:^(?:#{1,6} |(?:Prompt|Answer|User|Assistant):))"
)
_CHARACTER_LOOP = re.compile(r"(\S.{0,11}?)\1{7,}")
_REFUSAL = re.compile(
    r"""\W*(?:unfortunately,?\s+)?(?:
      (?:i['’]?\s?a?m|we\s+are|we['’]re)\s+(?:so\s+|very\s+|really\s+)?(?:sorry|afraid)[,.]?\s+
          (?:but\b|(?:that\s+)?(?:i|we|as|this)\s+(?:can|am|do|could|must|will))
    | (?:i['’]?\s?a?m\s+)?(?:so\s+|very\s+)?sorry,?\s+(?:but\s+)?(?:i|we)\s+(?:can|am|do|could|must|will)
    | (?:i['’]?\s?a?m\s+)?sorry[,.!]?\s+(?:but\s+)?(?:no|nope)\s*[.!]?$
    | (?:i['’]?\s?a?m\s+)?sorry,?\s+(?:but\s+)?(?:that|this|it)(?:\s+(?:is|request\s+is|goes)|['’]s)\s+
          (?:(?:just\s+|far\s+|well\s+)?beyond\s+(?:me|my\b|what\s+i\s+can)|not\s+(?:something|possible)\b|against\s+my\b)
    | (?:(?:i['’]?\s?a?m\s+afraid|unfortunately),?\s+)?(?:that|this|it)(?:\s+is|['’]s)\s+not\s+something\s+
          (?:(?:that\s+)?i(?:\s+am|['’]m)?\s+(?:can|could|will|able|would)\b)
    | (?:(?:i|we)\s+(?:can(?:no|['’])t|can\s+not|cannot|will\s+not|won['’]t|(?:must|have\s+to)\s+(?:decline|refuse))
          |(?:i['’]?\s?a?m|we['’]re|we\s+are)\s+(?:unable|not\s+able)\s+to)\s*
          (?:to\s+)?(?:help|assist|fulfill?|comply|provide|create|write|generate|answer|respond|do|engage|produce|$|[,.])
    | as\s+an?\s+(?:ai|artificial\s+intelligence|large\s+language\s+model|language\s+model)\b
    | i\s+apologi[sz]e,?\s+but
    | (?:je\s+suis\s+désolé|es\s+tut\s+mir\s+leid|lo\s+siento|mi\s+dispiace|sinto\s+muito|het\s+spijt\s+me)e?,?\s+
          (?:mais|aber|pero|ma|mas|maar)\b
    | (?:很)?抱歉[,，]?\s*(?:但|我) | 对不起[,，]\s*我(?:不能|无法) | 申し訳(?:ありません|ございません)
    )""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class Check:
    """One check of one prompt."""

    text: str
    """As it is written."""
    vital: bool
    """Whether a completion that fails it is no answer at all."""
    passes: Passes
    """Says of a completion's text, without white space around it, whether it passes."""


@dataclass(frozen=True)
class _Kind:
    make: Callable[[Prompt, str], Passes]
    vital: bool
    takes: str
    """What the argument is, in words; empty where there is none."""


_kinds: dict[str, _Kind] = {}


def read_checks(prompt: Prompt) -> list[Check]:
    """A prompt's checks, ready to be asked. Raises `MetricError` that names the prompt and the check."""
    checks = [_read(prompt, text) for text in prompt.checks]
    stated = [text.partition(":") for text in prompt.checks]
    fewest = max((int(count) for name, _, count in stated if name == "min_words"), default=0)
    most = min((int(count) for name, _, count in stated if name == "max_words"), default=fewest)
    if fewest > most:
        raise MetricError(
            f"prompt {prompt.id!r}: checks min_words:{fewest} and max_words:{most} contradict each other: no text "
            "passes both; change one (a suite's own checks stand before its prompts')"
        )
    return checks


def share_passed(checks: Sequence[Check], text: str) -> float:
    """Share of the checks that a text passes; 0 for a blank one and for one that fails a vital check. In [0, 1]."""
    bare = text.strip()
    if not bare or not all(check.passes(bare) for check in checks if check.vital):
        return 0.0
    return sum(check.passes(bare) for check in checks) / len(checks)


def _read(prompt: Prompt, text: str) -> Check:
    name, colon, argument = text.partition(":")
    kind = _kinds.get(name)
    where = f"prompt {prompt.id!r}: check {text!r}"
    if kind is None:
        meant = did_you_mean(name, _kinds)
        raise MetricError(f"{where}: there is no check {name!r}{meant}; known: {', '.join(_kinds)}")
    if bool(kind.takes) != bool(argument) or (colon and not argument):
        needs = f"is written {name}:{kind.takes}" if kind.takes else "takes no argument"
        raise MetricError(f"{where}: {name} {needs}")
    try:
        return Check(text, kind.vital, kind.make(prompt, argument))
    except ValueError as error:
        raise MetricError(f"{where}: {error}") from None


def _check(name: str, *, vital: bool = False, takes: str = "") -> Callable[[Any], Any]:
    def register(make: Callable[[Prompt, str], Passes]) -> Callable[[Prompt, str], Passes]:
        _kinds[name] = _Kind(make, vital, takes)
        return make

    return register


@_check("one_line")
def _one_line(_prompt: Prompt, _argument: str) -> Passes:
    return lambda text: len(text.splitlines()) == 1


@_check("max_words", takes="NUMBER")
def _max_words(_prompt: Prompt, argument: str) -> Passes:
    most = _count(argument)
    return lambda text: len(text.split()) <= most


@_check("min_words", takes="NUMBER")
def _min_words(_prompt: Prompt, argument: str) -> Passes:
    fewest = _count(argument)
    return lambda text: len(text.split()) >= fewest


@_check("sentence")
def _sentence(_prompt: Prompt, _argument: str) -> Passes:
    """It begins as a sentence does (not with a small letter) and ends as one does."""

    def passes(text: str) -> bool:
        first = text.lstrip(_OPENING)[:1]
        last = text.rstrip(_CLOSING)[-1:]
        return bool(first) and not first.islower() and first.isalnum() and last in _SENTENCE_MARKS and last != ""

    return passes


@_check("prose")
def _prose(_prompt: Prompt, _argument: str) -> Passes:
    """No links, tags, code or marks of a frame, and words that look like words."""

    def passes(text: str) -> bool:
        words = text.split()
        odd = sum(_ODD_WORD.search(word) is not None for word in words)
        return _MARKUP.search(text) is None and odd <= ODD_SHARE * len(words)

    return passes


@_check("mentions", takes="WORD|WORD")
def _mentions(_prompt: Prompt, argument: str) -> Passes:
    """A word that begins with one of these, whatever its case."""
    wanted = [re.escape(_plain(word)) for word in argument.split("|") if word.strip()]
    if not wanted:
        raise ValueError("it names no word")
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(wanted)})")
    return lambda text: pattern.search(_plain(text)) is not None


@_check("matches", takes="REGEX")
def _matches(prompt: Prompt, argument: str) -> Passes:
    try:
        pattern = regex.compile(argument)
    except regex.error as error:
        raise ValueError(f"{argument!r} is not a regular expression: {error}") from None

    return lambda text: is_found(pattern, text, f"prompt {prompt.id!r}: the check {argument!r}")


@_check("language", vital=True, takes="CODE")
def _language(_prompt: Prompt, argument: str) -> Passes:
    """In this language, by ISO 639-1 code, or too short to be told from it. Source: Lui & Baldwin 2012, langid.py."""
    known = _identifier().labels
    if argument not in known:
        code = _code_of(argument, known)
        hint = f" (did you mean {code!r}?)" if code else ""
        raise ValueError(f"there is no language {argument!r}{hint}; known: {' '.join(sorted(known))}")

    def passes(text: str) -> bool:
        ranked: list[tuple[str, float]] = _identifier().rank(text)
        words = _words(text)
        may_be = ODDS * dict(ranked)[argument] > ranked[0][1]
        return may_be and (argument != "en" or len(words) < FEW_WORDS or _share_of_common(words) >= COMMON_SHARE)

    return passes


def _code_of(said: str, known: Sequence[str]) -> str | None:
    """The code of a language that is written in capitals, with a country, or by its English name."""
    begun = re.split(r"[-_]", said.strip().casefold())[0]
    code = _CODES.get(begun, begun)
    return code if code in known else None


def _share_of_common(words: Sequence[str]) -> float:
    return sum(word in _COMMON_ENGLISH for word in words) / len(words)


@_check("no_echo", vital=True)
def _no_echo(prompt: Prompt, _argument: str) -> Passes:
    """Neither holds the prompt nor is a piece of it."""
    prompt_words = f" {' '.join(_words(prompt.text))} "

    def passes(text: str) -> bool:
        words = _words(text)
        text_words = f" {' '.join(words)} "
        return prompt_words not in text_words and not (len(words) > 3 and text_words in prompt_words)

    return passes


@_check("no_refusal", vital=True)
def _no_refusal(_prompt: Prompt, _argument: str) -> Passes:
    """Does not begin by declining."""
    return lambda text: _REFUSAL.match(text) is None


@_check("no_loop", vital=True)
def _no_loop(_prompt: Prompt, _argument: str) -> Passes:
    """Says no sequence of words three times on end, no word four times, no few characters eight times."""
    return lambda text: not _loops(_words(text)) and _CHARACTER_LOOP.search(text) is None


def _loops(words: Sequence[str]) -> bool:
    number = {word: index for index, word in enumerate(dict.fromkeys(words))}
    codes = np.array([number[word] for word in words])
    for period in range(1, min(LONGEST_LOOP, len(codes) // 3) + 1):
        equal = codes[period:] == codes[:-period]
        needed = 3 if period == 1 else 2 * period
        ends = np.flatnonzero(~np.concatenate(([False], equal, [False])))
        if int(np.diff(ends).max()) - 1 >= needed:
            return True
    return False


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", _plain(text))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _count(argument: str) -> int:
    if not (argument.isascii() and argument.isdecimal() and int(argument) > 0):
        raise ValueError(f"{argument!r} is not a number of words, 1 or more")
    return int(argument)


@cache
def _identifier() -> Any:
    """py3langid's model, with probabilities; Lui & Baldwin 2012, langid.py."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
