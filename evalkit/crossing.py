"""Cross-scoring: what every arm wrote, teacher-forced through the baseline checkpoint; how far each law has moved.

The baseline reads each completion's tokens after its own rendering of the prompt (its frame), where the arm that
wrote them read the arm's (its chat template): the laws that are compared are those that the report compares.
"""

from __future__ import annotations

import dataclasses
import filecmp
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.checkpoints import context_length
from evalkit.engines.base import Pair, engine_class, open_engine
from evalkit.plan import Loaded, Plan
from evalkit.progress import Listener
from evalkit.records import Alarm, Checkpoint, Group
from evalkit.stats import Array
from evalkit.store import key_of, recall, remember


def score_under_baseline(
    plan: Plan, groups: Mapping[str, Sequence[Group]], tell: Listener
) -> tuple[dict[str, Sequence[Group]], list[Alarm]]:
    """All arms' groups, with `baseline_logprobs` where they can be had; and why not, for each other arm of a raw law.

    Nothing is done unless a measure of the suite needs them. Arms that are not draws from their checkpoint's own law
    (`Arm.is_raw`) get none. The baseline checkpoint's own arms keep the log-probs that they were sampled with, so
    that their divergence is 0 by definition. What was scored once is kept in the cache. Raises `EngineError`.
    """
    scored = dict(groups)
    asked = [str(measure) for measure in plan.suite.metrics if "baseline_logprobs" in measure.definition.needs]
    if not asked:
        return scored, []
    home = plan.checkpoints[plan.suite.baseline_checkpoint]
    found: list[Alarm] = []
    pairs: dict[str, list[Pair]] = {}
    for arm in plan.arms:
        if not arm.is_raw:
            continue
        if arm.checkpoint == home.checkpoint.name:
            scored[arm.name] = [_with(group, _own(group)) for group in groups[arm.name]]
            continue
        of_arm = _pairs(home, groups[arm.name])
        obstacle = _obstacle(home, plan.checkpoints[arm.checkpoint], of_arm)
        if obstacle is None:
            pairs[arm.name] = of_arm
        else:
            found.append(Alarm(arm.name, "undefined", f"{', '.join(asked)} cannot be measured: {obstacle}"))
    for name, logprobs in _known_or_scored(home, pairs, tell):
        ends = np.cumsum([len(group.completions) for group in groups[name]])[:-1]
        parts = np.split(logprobs, ends)
        scored[name] = [_with(group, part) for group, part in zip(groups[name], parts, strict=True)]
    return scored, found


def _with(group: Group, logprobs: Array) -> Group:
    return dataclasses.replace(group, baseline_logprobs=logprobs)


def _own(group: Group) -> Array:
    return np.array([math.fsum(completion.logprobs) for completion in group.completions], dtype=np.float64)


def _pairs(home: Loaded, groups: Sequence[Group]) -> list[Pair]:
    """(the baseline's prompt, the arm's completion), in the groups' order."""
    prompts = {prompt.prompt_id: prompt.token_ids for prompt in home.rendered}
    return [(prompts[group.prompt.id], completion.token_ids) for group in groups for completion in group.completions]


def _obstacle(home: Loaded, other: Loaded, pairs: Sequence[Pair]) -> str | None:
    """Why the baseline cannot be asked for the log-probs of another checkpoint's tokens; None where it can."""
    for checkpoint in (home.checkpoint, other.checkpoint):
        if checkpoint.is_remote:
            return f"{checkpoint.name} is a server, and the weights of both checkpoints are needed here"
    if not _share_a_vocabulary(home.checkpoint, other.checkpoint):
        return f"{other.checkpoint.name} has another vocabulary than {home.checkpoint.name}, so its tokens mean others"
    context, longest = context_length(home.checkpoint), _longest(pairs)
    # Scoring a sequence in vLLM takes room for one token more.
    if context is not None and longest >= context:
        return (
            f"a completion takes {longest} tokens with its prompt, and the context of {home.checkpoint.name} is "
            f"{context}; lower max_tokens"
        )
    return None


def _share_a_vocabulary(first: Checkpoint, second: Checkpoint) -> bool:
    """Whether every token id stands for the same token."""
    one, other = (Path(checkpoint.location) / "tokenizer.json" for checkpoint in (first, second))
    if one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False):
        return True
    return _vocabulary(first) == _vocabulary(second)


def _vocabulary(checkpoint: Checkpoint) -> dict[str, int]:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint.location, trust_remote_code=checkpoint.trust_remote_code)
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return vocabulary


def _longest(pairs: Sequence[Pair]) -> int:
    return max((len(prompt) + len(completion) for prompt, completion in pairs), default=0)


def _known_or_scored(home: Loaded, pairs: Mapping[str, Sequence[Pair]], tell: Listener) -> Iterator[tuple[str, Array]]:
    """Each arm's log-probs, [completions]: from the cache, or from the baseline, which is loaded at most once."""
    keys = {name: _key(home, of_arm) for name, of_arm in pairs.items()}
    missing = {}
    for name, key in keys.items():
        known = recall("crossings", key)
        if known is None:
            missing[name] = pairs[name]
        else:
            yield name, known[0]
    if missing:
        for name, logprobs in _score(home, missing, tell):
            remember("crossings", keys[name], [logprobs], tell.note)
            yield name, logprobs


def _score(home: Loaded, pairs: Mapping[str, Sequence[Pair]], tell: Listener) -> Iterator[tuple[str, Array]]:
    name = home.checkpoint.name
    tell.stage(f"load {name} ({home.engine})", 1)
    longest = max(_longest(of_arm) for of_arm in pairs.values())
    block = engine_class(home.engine).shard_size
    with open_engine(home.engine, home.checkpoint, longest) as engine:
        tell.advance(1)
        tell.stage(f"score under {name}", sum(len(of_arm) for of_arm in pairs.values()))
        for arm, of_arm in pairs.items():
            # A collapsed arm says the same thing many times; it is read once.
            distinct = list(dict.fromkeys(of_arm))
            known: dict[Pair, float] = {}
            for start in range(0, len(distinct), block):
                part = distinct[start : start + block]
                known.update(zip(part, map(math.fsum, engine.logprobs(part)), strict=True))
                tell.advance(len(part))
            tell.advance(len(of_arm) - len(distinct))
            yield arm, np.array([known[pair] for pair in of_arm], dtype=np.float64)


def _key(home: Loaded, pairs: Sequence[Pair]) -> str:
    return key_of({
        "weights": home.checkpoint.fingerprint,
        "dtype": home.checkpoint.dtype,
        "engine": home.engine,
        "engine_version": home.engine_version,
        "pairs": pairs,
    })  # fmt: skip
