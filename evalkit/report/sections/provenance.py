"""What made the numbers, laid out for reading: when, where, from which checkpoints, and the command to repeat it.

The manifest is shown whatever its keys are: what is missing in it is left out here, and all of it is folded below.
"""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import JSON
from evalkit.plumbing.prose import counted, listed
from evalkit.plumbing.times import day_and_time, moment, span
from evalkit.report.content.content import ReportContent
from evalkit.report.sections.spending import spending_text
from evalkit.report.wording import label


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """One checkpoint, in words."""

    name: str
    kind: str
    source: str
    engine: str
    dtype: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """What one run's manifest says."""

    run: str
    """Empty where the report has one run alone."""
    command: str
    """A line for a shell; empty where the manifest has none."""
    facts: tuple[tuple[str, str], ...]
    checkpoints: tuple[CheckpointRow, ...]
    manifest: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One of several runs, in words."""

    name: str
    started: str
    prompts: int
    folder: str


@dataclass(frozen=True, slots=True)
class SignatureRow:
    """One way in which a measure was taken."""

    name: str
    signature: str
    arms: str
    """Empty where it is that of all arms."""


def provenances(content: ReportContent) -> list[Provenance]:
    """One a run."""
    if content.runs:
        return [_provenance_of(run.name, run.manifest) for run in content.runs]
    return [_provenance_of("", content.provenance)] if content.provenance else []


def run_rows(content: ReportContent) -> list[RunRow]:
    """The runs, where there are several."""
    starts = [(run, moment(run.manifest.get("started"))) for run in content.runs]
    return [RunRow(run.name, day_and_time(at) if at else "", run.prompts, run.folder) for run, at in starts]


def signatures(summary: Summary) -> list[SignatureRow]:
    """Every measure's signature, in the summary's order; arms are named where they have different ones."""
    arms_by_signature: dict[str, dict[str, list[str]]] = {}
    for estimate in summary.estimates:
        arms_by_signature.setdefault(estimate.metric, {}).setdefault(estimate.signature, []).append(estimate.arm)
    return [
        SignatureRow(label(metric), signature, listed(arms) if len(by_signature) > 1 else "")
        for metric, by_signature in arms_by_signature.items()
        for signature, arms in by_signature.items()
    ]


def took(seconds: float) -> str:
    """A duration as one would say it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _took(started: datetime.datetime, ended: datetime.datetime) -> str:
    return took((ended - started).total_seconds()) if ended >= started else "not known, for the clock was set back"


def tags_of(manifest: Mapping[str, JSON]) -> tuple[str, ...]:
    """What the user called a run."""
    tags = manifest.get("tags")
    return tuple(map(_text, tags)) if isinstance(tags, Sequence) and not isinstance(tags, str) else ()


def _provenance_of(run: str, manifest: Mapping[str, JSON]) -> Provenance:
    return Provenance(
        run=run,
        command=_command(manifest.get("command")),
        facts=tuple((name, text) for name, text in _facts(manifest) if text),
        checkpoints=tuple(_checkpoints(manifest)),
        manifest=manifest,
    )


def _command(given: JSON) -> str:
    if isinstance(given, Sequence) and not isinstance(given, str):
        return shlex.join(str(word) for word in given)
    return _text(given)


