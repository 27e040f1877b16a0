"""Annotations in the forms that trainers and leaderboards read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from evalkit.errors import InputError
from evalkit.plumbing.typed_jsonl import write_rows
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.annotation_files import write_annotation_rows
from evalkit.preferences.from_annotations import as_preference
from evalkit.preferences.preference import Preference

Form = Literal["trl", "trl-conversational", "annotations", "arena"]
FORMS: tuple[Form, ...] = get_args(Form)
Row = dict[str, Any]


def export(path: Path, annotations: Sequence[Annotation], form: Form, is_implicit: bool = False) -> None:
    """Write annotations as JSONL in a form; `is_implicit`: the prompt stands in both answers, not by itself.

    Every row of a file has the same keys, so that a table can be made of it. Raises `InputError` for what the form
    cannot say, `StoreError`; then a file that was there is as it was.
    """
    if is_implicit and form not in ("trl", "trl-conversational"):
        raise InputError(f"--implicit-prompt: the form {form!r} has no prompt to leave out; it is for TRL's forms")
    if form == "annotations":
        write_annotation_rows(path, annotations)
        return
    skipped = sum(row.choice == "skip" for row in annotations)
    if skipped:
        raise InputError(
            f"--keep skip: {skipped} answers are skipped, which the form {form!r} cannot say; leave it out, or use "
            "--format annotations"
        )
    talks = next((row.comparison.pair.prompt_id for row in annotations if row.comparison.pair.prompt.messages), None)
    if form == "trl" and talks is not None:
        raise InputError(
            f"prompt {talks!r} is a conversation, which the form 'trl' cannot say; use --format trl-conversational"
        )
    as_row = _arena if form == "arena" else _ROWS[form, is_implicit]
    write_rows(path, [as_row(row) | _labels(row, annotations, form) for row in annotations])


def _labels(row: Annotation, every: Sequence[Annotation], form: Form) -> Row:
    preference = as_preference(row)
    known: Row = {
        "prompt_id": preference.prompt_id,
        "rater": preference.rater,
        "group": preference.group,
        "seconds": preference.seconds,
        "order": preference.order,
    }
    has_ties = any(other.choice in ("tie", "both_bad") for other in every)
    return known | ({"winner": preference.winner} if has_ties and form != "arena" else {})


def _turns(preference: Preference) -> list[Mapping[str, str]]:
    turns = preference.turns or (("user", preference.prompt),)
    return [{"role": role, "content": text} for role, text in turns]


def _answer(text: str) -> list[Mapping[str, str]]:
    return [{"role": "assistant", "content": text}]


def _standard(row: Annotation) -> Row:
    found = as_preference(row)
    return {"prompt": found.prompt, "chosen": found.chosen, "rejected": found.rejected}


def _standard_implicit(row: Annotation) -> Row:
    found = as_preference(row)
    return {"chosen": found.prompt + found.chosen, "rejected": found.prompt + found.rejected}


def _conversational(row: Annotation) -> Row:
    found = as_preference(row)
    return {"prompt": _turns(found), "chosen": _answer(found.chosen), "rejected": _answer(found.rejected)}


def _conversational_implicit(row: Annotation) -> Row:
    found = as_preference(row)
    turns = _turns(found)
    return {"chosen": turns + _answer(found.chosen), "rejected": turns + _answer(found.rejected)}


def _arena(row: Annotation) -> Row:
    pair, turns = row.comparison.pair, _turns(as_preference(row))
    a, b = row.comparison.arms or ("a", "b")
    winner = {"a": "model_a", "b": "model_b", "tie": "tie", "both_bad": "both_bad"}[row.choice]
    return {
        "model_a": a,
        "model_b": b,
        "winner": winner,
        "judge": row.rater,
        "conversation_a": turns + _answer(pair.a),
        "conversation_b": turns + _answer(pair.b),
    }


_ROWS: dict[tuple[Form, bool], Callable[[Annotation], Row]] = {
    ("trl", False): _standard,
    ("trl", True): _standard_implicit,
    ("trl-conversational", False): _conversational,
    ("trl-conversational", True): _conversational_implicit,
}
