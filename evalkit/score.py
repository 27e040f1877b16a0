"""Bring your own texts: completions made elsewhere become groups, and are measured as a run's are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evalkit.analysis.alarms import alarms
from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.collect_figure_data import collect_figure_data
from evalkit.analysis.estimates import AskedSuite, estimate_arms, summarise
from evalkit.analysis.fair_comparison import compare_fairly
from evalkit.analysis.homogeneity import accords
from evalkit.analysis.measure import Fairness, measure_groups
from evalkit.analysis.paraphrases import paraphrased
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.analysis.shown import shown_of
from evalkit.analysis.where_changed import with_where_changed
from evalkit.analysis.words.changed import word_use
from evalkit.analysis.words.quotes import quotes
from evalkit.errors import MetricError, RecordsError
from evalkit.inference.workers.models import measured_on
from evalkit.metrics.declaration import VARIANTS, Need
from evalkit.metrics.given_scores import PREFIX, given_score
from evalkit.metrics.registry import Measure, definitions, parse
from evalkit.metrics.summary import Alarm, Estimate, Summary
from evalkit.metrics.text_sets import split_alike
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.prose import counted
from evalkit.plumbing.text_rows import PythonTexts, text_rows
from evalkit.plumbing.tokenizer import Asked
from evalkit.records import Arm, Better
from evalkit.report.content.content import ReportContent
from evalkit.report.html.page_file import page_bytes
from evalkit.report.page import build_report
from evalkit.report.render_report import report_content
from evalkit.report.verdicts.joint import forms_for_all
from evalkit.runs.asked import hashes_of
from evalkit.runs.asking import dependence_alarms
from evalkit.runs.exchange.columns import Columns
from evalkit.runs.exchange.gathered import KEY_OF, OF_ROWS, Gathered, gather
from evalkit.runs.exchange.layouts import Layout
from evalkit.runs.exchange.read import UNNAMED, Texts, read_records, read_texts, stem_of
from evalkit.runs.exchange.thinking import thinking_apart
from evalkit.runs.thinking import fitting, measured, thinking_arms

OF_TEXTS: frozenset[Need] = frozenset(
    {"words", "embeddings", "answer", "checks", "valid", "scores", "classes", "divided", "thinking", "stated"}
)
"""Needs of measures that texts alone meet."""
ON_CLASSES = ("given/distinct_k", "given/simpson_classes", "given/class_entropy")
"""What is measured unasked of texts that come with classes, ..."""
ON_QUALITY = "given/utility_k"
"""... and where they come with scores too."""
OF_NOVELTY_BENCH = ("noveltybench_distinct", "noveltybench_utility")
"""What is measured unasked of NoveltyBench's own files alone."""
ON_THINKING = ("thinking/length", "thinking/vendi")
"""What is measured of thinking unasked."""


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
    phrases: Sequence[str] = (),
) -> Scored:
    """Measure the completions of files that evalkit or other tools wrote. `metrics`: names, or none for all that the
    files allow. `phrases`: a list of phrases whose use is counted.

    The results stand under the name `suite`, or the files' own. Every prompt is measured on equally many completions:
    the first k, k being the smallest number that any has.
    Raises `RecordsError`, `MetricError`.
    """
    texts = _apart(read_texts(paths, tell.note, reading.layout, reading.columns), reading.thinking_end)
    source = ", ".join(map(str, paths))
    return _scored(texts, metrics, baseline, tell, tokenizer, suite or stem_of(paths), source, reading.lower, phrases)


def score_texts(
    texts: PythonTexts,
    metrics: Sequence[str],
    baseline: str | None,
    tell: Listener,
    tokenizer: Asked = "auto",
    suite: str | None = None,
    lower: Collection[str] = (),
    phrases: Sequence[str] = (),
) -> Scored:
    """The same of texts that Python holds (`evalkit.plumbing.text_rows`). Raises `RecordsError`, `MetricError`."""
    rows = _apart(read_records(text_rows(texts), UNNAMED, tell.note), None)
    return _scored(rows, metrics, baseline, tell, tokenizer, suite or UNNAMED, UNNAMED, lower, phrases)


def _apart(texts: Texts, thinking_end: str | None) -> Texts:
    """With thinking apart from answers, and a note of it."""
    split, notes = thinking_apart(texts, thinking_end)
    return replace(split, notes=(*split.notes, *notes))


