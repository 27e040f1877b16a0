"""Bring your own texts: completions made elsewhere become groups, and are measured as a run's are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from evalkit.analysis.alarms import alarms
from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.collect_figure_data import collect_figure_data
from evalkit.analysis.estimates import AskedSuite, estimate_arms, summarise
from evalkit.analysis.fair_comparison import compare_fairly
from evalkit.analysis.measure import Fairness, measure_groups
from evalkit.analysis.paraphrases import paraphrased
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.analysis.shown import shown_of
from evalkit.errors import MetricError, RecordsError
from evalkit.inference.workers.models import measured_on
from evalkit.metrics.answer_match import check_answer
from evalkit.metrics.declaration import VARIANTS, Need
from evalkit.metrics.given_scores import PREFIX, given_score
from evalkit.metrics.registry import Measure, definitions, parse
from evalkit.metrics.summary import Alarm, Estimate, Summary
from evalkit.metrics.task_checks import read_checks
from evalkit.metrics.text_sets import split_alike
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.prose import counted
from evalkit.plumbing.text_rows import PythonTexts, text_rows
from evalkit.plumbing.tokenizer import Asked
from evalkit.records import Arm, Asking, Better, Completion, Given, Group, Item, Message, Prompt, Role
from evalkit.report.content.content import ReportContent
from evalkit.report.html.page_file import page_bytes
from evalkit.report.page import build_report
from evalkit.report.render_report import report_content
from evalkit.runs.asked import hashes_of
from evalkit.runs.asking import dependence_alarms
from evalkit.runs.exchange.columns import Columns
from evalkit.runs.exchange.layouts import Layout
from evalkit.runs.exchange.read import UNNAMED, Texts, read_records, read_texts, stem_of
from evalkit.runs.exchange.rows import TextRow
from evalkit.runs.exchange.thinking import thinking_apart
from evalkit.runs.thinking import answers_apart, fitting, measured, thinking_arms

OF_TEXTS: frozenset[Need] = frozenset(
    {"words", "embeddings", "answer", "checks", "scores", "classes", "thinking", "stated"}
)
"""Needs of measures that texts alone meet."""
OF_ROWS: frozenset[Need] = frozenset({"answer", "checks", "scores", "classes", "thinking", "stated"})
"""Those of them that some rows must meet."""

ON_THINKING = ("thinking/length", "thinking/vendi")
"""What is measured of thinking unasked."""

Rows = dict[str, dict[str, list[TextRow]]]
"""Arm -> prompt -> its completions, in the order of the files."""


@dataclass(frozen=True)
class Scored:
    """What measuring texts gives."""

    content: ReportContent

    @property
    def summary(self) -> Summary:
        return self.content.summary

    @cached_property
    def page(self) -> bytes:
        """The report, as UTF-8."""
        return page_bytes(build_report(self.content))


@dataclass(frozen=True)
class Reading:
    """How files are to be read, where what is in them does not say it."""

    layout: Layout | None = None
    columns: Columns | None = None
    """Field -> the column that holds it."""
    lower: Collection[str] = ()
    """Scores of theirs of which less is better."""
    thinking_end: str | None = None
    """Text that ends the thinking in every completion; None: looked for where all of an arm's begin with `<think>`."""


AS_THEY_ARE = Reading()


def score_file(
    path: Path,
    metrics: Sequence[str],
    baseline: str | None,
    tell: Listener,
    tokenizer: Asked = "auto",
    suite: str | None = None,
) -> Scored:
    """`score_files` of one file."""
    return score_files([path], metrics, baseline, tell, tokenizer, suite)


def score_files(
    paths: Sequence[Path],
    metrics: Sequence[str],
    baseline: str | None,
    tell: Listener,
    tokenizer: Asked = "auto",
    suite: str | None = None,
    reading: Reading = AS_THEY_ARE,
) -> Scored:
    """Measure the completions of files that evalkit or other tools wrote. `metrics`: names, or none for all that the
    files allow.

    The results stand under the name `suite`, or the files' own. Every prompt is measured on equally many completions:
    the first k, k being the smallest number that any has.
    Raises `RecordsError`, `MetricError`.
    """
    texts = _apart(read_texts(paths, tell.note, reading.layout, reading.columns), reading.thinking_end)
    source = ", ".join(map(str, paths))
    return _scored(texts, metrics, baseline, tell, tokenizer, suite or stem_of(paths), source, reading.lower)


