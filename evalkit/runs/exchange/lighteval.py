"""lighteval's details: a Parquet file with a question a row, in columns `doc`, `model_response` and `metric`.

Some releases write those names with two underscores on either side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evalkit.errors import RecordsError
from evalkit.runs.exchange.rows import (
    Message,
    Record,
    Tally,
    TextRow,
    answer_in,
    conversation,
    id_in,
    id_of,
    scores_in,
    short,
)

COLUMNS = ("doc", "model_response", "metric")


def is_lighteval(row: Mapping[str, Any]) -> bool:
    """Whether it is a row of lighteval's."""
    return all(_named(row, column) is not None for column in COLUMNS[:2])


def read_lighteval(records: Iterable[Record], tally: Tally) -> Iterator[TextRow]:
    """A row a generated text. Raises `RecordsError` that names the row."""
    for where, row in records:
        doc, response, metric = (_struct(row, column, where) for column in COLUMNS)
        raw = response.get("text") or []
        texts = response.get("text_post_processed") or raw
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise RecordsError(f"{where}: model_response.text is {short(texts)}; it must be a list of texts")
        if not texts:
            tally.leave("log-probs of given choices, not completions", where)
            continue
        yield from _rows_of(where, doc, response, texts, scores_in(metric, tally, where))


def _rows_of(
    where: str, doc: Mapping[str, Any], response: Mapping[str, Any], texts: list[str], scores: Mapping[str, float]
) -> Iterator[TextRow]:
    query = doc.get("query")
    if not isinstance(query, str):
        raise RecordsError(f"{where}: doc.query is {short(query)}; it must be a text")
    system: tuple[Message, ...] = (("system", str(doc["instruction"])),) if doc.get("instruction") else ()
    messages = (*system, ("user", query))
    task, number = doc.get("task_name"), doc.get("id")
    thoughts = response.get("reasonings")
    thoughts = thoughts if isinstance(thoughts, list) else []
    for index, text in enumerate(texts):
        yield TextRow(
            where=where,
            prompt_id=id_of(query) if not task or number in (None, "") else f"{task}/{id_in(number, 'doc.id', where)}",
            prompt=conversation(messages),
            completion=text,
            messages=messages,
            answer=_gold(doc),
            thinking=str(thoughts[index]) if index < len(thoughts) and thoughts[index] is not None else None,
            # One number a question: of its one text, or of all of them.
            scores=scores if len(texts) == 1 else {},
            prompt_scores={} if len(texts) == 1 else scores,
        )


def _gold(doc: Mapping[str, Any]) -> str | None:
    """The right answer, where there is one and only one."""
    choices, gold = doc.get("choices"), doc.get("gold_index")
    places = gold if isinstance(gold, list) else [gold]
    if isinstance(choices, list) and len(places) == 1 and isinstance(places[0], int) and 0 <= places[0] < len(choices):
        return answer_in(choices[places[0]])
    return None


def _named(row: Mapping[str, Any], column: str) -> Any:
    return row.get(f"__{column}__", row.get(column))


def _struct(row: Mapping[str, Any], column: str, where: str) -> Mapping[str, Any]:
    fields = _named(row, column)
    if not isinstance(fields, dict):
        raise RecordsError(f"{where}: {column} is {short(fields)}; lighteval writes a record of several fields there")
    return fields
