"""lm-eval's samples (`--log_samples`): a line a question and filter, with all draws in `resps`.

Each filter repeats the question with the same draws and a score of its own, so a question's lines are joined. Prompts
are as they were rendered, with examples and template, and differ between models: questions are paired by `doc_hash`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evalkit.errors import RecordsError
from evalkit.runs.exchange.rows import Record, Tally, TextRow, asked_in, score_name, scores_in, short

KNOWN = frozenset({
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash",
})  # fmt: skip


def is_lm_eval(row: Mapping[str, Any]) -> bool:
    """Whether it is a row of lm-eval's."""
    return "resps" in row and ("doc" in row or "doc_id" in row)


@dataclass
class _Question:
    """What the lines of one question say together."""

    where: str
    row: Mapping[str, Any]
    texts: list[str]
    scores: dict[tuple[str, str], float] = field(default_factory=dict)
    """(metric, filter) -> value."""


def read_lm_eval(records: Iterable[Record], tally: Tally) -> Iterator[TextRow]:
    """A row a draw. Raises `RecordsError` that names the line."""
    questions: dict[tuple[Any, Any], _Question] = {}
    for where, row in records:
        for key in ("resps", "arguments"):
            if key not in row:
                raise RecordsError(f"{where}: the key {key!r} is missing; found: {', '.join(row) or 'none'}")
        texts = _draws(row["resps"], where)
        if not texts:
            is_choice = any(sign.isdigit() for sign in str(row["resps"]))
            tally.leave("log-probs of given choices, not completions" if is_choice else "no draws", where)
            continue
        question = questions.setdefault((str(row.get("doc_id")), row.get("doc_hash")), _Question(where, row, texts))
        names = row.get("metrics") or [key for key in row if key not in KNOWN]
        scores = scores_in({str(name): row.get(str(name)) for name in names}, tally)
        question.scores |= {(name, str(row.get("filter", "none"))): value for name, value in scores.items()}
    filters = {name for question in questions.values() for _, name in question.scores}
    for question in questions.values():
        yield from _rows_of(question, len(filters) > 1)


def _rows_of(question: _Question, by_filter: bool) -> Iterator[TextRow]:
    row = question.row
    prompt, messages = asked_in(_prompt(row["arguments"], question.where), question.where)
    scores = {
        score_name(f"{metric}/{chosen}") if by_filter else metric: value
        for (metric, chosen), value in question.scores.items()
    }
    target = row.get("target")
    for text in question.texts:
        yield TextRow(
            where=question.where,
            prompt_id=str(row.get("doc_hash") or f"doc-{row.get('doc_id')}")[:16],
            prompt=prompt,
            completion=text,
            messages=messages,
            answer=str(target) if isinstance(target, str | int | float) else None,
            # One number a question: of its one draw, or of what the filter made of all of them.
            scores=scores if len(question.texts) == 1 else {},
            prompt_scores={} if len(question.texts) == 1 else scores,
            question=str(row["doc_hash"]) if row.get("doc_hash") else None,
        )


def _draws(resps: Any, where: str) -> list[str]:
    """The texts in lists of lists; none where they hold log-probs."""
    if not isinstance(resps, list):
        raise RecordsError(f"{where}: resps is {short(resps)}; it must be a list of the draws")
    texts = []
    for draw in resps:
        if isinstance(draw, list):
            texts += _draws(draw, where)
        elif isinstance(draw, str):
            texts.append(draw)
    return texts


def _prompt(arguments: Any, where: str) -> Any:
    """The first argument of the first request: `[[prompt, settings]]`, or `{gen_args_0: {arg_0: prompt}}`."""
    prompt = arguments
    for _ in range(2):
        if isinstance(prompt, dict) and prompt:
            prompt = next(iter(prompt.values()))
        elif isinstance(prompt, list) and prompt and not isinstance(prompt[0], dict):
            prompt = prompt[0]
    if not prompt or not isinstance(prompt, str | list):
        raise RecordsError(f"{where}: arguments is {short(arguments)}; it must hold the prompt first")
    return prompt
