"""The one way through: a suite becomes samples, samples become measures, measures become a report.

    suite -> plan (arms, rendered prompts, shards) -> sample what is missing -> (keep the best)
          -> (score log-probs that measures need) -> (classify voices) -> measure -> summarise -> report

This module tells the story and does none of the work.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.analysis.agreement import agreements, over_optimisation, scores_of_quality
from evalkit.analysis.alarms import alarms
from evalkit.analysis.best_of import keep_best
from evalkit.analysis.classify_voices import ClassifiedVoices, classify_voices
from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.collect_figure_data import collect_figure_data
from evalkit.analysis.estimates import AskedSuite, summarise
from evalkit.analysis.fair_comparison import compare_fairly
from evalkit.analysis.figure_data import FILE as EVIDENCE_FILE
from evalkit.analysis.figure_data import FigureData
from evalkit.analysis.figure_data import to_json as evidence_json
from evalkit.analysis.homogeneity import accords
from evalkit.analysis.measure import Fairness, Measurements, measure_groups
from evalkit.analysis.paraphrases import paraphrased
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.analysis.shown import shown_of
from evalkit.analysis.tables import METRICS, SCORES, metric_rows, score_rows
from evalkit.analysis.where_changed import with_where_changed
from evalkit.analysis.words.changed import word_use
from evalkit.analysis.words.quotes import quotes
from evalkit.checkpoints.training_log import trainings_of
from evalkit.inference.logprobs.attach import fill_needs
from evalkit.inference.manifest import shard_rows
from evalkit.inference.origins import note_origins
from evalkit.inference.plan import Plan, plan_in
from evalkit.inference.sample import put_kept, read_groups, sample_missing
from evalkit.inference.settle import begin
from evalkit.inference.thinking_tokens import with_thinking_tokens
from evalkit.inference.workers.models import measured_on
from evalkit.metrics.summary import Alarm, Summary
from evalkit.metrics.text_sets import split_alike
from evalkit.plumbing.arrays import finite_fields
from evalkit.plumbing.by_row import by_row, start_processes
from evalkit.plumbing.foretold import Foretold
from evalkit.plumbing.progress import Listener
from evalkit.records import Arm, Group, Groups
from evalkit.report.render_report import report_page
from evalkit.report.verdicts.joint import forms_for_all
from evalkit.runs.asked import PROMPTS_FILE, hashes_of
from evalkit.runs.asking import dependence_alarms
from evalkit.runs.folder import Store, open_store
from evalkit.runs.manifest import Manifest
from evalkit.runs.summary import to_json
from evalkit.runs.thinking import answers_apart, fitting, measured, thinking_arms, without_logprobs
from evalkit.runs.told import tokens_of
from evalkit.suite.schema import Suite

WORDINGS_APART = "\n\n— or —\n\n"
"""Between the wordings of a prompt where they are shown."""


@dataclass(frozen=True)
class Run:
    """What a run leaves behind."""

    folder: Path
    summary: Summary
    sampled: int
    """Completions sampled now; the rest was there already."""

    @property
    def report(self) -> Path:
        return self.folder / "report.html"


@dataclass(frozen=True)
class Results:
    """What the samples say."""

    groups: Groups
    """Arm -> one group a prompt."""
    voices: ClassifiedVoices
    measurements: Measurements
    summary: Summary


def run_suite(
    suite: Suite,
    engine: str,
    out: Path | None,
    tell: Listener,
    command: Sequence[str] = (),
    fresh: bool = False,
    tags: Sequence[str] = (),
) -> Run:
    """Run a suite from start to report.

    `out` is the run's folder (default: a new one under reports/); the same suite on the same folder resumes, one that
    grew goes on. `command` is written down as the way to repeat the run, `tags` as what the user calls it; a `fresh`
    one takes no samples from the cache.
    Raises `EvalkitError`s; what was sampled before one is kept.
    """
    folder = out or default_folder(suite)
    plan = plan_in(folder, suite, engine, tell)
    size = sum(shard.size for shard in plan.shards)
    tell = foretold = Foretold(tell, _alike(plan), size)
    with open_store(folder, tell.note) as store:
        plan, manifest = begin(store, plan, command, fresh, tags, tell=tell)
        sampled = sample_missing(plan, store, tell, manifest.fresh)
        manifest = note_origins(sampled.plan, store, manifest, sampled.completions, tell)
        results = measure_samples(sampled.plan, store, tell, sampled.alarms)
        finish(store, sampled.plan, manifest, results, tell)
    foretold.remember(is_anew=sampled.completions == size)
    return Run(folder, results.summary, sampled.completions)


def _alike(plan: Plan) -> dict[str, Any]:
    """What runs have in common whose stages take equally long a completion."""
    suite = plan.suite
    loads = sorted((loaded.checkpoint.name, loaded.engine_text) for loaded in plan.checkpoints.values())
    return {"measures": [*map(str, suite.measures)], "variants": suite.variants, "encoder": suite.encoder,
            "arms": [arm.name for arm in plan.arms], "checkpoints": loads}  # fmt: skip


def default_folder(suite: Suite) -> Path:
    """reports/NAME-TIME-RANDOM: no two runs meet."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return Path("reports") / f"{suite.name}-{now}-{secrets.token_hex(3)}"


