"""Lists of answers told apart: numbered, with bullets, as JSON, between tags, or a line each.

What a model was asked for and what it writes are two things, so the layout is seen from the text. A text in which no
list can be told gives none: a guess would make answers that nobody gave.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

TEXT_KEYS = ("text", "answer", "response", "completion", "content", "output")
"""What an answer is called in JSON, and the tag of its text alone."""
CHANCE_KEYS = ("probability", "prob", "p", "likelihood", "confidence")
ITEM_TAGS = ("response", "answer", "item", "option", "li", "completion", "output", "candidate")
"""What an answer stands between; a tag with a number behind its name (`answer1`) too."""

_FENCE = re.compile(r"^```\w*[ \t]*\n(.*?)(?:\n```[ \t]*|\Z)", re.DOTALL | re.MULTILINE)
_TAG = re.compile(rf"<(/?)((?:{'|'.join(ITEM_TAGS)})[_-]?\d*)\b[^<>]*>", re.IGNORECASE)
_NUMBER = re.compile(
    r"^(?P<indent>[ \t]*)(?:[-*+•–][ \t]+)?(?:\*\*|__|#{1,6}[ \t]+)?[(\[]?(?P<number>\d{1,3})[.):\]]"
    r"(?:\*\*|__)?(?:[ \t]+|$)(?:(?P=number)[.):\]](?:[ \t]+|$))?",
    re.MULTILINE,
)
_BLANK = re.compile(r"\n[ \t]*\n")
_BULLET = re.compile(r"^([ \t]*)[-*+•–][ \t]+", re.MULTILINE)
_CHANCE = r"(?P<{}>\d*\.\d+|\d+(?:\.\d+)?)[ \t]*(?P<{}>%?)"
_NAMED = r"(?<!\w)(?:(?:probability|prob\.?|likelihood|confidence)[ \t]*(?:is|of)?[ \t]*[:=≈~]?|p[ \t]*[:=≈~])[ \t]*"
_BEHIND = re.compile(
    rf"[ \t\n]*(?:[-–—,;|][ \t]*)?(?:[*_]*[(\[{{][ \t*_]*(?:{_NAMED})?[*_]*{_CHANCE.format('a', 'as')}[ \t*_]*[)\]}}]"
    rf"|[*_]*(?:with[ \t]+(?:a[ \t]+)?)?{_NAMED}[*_]*[ \t]*{_CHANCE.format('b', 'bs')})[*_]*[ \t]*[.;,]?\s*$",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    rf"^[*_]*[(\[][ \t]*(?:{_NAMED})?{_CHANCE.format('a', 'as')}[ \t]*[)\]][*_]*[ \t]*[-–—:]?[ \t]*", re.IGNORECASE
)
_WITHIN = re.compile(rf"[*_]*[(\[][ \t]*{_NAMED}{_CHANCE.format('a', 'as')}[ \t]*[)\]][*_]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Listed:
    """One answer of a list."""

    text: str
    """Without white space around it."""
    probability: float | None = None
    """As the text states it, 0 to 1."""
    is_whole: bool = True
    """Whether something ends it: another answer, a closing tag or quotation mark, or the end of the text."""


def answers_in(text: str, expected: int, is_cut: bool, with_probabilities: bool) -> list[Listed]:
    """The answers of a completion that was asked for `expected` of them; none where no list can be told in it.

    `is_cut`: whether the text goes on beyond its end, so that what stands last may be half an answer.
    `with_probabilities`: whether a number behind an answer is its probability and no part of it.
    """
    fenced = _FENCE.search(text)
    found = _told(fenced[1] if fenced else text, expected, is_cut)
    if not is_cut and found:
        found[-1] = replace(found[-1], is_whole=True)
    if with_probabilities:
        found = [one if one.probability is not None else _apart(one) for one in found]
    return [one for one in found if one.text]


def _told(text: str, expected: int, is_cut: bool) -> list[Listed]:
    tagged = _from_tags(text)
    if len(tagged) == 1:  # around all of them, or around the only one
        return _untagged(tagged[0].text, expected, is_cut) or tagged
    return tagged or _untagged(text, expected, is_cut)


def _untagged(text: str, expected: int, is_cut: bool) -> list[Listed]:
    return _from_json(text) or _from_numbers(text) or _from_bullets(text) or _from_lines(text, expected, is_cut)


def chance(value: Any) -> float | None:
    """A probability as it is stated: 0.25, "0.25", "25%"; None where it is none."""
    written = str(value).strip()
    try:
        number = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    except ValueError:
        return None
    return number if 0 <= number <= 1 and not isinstance(value, bool) else None


def _from_json(text: str) -> list[Listed]:
    """The elements of the first array, or objects in a row, as far as they go."""
    start = re.search(r"^[ \t]*[\[{]", text, re.MULTILINE)
    if start is None:
        return []
    found = []
    for value, is_whole in _values(text, start.end() - 1):
        found += list(_of_value(value, is_whole))
    return found


def _values(text: str, at: int) -> Iterator[tuple[Any, bool]]:
    """JSON values from a place on, the elements of an array one by one; the last may be a string that is cut."""
    decoder = json.JSONDecoder(strict=False)
    between = re.compile(r"[\s,]*")
    in_array = text[at] == "["
    at += in_array
    while True:
        at = between.match(text, at).end()  # type: ignore[union-attr]
        if at >= len(text) or text[at] == "]":
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            yield from _broken(text[at:])
            return
        yield value, True


def _broken(text: str) -> Iterator[tuple[Any, bool]]:
    """What stands where JSON ends too early: an array inside an object, or a text that is not closed."""
    inner = re.match(r'\{\s*"[^"]*"\s*:\s*\[', text)
    if inner is not None:
        yield from _values(text, inner.end() - 1)
        return
    opened = re.match(rf'(?:\{{\s*"(?:{"|".join(TEXT_KEYS)})"\s*:\s*)?"((?:[^"\\]|\\.)*)', text, re.DOTALL)
    if opened is not None and opened[1]:
        yield opened[1], False


def _of_value(value: Any, is_whole: bool) -> Iterator[Listed]:
    if isinstance(value, str):
        yield Listed(value.strip(), is_whole=is_whole)
    elif isinstance(value, Mapping):
        fields = {str(key).lower(): one for key, one in value.items()}
        said = next((fields[key] for key in TEXT_KEYS if isinstance(fields.get(key), str)), None)
        if said is not None:
            stated = next((chance(fields[key]) for key in CHANCE_KEYS if key in fields), None)
            yield Listed(said.strip(), stated, is_whole)
            return
        for inner in value.values():
            if isinstance(inner, list):
                for one in inner:
                    yield from _of_value(one, is_whole)
        numbered = [inner for key, inner in fields.items() if re.search(r"\d$", key) and isinstance(inner, str)]
        yield from (Listed(inner.strip(), is_whole=is_whole) for inner in numbered)


def _from_tags(text: str) -> list[Listed]:
    """What stands behind each opening tag, up to its closing one or the next that opens."""
    tags = list(_TAG.finditer(text))
    opening = [tag for tag in tags if not tag[1]]
    if not opening:
        return []
    outer = re.sub(r"\d+$", "", opening[0][2]).lower()
    tags = [tag for tag in tags if re.sub(r"\d+$", "", tag[2]).lower() == outer]
    found = []
    for index, tag in enumerate(tags):
        if not tag[1]:
            following = tags[index + 1] if index + 1 < len(tags) else None
            inside = text[tag.end() : following.start() if following else len(text)]
            found.append(_inside(inside, following is not None))
    return found


def _inside(text: str, is_whole: bool) -> Listed:
    """An answer between tags: its `<text>`, if it has one, and its `<probability>`."""
    stated = re.search(rf"<({'|'.join(CHANCE_KEYS)})>\s*([\d.]+\s*%?)\s*<", text, re.IGNORECASE)
    said = re.search(rf"<({'|'.join(TEXT_KEYS)})>(.*?)(</\1>|(?=<\w+>)|$)", text, re.IGNORECASE | re.DOTALL)
    left = re.sub(rf"<({'|'.join(CHANCE_KEYS)})>.*", "", text, flags=re.IGNORECASE | re.DOTALL)
    probability = None if stated is None else chance(stated[2].replace(" ", ""))
    if said is None:
        return Listed(left.strip(), probability, is_whole)
    return Listed(said[2].strip(), probability, is_whole or bool(said[3]))


def _from_numbers(text: str) -> list[Listed]:
    """Lines that begin with 1, 2, 3, ...: a number out of turn belongs to the answer that it stands in.

    A second 1 begins another list, which is not read.
    """
    marks: list[re.Match[str]] = []
    for mark in _NUMBER.finditer(text):
        number = int(mark["number"])
        if number == len(marks) + 1:
            marks.append(mark)
        elif number == 1 and len(marks) > 1 and len(mark["indent"]) <= len(marks[0]["indent"]):
            text = text[: mark.start()] + "\n\n"
            break
    return _between(text, [(mark.start(), mark.end()) for mark in marks])


def _from_bullets(text: str) -> list[Listed]:
    """Lines that begin with a bullet, as far left as the first does; deeper ones belong to the answer."""
    marks = list(_BULLET.finditer(text))
    level = [mark for mark in marks if len(mark[1]) <= len(marks[0][1])]
    return _between(text, [(mark.start(), mark.end()) for mark in level]) if len(level) > 1 else []


def _between(text: str, marks: list[tuple[int, int]]) -> list[Listed]:
    """What stands behind each mark. What follows the last answer after a blank line is no part of it, unless answers
    before it have blank lines too.
    """
    ends = [start for start, _ in marks[1:]] + [len(text)] * bool(marks)
    pieces = [text[begin:end] for (_, begin), end in zip(marks, ends, strict=True)]
    if not pieces:
        return []
    *others, last = pieces
    answer, behind = last, ""
    if not any(_BLANK.search(piece.strip()) for piece in others):
        answer, behind = _upto_blank(last)
    return [*(Listed(_unindented(piece)) for piece in others), Listed(_unindented(answer), is_whole=bool(behind))]


def _upto_blank(text: str) -> tuple[str, str]:
    """A text up to its first blank line, and the blank line; the whole text and nothing where it has none."""
    start = len(text) - len(text.lstrip())
    blank = _BLANK.search(text, start)
    return (text, "") if blank is None else (text[: blank.start()], blank[0])


def _unindented(text: str) -> str:
    first, *others = text.strip().split("\n")
    indents = [len(line) - len(line.lstrip()) for line in others if line.strip()]
    depth = min(indents, default=0)
    return "\n".join([first, *(line[depth:].rstrip() for line in others)]).strip()


def _from_lines(text: str, expected: int, is_cut: bool) -> list[Listed]:
    """Lines, or blocks with a blank line between, where they are as many as were asked for; else it is prose."""
    for split in (_blocks, str.splitlines):
        pieces = [piece.strip() for piece in split(text) if piece.strip()]
        if len(pieces) == expected + 1 and pieces[0].endswith(":"):
            pieces = pieces[1:]
        if len(pieces) == expected:
            whole = [Listed(piece) for piece in pieces[:-1]]
            return [*whole, Listed(pieces[-1], is_whole=not is_cut)]
    return []


_blocks: Callable[[str], list[str]] = _BLANK.split


def _apart(one: Listed) -> Listed:
    """An answer and the probability that stands behind it, before it, or once in brackets within it."""
    within = list(_WITHIN.finditer(one.text))
    for found in (_BEHIND.search(one.text), _BEFORE.search(one.text), within[0] if len(within) == 1 else None):
        if found is None:
            continue
        groups = found.groupdict()
        kind = "a" if groups.get("a") is not None else "b"
        stated = chance(f"{groups[kind]}{groups[f'{kind}s']}")
        if stated is not None:
            rest = f"{one.text[: found.start()].rstrip()} {one.text[found.end() :].lstrip()}".strip()
            return replace(one, text=rest, probability=stated)
    return one
