"""A verdict as Markdown that fits into a comment on a pull request.

Its first line is a marker that readers do not see. It names the suite, so that whoever keeps one comment a suite finds
the comment to write over by what it is, not by who wrote last.
"""

from __future__ import annotations

import html
from itertools import accumulate
from urllib.parse import quote

from evalkit.gate.decide import GateDecision, Judgement
from evalkit.gate.formats import failure as failures
from evalkit.gate.formats import words
from evalkit.gate.formats.failure import Failure
from evalkit.plumbing.prose import short

LIMIT = 65_536
"""Of a comment on GitHub, in characters; bytes are counted here, which are never fewer."""
_SIGNS = {"regression": "❌", "inconclusive": "❔", "pass": "✅"}
_HEAD = "| | measure | arm | change (+ is better) | allowed | prompts | |\n|---|---|---|---|---|---|---|\n"
_ROOM = 400
"""Bytes kept for the line that says what was left out."""
_FAILED = "⛔"
_LONGEST_REASON = 2000


def to_markdown(verdict: GateDecision) -> str:
    """Headline and table, what failed first; rows that do not fit are counted."""
    intro = (
        f"{marker(verdict.suite)}\n### {_SIGNS[verdict.outcome]} evalkit gate\n\n{_text(words.headline(verdict))}\n\n"
    )
    intro += "".join(f"{_text(note)}\n\n" for note in filter(None, (words.shared(verdict), *words.notes(verdict))))
    foot = f"\nIntervals: each bound is wrong with probability {1 - verdict.confidence:.2g}. "
    foot += f"{_code(words.name(verdict.new))} against {_code(words.name(verdict.old))}.\n"
    rows = [_row(judgement) for judgement in verdict.judgements]
    ends = list(accumulate(map(_bytes, rows), initial=_bytes(intro + _HEAD + foot)))
    fitting = sum(end <= LIMIT - _ROOM for end in ends[1:])
    left_out = len(rows) - fitting
    more = f"\n{left_out} more rows do not fit into a comment; `--json` has them all.\n" if left_out else ""
    page = intro + _HEAD + "".join(rows[:fitting]) + more + foot
    return page + _left_out(verdict, LIMIT - _bytes(page))


def _left_out(verdict: GateDecision, room: int) -> str:
    """Folded: every prompt that took no part, as far as there is room."""
    parts = words.left_out(verdict)
    names = [f"- {_text(title)}: {_code(words.name(prompt))}\n" for title, prompts in parts for prompt in prompts]
    head = f"\n<details><summary>{len(names)} prompts left out</summary>\n\n"
    ends = list(accumulate(map(_bytes, names), initial=_bytes(head)))
    fitting = sum(end <= room - _ROOM for end in ends[1:])
    if not fitting:
        return ""
    more = f"- {len(names) - fitting} more do not fit; `--json` has them all\n" if fitting < len(names) else ""
    return f"{head}{''.join(names[:fitting])}{more}\n</details>\n"


def failure_to_markdown(failure: Failure) -> str:
    """What stands where the table would: every reason that fits."""
    intro = f"{marker(failure.suite)}\n### {_FAILED} evalkit gate\n\n{_text(failures.headline(failure))}\n\n"
    lines = [f"- {_text(short(reason, _LONGEST_REASON))}\n" for reason in failures.reasons(failure)]
    ends = list(accumulate(map(_bytes, lines), initial=_bytes(intro)))
    fitting = sum(end <= LIMIT - _ROOM for end in ends[1:])
    left_out = len(lines) - fitting
    return intro + "".join(lines[:fitting]) + (f"- {left_out} more do not fit; see the log\n" if left_out else "")


def marker(suite: str) -> str:
    """A comment of HTML; nothing in a suite's name can end it."""
    return f"<!-- evalkit gate: {quote(words.one_line(suite), safe='', errors='replace')} -->"


def _row(judgement: Judgement) -> str:
    cells = (
        _SIGNS[judgement.outcome],
        _code(words.metric_name(judgement)),
        _code(words.arms(judgement)),
        words.moved(judgement),
        words.allowed(judgement),
        words.prompt_count(judgement),
        _text(words.remark(judgement)),
    )
    return f"| {' | '.join(cells)} |\n"


def _code(text: str) -> str:
    """Names as code: there GitHub makes no links and calls nobody."""
    return f"<code>{_text(text)}</code>"


def _text(text: str) -> str:
    """The text with every sign that Markdown or HTML could read written as an entity."""
    plain = " ".join(text.split())
    return "".join(char if char.isalnum() or char in " .,;:()%+−-/'?" else _entity(char) for char in plain)


def _entity(char: str) -> str:
    escaped = html.escape(char)
    return escaped if escaped != char else f"&#{ord(char)};"


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