def measure_samples(plan: Plan, store: Store, tell: Listener, alarms_of_sampling: Sequence[Alarm] = ()) -> Results:
    """What is on disk, chosen, scored, classified, measured and summarised, on the devices that samples came from."""
    with measured_on(plan.cluster, tell):
        return _measure_samples(plan, store, tell, alarms_of_sampling)


def _measure_samples(plan: Plan, store: Store, tell: Listener, alarms_of_sampling: Sequence[Alarm]) -> Results:
    suite = plan.suite
    choosers = {name: spec.best_of.reward for name, spec in suite.checkpoints.items() if spec.best_of is not None}
    drawn = read_groups(plan, store, tell)
    start_processes(drawn, [__name__], tell)
    best = keep_best(plan.arms, choosers, with_thinking_tokens(plan, drawn), tell)
    groups = split_alike({arm: answers_apart(members) for arm, members in best.items()}, suite.tokenizer, tell)
    plan = replace(plan, arms=thinking_arms(plan.arms, groups))
    answered = measured(groups, suite.sampling.n)
    measures, unfit = fitting(suite.measures, answered.samples)
    filled, undefined = fill_needs(plan, answered.groups, tell)
    voices = classify_voices(suite.voices, plan.encoder, plan.arms, filled, tell)
    baseline = plan.checkpoints[suite.baseline_checkpoint].checkpoint.fingerprint
    sampled = SampledArms(plan.arms, voices.groups, answered.samples, baseline)
    fairness = Fairness(suite.quality_measure, suite.quality_bar, suite.variants, curves=True)
    measurements = measure_groups(measures, sampled, tell, plan.encoder, fairness)
    ids = [prompt.id for prompt in suite.prompts]
    summary = summarise(
        AskedSuite(suite.name, ids, clusters_of(suite.prompts), hashes_of(suite.prompts)),
        plan.arms,
        measurements.measured,
        [
            *_left_out(plan),
            *alarms_of_sampling,
            *answered.alarms,
            *unfit,
            *alarms(plan.arms, measurements.groups, measurements.overview),
            *paraphrased(suite.prompts),
            *undefined,
            *without_logprobs(plan.arms, measures),
            *dependence_alarms(plan.arms, measures),
            *voices.alarms,
            *measurements.alarms,
        ],
        compare_fairly(measurements, tell),
    )
    summary = with_where_changed(summary, suite.prompts, forms_for_all(summary))
    words = word_use(plan.arms, answered.groups, summary.clusters, suite.phrases, tell)
    summary = replace(with_disagreements(summary, measurements), words=words)
    return Results(groups, voices, measurements, summary)


