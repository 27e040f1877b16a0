"""What a run will do, decided before anything is sampled: arms, rendered prompts, shards.

Everything that can be wrong with a suite on this machine is found here, in seconds, not after an hour of sampling.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.checkpoints.asking import as_asked, wording_id
from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.folder import context_length
from evalkit.checkpoints.rendering import render, special_tokens_in, vocabulary_hash
from evalkit.checkpoints.resolution import resolve
from evalkit.errors import CheckpointError, InputError, RecordsError, ServerError
from evalkit.inference.arms import draws_of, plan_arms, sampling_of
from evalkit.inference.engines.base import choose_engine, engine_class, fallback_note
from evalkit.inference.parameters import check_parameters
from evalkit.inference.sampling_calls import Loaded, Shard, distribution_of, fitting, make_call
from evalkit.inference.suite_checks import check_choosers, check_measures, check_stated, check_thinking
from evalkit.metrics.embeddings.encoder import Encoder, find_encoder
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.tokenizer import check
from evalkit.records import Arm, Prompt, Rendered, Sampling
from evalkit.runs.manifest import find_manifest
from evalkit.suite.fitting import fit
from evalkit.suite.schema import Longer, Suite


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
    check_choosers(suite)
    check_thinking(suite)
    check_stated(suite)
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


def _blocks(arm: Arm, source: Loaded, block: int) -> Iterator[tuple[tuple[Rendered, ...], Sampling]]:
    """The prompts in their order, cut after `block` of them; of a block those together that have the same room."""
    for start in range(0, len(source.rendered), block):
        rooms: dict[Sampling, list[Rendered]] = defaultdict(list)
        for prompt in source.rendered[start : start + block]:
            rooms[source.room(sampling_of(arm), prompt.prompt_id)].append(prompt)
        yield from ((tuple(members), kept) for kept, members in rooms.items())


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