def _facts(manifest: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
    yield "Suite", _text(_at(manifest, "suite", "name"))
    yield "What it asks", _text(_at(manifest, "suite", "description"))
    yield "Version of its prompts", _text(_at(manifest, "identity", "prompts"))
    yield "Tags", ", ".join(tags_of(manifest))
    yield "State", _text(manifest.get("state"))
    started, ended = moment(manifest.get("started")), moment(manifest.get("ended"))
    yield "Started", day_and_time(started) if started else ""
    yield "Ended", day_and_time(ended) if ended else ""
    yield "Took", _took(started, ended) if started and ended else ""
    yield "Sampled", _sampled(manifest.get("samples"))
    yield "Grown", _grown(manifest.get("grown"))
    yield "Told by servers", _served(_at(manifest, "identity", "checkpoints"))
    yield "Cost", spending_text(manifest.get("spending"))
    yield "Tokens", _tokens(manifest.get("tokens"))
    yield "Seed", _seed(manifest)
    yield "evalkit", _text(manifest.get("evalkit"))
    yield "Versions", _pairs(manifest.get("versions"))
    yield "Machine", _machine(manifest.get("machine"))
    yield "File", _text(manifest.get("file"))


def _sampled(arms: JSON) -> str:
    """Each arm's completions: by this run or taken from the cache, and when."""
    rows = arms.items() if isinstance(arms, Mapping) else ()
    return "; ".join(f"{arm}: {_sample(row)}" for arm, row in rows if isinstance(row, Mapping))


def _grown(steps: JSON) -> str:
    """When the run was given more prompts, samples or arms."""
    rows = steps if isinstance(steps, Sequence) and not isinstance(steps, str) else ()
    return "; ".join(_step(row) for row in rows if isinstance(row, Mapping))


def _step(row: Mapping[str, JSON]) -> str:
    when = moment(row.get("when"))
    sizes = [
        f"{_text(_at(row, end, 'prompts'))} prompts (samples: {_pairs(_at(row, end, 'samples'))})"
        for end in ("from", "to")
    ]
    return f"on {day_and_time(when)} from {' to '.join(sizes)}" if when else ""


def _served(checkpoints: JSON) -> str:
    """What servers told of the models that they serve."""
    rows = checkpoints.items() if isinstance(checkpoints, Mapping) else ()
    facts_of = ((name, row.get("served")) for name, row in rows if isinstance(row, Mapping))
    return "; ".join(f"{name}: {_pairs(facts)}" for name, facts in facts_of if facts)


def _sample(row: Mapping[str, JSON]) -> str:
    when, cached = _when(row, "sampled"), _when(row, "cached")
    if not cached:
        return f"{_text(row.get('completions'))} completions, sampled by this run {when}"
    of_all = f"{_text(row.get('from_cache'))} of {_text(row.get('completions'))} completions"
    rest = "" if row.get("from_cache") == row.get("completions") else ", the others by this run"
    return f"{of_all} from the cache, sampled {cached}{rest}"


def _when(row: Mapping[str, JSON], what: str) -> str:
    first, last = moment(row.get(f"{what}_first")), moment(row.get(f"{what}_last"))
    return span(first, last) if first and last else ""


def _tokens(counts: JSON) -> str:
    if not isinstance(counts, Mapping) or not all(isinstance(count, int) for count in counts.values()):
        return ""
    by_arm = [f"{arm} {count:,}" for arm, count in counts.items()]
    total = sum(count for count in counts.values() if isinstance(count, int))
    return f"{total:,} in all completions: {listed(by_arm)}" if by_arm else ""


def _seed(manifest: Mapping[str, JSON]) -> str:
    """Each shard has a seed of its own, made from its key, of which the suite's is a part."""
    seed, shards = _at(manifest, "suite", "sampling", "seed"), manifest.get("shards")
    if seed is None:
        return _text(manifest.get("seeds"))
    if not isinstance(shards, Sequence):
        return _text(seed)
    return f"{_text(seed)}; from it each of {counted(len(shards), 'shard')} has its own, which the manifest lists"


def _machine(machine: JSON) -> str:
    """Its system, and whatever else is told; Python's version stands among the versions."""
    if not isinstance(machine, Mapping):
        return _text(machine)
    return ", ".join(_text(value) for key, value in machine.items() if key != "python" and value is not None)


def _checkpoints(manifest: Mapping[str, JSON]) -> Iterator[CheckpointRow]:
    by_name = _at(manifest, "identity", "checkpoints")
    rows = list(by_name.values()) if isinstance(by_name, Mapping) else manifest.get("checkpoints")
    for row in rows if isinstance(rows, Sequence) else ():
        if isinstance(row, Mapping):
            revision = f" at {_text(row['revision'])}" if row.get("revision") else ""
            engine = f"{_text(row.get('engine'))} {_text(row.get('engine_version'))}".strip()
            yield CheckpointRow(
                name=_text(row.get("name")),
                kind=_text(row.get("kind")),
                source=f"{_text(row.get('source'))}{revision}{_base(row)}",
                engine=engine,
                dtype=_text(row.get("dtype")),
                fingerprint=_text(row.get("fingerprint")),
            )


def _base(row: Mapping[str, JSON]) -> str:
    """What a LoRA adapter changes."""
    if not row.get("base"):
        return ""
    return f", a LoRA adapter of {_text(row['base'])} (fingerprint {_text(row.get('base_fingerprint'))[:12]})"


def _at(value: JSON, *keys: str) -> JSON:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _pairs(mapping: JSON) -> str:
    return ", ".join(f"{key} {_text(value)}" for key, value in mapping.items()) if isinstance(mapping, Mapping) else ""


def _text(value: JSON) -> str:
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(item) for item in value)
    return str(value)
