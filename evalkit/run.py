"""The one way through: a suite becomes samples, samples become measures, measures become a report.

    suite -> plan (arms, rendered prompts, shards) -> sample what is missing -> (keep the best)
          -> (have checkpoints read what measures need) -> (hear the voices) -> measure -> summarise -> report

This module tells the story and does none of the work.
"""

from __future__ import annotations

import datetime
import json
import math
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.alarms import alarms
from evalkit.asked import hashes_of
from evalkit.best_of import keep_best
from evalkit.clusters import clusters_of
from evalkit.engines.base import open_engine
from evalkit.errors import ServerError, StoreError
from evalkit.evidence import FILE as EVIDENCE_FILE
from evalkit.evidence import to_json as evidence_json
from evalkit.gathering import gather
from evalkit.growth import growth_note
from evalkit.hearing import Heard, hear_voices
from evalkit.manifest import check_fresh, chosen, known_rows, new_manifest, shard_rows
from evalkit.measuring import Fairness, Measurements, compared, measure_groups
from evalkit.needs import fill_needs
from evalkit.origins import cache_note, origins
from evalkit.origins import to_json as origins_json
from evalkit.paraphrases import paraphrased
from evalkit.plan import Loaded, Plan, Shard, make_plan
from evalkit.progress import Listener
from evalkit.publish import report_page
from evalkit.quality.agreement import agreements, over_optimisation, scores_of_quality
from evalkit.records import Alarm, Completion, Group, Summary
from evalkit.reopening import PROMPTS_FILE
from evalkit.report.provenance import day_and_time
from evalkit.shards import Row
from evalkit.speeds import Speed, remember_speed
from evalkit.stock import allot
from evalkit.store import Store, key_of, open_store
from evalkit.suite import Suite
from evalkit.summary import summarise, to_json
from evalkit.text_sets import split_alike
from evalkit.training_log import trainings_of


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
class Found:
    """What the samples say."""

    groups: dict[str, list[Group]]
    """Arm -> one group a prompt."""
    heard: Heard
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
    with open_store(folder, tell.note) as store:
        plan, manifest = begin(store, plan, command, fresh, tags)
        sampled = sample_missing(plan, store, tell, manifest["fresh"])
        tell_of_reuse(plan, store, manifest, sampled, tell)
        found = measure_samples(plan, store, tell)
        finish(store, plan, manifest, found)
    return Run(folder, found.summary, sampled)