def score_texts(
    texts: PythonTexts,
    metrics: Sequence[str],
    baseline: str | None,
    tell: Listener,
    tokenizer: Asked = "auto",
    suite: str | None = None,
    lower: Collection[str] = (),
) -> Scored:
    """The same of texts that Python holds (`evalkit.plumbing.text_rows`). Raises `RecordsError`, `MetricError`."""
    rows = _apart(read_records(text_rows(texts), UNNAMED, tell.note), None)
    return _scored(rows, metrics, baseline, tell, tokenizer, suite or UNNAMED, UNNAMED, lower)


def _apart(texts: Texts, thinking_end: str | None) -> Texts:
    """With thinking apart from answers, and a note of it."""
    split, notes = thinking_apart(texts, thinking_end)
    return replace(split, notes=(*split.notes, *notes))


def measure_texts(measure: Measure, texts: Mapping[str, Sequence[str]], tell: Listener, tokenizer: Asked) -> Estimate:
    """One measure of the completions {prompt: texts}, its mean over prompts with its interval.

    Raises `RecordsError` without any, `MetricError` where texts alone do not allow it.
    """
    _check([measure], [])
    prompts, rows, _ = _gather(read_records(text_rows({UNNAMED: texts}), UNNAMED, tell.note))
    arms = _arms(list(rows), None, rows)
    sampled = _sampled(arms, prompts, rows, _common_number(rows, tell), [measure], tokenizer, tell)
    with measured_on(None, tell):
        [estimate] = estimate_arms(measure_groups([measure], sampled, tell).measured[0], arms)
    return estimate


def _scored(
    texts: Texts,
    metrics: Sequence[str],
    baseline: str | None,
    tell: Listener,
    tokenizer: Asked,
    name: str,
    source: str,
    lower: Collection[str],
) -> Scored:
    theirs = _their_scores(texts, lower)
    named = list(dict.fromkeys(theirs.get(name) or parse(name) for name in metrics))
    measures = named or [*theirs.values(), *_all_on_texts(texts)]
    _check(measures, texts.rows)
    prompts, rows, reread = _gather(texts)
    arms = _arms(list(rows), baseline, rows)
    drawn = _common_number(rows, tell)
    every = _sampled(arms, prompts, rows, drawn, measures, tokenizer, tell).groups
    arms = list(thinking_arms(arms, every))
    answered = measured(every, drawn)
    samples = answered.samples
    groups = {arm: [_with_given(group, rows[arm]) for group in members] for arm, members in answered.groups.items()}
    sampled = SampledArms(arms, groups, samples)
    measures, unfit = fitting(measures, samples)
    quality = next((measure for measure in measures if measure.definition.is_quality), None)
    fairness = Fairness(quality, None, VARIANTS[1:])
    with measured_on(None, tell):
        measurements = measure_groups(measures, sampled, tell, fairness=fairness)
    ids = [prompt.id for prompt in prompts]
    raised = [
        *(Alarm("all arms", "given", note) for note in (*texts.notes, *reread)),
        *answered.alarms,
        *unfit,
        *alarms(arms, measurements.groups, measurements.overview),
        *paraphrased(prompts),
        *dependence_alarms(arms, measures),
        *measurements.alarms,
    ]
    raised += _empty(texts, raised)
    asked_suite = AskedSuite(name, ids, clusters_of(prompts), _asked(prompts, texts))
    summary = summarise(asked_suite, arms, measurements.measured, raised, compare_fairly(measurements))
    provenance = {"file": source, "read as": list(dict.fromkeys(texts.layouts)),
                  "metrics": [str(measure) for measure in measures], "samples": samples}  # fmt: skip
    evidence = collect_figure_data(measurements.groups, measurements.measures, shown_of(summary))
    return Scored(report_content(name, summary, every, {}, measurements, provenance, evidence))


def _sampled(
    arms: Sequence[Arm],
    prompts: Sequence[Prompt],
    rows: Rows,
    samples: int,
    measures: Sequence[Measure],
    tokenizer: Asked,
    tell: Listener,
) -> SampledArms:
    """Every arm's first `samples` completions of each prompt. Raises `MetricError` where they are too few."""
    for measure in measures:
        measure.check_fits(samples)
    groups = {
        arm: [_group(prompt, _first(by_prompt.get(prompt.id, []), samples)) for prompt in prompts]
        for arm, by_prompt in rows.items()
    }
    return SampledArms(list(arms), split_alike(groups, tokenizer, tell), samples)


def _empty(texts: Texts, raised: Sequence[Alarm]) -> list[Alarm]:
    """How many completions are empty, where they are not so many that it is an alarm by itself."""
    places = [row.where for row in texts.rows if not row.completion.strip() and row.thinking is None]
    if not places or any(alarm.kind == "empty" for alarm in raised):
        return []
    count = f"{len(places):,} of {counted(len(texts.rows), 'completion')} empty (first: {places[0]})"
    return [Alarm("all arms", "given", f"{count}; they are measured as answers without a word")]