def measure_texts(measure: Measure, texts: Mapping[str, Sequence[str]], tell: Listener, tokenizer: Asked) -> Estimate:
    """One measure of the completions {prompt: texts}, its mean over prompts with its interval.

    Raises `RecordsError` without any, `MetricError` where texts alone do not allow it.
    """
    _check([measure], frozenset(), is_rated=False)
    gathered = gather(read_records(text_rows({UNNAMED: texts}), UNNAMED, tell.note))
    arms = _arms(gathered, None)
    sampled = _sampled(arms, gathered, _common_number(gathered, tell), [measure], tokenizer, tell)
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
    phrases: Sequence[str],
) -> Scored:
    gathered = gather(texts)
    theirs = _their_scores(gathered, texts.tool, lower)
    named = list(dict.fromkeys(_named(name, theirs) for name in metrics))
    measures = named or [*theirs.values(), *_all_on_texts(gathered, theirs.values(), texts.layouts)]
    _check(measures, gathered.meets, any(measure.definition.is_quality for measure in measures))
    prompts, arms = gathered.prompts, _arms(gathered, baseline)
    drawn = _common_number(gathered, tell)
    every = _sampled(arms, gathered, drawn, measures, tokenizer, tell).groups
    arms = list(thinking_arms(arms, every))
    answered = measured(every, drawn)
    samples = answered.samples
    groups = {arm: gathered.with_given(arm, members, texts.tool) for arm, members in answered.groups.items()}
    sampled = SampledArms(arms, groups, samples)
    measures, unfit = fitting(measures, samples)
    qualities = [measure for measure in measures if measure.definition.is_quality]
    # A bar is reached from below, and the higher of two answers wins: a score of which less is better is no quality.
    quality = next((measure for measure in qualities if measure.definition.better == "higher"), None)
    fairness = Fairness(quality, None, VARIANTS[1:], curves=True)
    with measured_on(None, tell):
        measurements = measure_groups(measures, sampled, tell, fairness=fairness)
    ids = [prompt.id for prompt in prompts]
    raised = [
        *(Alarm("all arms", "given", note) for note in (*texts.notes, *gathered.notes)),
        *answered.alarms,
        *unfit,
        *alarms(arms, measurements.groups, measurements.overview),
        *paraphrased(prompts),
        *dependence_alarms(arms, measures),
        *measurements.alarms,
    ]
    raised += _empty(gathered, raised)
    asked_suite = AskedSuite(name, ids, clusters_of(prompts), hashes_of(gathered.questions()))
    summary = summarise(asked_suite, arms, measurements.measured, raised, compare_fairly(measurements, tell))
    summary = with_where_changed(summary, prompts, forms_for_all(summary))
    provenance = {"file": source, "read as": list(dict.fromkeys(texts.layouts)),
                  "metrics": [str(measure) for measure in measures], "samples": samples}  # fmt: skip
    evidence = collect_figure_data(measurements.groups, measurements.measures, shown_of(summary), tell)
    summary = replace(summary, words=word_use(arms, answered.groups, summary.clusters, phrases, tell))
    evidence = replace(
        evidence,
        accords=accords(summary.homogeneity, measurements.groups),
        quotes=quotes(summary.words, answered.groups, tell),
    )
    return Scored(report_content(name, summary, every, {}, measurements, provenance, evidence))


def _sampled(
    arms: Sequence[Arm],
    gathered: Gathered,
    samples: int,
    measures: Sequence[Measure],
    tokenizer: Asked,
    tell: Listener,
) -> SampledArms:
    """Every arm's first `samples` completions of each prompt. Raises `MetricError` where they are too few."""
    for measure in measures:
        measure.check_fits(samples)
    groups = {arm.name: gathered.groups(arm.name, samples) for arm in arms}
    return SampledArms(list(arms), split_alike(groups, tokenizer, tell), samples)


def _empty(gathered: Gathered, raised: Sequence[Alarm]) -> list[Alarm]:
    """How many completions are empty, where they are not so many that it is an alarm by itself."""
    if not gathered.empty or any(alarm.kind == "empty" for alarm in raised):
        return []
    completions = counted(gathered.completions, "completion")
    count = f"{gathered.empty:,} of {completions} empty (first: {gathered.first_empty})"
    return [Alarm("all arms", "given", f"{count}; they are measured as answers without a word")]