def default_folder(suite: Suite) -> Path:
    """reports/NAME-TIME-RANDOM: no two runs meet."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return Path("reports") / f"{suite.name}-{now}-{secrets.token_hex(3)}"


def plan_in(folder: Path, suite: Suite, engine: str, tell: Listener, blocks: int = 1) -> Plan:
    """The plan of a run in `folder`.

    A server must answer, whatever is in the cache: which model it serves decides the samples. Only where the folder
    holds all of a run is one that is gone taken for the one that was asked then, and the user is told.
    Raises `InputError`s, `ServerError`.
    """
    try:
        return make_plan(suite, engine, blocks)
    except ServerError as error:
        known = _servers_of(folder)
        if not known:
            raise
        tell.note(f"{error}; {folder} is complete, so its samples are measured again as they are")
        return make_plan(suite, engine, blocks, known)


def _servers_of(folder: Path) -> dict[str, dict[str, str]]:
    """Checkpoint -> what its server told, of a run that is complete; else nothing."""
    try:
        manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        checkpoints = manifest["identity"]["checkpoints"] if manifest["state"] == "complete" else {}
        return {name: dict(one["served"]) for name, one in checkpoints.items() if one.get("served")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # `begin` says what is wrong with it


def begin(
    store: Store,
    plan: Plan,
    command: Sequence[str],
    fresh: bool = False,
    tags: Sequence[str] = (),
    ends: Sequence[int] = (),
) -> tuple[Plan, dict[str, Any]]:
    """Settle which calls are made, and write the manifest; or go on with the folder's own one. Raises `InputError`.

    `ends`: after how many prompts no call may go on. The plan has in place of calls what is there of their samples.
    """
    if plan.note:
        store.notice(plan.note)
    known = store.manifest()
    check_fresh(store.folder, known, fresh)
    manifest = new_manifest(plan, known or {}, command, fresh, tags)
    rows = [] if known is None else _known(store, known, manifest)
    plan = allot(plan, store, rows, manifest["fresh"], ends)
    manifest["shards"] = shard_rows(plan)
    store.write_json("run.json", manifest)
    return plan, manifest


def _known(store: Store, known: Mapping[str, Any], manifest: dict[str, Any]) -> list[Row]:
    """What the folder's manifest lists, with its shards as of the arms' names now. Raises as `known_rows` does."""
    rows = known_rows(store.folder, known, manifest)
    if len(manifest["grown"]) > len(known.get("grown", ())):
        store.notice(growth_note(store.folder, manifest["grown"][-1]))
    for old, row in rows:
        if old != row.arm and store.is_listed(row.key, shared=False):
            store.rename(row.key, row.arm)
    return [row for _, row in rows]


def sample_missing(plan: Plan, store: Store, tell: Listener, fresh: bool = False) -> int:
    """Sample every shard that is neither in the folder nor in the cache, one engine at a time; how many completions.

    `fresh`: the cache does not count. Nor does it for a server that does not name its weights.
    """
    missing = [
        shard
        for shard in plan.shards
        if not store.holds(shard.key, shard.arm.name, shard.shared and not fresh, shard.law)
    ]
    if lost := [shard.key for shard in missing if shard.part]:
        raise StoreError(f"shard {lost[0]} was lost since the run began; give the same command again")
    for name, loaded in plan.checkpoints.items():
        todo = [shard for shard in missing if shard.arm.checkpoint == name]
        if todo:
            _sample(loaded, todo, store, tell)
    return sum(shard.size for shard in missing)


def tell_of_reuse(plan: Plan, store: Store, manifest: dict[str, Any], sampled: int, tell: Listener) -> None:
    """Note what was not sampled now, and when it was; the manifest takes it all down."""
    found = origins(plan, store, manifest)
    manifest["samples"] = origins_json(found)
    if note := cache_note(found):
        tell.note(note)
    elif not sampled:
        tell.note(f"nothing was sampled now: {store.folder} holds all completions, the last of them sampled "
                  f"on {day_and_time(max(origin.last for origin in found.values()))}")  # fmt: skip


def read_groups(plan: Plan, store: Store) -> dict[str, list[Group]]:
    """Every arm's completions, from disk: what was just sampled and what was there before go the same way."""
    groups: dict[str, list[Group]] = {}
    for arm in plan.arms:
        by_prompt: dict[str, list[Completion]] = {prompt.id: [] for prompt in plan.suite.prompts}
        for shard in plan.shards_of(arm.name):
            for completion in shard.row.of(store.read(shard.key)):
                by_prompt[completion.prompt_id].append(completion)
        groups[arm.name] = [
            Group(prompt, tuple(sorted(by_prompt[prompt.id], key=lambda one: one.slot)))
            for prompt in plan.suite.prompts
        ]
    return groups


def measure_samples(plan: Plan, store: Store, tell: Listener) -> Found:
    """What is on disk, chosen, scored, heard, measured and summarised."""
    suite = plan.suite
    choosers = {name: spec.best_of.reward for name, spec in suite.checkpoints.items() if spec.best_of is not None}
    groups = split_alike(keep_best(plan.arms, choosers, read_groups(plan, store), tell), suite.tokenizer, tell)
    filled, undefined = fill_needs(plan, groups, tell)
    heard = hear_voices(suite.voices, plan.encoder, plan.arms, filled, tell)
    baseline = plan.checkpoints[suite.baseline_checkpoint].checkpoint.fingerprint
    fairness = Fairness(suite.quality_measure, suite.quality_bar, suite.variants)
    measurements = measure_groups(
        suite.measures, plan.arms, heard.groups, suite.sampling.n, tell, baseline, plan.encoder, fairness
    )
    summary = summarise(
        suite.name,
        [prompt.id for prompt in suite.prompts],
        plan.arms,
        measurements.measured,
        suite.sampling.n,
        [
            *_left_out(plan),
            *alarms(plan.arms, measurements.groups),
            *paraphrased(suite.prompts),
            *undefined,
            *heard.alarms,
            *measurements.alarms,
        ],
        compared(plan.arms, measurements),
        clusters_of(suite.prompts),
        hashes_of(suite.prompts),
    )
    return Found(groups, heard, measurements, with_disagreements(summary, measurements))


def _left_out(plan: Plan) -> list[Alarm]:
    return [Alarm("all arms", "left out", plan.note)] if plan.note else []


def with_disagreements(summary: Summary, measurements: Measurements) -> Summary:
    """The summary with an alarm for each arm that one score of quality finds clearly better and another worse."""
    found = over_optimisation(summary, scores_of_quality(measurements.measures))
    return replace(summary, alarms=(*summary.alarms, *found))


