"""Texts as Python holds them become rows, each with its place: what a line of a JSONL file would say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from evalkit.errors import RecordsError

if TYPE_CHECKING:
    import pandas as pd

PythonTexts: TypeAlias = "Sequence[str] | Sequence[Mapping[str, Any]] | Mapping[str, Any] | pd.DataFrame"
"""Texts of one prompt, rows, {arm: texts}, {arm: {prompt: texts}}, or a frame with a row a completion."""
Record = tuple[str, dict[str, Any]]
"""(where it stands, its keys and values)."""
NO_PROMPT = "(prompt not given)"
"""Id and text of the prompt of texts that come without one."""
FORMS = (
    "a list of texts, a list of rows with prompt and completion, {arm: texts}, {arm: {prompt: texts}}, a frame "
    "of pandas, polars or Arrow, or the path of a file"
)


def text_rows(texts: PythonTexts) -> Iterator[Record]:
    """Each row with its place in `texts`. Where only one of prompt and prompt_id is given it stands for both.

    Raises `RecordsError` on what is none of the forms.
    """
    to_pandas: Any = getattr(texts, "to_pandas", None)  # of polars, Arrow, datasets
    if to_pandas is not None:
        texts = to_pandas()
    if isinstance(texts, Mapping):
        yield from _of_arms(texts)
    elif hasattr(texts, "columns") and hasattr(texts, "to_dict"):
        yield from _of_frame(texts)
    elif _is_list(texts):
        yield from _of_list(texts)
    else:
        raise RecordsError(f"found {type(texts).__name__}; texts are {FORMS}")


def _of_list(given: Sequence[Any]) -> Iterator[Record]:
    for index, item in enumerate(given):
        where = f"texts[{index}]"
        if isinstance(item, Mapping):
            yield where, _named(item)
        elif isinstance(item, str):
            yield where, {"prompt_id": NO_PROMPT, "prompt": NO_PROMPT, "completion": item}
        else:
            raise RecordsError(f"{where}: found {_shown(item)}; each is a text or a row (a dict)")


def _of_arms(given: Mapping[Any, Any]) -> Iterator[Record]:
    for arm, arm_texts in given.items():
        by_prompt = arm_texts if isinstance(arm_texts, Mapping) else {NO_PROMPT: arm_texts}
        for prompt, texts in by_prompt.items():
            where = f"texts[{arm!r}]" if by_prompt is not arm_texts else f"texts[{arm!r}][{prompt!r}]"
            fields = {"arm": arm, "prompt_id": prompt, "prompt": prompt}
            yield where, fields | {"completions": _listed(where, texts)}


def _listed(where: str, texts: Any) -> list[str]:
    if not _is_list(texts):
        raise RecordsError(f"{where}: found {_shown(texts)}; a list of texts is needed, as in {{arm: [text, text]}}")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise RecordsError(f"{where}[{index}]: found {_shown(text)}; a completion is a text")
    return list(texts)


def _of_frame(frame: Any) -> Iterator[Record]:
    """A cell without a value is a key that is not there."""
    from pandas import isna
    from pandas.api.types import is_scalar

    twice = list(frame.columns[frame.columns.duplicated()])
    if twice:
        raise RecordsError(f"two columns of the frame are called {twice[0]!r}; give each a name of its own")
    for index, row in enumerate(frame.to_dict("records")):
        known = {str(name): cell for name, cell in row.items() if not (is_scalar(cell) and isna(cell))}
        for key in ("prompt", "prompt_id", *(() if "completions" in frame.columns else ("completion",))):
            if key in frame.columns and key not in known:
                raise RecordsError(
                    f"row {index} of the frame: {key} is empty; leave such rows out, or fill them (fillna)"
                )
        yield f"row {index} of the frame", _named({k: list(v) if _is_list(v) else v for k, v in known.items()})


def _named(row: Mapping[Any, Any]) -> dict[str, Any]:
    # Members of NumPy's arrays are no numbers of Python's.
    fields = {str(k): v.item() if hasattr(v, "item") and not hasattr(v, "__len__") else v for k, v in row.items()}
    for key, other in (("prompt_id", "prompt"), ("prompt", "prompt_id")):
        if key not in fields and isinstance(fields.get(other), str | int):
            fields[key] = fields[other]
    return fields


def _is_list(value: Any) -> bool:
    """Whether it has members in order: a list, a tuple, a column of a frame, an array."""
    is_ordered = isinstance(value, Sequence) or (hasattr(value, "__len__") and hasattr(value, "tolist"))
    return is_ordered and not isinstance(value, str | bytes)


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:60]


def one_prompt(texts: Any) -> dict[str, list[str]]:
    """{prompt: completions} of a list of texts. Raises `RecordsError`."""
    return {NO_PROMPT: _listed("texts", texts)}


def several_prompts(texts: Mapping[Any, Any]) -> dict[str, list[str]]:
    """The same, checked. Raises `RecordsError`."""
    return {str(prompt): _listed(f"texts[{prompt!r}]", prompt_texts) for prompt, prompt_texts in texts.items()}
