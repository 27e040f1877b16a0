"""Many runs of one suite are read as a history: only run.json and summary.json, so that a thousand take seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from evalkit.analysis.clusters import shared_clusters
from evalkit.analysis.effects import is_plain
from evalkit.analysis.estimates import estimate_arms, remeasured
from evalkit.errors import Incomparable, InputError
from evalkit.metrics.registry import is_by_prompt
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.arrays import nan_for_none
from evalkit.plumbing.prose import counted, listed
from evalkit.records import NEUTRAL, Arm
from evalkit.report.content.content import MetricText
from evalkit.report.content.read import metric_texts
from evalkit.report.history.page import History, Line, PastRun, Trend
from evalkit.report.wording import label, unlike_fields
from evalkit.runs.asked import PROMPTS_FILE, asked_by, few, hashes_of, read_prompts
from evalkit.runs.manifest import Manifest, read_manifest, short_names, start_of
from evalkit.runs.summary import read_summary

FRAME = ("kind", "system", "frame")
"""Of a checkpoint in the suite: how prompts are put to it."""
NAMED = 5
"""Runs that are named in a sentence; the rest is counted."""
SETTINGS = ("temperature", "top_p", "min_p", *NEUTRAL, "max_tokens", "stop")
"""Of an arm's sampling: what its numbers depend on besides the weights; n stands in every signature."""


@dataclass(frozen=True)
class _Past:
    """One run as read."""

    run: PastRun
    summary: Summary
    version: str
    """Of the suite's prompts, whichever of them were asked; empty where it is not known."""
    prompt_ids: frozenset[str]
    """The ids of the prompts that were asked: fewer than the suite's in a run that was stopped early."""
    stopped: bool
    """Whether it was stopped before all were asked."""
    frames: Mapping[str, tuple[tuple[str, object], ...]]
    """Checkpoint -> how prompts are put to it, as far as the manifest tells."""
    estimates: Mapping[tuple[str, str], Estimate]
    arms: Mapping[str, Arm]


def read_history(folders: Sequence[Path], common_prompts: bool = False) -> History:
    """The runs in the order of their times, every plain metric of every arm.

    `common_prompts`: all of them as if only those prompts had been asked that every run asked alike. Raises
    `InputError` on a single run, `Incomparable` on different suites and where no prompt is common, `RecordsError` on a
    folder that is no finished run.
    """
    if len(folders) < 2:
        raise InputError(
            "a history needs two runs or more; give all of them, as in: evalkit report --history reports/*"
        )
    pasts = [_read(folder, name) for folder, name in zip(folders, short_names(folders), strict=True)]
    pasts.sort(key=lambda past: (past.run.started, past.run.name))
    suites = {past.summary.suite: past.run.folder for past in pasts}
    if len(suites) > 1:
        suite_of_each = listed(f"{folder} is of {suite!r}" for suite, folder in suites.items())
        raise Incomparable(f"suite: a history is of one suite, but {suite_of_each}")
    pasts, shared = _on_common_prompts(pasts) if common_prompts else (pasts, [])
    metrics = dict.fromkeys(metric for past in pasts for metric, _ in past.estimates)
    texts = metric_texts(list(metrics))
    arms = tuple(dict.fromkeys(arm for past in pasts for arm in past.arms))
    trends = [_trend(metric, arms, pasts, texts.get(metric)) for metric in metrics]
    return History(
        suite=pasts[0].summary.suite,
        runs=tuple(past.run for past in pasts),
        arms=arms,
        trends=tuple(trend for trend in trends if trend.lines),
        notes=(*shared, *_other_prompts(pasts), *_other_settings(arms, pasts)),
    )


def _read(folder: Path, name: str) -> _Past:
    manifest = read_manifest(folder)
    summary = read_summary(folder / "summary.json")
    return _Past(
        run=PastRun(
            name,
            start_of(manifest, folder),
            manifest.evalkit,
            str(folder),
            len(summary.prompts),
            tuple(arm.name for arm in summary.arms),
            manifest.tags,
        ),
        summary=summary,
        version=manifest.identity.prompts,
        prompt_ids=frozenset(summary.prompts),
        stopped=manifest.look is not None,
        frames=_frames(manifest),
        estimates={(e.metric, e.arm): e for e in summary.estimates if is_plain(e.metric)},
        arms={arm.name: arm for arm in summary.arms},
    )