def finish(store: Store, plan: Plan, manifest: dict[str, Any], found: Found) -> None:
    """Write scores, metrics, voices, summary, report, and the manifest's last word."""
    groups, heard, measurements, summary = found.groups, found.heard, found.measurements, found.summary
    store.write_table("scores.parquet", _score_rows(groups, measurements))
    store.write_table("metrics.parquet", _metric_rows(summary))
    if heard.card:
        store.write_json("voices.json", heard.card)
    store.write("summary.json", to_json(summary).encode("utf-8", "replace"))
    tokens = {arm: sum(len(c.token_ids) for g in members for c in g.completions) for arm, members in groups.items()}
    ended = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    manifest = manifest | {
        "state": "complete",
        "ended": ended,
        "tokens": tokens,
        "shards": shard_rows(plan, store),  # fewer than it began with where it was stopped early
        "kept": _put_kept(store, plan, groups),
    }
    if heard.card:
        manifest["voices"] = heard.card
    if len(measurements.scores) > 1:
        manifest["agreement"] = [
            _told(asdict(row)) for row in agreements(measurements.scores, clusters_of(plan.suite.prompts))
        ]
    rendered = {
        arm.name: {prompt.prompt_id: prompt.text for prompt in plan.checkpoints[arm.checkpoint].rendered}
        for arm in plan.arms
    }
    trainings = trainings_of(loaded.checkpoint for loaded in plan.checkpoints.values())
    evidence = replace(gather(measurements.groups, measurements.measures), trainings=trainings)
    store.write(EVIDENCE_FILE, evidence_json(evidence))
    store.write_json(PROMPTS_FILE, {"prompts": [asdict(prompt) for prompt in plan.suite.prompts], "rendered": rendered})
    page = report_page(plan.suite.name, summary, groups, rendered, measurements, manifest, evidence)
    store.write("report.html", page)
    store.write_json("run.json", manifest)


def _put_kept(store: Store, plan: Plan, groups: dict[str, list[Group]]) -> dict[str, str]:
    """A shard of what each best-of-n arm kept of its draws: arm -> key."""
    keys = {}
    for arm in plan.arms:
        if arm.best_of > 1:
            shards = plan.shards_of(arm.name)
            drawn = [[s.key, s.row.prompts, s.row.slots] if s.part else s.key for s in shards]
            keys[arm.name] = key_of({"kept of": drawn, "by": chosen(plan, arm)})
            kept = [completion for group in groups[arm.name] for completion in group.completions]
            is_shared, last = all(shard.shared for shard in shards), max(store.sampled(shard.key) for shard in shards)
            store.put(keys[arm.name], kept, arm.name, is_shared, last)
    return keys


def _sample(loaded: Loaded, shards: Sequence[Shard], store: Store, tell: Listener) -> None:
    name = loaded.checkpoint.name
    tokens: Counter[str] = Counter()
    stored = 0
    tell.stage(f"load {name} ({loaded.engine})", 1)
    start = time.monotonic()
    with open_engine(loaded.engine, loaded.checkpoint, loaded.max_length) as engine:
        tell.advance(1)
        tell.stage(f"sample {name}", sum(shard.size for shard in shards))
        ready = time.monotonic()
        for shard in shards:
            drawn = shard.drawn(engine.sample(shard.prompts, shard.sampling, shard.seed, tell.advance))
            stored += store.put(shard.key, drawn, shard.arm.name, shard.shared, call=shard.call)
            tokens[shard.law] += sum(len(one.token_ids) for one in drawn)
        seconds = time.monotonic() - ready
    counts = {law: sum(shard.size for shard in shards if shard.law == law) for law in tokens}
    speed = Speed(ready - start, seconds, sum(counts.values()), dict(tokens), counts, stored)
    remember_speed(loaded, speed, store.notice)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}


def _score_rows(groups: dict[str, list[Group]], measurements: Measurements) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {"arm": [], "prompt_id": [], "slot": [], "score": [], "value": []}
    for score, by_arm in measurements.scores.items():
        for arm, arrays in by_arm.items():
            for group, array in zip(groups[arm], arrays, strict=True):
                for completion, value in zip(group.completions, array, strict=True):
                    for key, cell in zip(rows, (arm, completion.prompt_id, completion.slot, score, value), strict=True):
                        rows[key].append(cell)
    return rows


def _metric_rows(summary: Summary) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {"arm": [], "prompt_id": [], "metric": [], "signature": [], "value": []}
    for estimate in summary.estimates:
        for prompt, value in zip(summary.prompts, estimate.values, strict=True):
            for key, cell in zip(rows, (estimate.arm, prompt, estimate.metric, estimate.signature, value), strict=True):
                rows[key].append(cell)
    return rows