def _their_scores(gathered: Gathered, tool: str, lower: Collection[str]) -> dict[str, Measure]:
    """Name -> the measure of each score that the rows hold. Raises `RecordsError` on a `lower` that is none."""
    scores = gathered.scores
    for name in lower:
        _refuse_unknown(f"--lower {name}", name, scores)
    less = {name.removeprefix(PREFIX) for name in lower}

    def direction(name: str) -> Better:
        return "lower" if name in less else "higher"

    return {
        f"{PREFIX}{name}": given_score(name, tool, direction(name), is_of_prompts)
        for name, is_of_prompts in scores.items()
    }


def _named(name: str, theirs: Mapping[str, Measure]) -> Measure:
    """The measure of a name that the user gave. Raises `RecordsError` for a score that no row holds, `MetricError`."""
    if str(name).startswith(PREFIX):  # what Python gives may be anything; `parse` says what is wrong with it
        _refuse_unknown(f"metric {name}", name, [known.removeprefix(PREFIX) for known in theirs])
        return theirs[name]
    return parse(name)


def _refuse_unknown(asked: str, name: str, scores: Collection[str]) -> None:
    plain = name.removeprefix(PREFIX)
    if plain not in scores:
        raise RecordsError(
            f"{asked}: no row holds a number as score {plain!r}{did_you_mean(plain, scores)}; scores that rows hold: "
            f"{', '.join(scores) or 'none'}"
        )


def _all_on_texts(gathered: Gathered, theirs: Collection[Measure], layouts: Collection[Layout]) -> list[Measure]:
    """Every measure that the rows allow.

    Whether an answer is right is not asked anew where the tool that knows how to tell has said it.
    """
    is_judged = "scores" in gathered.meets and "evalkit" not in layouts
    allowed = OF_TEXTS - (OF_ROWS - gathered.meets) - ({"answer"} if is_judged else set())
    on_answers = [d.name for d in definitions().values() if d.needs <= allowed and not _needs_values(d.parameters)]
    if "novelty-bench" not in layouts:
        on_answers = [name for name in on_answers if name not in OF_NOVELTY_BENCH]
    on_classes = [*ON_CLASSES, *([ON_QUALITY] if any(one.definition.is_quality for one in theirs) else [])]
    names = [
        *on_answers,
        *(on_classes if "classes" in allowed else ()),
        *(ON_THINKING if "thinking" in allowed else ()),
    ]
    return [parse(name) for name in names]


def _needs_values(parameters: dict[str, Any]) -> bool:
    return any(parameter.default is parameter.empty for parameter in parameters.values())


def _check(measures: Sequence[Measure], met: Collection[Need], is_rated: bool) -> None:
    """`is_rated`: whether one of the measures says how good a completion is."""
    for measure in measures:
        measure.identify()
        missing = measure.definition.needs - OF_TEXTS - ({"quality"} if is_rated else set())
        if missing:
            raise MetricError(f"metric {measure} needs {' and '.join(sorted(missing))}, which texts alone do not tell")
        for need in OF_ROWS & measure.definition.needs:
            if need not in met:
                raise MetricError(f"metric {measure} needs rows with `{KEY_OF[need]}`; none has any")


def _arms(gathered: Gathered, baseline: str | None) -> list[Arm]:
    names, answers = list(gathered.answers), gathered.answers
    if baseline is not None and baseline not in answers:
        raise RecordsError(f"there is no arm {baseline!r} in the file; its arms are: {', '.join(names)}")
    home = baseline or names[0]
    for name in names:
        if not answers[name].keys() & answers[home].keys():
            raise RecordsError(
                f"arms {name!r} and {home!r} share no prompt, so that nothing can be compared: give both completions "
                "of the same prompt_id, name another --baseline, or score each by itself"
            )
    return [Arm(name, name, None, None, None if name == home else home, asking=gathered.asking(name)) for name in names]


def _common_number(gathered: Gathered, tell: Listener) -> int:
    sizes = {(arm, prompt): size for arm, of_arm in gathered.answers.items() for prompt, size in of_arm.items()}
    smallest = min(sizes.values())
    if max(sizes.values()) > smallest:
        arm, prompt = min(sizes, key=lambda key: sizes[key])
        tell.note(
            f"numbers of completions differ; all are measured on the first {smallest}, as many as prompt {prompt!r} of "
            f"arm {arm!r} has"
        )
    return smallest