def _on_common_prompts(pasts: list[_Past]) -> tuple[list[_Past], list[str]]:
    """The runs on the prompts that all of them asked alike, and which took no part, in words."""
    hashes = [_asked(past) for past in pasts]
    counts = Counter(pair for by_prompt in hashes for pair in by_prompt.items())
    shared = [prompt for prompt, content in hashes[0].items() if counts[prompt, content] == len(pasts)]
    alone = _alone(pasts, hashes, counts)
    if not shared:
        raise Incomparable(f"prompts: none is asked alike by all {len(pasts)} runs{'; ' if alone else ''}{alone}")
    gone = list(dict.fromkeys(prompt for prompt, content in counts if counts[prompt, content] < len(pasts)))
    clusters = shared_clusters(shared, [past.run.folder for past in pasts], [past.summary for past in pasts])
    cut = [_cut(past, shared, clusters) for past in pasts]
    return cut, _shared_words(pasts, cut, shared, gone, alone)


def _asked(past: _Past) -> Mapping[str, str]:
    """Prompt -> hash of what it asks, by the summary or, of an older evalkit, by the run's prompts."""
    hashes = asked_by(past.summary)
    folder = Path(past.run.folder)
    if not hashes and (folder / PROMPTS_FILE).is_file():
        known = {prompt.id: prompt for prompt in read_prompts(folder)}
        mine = [known[prompt] for prompt in past.summary.prompts if prompt in known]
        hashes = dict(zip((prompt.id for prompt in mine), hashes_of(mine), strict=True))
    if not hashes:
        raise Incomparable(
            f"prompts: {folder} does not say what its prompts ask (an older evalkit wrote it), so none is known to be "
            "common; leave it out, or give its `evalkit run` again"
        )
    return hashes


def _alone(pasts: Sequence[_Past], hashes: Sequence[Mapping[str, str]], counts: Mapping[tuple[str, str], int]) -> str:
    """Which single run costs the most prompts, in words: those that all others share; empty where none costs any."""
    nearly = {pair for pair, count in counts.items() if count == len(pasts) - 1}
    costs = [len(nearly - set(by_prompt.items())) if len(pasts) > 2 else 0 for by_prompt in hashes]
    dearest = max(range(len(pasts)), key=lambda index: costs[index])
    if not costs[dearest]:
        return ""
    return f"without {pasts[dearest].run.name} the others would share {costs[dearest]} more"


def _cut(past: _Past, shared: Sequence[str], clusters: Sequence[str]) -> _Past:
    """The run as if the shared prompts alone had been asked; what is of all its prompts at once is then gone."""
    is_whole = past.prompt_ids == frozenset(shared)
    position = {prompt: index for index, prompt in enumerate(past.summary.prompts)}
    kept_positions = [position[prompt] for prompt in shared]
    kept = {
        key: estimate if is_whole and not clusters else _again(estimate, past.arms[key[1]], kept_positions, clusters)
        for key, estimate in past.estimates.items()
        if is_whole or is_by_prompt(key[0])
    }
    return replace(past, version="", prompt_ids=frozenset(shared), estimates=kept)


def _again(estimate: Estimate, arm: Arm, positions: Sequence[int], clusters: Sequence[str]) -> Estimate:
    """The estimate made anew from its values at these positions."""
    values = nan_for_none(estimate.values[index] for index in positions)
    [remade] = estimate_arms(remeasured(estimate, {arm.name: values}), [arm], clusters)
    return remade


def _shared_words(
    pasts: Sequence[_Past], cut: Sequence[_Past], shared: Sequence[str], gone: Sequence[str], alone: str
) -> list[str]:
    """What the page says of common prompts: how many, which are left out, and which measures with them."""
    if not gone:
        return []
    parts = [
        f"{len(past.prompt_ids) - len(shared)} of {past.run.name}"
        for past in pasts
        if len(past.prompt_ids) > len(shared)
    ]
    more = [f"some of {len(parts) - NAMED} more runs"] if len(parts) > NAMED else []
    notes = [
        f"All numbers are of the {counted(len(shared), 'prompt')} that all runs asked alike. Left out: "
        f"{listed([*parts[:NAMED], *more])} ({few(gone)})" + (f"; {alone}." if alone else ".")
    ]
    lost = dict.fromkeys(
        m for was, now in zip(pasts, cut, strict=True) for m, a in was.estimates if (m, a) not in now.estimates
    )
    if lost:
        notes.append(f"Left out too, because they are of all the prompts of a run at once: {listed(map(label, lost))}.")
    return notes


def _frames(manifest: Manifest) -> dict[str, tuple[tuple[str, object], ...]]:
    specs = manifest.suite.checkpoints
    return {name: tuple((key, spec.get(key)) for key in FRAME) for name, spec in specs.items()}