def _their_scores(texts: Texts, lower: Collection[str]) -> dict[str, Measure]:
    """Name -> the measure of each score that the files hold. Raises `RecordsError` on a `lower` that is none."""
    names = {name: False for row in texts.rows for name in row.scores}
    of_prompts = {name: True for row in texts.rows for name in row.prompt_scores if name not in names}
    unknown = [name for name in lower if name.removeprefix(PREFIX) not in names | of_prompts]
    if unknown:
        known = ", ".join(names | of_prompts) or "none"
        raise RecordsError(f"--lower {unknown[0]}: the files hold no such score; they hold: {known}")
    less = {name.removeprefix(PREFIX) for name in lower}

    def direction(name: str) -> Better:
        return "lower" if name in less else "higher"

    return {
        f"{PREFIX}{name}": given_score(name, texts.tool, direction(name), is_of_prompts)
        for name, is_of_prompts in (names | of_prompts).items()
    }


def _all_on_texts(texts: Texts) -> list[Measure]:
    """Every measure that the rows allow.

    Whether an answer is right is not asked anew where the tool that knows how to tell has said it.
    """
    missing = {need for need in OF_ROWS if not _have(texts.rows, need)}
    is_judged = _have(texts.rows, "scores") and "evalkit" not in texts.layouts
    allowed = OF_TEXTS - missing - ({"answer"} if is_judged else set())
    on_answers = [d.name for d in definitions().values() if d.needs <= allowed and not _needs_values(d.parameters)]
    return [parse(name) for name in (*on_answers, *(ON_THINKING if "thinking" in allowed else ()))]


def _have(rows: Sequence[TextRow], need: Need) -> bool:
    """Whether any row meets a need of `OF_ROWS`."""
    if need == "classes":
        return any(row.said is not None for row in rows)
    if need == "scores":
        return any(row.scores or row.prompt_scores for row in rows)
    if need == "thinking":
        return any(row.thinking is not None for row in rows)
    if need == "stated":
        return any(row.asked is not None and row.asked.item.probability is not None for row in rows)
    return any(getattr(row, need) for row in rows)


def _needs_values(parameters: dict[str, Any]) -> bool:
    return any(parameter.default is parameter.empty for parameter in parameters.values())


def _check(measures: Sequence[Measure], rows: Sequence[TextRow]) -> None:
    for measure in measures:
        measure.identify()
        missing = measure.definition.needs - OF_TEXTS
        if missing:
            raise MetricError(f"metric {measure} needs {' and '.join(sorted(missing))}, which texts alone do not tell")
        for need in OF_ROWS & measure.definition.needs:
            if not _have(rows, need):
                raise MetricError(f"metric {measure} needs rows with `{need}`; none has any")


def _gather(texts: Texts) -> tuple[list[Prompt], Rows, list[str]]:
    """Prompts, every arm's rows of each, and what must be said of prompts that were rendered in several ways."""
    prompts: dict[str, tuple[str, Prompt]] = {}
    rows: Rows = {}
    reread: dict[str, None] = {}
    for row, arm in zip(texts.rows, texts.arms, strict=True):
        prompt = Prompt(
            id=row.prompt_id,
            text=row.prompt,
            answer=row.answer,
            match=row.match,
            references=row.references,
            cluster=row.cluster,
            checks=row.checks,
            messages=_conversation(row),
        )
        if row.prompt_id not in prompts:
            _check_prompt(prompt, row.where)
            prompts[row.prompt_id] = row.where, prompt
        where, known = prompts[row.prompt_id]
        if texts.are_rendered and prompt.text != known.text:
            reread[prompt.id] = None
            prompt = replace(prompt, text=known.text, messages=known.messages)
        _refuse_another(row.where, prompt, where, known)
        rows.setdefault(arm, {}).setdefault(row.prompt_id, []).append(row)
    count = (
        f"{counted(len(reread), 'prompt')} were put in other words to some arms (examples or a template around them)"
    )
    notes = [f"{count}; they are paired by their hashes, and shown as the first arm saw them"] if reread else []
    return [prompt for _, prompt in prompts.values()], rows, notes


def _asked(prompts: Sequence[Prompt], texts: Texts) -> tuple[str, ...]:
    """Of each prompt a hash of what it asks: of the question alone where the file has one of its own."""
    questions = {row.prompt_id: row.question for row in texts.rows if row.question is not None}
    return hashes_of(
        [
            replace(prompt, text=questions[prompt.id], messages=()) if prompt.id in questions else prompt
            for prompt in prompts
        ]
    )


