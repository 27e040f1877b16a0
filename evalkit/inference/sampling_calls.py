"""Sampling calls: what one asks an engine for, its key and its seed, and how it is cut in two.

A call is named by all that decides its samples, so that it is the same whatever was sampled before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.checkpoints.checkpoint import CONCURRENCY, Checkpoint
from evalkit.inference.engines.base import engine_class
from evalkit.inference.engines.openai import OpenAIEngine
from evalkit.plumbing.array_cache import key_of
from evalkit.records import Arm, Completion, Rendered, Sampling
from evalkit.runs.manifest import ShardRow
from evalkit.runs.shards import Call
from evalkit.suite.schema import Longer

SEEDS = 2**32
"""Shard seeds are below this: what every engine's generator takes."""


@dataclass(frozen=True)
class Shard:
    """Completions of one arm that one sampling call draws, or drew: so many of every one of some prompts."""

    arm: Arm
    key: str
    """Of the call."""
    seed: int
    prompts: tuple[Rendered, ...]
    kept: Sampling
    """The arm's settings, with more room where these prompts are given more."""
    shared: bool
    """Whether other runs may take its samples: not those of a server that does not name its weights."""
    distribution: str
    """Hash of all that decides how completions of a prompt are distributed."""
    twin: int
    """How many arms before this one are of the same distribution, so that it must be other draws than theirs."""
    sample_indices: range
    """Which of a prompt's draws, from 0."""
    part: bool = False
    """Whether the call drew more than this."""
    cached: bool = False
    """Whether it was taken from the cache."""

    @property
    def sampling(self) -> Sampling:
        """What the engine is asked for: all these draws, also those of which an arm keeps the best."""
        return replace(self.kept, n=len(self.sample_indices))

    @property
    def size(self) -> int:
        return len(self.prompts) * len(self.sample_indices)

    @property
    def call(self) -> Call:
        """What its file tells of it."""
        return Call(
            self.distribution, tuple(prompt_key(prompt) for prompt in self.prompts), self.sample_indices, self.seed
        )

    def drawn(self, completions: Sequence[Completion]) -> list[Completion]:
        """An engine's completions, whose sample indices begin at 0, as these draws."""
        first = self.sample_indices.start
        if not first:
            return list(completions)
        return [replace(completion, sample_index=completion.sample_index + first) for completion in completions]

    @property
    def row(self) -> ShardRow:
        """What the manifest says of it."""
        return ShardRow(
            arm=self.arm.name,
            key=self.key,
            seed=self.seed,
            prompts=[prompt.prompt_id for prompt in self.prompts],
            slots=(self.sample_indices.start, self.sample_indices.stop),
            part=self.part,
            cached=self.cached,
        )

    def only(self, prompts: Collection[str]) -> Shard:
        """What it has of these prompts."""
        kept = tuple(prompt for prompt in self.prompts if prompt.prompt_id in prompts)
        return self if kept == self.prompts else replace(self, prompts=kept, part=True)


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as this run uses it."""

    checkpoint: Checkpoint
    engine: str
    engine_version: str
    rendered: tuple[Rendered, ...]
    """The prompts in their order; those of one prompt together where it is put in several wordings."""
    max_length: int
    longer: Longer | None = None
    """Prompts that it is given more room for."""

    def room(self, sampling: Sampling, prompt: str) -> Sampling:
        """An arm's settings for one prompt."""
        if self.longer is None or prompt not in self.longer.prompts:
            return sampling
        return replace(sampling, max_tokens=self.longer.max_tokens, stop=self.longer.stop)

    @property
    def engine_text(self) -> str:
        """Name and version, as the manifest and the arms have them."""
        return f"{self.engine} {self.engine_version}"


def make_call(
    arm: Arm, source: Loaded, kept: Sampling, twin: int, prompts: Sequence[Rendered], sample_indices: range
) -> Shard:
    """A sampling call, which all that it asks for names and seeds: what was sampled before it does not matter."""
    content = _distribution_facts(arm, source, kept, twin) | {
        "sampling": kept.content() | {"n": len(sample_indices)},
        "max_length": source.max_length,
        "prompts": [_content(prompt) for prompt in prompts],
    }
    if sample_indices.start:
        content["slots"] = sample_indices.start
    key, distribution = key_of(content), distribution_of(arm, source, kept, twin)
    return Shard(
        arm, key, _seed(key), tuple(prompts), kept, source.checkpoint.names_weights, distribution, twin, sample_indices
    )


def halves_of(shard: Shard, source: Loaded, of_one_prompt: bool) -> list[Shard]:
    """A call cut in two by its prompts, or `of_one_prompt` by its draws; itself where it cannot be."""
    middle = len(shard.prompts) // 2
    if middle:
        parts = [(shard.prompts[:middle], shard.sample_indices), (shard.prompts[middle:], shard.sample_indices)]
    elif of_one_prompt and len(shard.sample_indices) > 1:
        middle = len(shard.sample_indices) // 2
        parts = [(shard.prompts, shard.sample_indices[:middle]), (shard.prompts, shard.sample_indices[middle:])]
    else:
        return [shard]
    return [make_call(shard.arm, source, shard.kept, shard.twin, prompts, indices) for prompts, indices in parts]


def fitting(source: Loaded, draws: int) -> int:
    """How many prompts one call asks for so many draws of each.

    To a server a prompt is one request. Where more of them may be in flight than by default, a call has so many; by
    default calls are cut as they always were, since their seeds hang on what is asked together.
    """
    kind, serving = engine_class(source.engine), source.checkpoint.serving
    at_once = serving.concurrency * max(1, len(serving.pool))
    least = at_once if kind is OpenAIEngine and at_once > CONCURRENCY else 1
    return max(least, kind.shard_size // draws)


def distribution_of(arm: Arm, source: Loaded, kept: Sampling, twin: int) -> str:
    """Hash of what completions of a prompt are drawn from: neither how many, nor with which other prompts."""
    return key_of(_distribution_facts(arm, source, kept, twin))


def prompt_key(prompt: Rendered) -> str:
    """Hash of a prompt as a checkpoint sees it."""
    return key_of({"prompt": _content(prompt)})


def _distribution_facts(arm: Arm, source: Loaded, kept: Sampling, twin: int) -> dict[str, Any]:
    sampling = {name: value for name, value in kept.content().items() if name != "n"}
    # The draws that an arm keeps the best of are not those of an arm that keeps all.
    chosen = {"best_of": arm.best_of} if arm.best_of > 1 else {}
    shown = {"shown": list(source.checkpoint.shown)} if source.checkpoint.shown else {}
    return (
        chosen
        | shown
        | source.checkpoint.settings.departures
        | {
            "weights": source.checkpoint.fingerprint,
            "dtype": source.checkpoint.dtype,
            "engine": source.engine,
            "engine_version": source.engine_version,
            "sampling": sampling,
            "twin": twin,
        }
    )


def _content(prompt: Rendered) -> list[Any]:
    template = [prompt.chat_template_kwargs] if prompt.chat_template_kwargs else []
    return [prompt.prompt_id, list(prompt.token_ids) or [prompt.text, *prompt.messages, *template]]


def _seed(key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"seed {key}".encode()).digest()[:8], "big") % SEEDS
