"""What a run will do, decided before anything is sampled: arms, rendered prompts, shards.

Everything that can be wrong with a suite on this machine is found here, in seconds, not after an hour of sampling.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.checkpoints.asking import as_asked, wording_id
from evalkit.checkpoints.checkpoint import CONCURRENCY, Checkpoint
from evalkit.checkpoints.folder import context_length
from evalkit.checkpoints.rendering import render, special_tokens_in, vocabulary_hash
from evalkit.checkpoints.resolution import resolve
from evalkit.errors import CheckpointError, InputError, MetricError, RecordsError, ServerError
from evalkit.inference.engines.base import choose_engine, engine_class, fallback_note
from evalkit.inference.engines.openai import OpenAIEngine
from evalkit.inference.parameters import check_parameters
from evalkit.metrics.embeddings.encoder import Encoder, find_encoder
from evalkit.metrics.registry import Measure, parse
from evalkit.plumbing.array_cache import key_of
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.tokenizer import check
from evalkit.records import Arm, Completion, Prompt, Rendered, Sampling, Thinking
from evalkit.runs.manifest import ShardRow, find_manifest
from evalkit.runs.shards import Call
from evalkit.suite.fitting import fit
from evalkit.suite.schema import Longer, Suite

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


@dataclass(frozen=True)
class Plan:
    """All of a run."""

    suite: Suite
    checkpoints: dict[str, Loaded]
    arms: tuple[Arm, ...]
    shards: tuple[Shard, ...]
    encoder: Encoder
    note: str = ""
    """What of the suite is left out, and what to do; may be empty."""
    cluster: str | None = None
    """Address of the Ray cluster that engines are opened on, "auto" for the one that is found; None: this machine."""

    def first(self, prompts: int) -> Plan:
        """The plan of so many prompts alone; the calls that are still to be made are whole where a block ends there."""
        first = self.suite.prompts[:prompts]
        ids = {called for called, place in self.place_of.items() if place < prompts}
        return replace(
            self,
            suite=self.suite.model_copy(update={"prompts": first}),
            checkpoints={
                name: replace(loaded, rendered=tuple(one for one in loaded.rendered if one.prompt_id in ids))
                for name, loaded in self.checkpoints.items()
            },
            shards=tuple(part for part in (shard.only(ids) for shard in self.shards) if part.prompts),
        )

    @property
    def block_ends(self) -> tuple[int, ...]:
        """After how many prompts a block ends in every arm; the last is all of them."""
        place_of = self.place_of
        reach = [[place_of[prompt.prompt_id] for prompt in shard.prompts] for shard in self.shards]
        inside = {end for places in reach for end in range(min(places) + 1, max(places) + 1)}
        return tuple(end for end in range(1, len(self.suite.prompts) + 1) if end not in inside)

    @property
    def place_of(self) -> dict[str, int]:
        """What a prompt is called when it is put, in each of its wordings too -> its place in the suite."""
        most = max(arm.asking.wordings if arm.asking is not None else 1 for arm in self.arms)
        return {
            called: place
            for place, prompt in enumerate(self.suite.prompts)
            for called in (prompt.id, *(wording_id(prompt.id, number) for number in range(most if most > 1 else 0)))
        }

    def with_parts(self, parts: Mapping[str, Sequence[Shard]]) -> Plan:
        """The plan with other shards in the place of those that these keys name."""
        return replace(self, shards=tuple(part for shard in self.shards for part in parts.get(shard.key, (shard,))))

    def shards_of(self, arm: str) -> list[Shard]:
        return [shard for shard in self.shards if shard.arm.name == arm]


def make_plan(
    suite: Suite, engine: str, blocks: int = 1, remembered: Mapping[str, Mapping[str, str]] | None = None
) -> Plan:
    """Resolve every checkpoint, render every prompt, cut the work into shards. Raises `InputError`s, `ServerError`.

    `blocks`: cut each arm into at least so many, to look at the data in between. `remembered`: checkpoint -> what its
    server told before; such a server is not asked again.
    """
    check_measures(suite.measures, suite.prompts)
    _check_choosers(suite)
    _check_thinking(suite)
    _check_stated(suite)
    fewest = min(sampling.n for name in suite.checkpoints for sampling in suite.settings(name))
    for measure in suite.measures:
        measure.check_fits(fewest)
    check(suite.tokenizer)
    cluster, engine = cluster_of(engine)
    check_parameters(suite)
    checkpoints = {name: resolve(name, spec, (remembered or {}).get(name)) for name, spec in suite.checkpoints.items()}
    fitted = fit(suite, checkpoints)
    suite = fitted.suite
    check_parameters(suite, checkpoints)
    loaded = {
        name: _load(suite, checkpoint, engine, fitted.longer.get(name)) for name, checkpoint in checkpoints.items()
    }
    vocabularies = {name: vocabulary_hash(checkpoint) for name, checkpoint in checkpoints.items()}
    arms = [
        replace(arm, engine=loaded[arm.checkpoint].engine_text, tokenizer=vocabularies[arm.checkpoint])
        for arm in plan_arms(suite)
    ]
    shards = tuple(_shards(arms, loaded, blocks))
    notes = [
        fitted.note,
        *(fallback_note(source.checkpoint, source.engine) for source in loaded.values() if engine == "auto"),
    ]
    note = "; ".join(note for note in notes if note)
    return Plan(suite, loaded, tuple(arms), shards, find_encoder(suite.encoder), note, cluster)


def cluster_of(engine: str) -> tuple[str | None, str]:
    """What `--engine` says, `ray[:ENGINE][@ADDRESS]` or `ENGINE`, as a cluster's address and an engine."""
    stated, at, address = engine.partition("@")
    place, colon, inside = stated.partition(":")
    if place != "ray":
        return None, engine
    if (at and not address) or (colon and not inside):
        raise InputError(
            f"engine {engine!r} is cut short; write ray for the cluster that is found, ray@HOST:PORT for another, "
            "ray:transformers for a certain engine on it"
        )
    return address or "auto", inside or "auto"