def _conversation(row: TextRow) -> tuple[Message, ...]:
    """A row's turns, where there are several, all of them text of roles that prompts have; else its text says it."""
    roles = get_args(Role)
    if len(row.messages) < 2 or not all(role in roles and content for role, content in row.messages):
        return ()
    return tuple(Message(cast(Role, role), content) for role, content in row.messages)


def _check_prompt(prompt: Prompt, where: str) -> None:
    """Refuse checks and answers that no completion could be held against."""
    try:
        read_checks(prompt)
        check_answer(prompt)
    except MetricError as error:
        raise RecordsError(f"{where}: {error}") from None


SAID_TWICE = {
    "text": "stands for two prompts",
    "cluster": "stands in two clusters",
    "answer": "has two answers",
    "match": "has two ways to match",
    "checks": "has two lists of checks",
    "references": "has two lists of references",
}


def _refuse_another(where: str, prompt: Prompt, first: str, known: Prompt) -> None:
    """Refuse rows of one prompt that say different things of it: which of them holds is not for us to choose."""
    for key, what in SAID_TWICE.items():
        was, now = getattr(known, key), getattr(prompt, key)
        if was != now:
            shown = " and ".join(repr(list(value) if isinstance(value, tuple) else value)[:60] for value in (was, now))
            raise RecordsError(
                f"{where}: prompt_id {prompt.id!r} {what}: {shown} (the first at {first}); give all of its rows the "
                "same"
            )


def _arms(names: Sequence[str], baseline: str | None, rows: Rows) -> list[Arm]:
    if baseline is not None and baseline not in rows:
        raise RecordsError(f"there is no arm {baseline!r} in the file; its arms are: {', '.join(names)}")
    home = baseline or names[0]
    for name in names:
        if not rows[name].keys() & rows[home].keys():
            raise RecordsError(
                f"arms {name!r} and {home!r} share no prompt, so that nothing can be compared: give both completions "
                "of the same prompt_id, name another --baseline, or score each by itself"
            )
    return [Arm(name, name, None, None, None if name == home else home, asking=_asking(rows[name])) for name in names]


def _common_number(rows: Rows, tell: Listener) -> int:
    sizes = {(arm, prompt): _answers(found) for arm, by_prompt in rows.items() for prompt, found in by_prompt.items()}
    smallest = min(sizes.values())
    if max(sizes.values()) > smallest:
        arm, prompt = min(sizes, key=lambda key: sizes[key])
        tell.note(
            f"numbers of completions differ; all are measured on the first {smallest}, as many as prompt {prompt!r} of "
            f"arm {arm!r} has"
        )
    return smallest


def _answers(rows: Sequence[TextRow]) -> int:
    """How many answers were asked for: of lists, as many as the run was to measure."""
    return min([len(rows), *(row.asked.n for row in rows if row.asked is not None and row.asked.n)])


def _first(rows: Sequence[TextRow], samples: int) -> list[TextRow]:
    """The first so many answers; of lists, with all that could not be told before them, and without what is beyond."""
    there = [row for row in rows if row.asked is None or row.asked.item.fault is None]
    kept = set(map(id, there[:samples]))
    return [row for row in rows if id(row) in kept or (row.asked is not None and row.asked.item.fault is not None)]


def _item(row: TextRow) -> Item | None:
    return None if row.asked is None else row.asked.item


def _asking(rows: Mapping[str, Sequence[TextRow]]) -> Asking | None:
    """How an arm's completions were asked for; of several ways the first."""
    return next((row.asked.asking for of_prompt in rows.values() for row in of_prompt if row.asked is not None), None)


def _group(prompt: Prompt, rows: Sequence[TextRow]) -> Group:
    completions = tuple(
        Completion(prompt.id, index, row.completion, (), (), row.finish_reason, row.thinking, item=_item(row))
        for index, row in enumerate(rows)
    )
    return answers_apart([Group(prompt, completions)])[0]


def _with_given(group: Group, rows: Mapping[str, Sequence[TextRow]]) -> Group:
    of_prompt = rows.get(group.prompt.id, ())
    return group.having(given=_given([of_prompt[completion.sample_index] for completion in group.completions]))


def _given(rows: Sequence[TextRow]) -> Given | None:
    """What the files say of the completions besides their texts."""
    names = dict.fromkeys(name for row in rows for name in row.scores)
    scores = {name: np.array([row.scores.get(name, np.nan) for row in rows], dtype=np.float64) for name in names}
    of_prompt: dict[str, float] = {}
    for row in rows:
        of_prompt |= row.prompt_scores
    classes = [row.said for row in rows if row.said is not None]
    is_divided = bool(rows) and len(classes) == len(rows)
    if not (scores or of_prompt or is_divided):
        return None
    return Given(scores, of_prompt, np.array(classes, dtype=np.int64) if is_divided else None)
