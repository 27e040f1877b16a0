"""Batch results of OpenAI's interface, which `vllm run-batch` writes too: a line a request, in any order.

A result has `custom_id` and the answer, not what was asked. The file of requests, given beside it, tells the prompts;
requests that ask the same are then one prompt, for whoever wants many answers often sends many requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evalkit.errors import RecordsError
from evalkit.runs.exchange.rows import (
    Message,
    Record,
    Tally,
    TextRow,
    content_text,
    conversation,
    ending,
    id_in,
    other_parts,
    short,
    turns,
)

Question = tuple[str, tuple[Message, ...]]
"""Id of the prompt, and its turns."""
Questions = Mapping[str, Question]
"""By `custom_id`."""


def is_result(row: Mapping[str, Any]) -> bool:
    """Whether it is a line of results."""
    return "custom_id" in row and ("response" in row or "error" in row)


def is_request(row: Mapping[str, Any]) -> bool:
    """Whether it is a line of requests."""
    return "custom_id" in row and "body" in row and "response" not in row


def read_requests(records: Iterable[Record]) -> dict[str, Question]:
    """What was asked, by `custom_id`. Raises `RecordsError` that names the line."""
    questions: dict[str, Question] = {}
    ids: dict[tuple[tuple[Message, ...], str], str] = {}
    for where, row in records:
        if not is_request(row) or not isinstance(row["body"], dict):
            raise RecordsError(
                f"{where}: no request: it has no custom_id or no body; found: {', '.join(row) or 'none'}"
            )
        custom_id = id_in(row["custom_id"], "custom_id", where)
        given = next((row["body"][key] for key in ("messages", "prompt", "input") if key in row["body"]), None)
        messages = _request_turns(row["body"], given, where)
        # What is no text is shown by its kind alone: two images with one question are not one prompt.
        unread = json.dumps(given, sort_keys=True) if other_parts(given) else ""
        questions[custom_id] = ids.setdefault((messages, unread), custom_id), messages
    return questions


def _request_turns(body: Mapping[str, Any], given: Any, where: str) -> tuple[Message, ...]:
    system: tuple[Message, ...] = (("system", str(body["instructions"])),) if body.get("instructions") else ()
    return (*system, ("user", given)) if isinstance(given, str) else (*system, *turns(given, where))


def read_results(records: Iterable[Record], questions: Questions, tally: Tally) -> Iterator[TextRow]:
    """A row a choice. Raises `RecordsError` that names the line."""
    unknown = 0
    for where, row in records:
        if not is_result(row):
            raise RecordsError(f"{where}: no batch result: it has no custom_id or no response; found: {', '.join(row)}")
        failure = _failure(row)
        if failure:
            tally.leave(failure, where)
            continue
        custom_id = id_in(row["custom_id"], "custom_id", where)
        prompt_id, messages = questions.get(custom_id, (custom_id, ()))
        unknown += not messages
        yield from _rows_of(row["response"]["body"], where, prompt_id, messages, tally)
    if unknown:
        tally.skip(
            f"what {unknown} of the requests asked",
            "is not known: results do not hold prompts, and stand under their custom_id; name the file of requests too",
        )


def _failure(row: Mapping[str, Any]) -> str:
    """Why a request has no answer, in words; empty where it has one."""
    response, error = row.get("response"), row.get("error")
    if error:
        code = error.get("code") or error.get("message") if isinstance(error, dict) else error
        return f"the request failed: {short(code)}"
    if not isinstance(response, dict) or not isinstance(response.get("body"), dict):
        return "no response"
    if response.get("status_code", 200) != 200:
        refusal = response["body"].get("error")
        said = refusal.get("message") if isinstance(refusal, dict) else refusal
        return f"status {response['status_code']}" + (f": {short(said)}" if said else "")
    return ""


def _rows_of(
    body: Mapping[str, Any], where: str, prompt_id: str, messages: tuple[Message, ...], tally: Tally
) -> Iterator[TextRow]:
    if "choices" not in body and "output" not in body:
        raise RecordsError(f"{where}: the response's body has no list `choices`; found: {', '.join(body) or 'none'}")
    choices = body.get("choices", body.get("output"))
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise RecordsError(f"{where}: the body's `choices` are {short(choices)}; they must be a list of objects")
    said = [_said(choice, where) for choice in sorted(choices, key=_index)]
    if not any(answer is not None for answer in said):
        tally.leave("no text (no choice, or calls of tools alone)", where)
    elif "choices" in body:  # what an `output` holds besides its messages is meant to be none
        for _ in range(said.count(None)):
            tally.leave("a choice without a text, such as a call of tools", where)
    for answer in said:
        if answer is not None:
            text, thinking, reason = answer
            yield TextRow(
                where=where,
                prompt_id=prompt_id,
                prompt=conversation(messages) if messages else prompt_id,
                completion=text,
                arm=str(body["model"]) if body.get("model") else None,
                messages=messages,
                thinking=thinking,
                finish_reason=ending(reason),
            )


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _said(choice: Mapping[str, Any], where: str) -> tuple[str, str | None, Any] | None:
    """Text, thinking and how it ended, of chat completions, of completions, and of an item of the newer interface."""
    message = choice.get("message")
    reason = choice.get("finish_reason")
    if isinstance(message, dict):
        thinking = message.get("reasoning_content") or message.get("reasoning")
        content = message.get("content") or message.get("refusal")
        if not content and message.get("tool_calls"):
            return None
        return content_text(content, where), str(thinking) if thinking else None, reason
    if isinstance(choice.get("text"), str):
        return choice["text"], None, reason
    if choice.get("type") == "message":
        return content_text(choice.get("content"), where), None, reason
    return None