def plan_arms(suite: Suite) -> list[Arm]:
    """Every checkpoint at each temperature; each arm is compared with the baseline's arm of the same temperature."""
    settings = {name: suite.settings(name) for name in suite.checkpoints}
    baseline_checkpoint = suite.baseline_checkpoint
    baselines = {
        sampling.temperature: _arm_name(baseline_checkpoint, sampling, settings[baseline_checkpoint])
        for sampling in settings[baseline_checkpoint]
    }
    first = next(iter(baselines.values()))
    arms = []
    for checkpoint, samplings in settings.items():
        for sampling in samplings:
            name = _arm_name(checkpoint, sampling, samplings)
            baseline = first if checkpoint == baseline_checkpoint else baselines.get(sampling.temperature, first)
            spec = suite.checkpoints[checkpoint]
            best_of = spec.best_of.n if spec.best_of is not None else 1
            beside = None if name == baseline else baseline
            marks = None if spec.thinking is None else Thinking(spec.thinking.start or "", spec.thinking.end)
            system = spec.system or ""
            asking = None if spec.ask is None else spec.ask.asking
            arm = Arm(name, checkpoint, spec.kind, sampling, beside, best_of, system=system, thinking=marks)
            arms.append(replace(arm, asking=asking))
    return arms


def sampling_of(arm: Arm) -> Sampling:
    """The settings of a planned arm; only arms of texts made elsewhere have none."""
    assert arm.sampling is not None
    return arm.sampling


def draws_of(arm: Arm) -> int:
    """Completions of each of a checkpoint's rendered prompts that a planned arm takes."""
    n = sampling_of(arm).n
    return n * arm.best_of if arm.asking is None else arm.asking.draws(n * arm.best_of)


