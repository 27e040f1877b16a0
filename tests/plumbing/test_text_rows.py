"""Texts that Python holds, in each of their forms, and one line on what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import RecordsError
from evalkit.plumbing.text_rows import NO_PROMPT, text_rows

ROW = {"prompt_id": "p", "prompt": "Say it.", "completion": "a", "arm": "one"}


@pytest.mark.parametrize(
    ("texts", "rows"),
    [
        (["a", "b"], [{"prompt_id": NO_PROMPT, "prompt": NO_PROMPT, "completion": text} for text in "ab"]),
        (("a",), [{"prompt_id": NO_PROMPT, "prompt": NO_PROMPT, "completion": "a"}]),
        (pd.Series(["a"]), [{"prompt_id": NO_PROMPT, "prompt": NO_PROMPT, "completion": "a"}]),
        ({"one": ["a"]}, [{"arm": "one", "prompt_id": NO_PROMPT, "prompt": NO_PROMPT, "completions": ["a"]}]),
        ({"one": {"p": ["a", "b"]}}, [{"arm": "one", "prompt_id": "p", "prompt": "p", "completions": ["a", "b"]}]),
        ({"one": np.array(["a"])}, [{"arm": "one", "prompt_id": NO_PROMPT, "prompt": NO_PROMPT, "completions": ["a"]}]),
        ([ROW], [ROW]),
        (
            [{"prompt": "Say it.", "completion": "a"}],
            [{"prompt_id": "Say it.", "prompt": "Say it.", "completion": "a"}],
        ),
        (pd.DataFrame([ROW | {"answer": None, "cluster": float("nan")}]), [ROW]),
        (
            pd.DataFrame([{"prompt_id": 1, "completions": np.array(["a", "b"])}]),
            [{"prompt_id": 1, "prompt": 1, "completions": ["a", "b"]}],
        ),
    ],
)
def test_each_form_gives_rows(texts: Any, rows: list[dict[str, Any]]) -> None:
    assert [fields for _, fields in text_rows(texts)] == rows


def test_rows_know_where_they_stand() -> None:
    assert next(text_rows({"one": {"p": ["a"]}}))[0] == "texts['one']['p']"
    assert [where for where, _ in text_rows(["a", "b"])] == ["texts[0]", "texts[1]"]
    assert next(text_rows(pd.DataFrame([ROW])))[0] == "row 0 of the frame"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (7, "found int; texts are a list of texts, "),
        (b"a", "found bytes; texts are a list of texts, "),
        (["a", 7], "texts[1]: found int 7; each is a text or a row (a dict)"),
        ({"one": "a"}, "texts['one']: found str 'a'; a list of texts is needed, as in {arm: [text, text]}"),
        ({"one": {"p": "a"}}, "texts['one']['p']: found str 'a'; a list of texts is needed"),
        ({"one": ["a", None]}, "texts['one'][1]: found NoneType None; a completion is a text"),
    ],
)
def test_what_is_none_is_one_line_that_says_where(texts: Any, said: str) -> None:
    with pytest.raises(RecordsError) as caught:
        list(text_rows(texts))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
