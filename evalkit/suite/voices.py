"""The voices of a suite: examples of what each says, and the measures that ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evalkit.errors import SuiteError
from evalkit.metrics.registry import Measure, parse
from evalkit.metrics.voices.examples import Examples, check_examples, read_examples
from evalkit.plumbing.unread import Notice
from evalkit.plumbing.yaml_lines import Document


def voices_of(stated: Examples, file: str | None, folder: Path, document: Document, notice: Notice) -> Examples:
    """The voices that a suite states, or those of the file that it names, checked.

    `folder`: what the file's name is relative to. Raises `SuiteError`, `RecordsError`.
    """
    key = "voices" if file is None else "voices_from"
    voices = stated if file is None else read_examples(folder / file, document.line_of(key), notice)
    if voices or document.value.get(key) is not None:
        check_examples(voices, lambda *voice: document.line_of(key, *voice))
    return voices


def with_voice_measures(measures: Sequence[Measure], voices: Examples, document: Document) -> tuple[Measure, ...]:
    """The measures, and those of voices that are not among them, where there are voices.

    Raises `SuiteError` where one asks for voices, or for a voice, that the suite does not have.
    """
    for index, measure in enumerate(measures):
        _check_voice(measure, voices, f"{document.line_of('metrics', index)}: metrics[{index}]")
    names = [*(f"voice_share|voice:{voice}" for voice in voices), "voice_entropy", "voice_shift"] if voices else []
    return (*measures, *(added for added in map(parse, names) if added not in measures))


def _check_voice(measure: Measure, voices: Examples, where: str) -> None:
    if "voices" not in measure.definition.needs:
        return
    if not voices:
        raise SuiteError(f"{where}: {measure.name} needs the suite's `voices`: examples of what each voice says")
    voice = dict(measure.params).get("voice")
    if voice is not None and voice not in voices:
        raise SuiteError(f"{where}: the suite has no voice {voice!r}; its voices: {', '.join(voices)}")
