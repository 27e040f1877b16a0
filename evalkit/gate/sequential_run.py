"""A run that stops as soon as the gate's verdict is settled, and keeps the gate's error rates.

    suite, prompts in random order -> plan in blocks -> (sample a block -> measure -> judge) until decided -> report

The first prompts of a suite are no sample of all (stories before poems), so they are asked in an order of chance, the
same at every start and clusters together. After each block the verdict is held against that look's boundaries
(`evalkit.gate.stats.group_sequential`).
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.analysis.clusters import clusters_of
from evalkit.analysis.intervals import units
from evalkit.errors import Incomparable, InputError
from evalkit.gate.decide import GateDecision, decide
from evalkit.gate.sides import Side, choose_pairs
from evalkit.gate.stats.group_sequential import LOOKS, Look, looks_of
from evalkit.gate.stats.power import FEWEST
from evalkit.inference.origins import note_origins
from evalkit.inference.plan import Plan, plan_in
from evalkit.inference.sample import sample_missing
from evalkit.inference.settle import begin
from evalkit.metrics.summary import Alarm
from evalkit.plumbing.progress import Listener
from evalkit.records import Prompt
from evalkit.run import Run, default_folder, finish, measure_samples
from evalkit.runs.asked import asked_by, hashes_of, version_of
from evalkit.runs.folder import Store, open_store
from evalkit.suite.gate_policy import Policy
from evalkit.suite.schema import Suite

CHANGING = (
    "how many of its completions come to an answer may change from look to look, and the numbers with it; run the "
    "whole suite without --until-decided (what was sampled is kept), then evalkit gate"
)
"""Why thinking is not judged in blocks."""


@dataclass(frozen=True)
class Decided:
    """A run and what stopped it."""

    run: Run
    verdict: GateDecision
    prompts_asked: int
    """Prompts that were asked."""
    prompts_planned: int
    """Prompts of the suite."""


def run_until_decided(
    suite: Suite,
    policy: Policy,
    old: Side | None,
    engine: str,
    out: Path | None,
    tell: Listener,
    command: Sequence[str] = (),
    fresh: bool = False,
    tags: Sequence[str] = (),
) -> Decided:
    """Run the suite block by block until the verdict against `old` (None: each arm's own baseline) is settled.

    What is left in the folder is a run of the prompts that were asked. The same command on it resumes, and decides the
    same. Raises `EvalkitError`s.
    """
    _refuse_thinking(suite)
    _refuse_ways_of_asking(suite)
    folder = out or default_folder(suite)
    plan = plan_in(folder, _in_random_order(suite), engine, tell, LOOKS)
    if old is not None:
        _refuse_grown(plan.suite.prompts, old)
    clusters = clusters_of(plan.suite.prompts)
    sizes = [size for size in plan.block_ends if units(clusters[:size], size) >= FEWEST] or [len(suite.prompts)]
    sampled = 0
    alarms: dict[Alarm, None] = {}
    with open_store(folder, tell.note) as store:
        plan, manifest = begin(store, plan, command, fresh, tags, plan.block_ends, tell)
        for index, size in enumerate(sizes):
            look = Look(looks_of(sizes), index)
            drawn = sample_missing(plan.first(size), store, tell, manifest.fresh)
            sampled += drawn.completions
            alarms.update(dict.fromkeys(drawn.alarms))
            part, plan = drawn.plan, plan.with_parts(drawn.parts)
            verdict = _judge(part, store, folder, version_of(suite.prompts), look, old, policy, tell)
            tell.note(f"after {size} of {sizes[-1]} prompts: {verdict.outcome}")
            if verdict.outcome != "inconclusive":
                break
        manifest = note_origins(part, store, manifest, sampled, tell)
        measured = measure_samples(part, store, tell, tuple(alarms))
        finish(store, part, manifest.model_copy(update={"look": dataclasses.asdict(look)}), measured, tell)
    return Decided(Run(folder, measured.summary, sampled), verdict, size, sizes[-1])


def _refuse_thinking(suite: Suite) -> None:
    """Looks must be at one number of completions, and how many answers there are shows only as they come."""
    thinking = [name for name, spec in suite.checkpoints.items() if spec.thinking is not None]
    if thinking:
        raise InputError(f"checkpoint {thinking[0]!r} has `thinking`: {CHANGING}")


def _refuse_ways_of_asking(suite: Suite) -> None:
    """How many answers of a list can be told shows only as they come, too."""
    asked = [name for name, spec in suite.checkpoints.items() if spec.ask is not None and spec.ask.template is None]
    if asked:
        raise InputError(
            f"checkpoint {asked[0]!r} has `ask`: how many of its answers there are may change from look to look, and "
            "the numbers with it; run the whole suite without --until-decided, then evalkit gate"
        )


def _refuse_grown(prompts: Sequence[Prompt], old: Side) -> None:
    """Refuse prompts that the other side did not ask alike: they could not be judged. Raises `Incomparable`."""
    known = asked_by(old.summary)
    hashes = dict(zip((prompt.id for prompt in prompts), hashes_of(prompts), strict=True))
    new = [
        name for name, digest in hashes.items() if name not in old.summary.prompts or (known and known[name] != digest)
    ]
    if new:
        raise Incomparable(
            f"prompts: {old.name} did not ask {len(new)} of {len(hashes)} alike (such as {new[0]!r}), and a run in "
            "blocks is judged on all that it asked; run the whole suite without --until-decided, then compare with "
            f"evalkit gate RUN --baseline {old.name} --common-prompts"
        )


def _judge(
    part: Plan, store: Store, folder: Path, version: str, look: Look, old: Side | None, policy: Policy, tell: Listener
) -> GateDecision:
    """The verdict on what is there; variants that no rule names are left for the end."""
    named = {name.partition("/")[0] for rule in policy.rules for name in rule.metrics if "/" in name}
    variants = tuple(variant for variant in part.suite.variants if variant in named)
    lean = dataclasses.replace(part, suite=part.suite.model_copy(update={"variants": variants}))
    summary = measure_samples(lean, store, tell).summary
    for arm in summary.arms:
        if arm.thinking is not None:
            raise InputError(f"the server of checkpoint {arm.checkpoint!r} tells thinking apart: {CHANGING}")
    new = Side(summary, str(folder), version, look)
    against = new if old is None else old
    return decide(new, against, choose_pairs(new, against, ()), policy)


def _in_random_order(suite: Suite) -> Suite:
    """Clusters stay together, so that a block holds as many of them as it can."""
    members: dict[str, list[Prompt]] = {}
    for prompt, cluster in zip(suite.prompts, clusters_of(suite.prompts) or range(len(suite.prompts)), strict=True):
        members.setdefault(str(cluster), []).append(prompt)
    order = list(members.values())
    random.Random(suite.sampling.seed).shuffle(order)  # noqa: S311 (an order, not a secret)
    return suite.model_copy(update={"prompts": tuple(prompt for cluster in order for prompt in cluster)})