def _trend(metric: str, arms: Sequence[str], pasts: Sequence[_Past], text: MetricText | None) -> Trend:
    example = next(e for past in pasts for (name, _), e in past.estimates.items() if name == metric)
    lines = [_line(metric, arm, pasts) for arm in arms]
    drawn = tuple(line for line in lines if any(value is not None for value in line.values))
    notes = _other_signatures(metric, drawn, pasts)
    return Trend(metric, example.traits.side, text or MetricText("", example.better, ""), drawn, tuple(notes))


def _line(metric: str, arm: str, pasts: Sequence[_Past]) -> Line:
    estimates = [past.estimates.get((metric, arm)) for past in pasts]
    ways = [_way(estimate, arm, past) for estimate, past in zip(estimates, pasts, strict=True)]
    return Line(
        arm=arm,
        values=tuple(e.value if e else None for e in estimates),
        lows=tuple(e.low if e else None for e in estimates),
        highs=tuple(e.high if e else None for e in estimates),
        signatures=tuple(e.signature if e else None for e in estimates),
        breaks=tuple(run for run, earlier in _neighbours(estimates) if ways[run] != ways[earlier]),
    )


def _way(estimate: Estimate | None, arm: str, past: _Past) -> tuple[object, ...]:
    """All that must be the same for two numbers to stand on one line."""
    return (
        estimate.signature if estimate else None,
        past.version,
        past.prompt_ids,
        _settings(past.arms.get(arm), past),
    )


def _settings(arm: Arm | None, past: _Past) -> tuple[tuple[str, object], ...]:
    if arm is None or arm.sampling is None:
        return ()
    drawn = ((key, getattr(arm.sampling, key)) for key in SETTINGS)
    return (*drawn, ("best_of", arm.best_of), *past.frames.get(arm.checkpoint, ()))


def _neighbours(values: Sequence[object]) -> list[tuple[int, int]]:
    """(index, the index before it) of all values that are there, over the gaps."""
    present = [index for index, value in enumerate(values) if value is not None]
    return [(index, earlier) for earlier, index in pairwise(present)]


def _other_signatures(metric: str, lines: Sequence[Line], pasts: Sequence[_Past]) -> list[str]:
    """Each change once, with the arms that it is of."""
    changes: dict[tuple[int, str], list[str]] = {}
    for line in lines:
        for run, earlier in _neighbours(line.signatures):
            now, was = line.signatures[run], line.signatures[earlier]
            if now is not None and was is not None and now != was:
                changes.setdefault((run, unlike_fields(now, was)), []).append(line.arm)
    return [
        f"From {pasts[run].run.name} on {_of_which(arms, lines)} measured in another way ({fields}); the dotted line "
        "is where numbers may no longer be compared."
        for (run, fields), arms in sorted(changes.items())
    ]


def _of_which(arms: Sequence[str], lines: Sequence[Line]) -> str:
    if len(arms) == len(lines) > 1:
        return "all arms are"
    return f"{listed(arms)} {'is' if len(arms) == 1 else 'are'}"


def _other_prompts(pasts: Sequence[_Past]) -> list[str]:
    return [
        f"From {now.run.name} on {_asked_otherwise(was, now)}: every line breaks there."
        for was, now in pairwise(pasts)
        if (was.prompt_ids, was.version) != (now.prompt_ids, now.version)
    ]


def _asked_otherwise(was: _Past, now: _Past) -> str:
    """How what is asked changed, as a clause."""
    if was.prompt_ids == now.prompt_ids:
        return (
            f"the {counted(len(now.prompt_ids), 'prompt')} are put in other words, or have other answers or references"
        )
    gone, new = len(was.prompt_ids - now.prompt_ids), len(now.prompt_ids - was.prompt_ids)
    why = "; this run was stopped early" if now.stopped else "; the run before was stopped early" if was.stopped else ""
    return f"{len(now.prompt_ids)} prompts are asked instead of {len(was.prompt_ids)} ({gone} left out, {new} new{why})"


def _other_settings(arms: Sequence[str], pasts: Sequence[_Past]) -> list[str]:
    notes = []
    for arm in arms:
        known = [past.arms.get(arm) for past in pasts]
        for run, earlier in _neighbours(known):
            changed = [
                f"{key} {now!r} instead of {was!r}"
                for (key, now), (_, was) in zip(
                    _settings(known[run], pasts[run]), _settings(known[earlier], pasts[earlier]), strict=False
                )
                if now != was
            ]
            if changed:
                notes.append(
                    f"From {pasts[run].run.name} on {arm} is asked or drawn with {listed(changed)}: its lines break "
                    "there."
                )
    return notes
