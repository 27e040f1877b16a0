"""Bring your own texts: completions made elsewhere become groups, and are measured as a run's are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator, model_validator

from evalkit.analysis.alarms import alarms
from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.collect_figure_data import collect_figure_data
from evalkit.analysis.estimates import AskedSuite, summarise
from evalkit.analysis.fair_comparison import compare_fairly
from evalkit.analysis.measure import Fairness, measure_groups
from evalkit.analysis.paraphrases import paraphrased
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.errors import MetricError, RecordsError
from evalkit.metrics.answer_match import check_answer
from evalkit.metrics.declaration import VARIANTS, Need
from evalkit.metrics.registry import Measure, definitions, parse
from evalkit.metrics.task_checks import read_checks
from evalkit.metrics.text_sets import split_alike
from evalkit.plumbing.jsonl import jsonl_rows
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.tokenizer import Asked
from evalkit.plumbing.unread import unread_note
from evalkit.records import Arm, Completion, Group, Match, Prompt, Summary
from evalkit.report.render_report import report_page
from evalkit.runs.asked import hashes_of

UNNAMED = "texts"
"""Name of the arm of rows that name none."""
OF_TEXTS: frozenset[Need] = frozenset({"words", "embeddings", "answer", "checks"})
"""Needs of measures that texts alone meet."""
OF_ROWS: frozenset[Need] = frozenset({"answer", "checks"})
"""Those of them that some rows must meet."""


class Row(BaseModel):
    """One line of the file: one completion, or a list of them."""

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)

    prompt_id: str
    prompt: str
    completion: str | None = None
    completions: tuple[str, ...] | None = None
    arm: str = UNNAMED
    answer: str | None = None
    match: Match = "exact"
    checks: tuple[str, ...] = ()
    cluster: str | None = None

    @field_validator("completion", "completions", mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        """A number here is a wrong column more often than an answer."""
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, int | float):
                raise ValueError(f"a completion is {one!r}, which is no text; write it in quotes if it is an answer")
        return value

    @field_validator("arm")
    @classmethod
    def _is_named(cls, name: str) -> str:
        if not name.strip():
            raise ValueError("`arm` is blank; give the arm a name, or leave the key out")
        return name

    @model_validator(mode="after")
    def _has_one_form(self) -> Row:
        if (self.completion is None) == (self.completions is None):
            raise ValueError("a row has either `completion` (a text) or `completions` (a list of texts)")
        return self

    @property
    def texts(self) -> tuple[str, ...]:
        return self.completions if self.completions is not None else (self.completion or "",)


@dataclass(frozen=True)
class Scored:
    """What measuring a file gives."""

    summary: Summary
    page: bytes


def score_file(
    path: Path,
    metrics: Sequence[str],
    baseline: str | None,
    tell: Listener,
    tokenizer: Asked = "auto",
    suite: str | None = None,
) -> Scored:
    """Measure the completions of a JSONL file. `metrics`: names, or none for all that texts alone allow.

    The results stand under the name `suite`, or the file's own. Every prompt is measured on equally many completions:
    the first k, k being the smallest number that any has.
    Raises `RecordsError`, `MetricError`.
    """
    measures = list(dict.fromkeys(parse(name) for name in metrics))
    places, rows = _read(path, tell)
    measures = measures or _all_on_texts(rows)
    _check(measures, rows)
    prompts, texts = _gather(rows, places)
    arms = _arms(list(texts), baseline, texts)
    samples = _common_number(texts, tell)
    for measure in measures:
        measure.check_fits(samples)
    groups = {
        arm: [_group(prompt, by_prompt.get(prompt.id, [])[:samples]) for prompt in prompts]
        for arm, by_prompt in texts.items()
    }
    groups = split_alike(groups, tokenizer, tell)
    quality = next((measure for measure in measures if measure.definition.is_quality), None)
    fairness = Fairness(quality, None, VARIANTS[1:])
    measurements = measure_groups(measures, SampledArms(arms, groups, samples), tell, fairness=fairness)
    ids = [prompt.id for prompt in prompts]
    found = [*alarms(arms, measurements.groups), *paraphrased(prompts), *measurements.alarms]
    name = suite or path.stem
    asked = AskedSuite(name, ids, clusters_of(prompts), hashes_of(prompts))
    summary = summarise(asked, arms, measurements.measured, found, compare_fairly(measurements))
    provenance = {"file": str(path), "metrics": [str(measure) for measure in measures], "samples": samples}
    evidence = collect_figure_data(measurements.groups, measurements.measures)
    return Scored(summary, report_page(name, summary, groups, {}, measurements, provenance, evidence))


def _read(path: Path, tell: Listener) -> tuple[list[str], list[Row]]:
    """Where each row stands, and the rows."""
    if path.is_dir():
        raise RecordsError(f"{path} is a folder; name the file of texts in it (JSONL, one object a line)")
    if not path.is_file():
        raise RecordsError(f"there is no file {path}")
    adapter = TypeAdapter(Row)
    rows, places = [], []
    keys: dict[str, None] = {}
    for where, fields in jsonl_rows(path):
        keys |= dict.fromkeys(fields)
        try:
            rows.append(adapter.validate_python(fields))
        except ValidationError as error:
            raise RecordsError(f"{where}: {_problem(error, fields)}") from None
        places.append(where)
    if not rows:
        raise RecordsError(f"{path} holds no rows; each line is one JSON object with prompt_id, prompt and completion")
    if note := unread_note(str(path), keys, list(Row.model_fields)):
        tell.note(note)
    return places, rows


def _problem(error: ValidationError, fields: dict[str, Any]) -> str:
    problem = error.errors()[0]
    if problem["type"] == "missing":
        return f"the key {problem['loc'][0]!r} is missing; found: {', '.join(fields) or 'none'}"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    return f"{problem['loc'][0]}: {problem['msg']}; found {problem['input']!r}"


def _all_on_texts(rows: Sequence[Row]) -> list[Measure]:
    allowed = OF_TEXTS - {need for need in OF_ROWS if not any(getattr(row, need) for row in rows)}
    return [parse(d.name) for d in definitions().values() if d.needs <= allowed and not _needs_values(d.parameters)]


def _needs_values(parameters: dict[str, Any]) -> bool:
    return any(parameter.default is parameter.empty for parameter in parameters.values())


def _check(measures: Sequence[Measure], rows: Sequence[Row]) -> None:
    for measure in measures:
        measure.identify()
        missing = measure.definition.needs - OF_TEXTS
        if missing:
            raise MetricError(
                f"metric {measure} needs {' and '.join(sorted(missing))}, which a file of texts does not hold"
            )
        for need in OF_ROWS & measure.definition.needs:
            if not any(getattr(row, need) for row in rows):
                raise MetricError(f"metric {measure} needs rows with `{need}`; none has any")


def _gather(rows: Sequence[Row], places: Sequence[str]) -> tuple[list[Prompt], dict[str, dict[str, list[str]]]]:
    prompts: dict[str, tuple[str, Prompt]] = {}
    texts: dict[str, dict[str, list[str]]] = {}
    for where, row in zip(places, rows, strict=True):
        prompt = Prompt(
            id=row.prompt_id,
            text=row.prompt,
            answer=row.answer,
            match=row.match,
            cluster=row.cluster or None,
            checks=row.checks,
        )
        if row.prompt_id not in prompts:
            _check_prompt(prompt, where)
            prompts[row.prompt_id] = where, prompt
        _refuse_another(where, prompt, *prompts[row.prompt_id])
        texts.setdefault(row.arm, {}).setdefault(row.prompt_id, []).extend(row.texts)
    return [prompt for _, prompt in prompts.values()], texts


def _check_prompt(prompt: Prompt, where: str) -> None:
    """Refuse checks and answers that no completion could be held against."""
    try:
        read_checks(prompt)
        check_answer(prompt)
    except MetricError as error:
        raise RecordsError(f"{where}: {error}") from None


SAID_TWICE = {"text": "stands for two prompts", "cluster": "stands in two clusters", "answer": "has two answers",
              "match": "has two ways to match", "checks": "has two lists of checks"}  # fmt: skip


def _refuse_another(where: str, prompt: Prompt, first: str, known: Prompt) -> None:
    """Refuse rows of one prompt that say different things of it: which of them holds is not for us to choose."""
    for key, what in SAID_TWICE.items():
        was, now = getattr(known, key), getattr(prompt, key)
        if was != now:
            shown = " and ".join(repr(list(one) if isinstance(one, tuple) else one)[:60] for one in (was, now))
            raise RecordsError(
                f"{where}: prompt_id {prompt.id!r} {what}: {shown} (the first at {first}); give all of its rows the "
                "same"
            )


def _arms(names: Sequence[str], baseline: str | None, texts: dict[str, dict[str, list[str]]]) -> list[Arm]:
    if baseline is not None and baseline not in texts:
        raise RecordsError(f"there is no arm {baseline!r} in the file; its arms are: {', '.join(names)}")
    home = baseline or names[0]
    for name in names:
        if not texts[name].keys() & texts[home].keys():
            raise RecordsError(
                f"arms {name!r} and {home!r} share no prompt, so that nothing can be compared: give both completions "
                "of the same prompt_id, name another --baseline, or score each by itself"
            )
    return [Arm(name, name, None, None, None if name == home else home) for name in names]


def _common_number(texts: dict[str, dict[str, list[str]]], tell: Listener) -> int:
    sizes = {(arm, prompt): len(found) for arm, by_prompt in texts.items() for prompt, found in by_prompt.items()}
    smallest = min(sizes.values())
    if smallest == 0:
        arm, prompt = next(key for key, size in sizes.items() if size == 0)
        raise RecordsError(f"prompt {prompt!r} of arm {arm!r} has an empty list of completions")
    if max(sizes.values()) > smallest:
        arm, prompt = min(sizes, key=lambda key: sizes[key])
        tell.note(
            f"numbers of completions differ; all are measured on the first {smallest}, as many as prompt {prompt!r} of "
            f"arm {arm!r} has"
        )
    return smallest


def _group(prompt: Prompt, texts: Sequence[str]) -> Group:
    completions = (Completion(prompt.id, slot, text, (), (), "stop") for slot, text in enumerate(texts))
    return Group(prompt, tuple(completions))
