"""Finished runs in seconds: planned, stored, measured and written as a run's are, but nothing is sampled by a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.inference.plan import make_plan
from evalkit.inference.sampling_calls import Shard
from evalkit.inference.settle import begin
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion
from evalkit.run import finish, measure_samples
from evalkit.runs.folder import open_store
from evalkit.suite.schema import Suite

WORDS = ("rain", "tram", "lamp", "snow", "door", "song", "salt", "wall")
PROMPTS = tuple({"id": f"p{i}", "text": f"Write a line about {word}.", "answer": word} for i, word in enumerate(WORDS))


def finished_run(
    folder: Path, various: dict[str, int], prompts: Sequence[dict[str, Any]] = PROMPTS, **changes: Any
) -> Path:
    """A run of the checkpoints `various`, the first being the baseline; each draws its answers from so many words."""
    checkpoints = {name: {"path": "lab:base", "kind": "base"} for name in various}
    suite = {
        "name": "tiny",
        "checkpoints": checkpoints,
        "sampling": {"n": 4, "max_tokens": 8, "seed": 3},
        "metrics": ["distinct_n|n:1", "length", "accuracy"],
        "prompts": list(prompts),
    }
    plan = make_plan(Suite.model_validate(suite | changes), "transformers")
    with open_store(folder, lambda _: None) as store:
        known = store.manifest() is not None
        command = ["evalkit", "run", "a suite.yaml", "--out", str(folder)]
        plan, manifest = begin(store, plan, command, fresh=not known)  # each run's draws are its own
        for shard in plan.shards:
            if not store.holds(shard.key, shared=False):
                drawn = shard.drawn(_draws(shard, various[shard.arm.checkpoint]))
                store.put(shard.key, drawn, shard.arm.name, call=shard.call)
        finish(store, plan, manifest, measure_samples(plan, store, Quiet()), Quiet())
    return folder


def _draws(shard: Shard, various: int) -> list[Completion]:
    rng = np.random.default_rng(shard.seed)
    return [
        Completion(prompt.prompt_id, slot, " ".join(rng.choice(WORDS[:various], size=5)), (5, 6, 7), (), "stop")
        for prompt in shard.prompts
        for slot in range(shard.sampling.n)
    ]
