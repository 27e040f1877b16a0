"""Pairs are sampled: completions of each prompt from one checkpoint, by the same plan, cache and engines as a run's."""

from __future__ import annotations

import tempfile
from pathlib import Path

from evalkit.errors import InputError
from evalkit.inference.plan import make_plan
from evalkit.inference.sample import missing_shards, read_groups, sample_missing
from evalkit.inference.stock import allot
from evalkit.metrics.registry import parse
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.times import span
from evalkit.preferences.pairs import Pair
from evalkit.records import Completion
from evalkit.runs.folder import open_store
from evalkit.suite.schema import SamplingSpec, Suite
from evalkit.training.raters.config import PrefsChooseConfig, PrefsSampleConfig


def sample_pairs(config: PrefsSampleConfig, engine: str, tell: Listener) -> list[Pair]:
    """Draw 2 x `pairs` completions of each prompt and pair them up; pairs of equal texts are dropped and counted.

    What was sampled is in the cache when something interrupts, and is not sampled again.
    Raises `InputError`s before anything is sampled, `EngineError`, and `InputError` when no pair is left.
    """
    prompts = {prompt.id: prompt for prompt in config.prompts}
    drawn = draw(config, 2 * config.pairs, engine, tell)
    couples = zip(drawn[::2], drawn[1::2], strict=True)
    answered = [(a, b) for a, b in couples if a.is_answer and b.is_answer]
    if lost := len(drawn) // 2 - len(answered):
        tell.note(f"{lost} of {len(drawn) // 2} pairs had a completion that was cut inside its thinking, and dropped")
    pairs = [Pair(prompts[a.prompt_id], a.text.strip(), b.text.strip()) for a, b in answered]
    different = [pair for pair in pairs if pair.a != pair.b]
    if not different:
        raise InputError(
            f"all {len(pairs)} pairs are of equal texts: this checkpoint always says the same; "
            "raise sampling.temperature or use other prompts"
        )
    if len(different) < len(pairs):
        tell.note(f"{len(pairs) - len(different)} of {len(pairs)} pairs were of equal texts, and dropped")
    return different


def draw(config: PrefsSampleConfig | PrefsChooseConfig, n: int, engine: str, tell: Listener) -> list[Completion]:
    """`n` completions of each prompt, in the order of sample indices; those in the cache are not drawn again."""
    plan = make_plan(_as_suite(config, n), engine)
    if len(plan.arms) > 1:
        raise InputError("policy.sampling lists several temperatures; pairs are drawn at one")
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder), tell.note) as store:
        plan = allot(plan, store)
        missing = missing_shards(plan, store)
        plan = sample_missing(plan, store, tell).plan
        if reused := [store.sampled(shard.key) for shard in plan.shards if shard not in missing]:
            when = span(min(reused), max(reused))
            tell.note(f"{len(reused)} of {len(plan.shards)} blocks of pairs come from the cache, sampled {when}")
        [groups] = read_groups(plan, store).values()
    return [completion for group in groups for completion in group.completions]


def _as_suite(config: PrefsSampleConfig | PrefsChooseConfig, n: int) -> Suite:
    """Pairs are a run's samples, not yet measured: a run's plan finds the mistakes, cuts the work and seeds it."""
    sampling = SamplingSpec(
        n=n,
        temperature=(config.sampling.temperature,),
        max_tokens=config.sampling.max_tokens,
        seed=config.seed,
    )
    return Suite(
        name=config.name,
        checkpoints={"policy": config.policy},
        sampling=sampling,
        metrics=(parse("length"),),
        prompts=config.prompts,
    )