def check_measures(measures: Sequence[Measure], prompts: Sequence[Prompt]) -> None:
    """Refuse measures that these prompts can give no number to, or whose own model or server is not there.

    Raises `MetricError`, `CheckpointError`.
    """
    fields = {
        "answer": "answer",
        "checks": "checks",
        "choices": "choices",
        "references": "references",
        "reference_embeddings": "references",
    }
    for measure in measures:
        measure.identify()
        if measure.definition.needs & {"scores", "classes"}:
            raise MetricError(
                f"metric {measure} reads what another tool says of its completions; evalkit score measures those"
            )
        for need, field in fields.items():
            if need in measure.definition.needs and not any(getattr(prompt, field) for prompt in prompts):
                raise MetricError(f"metric {measure} needs prompts with `{field}`; none has any")


def _check_choosers(suite: Suite) -> None:
    """See that what chooses the best of n is a reward model. Raises `InputError` that names the checkpoint."""
    for name, spec in suite.checkpoints.items():
        if spec.best_of is not None:
            try:
                parse({"reward": {"model": spec.best_of.reward}}).identify()
            except InputError as error:
                raise type(error)(f"checkpoint {name!r}: best_of.reward: {error}") from None


def _check_thinking(suite: Suite) -> None:
    """Refuse measures of thinking where no checkpoint can think apart. Raises `MetricError`."""
    measures = [measure for measure in suite.measures if measure.definition.needs & {"thinking", "thinking_tokens"}]
    specs = suite.checkpoints.values()
    if measures and not any(spec.thinking or "://" in spec.source for spec in specs):
        raise MetricError(
            f"metric {measures[0]} is of thinking, and no checkpoint says how its thinking ends; write it in its "
            'entry, as in thinking: {end: "</think>"}'
        )


def _check_stated(suite: Suite) -> None:
    """Refuse measures of stated probabilities where none is asked for. Raises `MetricError`."""
    asked = [measure for measure in suite.measures if "stated" in measure.definition.needs]
    if asked and not any(spec.ask is not None and spec.ask.verbalized for spec in suite.checkpoints.values()):
        raise MetricError(
            f"metric {asked[0]} is of probabilities that a model states of its answers, and no checkpoint is asked for "
            "any; write it in its entry, as in ask: {verbalized: 5}"
        )


def _arm_name(checkpoint: str, sampling: Sampling, siblings: Sequence[Sampling]) -> str:
    return checkpoint if len(siblings) == 1 else f"{checkpoint}@T={sampling.temperature:g}"


def _load(suite: Suite, checkpoint: Checkpoint, engine_wanted: str, longer: Longer | None) -> Loaded:
    spec = suite.checkpoints[checkpoint.name]
    engine = choose_engine(engine_wanted, checkpoint)
    asked = as_asked(spec.ask, suite.prompts)
    _check_names(asked, suite.prompts)
    if spec.thinking is not None and not checkpoint.is_remote:
        marks = (spec.thinking.start or "", spec.thinking.end)
        checkpoint = replace(checkpoint, shown=special_tokens_in(checkpoint, marks))
    rendered = tuple(render(checkpoint, spec, asked))
    if longer is not None:
        longer = _longer_as_asked(suite, checkpoint.name, longer)
    loaded = Loaded(checkpoint, engine, engine_class(engine).version(), rendered, 0, longer)
    rooms = [
        max(loaded.room(sampling, prompt.prompt_id).max_tokens for sampling in suite.settings(checkpoint.name))
        for prompt in rendered
    ]
    _check_room(checkpoint, rendered, rooms)
    ends = [len(prompt.token_ids) + room for prompt, room in zip(rendered, rooms, strict=True)]
    return replace(loaded, max_length=max(ends))


def _longer_as_asked(suite: Suite, name: str, longer: Longer) -> Longer:
    ask, room = suite.checkpoints[name].ask, (longer.max_tokens, longer.stop)
    prompts = [prompt for prompt in suite.prompts if prompt.id in longer.prompts]
    max_tokens, stop = room if ask is None else ask.room(*room)
    called = longer.prompts if ask is None else tuple(prompt.id for prompt in as_asked(ask, prompts))
    return longer.model_copy(update={"prompts": called, "max_tokens": max_tokens, "stop": suite.stops(name, stop)})