def _left_out(plan: Plan) -> list[Alarm]:
    return [Alarm("all arms", "left out", plan.note)] if plan.note else []


def with_disagreements(summary: Summary, measurements: Measurements) -> Summary:
    """The summary with an alarm for each arm that one score of quality finds clearly better and another worse."""
    disagreements = over_optimisation(summary, scores_of_quality(measurements.measures))
    return replace(summary, alarms=(*summary.alarms, *disagreements))


def finish(store: Store, plan: Plan, manifest: Manifest, results: Results, tell: Listener) -> None:
    """Write scores, metrics, voices, summary, report, and the manifest's last word."""
    groups, voices, measurements, summary = results.groups, results.voices, results.measurements, results.summary
    store.write_table("scores.parquet", SCORES, score_rows(measurements))
    store.write_table("metrics.parquet", METRICS, [metric_rows(summary)])
    if voices.card:
        store.write_json("voices.json", voices.card)
    store.write("summary.json", to_json(summary).encode("utf-8", "replace"))
    tell.stage("count tokens", len(plan.suite.prompts))
    by_prompt = by_row(_tokens, groups, tell.advance)
    tokens = {arm: sum(tokens[arm] for tokens in by_prompt) for arm in groups}
    manifest = manifest.model_copy(
        update={
            "state": "complete",
            "ended": datetime.datetime.now(datetime.UTC).replace(microsecond=0),
            "tokens": tokens,
            "shards": shard_rows(plan, store),  # fewer than it began with where it was stopped early
            "kept": put_kept(store, plan, groups),
        }
        | _judgements(plan, voices, measurements)
    )
    rendered = {arm.name: _rendered(plan, arm) for arm in plan.arms}
    trainings = trainings_of(loaded.checkpoint for loaded in plan.checkpoints.values())
    evidence = replace(_figures(measurements, summary, tell), trainings=trainings)
    store.write(EVIDENCE_FILE, evidence_json(evidence))
    store.write_json(PROMPTS_FILE, {"prompts": [asdict(prompt) for prompt in plan.suite.prompts], "rendered": rendered})
    told = manifest.to_json()
    page = report_page(plan.suite.name, summary, groups, rendered, measurements, told, evidence, store.folder, tell)
    store.write("report.html", page)
    store.write_manifest(manifest)


def _tokens(row: int, groups: Mapping[str, Group]) -> dict[str, int]:
    """Arm -> tokens of all that was drawn for one prompt."""
    return {arm: tokens_of([group]) for arm, group in groups.items()}


def _figures(measurements: Measurements, summary: Summary, tell: Listener) -> FigureData:
    found = collect_figure_data(measurements.groups, measurements.measures, shown_of(summary), tell)
    places = quotes(summary.words, measurements.groups, tell)
    return replace(found, accords=accords(summary.homogeneity, measurements.groups), quotes=places)


def _rendered(plan: Plan, arm: Arm) -> dict[str, str]:
    """Prompt -> what the arm's checkpoint saw of it; of several wordings one below the other."""
    seen = [prompt.text for prompt in plan.checkpoints[arm.checkpoint].rendered]
    each = len(seen) // len(plan.suite.prompts)
    return {
        prompt.id: WORDINGS_APART.join(seen[place * each : (place + 1) * each])
        for place, prompt in enumerate(plan.suite.prompts)
    }


def _judgements(plan: Plan, voices: ClassifiedVoices, measurements: Measurements) -> dict[str, Any]:
    """For the manifest, where there are any: who speaks, and whether scores agree."""
    judgements: dict[str, Any] = {"voices": voices.card} if voices.card else {}
    if len(measurements.scores) > 1:
        clusters = clusters_of(plan.suite.prompts)
        rows = (finite_fields(asdict(row)) for row in agreements(measurements.scores, clusters))
        judgements["agreement"] = tuple(rows)
    return judgements
