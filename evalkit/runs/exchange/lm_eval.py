"""lm-eval's samples (`--log_samples`): a line a question and filter, with all draws in `resps`.

Each filter repeats the question with the same draws and a score of its own, so a question's lines are joined. Prompts
are as they were rendered, with examples and template, and differ between models: questions are paired by `doc_hash`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.errors import RecordsError
from evalkit.runs.exchange.rows import Record, Tally, TextRow, answer_in, asked_in, id_in, score_name, scores_in, short

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
    filters: set[str] = field(default_factory=set)


def read_lm_eval(records: Iterable[Record], tally: Tally) -> Iterator[TextRow]:
    """A row a draw. Raises `RecordsError` that names the line."""
    questions: dict[tuple[Any, Any], _Question] = {}
    for where, row in records:
        for key in ("resps", "arguments"):
            if key not in row:
                raise RecordsError(f"{where}: the key {key!r} is missing; found: {', '.join(row) or 'none'}")
        draws = _draws(row["resps"], where)
        texts = [draw for draw in draws if isinstance(draw, str)]
        if not texts or _are_log_probs(draws):
            is_choice = any(sign.isdigit() for sign in str(row["resps"]))
            tally.leave("log-probs of given choices, not completions" if is_choice else "no draws", where)
            continue
        question = questions.setdefault((str(row.get("doc_id")), _id(row, where)), _Question(where, row, texts))
        filtered = str(row.get("filter") or "none")
        if filtered in question.filters:
            tally.leave("the same question and filter stand in the file before", where)
            continue
        if question.where == where:
            for _ in range(len(draws) - len(texts)):
                tally.leave("a draw is no text", where)
        question.filters.add(filtered)
        scores = scores_in({name: row.get(name) for name in _metrics(row, where)}, tally, where)
        question.scores |= {(name, filtered): value for name, value in scores.items()}
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
            prompt_id=_id(row, question.where)[:16],
            prompt=prompt,
            completion=text,
            messages=messages,
            answer=answer_in(target),
            # One number a question: of its one draw, or of what the filter made of all of them.
            scores=scores if len(question.texts) == 1 else {},
            prompt_scores={} if len(question.texts) == 1 else scores,
            question=str(row["doc_hash"]) if row.get("doc_hash") else None,
        )


def _id(row: Mapping[str, Any], where: str) -> str:
    if row.get("doc_hash") in (None, ""):
        return f"doc-{id_in(row.get('doc_id'), 'doc_id', where)}"
    return id_in(row["doc_hash"], "doc_hash", where)


def _metrics(row: Mapping[str, Any], where: str) -> list[str]:
    """The keys that hold what metrics say of it: those that `metrics` lists, or all that are none of lm-eval's own."""
    names = row.get("metrics") or [key for key in row if key not in KNOWN]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecordsError(f"{where}: metrics is {short(names)}; it must be a list of names")
    return names


def _draws(resps: Any, where: str) -> list[Any]:
    """What is drawn, in lists of lists: texts, or numbers where log-probs were asked."""
    if not isinstance(resps, list):
        raise RecordsError(f"{where}: resps is {short(resps)}; it must be a list of the draws")
    draws = []
    for draw in resps:
        draws += _draws(draw, where) if isinstance(draw, list) else [draw]
    return draws


def _are_log_probs(draws: Sequence[Any]) -> bool:
    """Whether they are pairs of a log-prob and whether it is the likeliest, which lm-eval writes as texts."""
    pairs = list(zip(draws[::2], draws[1::2], strict=False))
    return len(draws) % 2 == 0 and all(_is_negative(value) and said in ("True", "False") for value, said in pairs)


def _is_negative(text: Any) -> bool:
    try:
        return float(text) <= 0
    except (TypeError, ValueError, OverflowError):
        return False


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