def _check_names(asked: Sequence[Prompt], prompts: Sequence[Prompt]) -> None:
    """Refuse prompts that are called as another one's wording is. Raises `InputError`."""
    wordings = {prompt.id for prompt in asked} if len(asked) > len(prompts) else set()
    taken = [prompt.id for prompt in prompts if prompt.id in wordings]
    if taken:
        raise InputError(f"prompt {taken[0]!r} is called as a wording of another prompt is; give it another id")


def _check_room(checkpoint: Checkpoint, rendered: Sequence[Rendered], rooms: Sequence[int]) -> None:
    context = context_length(checkpoint)
    for prompt, max_tokens in zip(rendered, rooms, strict=True):
        if not checkpoint.is_remote and not prompt.token_ids:
            raise CheckpointError(
                f"prompt {prompt.prompt_id!r} has no tokens for checkpoint {checkpoint.name!r}: its tokenizer drops all"
            )
        if context is not None and len(prompt.token_ids) + max_tokens > context:
            raise InputError(
                f"prompt {prompt.prompt_id!r} takes {len(prompt.token_ids)} tokens for checkpoint {checkpoint.name!r} "
                f"and sampling.max_tokens is {max_tokens}: together more than its context of {context} tokens; "
                "shorten the prompt or lower max_tokens"
            )


def _shards(arms: Sequence[Arm], loaded: dict[str, Loaded], blocks: int) -> list[Shard]:
    shards = []
    planned: dict[str, list[frozenset[Rendered]]] = defaultdict(list)
    for arm in arms:
        source = loaded[arm.checkpoint]
        prompts = frozenset(source.rendered)
        # Two arms of the same weights and settings must be independent draws, not each other's copy.
        before = planned[distribution_of(arm, source, sampling_of(arm), 0)]
        twin = sum(not prompts.isdisjoint(others) for others in before)
        before.append(prompts)
        total = draws_of(arm)
        block = min(fitting(source, total), -(-len(source.rendered) // blocks))
        for members, kept in _blocks(arm, source, block):
            shards.append(make_call(arm, source, kept, twin, members, range(total)))
    return shards


def fitting(source: Loaded, draws: int) -> int:
    """How many prompts one call asks for so many draws of each.

    To a server a prompt is one request. Where more of them may be in flight than by default, a call has so many; by
    default calls are cut as they always were, since their seeds hang on what is asked together.
    """
    kind, serving = engine_class(source.engine), source.checkpoint.serving
    at_once = serving.concurrency * max(1, len(serving.pool))
    least = at_once if kind is OpenAIEngine and at_once > CONCURRENCY else 1
    return max(least, kind.shard_size // draws)


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


def distribution_of(arm: Arm, source: Loaded, kept: Sampling, twin: int) -> str:
    """Hash of what completions of a prompt are drawn from: neither how many, nor with which other prompts."""
    return key_of(_distribution_facts(arm, source, kept, twin))


def prompt_key(prompt: Rendered) -> str:
    """Hash of a prompt as a checkpoint sees it."""
    return key_of({"prompt": _content(prompt)})


def _blocks(arm: Arm, source: Loaded, block: int) -> Iterator[tuple[tuple[Rendered, ...], Sampling]]:
    """The prompts in their order, cut after `block` of them; of a block those together that have the same room."""
    for start in range(0, len(source.rendered), block):
        rooms: dict[Sampling, list[Rendered]] = defaultdict(list)
        for prompt in source.rendered[start : start + block]:
            rooms[source.room(sampling_of(arm), prompt.prompt_id)].append(prompt)
        yield from ((tuple(members), kept) for kept, members in rooms.items())


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
        manifest = find_manifest(folder)
    except RecordsError:
        return {}  # `begin` says what is wrong with it
    if manifest is None or not manifest.is_complete:
        return {}
    checkpoints = manifest.identity.checkpoints
    return {name: checkpoint.served for name, checkpoint in checkpoints.items() if checkpoint.served}
