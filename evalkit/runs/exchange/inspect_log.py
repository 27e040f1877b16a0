"""Inspect's logs: `.eval`, a zip with a file a sample and epoch, and `.json`, the same in one document.

Of a sample its input, target, output, scores and error are read; events and messages are not. Samples lie in
`samples/ID_epoch_N.json`, or in chunks, of which `samples/ID_epoch_N/sample.json` holds what is read here. Long texts
may stand apart as attachments. A log whose run was broken off has no header yet; its journal says what was asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import RecordsError
from evalkit.plumbing.sources import Archive, archive, document
from evalkit.runs.exchange.rows import (
    AskedRow,
    Message,
    Tally,
    TextRow,
    answer_in,
    as_number,
    asked_of,
    content_text,
    conversation,
    ending,
    id_in,
    score_name,
    short,
    thought_in,
    turns,
)

HEADERS = ("header.json", "_journal/start.json")
SAMPLE = re.compile(r"samples/(?P<sample>.+_epoch_(?P<epoch>\d{1,9}))(?:\.json|/sample\.json)")
ATTACHMENT = "attachment://"
GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "correct": 1.0, "incorrect": 0.0, "partial": 0.5, "noanswer": 0.0,
          "yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}  # fmt: skip
"""Inspect's own way to make numbers of grades in words (`value_to_float`)."""

Resolve = Callable[[str], str]


def is_inspect(log: Any) -> bool:
    """Whether a JSON document is a log of Inspect's."""
    return isinstance(log, dict) and isinstance(log.get("eval"), dict) and "version" in log


def names_inspect(names: list[str]) -> bool:
    """Whether an archive is one, from what is in it."""
    return any(name in HEADERS for name in names) or any(SAMPLE.fullmatch(name) for name in names)


def read_eval(path: Path, tally: Tally) -> Iterator[TextRow]:
    """A row a sample and epoch of a `.eval` file, epoch by epoch. Raises `RecordsError`."""
    with archive(path) as log:
        names = log.names
        matches = [match for name in names if (match := SAMPLE.fullmatch(name))]
        if not matches:
            raise RecordsError(f"{path} holds no samples; Inspect writes them to samples/ unless it is told not to")
        header: Any = next((log.json(name) for name in HEADERS if name in names), {})
        model = _model(header, str(path))
        for match in sorted(matches, key=lambda match: int(match["epoch"])):
            where = f"{path}[{match.string}]"
            sample = log.json(match.string)
            yield from _rows_of(sample, where, model, _resolver(sample, log, match["sample"]), tally)


def read_json(path: Path, tally: Tally) -> Iterator[TextRow]:
    """A row a sample and epoch of a `.json` log. Raises `RecordsError`."""
    log = document(path)
    if not is_inspect(log):
        raise RecordsError(f"{path} is no log of Inspect's: it has no `eval`")
    samples = log.get("samples") or []
    if not isinstance(samples, list):
        raise RecordsError(f"{path}: samples is {short(samples)}; it must be a list")
    model = _model(log, str(path))
    for number, sample in enumerate(samples, start=1):
        yield from _rows_of(sample, f"{path}: sample {number}", model, _resolver(sample, None, ""), tally)


def _model(header: Any, where: str) -> str | None:
    evaluation = header.get("eval") if isinstance(header, dict) else None
    if evaluation is not None and not isinstance(evaluation, dict):
        raise RecordsError(f"{where}: eval is {short(evaluation)}; it must say what was asked")
    name = (evaluation or {}).get("model")
    return str(name) if name else None


def _resolver(sample: Any, log: Archive | None, name: str) -> Resolve:
    """What an attachment stands for: by its hash in the sample, by its number in the chunks beside it."""
    attachments = sample.get("attachments") if isinstance(sample, dict) else None
    known: dict[str, Any] = dict(attachments) if isinstance(attachments, dict) else {}
    chunks = re.compile(rf"samples/{re.escape(name)}/attachments/(\d{{1,9}})\.json")
    if log is not None and not known:
        for match in filter(None, map(chunks.fullmatch, log.names)):
            texts = log.json(match.string)
            if not isinstance(texts, list):
                raise RecordsError(f"{log.path}[{match.string}]: attachments are {short(texts)}; they must be a list")
            known |= {str(int(match[1]) + index): text for index, text in enumerate(texts)}

    def resolve(text: str) -> str:
        return re.sub(rf"{ATTACHMENT}(\w+)", lambda match: str(known.get(match[1], match[0])), text)

    return resolve


def _rows_of(sample: Any, where: str, model: str | None, resolve: Resolve, tally: Tally) -> Iterator[TextRow]:
    if not isinstance(sample, dict):
        raise RecordsError(f"{where}: a sample is {short(sample)}; it must be an object")
    missing = [key for key in ("id", "input", "output") if key not in sample]
    if missing:
        raise RecordsError(f"{where}: the key {missing[0]!r} is missing; found: {', '.join(sample) or 'none'}")
    if sample.get("error"):
        tally.leave("the sample failed", where)
        return
    choices = sample["output"].get("choices") if isinstance(sample["output"], dict) else None
    if not isinstance(choices, list) or not choices:
        tally.leave("no output", where)
        return
    messages = _input(sample["input"], where)
    messages = tuple((role, resolve(text)) for role, text in messages)
    for index, choice in enumerate(choices):
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            raise RecordsError(f"{where}: output.choices holds {short(choice)}; each has a message")
        thought = thought_in(message.get("content"))
        yield TextRow(
            where=where,
            prompt_id=id_in(sample["id"], "id", where),
            prompt=conversation(messages),
            completion=resolve(content_text(message.get("content"), where)),
            arm=model,
            messages=messages,
            answer=_target(sample.get("target")),
            thinking=None if thought is None else resolve(thought),
            finish_reason=ending(choice.get("stop_reason")),
            scores=_scores(sample.get("scores"), tally, where) if index == 0 else {},
            asked=_asked(sample.get("metadata"), where),
        )


def _asked(metadata: Any, where: str) -> AskedRow | None:
    """What `evalkit export` says of a completion that was not asked for directly."""
    return asked_of(metadata.get("asked"), where) if isinstance(metadata, dict) and _is_ours(metadata) else None


def _is_ours(metadata: Mapping[str, Any]) -> bool:
    asked = metadata.get("asked")
    return isinstance(asked, dict) and asked.keys() >= {"asking", "n", "item"}


def _input(given: Any, where: str) -> tuple[Message, ...]:
    return (("user", given),) if isinstance(given, str) else turns(given, where)


def _target(target: Any) -> str | None:
    """The right answer, where there is one and only one."""
    if isinstance(target, list) and len(target) == 1:
        target = target[0]
    return answer_in(target)


def _scores(scores: Any, tally: Tally, where: str) -> dict[str, float]:
    """Scorer -> value; a scorer that gives several is `scorer/name`."""
    values: dict[str, float] = {}
    for scorer, score in (scores if isinstance(scores, Mapping) else {}).items():
        value = score.get("value") if isinstance(score, dict) else score
        parts = {f"{scorer}/{key}": part for key, part in value.items()} if isinstance(value, dict) else {scorer: value}
        for name, part in parts.items():
            number = (
                GRADES.get(part, GRADES.get(part.lower())) if isinstance(part, str) else as_number(part, name, where)
            )
            if number is not None:
                values[score_name(name)] = number
            else:
                tally.refuse_score(name, part)
    return values
