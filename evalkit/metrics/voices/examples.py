"""Examples of voices, from the suite or a JSONL file of {voice, text}, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evalkit.errors import RecordsError, SuiteError
from evalkit.plumbing.jsonl import jsonl_rows
from evalkit.plumbing.unread import Notice, say, unread_note

FEWEST = 5
"""Examples a voice, below which cross-validation says nothing."""
Examples = Mapping[str, Sequence[str]]
"""Voice -> texts."""


def read_examples(path: Path, yaml_line: str, notice: Notice = say) -> dict[str, tuple[str, ...]]:
    """The examples of a JSONL file; `yaml_line` names the suite's line that asks for it.

    `notice` is told of keys that are not read. Raises `SuiteError`.
    """
    examples: dict[str, tuple[str, ...]] = {}
    keys: dict[str, None] = {}
    try:
        for where, row in jsonl_rows(path):
            keys |= dict.fromkeys(row)
            voice, text = row.get("voice"), row.get("text")
            if not (isinstance(voice, str) and isinstance(text, str)):
                raise SuiteError(
                    f"{where}: found the keys {', '.join(row) or 'none'}; a row is voice and text, both texts"
                )
            if not voice or set(voice) & set("|:"):
                raise SuiteError(
                    f"{where}: voice: found {voice!r}; a voice's name is not empty and holds no | and no :"
                )
            examples[voice] = (*examples.get(voice, ()), text)
    except RecordsError as error:
        raise SuiteError(f"{yaml_line}: voices_from: {error}") from None
    if note := unread_note(str(path), keys, ("voice", "text")):
        notice(note)
    return examples


def check_examples(voices: Examples, line_of: Callable[..., str]) -> None:
    """Refuse what no classifier can learn from. `line_of(voice)` names where a voice stands. Raises `SuiteError`."""
    if len(voices) < 2:
        raise SuiteError(
            f"{line_of()}: voices: found {len(voices)}; a classifier needs two voices or more to tell apart"
        )
    voice_of: dict[str, str] = {}
    for voice, texts in voices.items():
        if len(texts) < FEWEST:
            raise SuiteError(
                f"{line_of(voice)}: voices.{voice}: found {len(texts)} examples; each voice needs {FEWEST} or more; "
                "with 20 its figures are much surer"
            )
        for text in texts:
            if not text.strip():
                raise SuiteError(f"{line_of(voice)}: voices.{voice}: an example is blank; give it a text")
            other = voice_of.setdefault(text.strip(), voice)
            if other != voice:
                raise SuiteError(
                    f"{line_of(voice)}: voices.{voice}: the example {text[:40]!r} also stands under {other}; "
                    "a text has one voice"
                )
