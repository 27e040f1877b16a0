"""Files of annotations: one answer a line, with all that is known of how it was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from evalkit.plumbing.typed_jsonl import Label, Text, typed_rows, write_rows
from evalkit.plumbing.unread import Notice, say
from evalkit.preferences.annotation import Annotation, Choice, Comparison
from evalkit.preferences.pairs import Pair
from evalkit.records import Message, Prompt


class _Row(BaseModel):
    """One line."""

    model_config = ConfigDict(populate_by_name=True)

    prompt_id: Label
    prompt: Text
    messages: tuple[Message, ...] = ()
    a: str
    b: str
    choice: Choice
    rater: Label
    group: Label
    order: Literal["ab", "ba"]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    at: str = ""
    arms: tuple[Label, Label] | None = None
    sample_indices: tuple[int, int] | None = None
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    gold: Choice | None = None
    strength: Literal[1, 2, 3] | None = None
    reason: str = ""
    repeat: bool = False
    excluded: bool = False

    @property
    def annotation(self) -> Annotation:
        pair = Pair(Prompt(self.prompt_id, self.prompt, messages=self.messages), self.a, self.b)
        comparison = Comparison(pair, self.arms, self.sample_indices, self.probability, self.gold)
        return Annotation(
            comparison,
            self.rater,
            self.group,
            self.choice,
            first="a" if self.order == "ab" else "b",
            seconds=self.seconds,
            at=self.at,
            strength=self.strength,
            reason=self.reason,
            is_repeat=self.repeat,
            is_excluded=self.excluded,
        )


def read_annotation_rows(path: Path, notice: Notice = say) -> list[Annotation]:
    """All answers of a JSONL file, in order. Raises `RecordsError` with file, line and key."""
    adapter, needed = TypeAdapter(_Row), "prompt_id, prompt, a, b, choice, rater, group, order and seconds"
    return [row.annotation for _, _, row in typed_rows(path, adapter, needed, list(_Row.model_fields), notice)]


def write_annotation_rows(path: Path, annotations: Iterable[Annotation]) -> None:
    """Write them as JSONL. Raises `StoreError`; then a file that was there is as it was."""
    write_rows(path, map(_as_row, annotations))


def _as_row(annotation: Annotation) -> dict[str, Any]:
    comparison, prompt = annotation.comparison, annotation.comparison.pair.prompt
    stated = {
        "arms": comparison.arms,
        "sample_indices": comparison.sample_indices,
        "gold": comparison.gold,
        "strength": annotation.strength,
        "reason": annotation.reason or None,
        "repeat": annotation.is_repeat or None,
        "excluded": annotation.is_excluded or None,
        "messages": [{"role": turn.role, "content": turn.content} for turn in prompt.messages] or None,
    }
    return {
        "prompt_id": prompt.id,
        "prompt": prompt.text,
        "a": comparison.pair.a,
        "b": comparison.pair.b,
        "choice": annotation.choice,
        "rater": annotation.rater,
        "group": annotation.group,
        "order": "ab" if annotation.first == "a" else "ba",
        "seconds": annotation.seconds,
        "at": annotation.at,
        "probability": comparison.probability,
    } | {key: value for key, value in stated.items() if value is not None}
