"""Pairs of completions, and who prefers which: drawn, labelled by simulated raters, read and written as JSONL.

    checkpoint -> pairs -> values of each rater group -> preferences (prompt, chosen, rejected, rater, group)

A simulated rater prefers a over b with probability sigmoid((u(a) - u(b)) / noise), u being the values of its group
(Bradley & Terry 1952). Chance is seeded by the pair itself, so that neither the order of pairs nor that of
groups changes a label.
"""

from __future__ import annotations

import errno
import json
import math
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from evalkit.checkpoints.folder import locate
from evalkit.errors import InputError, MetricError, RecordsError
from evalkit.inference.engines.base import open_engine
from evalkit.inference.plan import Loaded, Shard, make_plan
from evalkit.inference.stock import allot
from evalkit.metrics.answer_match import check_answer
from evalkit.metrics.registry import parse
from evalkit.plumbing.child_process import open_child
from evalkit.plumbing.files import write_file, writing
from evalkit.plumbing.jsonl import jsonl_rows
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.times import span
from evalkit.plumbing.typed_yaml import dotted, reason
from evalkit.plumbing.unread import Notice, say, unread_note
from evalkit.records import Completion, Match, Prompt
from evalkit.runs.folder import Store, open_store
from evalkit.suite.schema import SamplingSpec, Suite
from evalkit.training.config import PrefsSampleConfig, PrefsSimulateConfig, RaterGroup, RewardSource
from evalkit.training.preferences.utility import open_utility

Text = Annotated[str, Field(min_length=1)]
Label = Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]
"""A name; people also number their raters."""
Values = Mapping[str, Mapping[tuple[str, str], float]]
"""Rater group -> (prompt id, completion) -> value; not finite where the group cannot judge the completion."""
Exchange = tuple[Prompt, str]
BLOCK = 512
"""Exchanges that a reward model is given at once: between two blocks, the user sees progress."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two completions of one prompt, to be compared; without white space around them."""

    prompt: Prompt
    a: str
    b: str

    @property
    def prompt_id(self) -> str:
        return self.prompt.id


@dataclass(frozen=True, slots=True)
class Preference:
    """One comparison: of two completions of a prompt, a rater chose one."""

    prompt: Text
    chosen: str
    rejected: str
    rater: Label | None = None
    """Who compared, as in `scholars-3`; None where a file does not tell."""
    group: Label | None = None
    """The rater's group; None where a file does not tell."""
    prompt_id: Label | None = None


class _PairRow(BaseModel):
    """One line of a pairs file, as `evalkit score` reads it too."""

    prompt_id: Label
    prompt: Text
    completions: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]
    answer: str | None = None
    match: Match = "exact"

    @property
    def pair(self) -> Pair:
        a, b = self.completions
        return Pair(Prompt(self.prompt_id, self.prompt, answer=self.answer, match=self.match), a, b)


Row = TypeVar("Row")


def read_preferences(paths: Iterable[str | Path], notice: Notice = say) -> list[Preference]:
    """All preferences of JSONL files, in order.

    `notice` is told of other keys than a `Preference`'s, which are not read. Raises `RecordsError` with file, line and
    key.
    """
    keys = [field.name for field in fields(Preference)]
    read = (_rows(Path(path), TypeAdapter(Preference), "prompt, chosen and rejected", keys, notice) for path in paths)
    return [preference for rows in read for _, preference in rows]


def write_preferences(path: Path, preferences: Iterable[Preference]) -> None:
    """Write JSONL that trainers read: prompt, chosen, rejected, and rater, group, prompt_id where known.

    Raises `StoreError`; then a file that was there is as it was.
    """
    keys = ("prompt_id", "prompt", "chosen", "rejected", "rater", "group")
    rows = ({key: getattr(preference, key) for key in keys} for preference in preferences)
    _write(path, ({key: value for key, value in row.items() if value is not None} for row in rows))


def read_pairs(paths: Iterable[str | Path], notice: Notice = say) -> list[Pair]:
    """All pairs of JSONL files, in order; white space around completions is taken off.

    `notice` is told of keys that are not read. Raises `RecordsError` with file, line and key, also where one prompt id
    stands for two prompts.
    """
    pairs = []
    known: dict[str, Prompt] = {}
    for path in paths:
        keys = list(_PairRow.model_fields)
        for where, row in _rows(Path(path), TypeAdapter(_PairRow), "prompt_id, prompt and completions", keys, notice):
            pair = row.pair
            _check_prompt(where, pair.prompt, known.setdefault(pair.prompt_id, pair.prompt))
            pairs.append(Pair(pair.prompt, pair.a.strip(), pair.b.strip()))
    return pairs


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write JSONL of prompt_id, prompt, completions (two), and answer and match where there is an answer.

    Raises `StoreError`; then a file that was there is as it was.
    """
    _write(path, map(_pair_row, pairs))


def check_place(path: Path) -> None:
    """See, before hours of work, that a file can be written there; makes its folder. Raises `StoreError`."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, f"you may not write to {path.parent}")


def sample_pairs(config: PrefsSampleConfig, engine: str, tell: Listener) -> list[Pair]:
    """Draw 2 x `pairs` completions of each prompt and pair them up; pairs of equal texts are dropped and counted.

    What was sampled is in the cache when something interrupts, and is not sampled again.
    Raises `InputError`s before anything is sampled, `EngineError`, and `InputError` when no pair is left.
    """
    prompts = {prompt.id: prompt for prompt in config.prompts}
    drawn = _draw(config, engine, tell)
    couples = zip(drawn[::2], drawn[1::2], strict=True)
    pairs = [Pair(prompts[a.prompt_id], a.text.strip(), b.text.strip()) for a, b in couples]
    different = [pair for pair in pairs if pair.a != pair.b]
    if not different:
        raise InputError(
            f"all {len(pairs)} pairs are of equal texts: this checkpoint always says the same; "
            "raise sampling.temperature or use other prompts"
        )
    if len(different) < len(pairs):
        tell.note(f"{len(pairs) - len(different)} of {len(pairs)} pairs were of equal texts, and dropped")
    return different


def simulate(config: PrefsSimulateConfig, tell: Listener) -> list[Preference]:
    """Read the config's pairs and let its rater groups label them. Raises what the three steps raise."""
    pairs = read_pairs(config.pairs, tell.note)
    return label_pairs(config, pairs, value_pairs(config.groups, pairs, tell), tell)


def value_pairs(groups: Mapping[str, RaterGroup], pairs: Sequence[Pair], tell: Listener) -> Values:
    """What each group's values say of every completion. Raises `InputError` naming the group, `EngineError`."""
    exchanges = {(pair.prompt_id, text): (pair.prompt, text) for pair in pairs for text in (pair.a, pair.b)}
    for name, group in groups.items():
        with _naming(name):
            _check_source(group.values)
    found = {}
    for name, group in groups.items():
        tell.stage(f"values of {name}", len(exchanges))
        with _naming(name):
            values = _score(group.values, list(exchanges.values()), tell)
        found[name] = dict(zip(exchanges, values, strict=True))
    return found


def label_pairs(config: PrefsSimulateConfig, pairs: Sequence[Pair], values: Values, tell: Listener) -> list[Preference]:
    """Who prefers which: for every pair, one preference of the group that it is dealt to, or one of every group.

    Pairs in order, groups by name. A pair is dealt to group g with probability share(g) / sum of shares, there to each
    rater alike. Pairs that their group cannot judge are left out and counted.
    Raises `InputError` when none is left.
    """
    preferences = []
    unjudged: Counter[str] = Counter()
    for pair, twin in _numbered(pairs):
        for name, chance in _dealt(config, pair, twin).items():
            worth_a, worth_b = (values[name][pair.prompt_id, text] for text in (pair.a, pair.b))
            if math.isfinite(worth_a - worth_b):
                preferences.append(_compare(name, config.groups[name], pair, worth_a - worth_b, chance))
            else:
                unjudged[name] += 1
    for name, count in sorted(unjudged.items()):
        tell.note(f"group {name} cannot judge {count} of its pairs; they are left out")
    if not preferences:
        raise InputError("no preferences came out: no group can judge any of its pairs")
    return preferences


def agreement(preferences: Iterable[Preference], values: Values) -> dict[str, dict[str, float]]:
    """Who agrees with whom: labelling group -> group whose values judge -> share of preferences that side with them.

    In [0, 1]; a pair of equal values, or one that the judging group cannot value, takes no side and is passed over; NaN
    where none is left. The diagonal falls short of 1 by the raters' noise; where another group's share is as high, the
    two want the same. `preferences` are those of `label_pairs` on these values; groups come in the order of `values`.
    """
    sides: dict[str, dict[str, list[bool]]] = {group: {judge: [] for judge in values} for group in values}
    for preference in preferences:
        group, prompt = str(preference.group), str(preference.prompt_id)
        for judge, worth in values.items():
            gap = worth[prompt, preference.chosen] - worth[prompt, preference.rejected]
            if math.isfinite(gap) and gap:
                sides[group][judge].append(gap > 0)
    return {
        group: {judge: sum(found) / len(found) if found else math.nan for judge, found in by_judge.items()}
        for group, by_judge in sides.items()
    }


def _draw(config: PrefsSampleConfig, engine: str, tell: Listener) -> list[Completion]:
    """Completions of all prompts, in the order of slots within prompts; those in the cache are not drawn again."""
    plan = make_plan(_as_suite(config), engine)
    if len(plan.arms) > 1:
        raise InputError("policy.sampling lists several temperatures; pairs are drawn at one")
    [loaded] = plan.checkpoints.values()
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder), tell.note) as store:
        shards = allot(plan, store).shards
        missing = [shard for shard in shards if not store.holds(shard.key, shared=shard.shared, law=shard.law)]
        if missing:
            _sample(loaded, missing, store, tell)
        if reused := [store.sampled(shard.key) for shard in shards if shard not in missing]:
            when = span(min(reused), max(reused))
            tell.note(f"{len(reused)} of {len(shards)} blocks of pairs come from the cache, sampled {when}")
        drawn = [completion for shard in shards for completion in shard.row.of(store.read(shard.key))]
    place = {prompt.id: index for index, prompt in enumerate(plan.suite.prompts)}
    return sorted(drawn, key=lambda one: (place[one.prompt_id], one.slot))


def _as_suite(config: PrefsSampleConfig) -> Suite:
    """Pairs are a run's samples, not yet measured: a run's plan finds the mistakes, cuts the work and seeds it."""
    sampling = SamplingSpec(
        n=2 * config.pairs,
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


def _sample(loaded: Loaded, shards: Sequence[Shard], store: Store, tell: Listener) -> None:
    tell.stage(f"load {loaded.checkpoint.source} ({loaded.engine})", 1)
    with open_engine(loaded.engine, loaded.checkpoint, loaded.max_length) as opened:
        tell.advance(1)
        tell.stage("sample pairs", sum(shard.size for shard in shards))
        for shard in shards:
            drawn = shard.drawn(opened.sample(shard.prompts, shard.sampling, shard.seed, tell.advance))
            store.put(shard.key, drawn, shard.arm.name, shard.shared, call=shard.call)


def _check_source(source: RewardSource) -> None:
    if source.utility is not None:
        open_utility(source.utility)
    else:
        locate(str(source.model))


def _score(source: RewardSource, exchanges: Sequence[Exchange], tell: Listener) -> list[float]:
    values: list[float] = []
    with _open_judge(source) as judge:
        for start in range(0, len(exchanges), BLOCK):
            block = exchanges[start : start + BLOCK]
            values += judge(block)
            tell.advance(len(block))
    return values


@contextmanager
def _open_judge(source: RewardSource) -> Iterator[Callable[[Sequence[Exchange]], list[float]]]:
    if source.utility is not None:
        utility = open_utility(source.utility)
        yield lambda exchanges: [utility(prompt, text) for prompt, text in exchanges]
    else:
        model = str(source.model)
        title = f"reward model {model}"
        with open_child("evalkit.metrics.quality.reward:RewardModel", str(locate(model)), model, title=title) as remote:
            yield lambda exchanges: remote.call("score", [(prompt.text, text) for prompt, text in exchanges])


@contextmanager
def _naming(group: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"group {group!r}: {error}") from error


def _numbered(pairs: Iterable[Pair]) -> Iterator[tuple[Pair, int]]:
    """Each pair with how often it came before: equal pairs are compared independently."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for pair in pairs:
        texts = (pair.prompt_id, pair.a, pair.b)
        yield pair, seen[texts]
        seen[texts] += 1


def _dealt(config: PrefsSimulateConfig, pair: Pair, twin: int) -> dict[str, random.Random]:
    """The groups that compare a pair, each with its source of chance."""
    chances = {name: _chance(config.seed, name, pair, twin) for name in sorted(config.groups)}
    # Of exponential clocks with rates r the first to ring is g with probability r(g) / sum(r), in whatever order.
    rings = {name: chance.expovariate(config.groups[name].share) for name, chance in chances.items()}
    first = min(rings, key=rings.__getitem__)
    return chances if config.every_group else {first: chances[first]}


def _chance(seed: int, group: str, pair: Pair, twin: int) -> random.Random:
    return random.Random(json.dumps([seed, group, pair.prompt_id, pair.a, pair.b, twin]))  # noqa: S311


def _compare(name: str, group: RaterGroup, pair: Pair, gap: float, chance: random.Random) -> Preference:
    """One comparison; `gap` is u(a) - u(b)."""
    rater = f"{name}-{1 + chance.randrange(group.raters)}"
    prefers_a = chance.random() < _sigmoid(gap / group.noise)
    chosen, rejected = (pair.a, pair.b) if prefers_a else (pair.b, pair.a)
    return Preference(pair.prompt.text, chosen, rejected, rater, name, pair.prompt_id)


def _sigmoid(x: float) -> float:
    return (1 + math.tanh(x / 2)) / 2  # exp would overflow


def _rows(
    path: Path, adapter: TypeAdapter[Row], needed: str, known: Sequence[str], notice: Notice
) -> Iterator[tuple[str, Row]]:
    """(`file:line`, row) of a JSONL file that holds at least one; `notice` is told of keys that are not `known`."""
    found: dict[str, None] = {}
    for where, row in jsonl_rows(path):
        found |= dict.fromkeys(row)
        try:
            yield where, adapter.validate_python(row)
        except ValidationError as error:
            problem = error.errors()[0]
            raise RecordsError(f"{where}: {dotted(problem['loc'])}: {reason(problem)}") from None
    if not found:
        raise RecordsError(f"{path} holds no rows; each line is one JSON object with {needed}")
    if note := unread_note(str(path), found, known):
        notice(note)


def _check_prompt(where: str, prompt: Prompt, known: Prompt) -> None:
    if prompt != known:
        raise RecordsError(
            f"{where}: prompt_id: {prompt.id!r} stands for another prompt here than above; give each prompt its own"
        )
    try:
        check_answer(prompt)
    except MetricError as error:
        raise RecordsError(f"{where}: answer: {error}") from None


def _pair_row(pair: Pair) -> dict[str, Any]:
    row = {"prompt_id": pair.prompt_id, "prompt": pair.prompt.text, "completions": [pair.a, pair.b]}
    return row if pair.prompt.answer is None else row | {"answer": pair.prompt.answer, "match": pair.prompt.match}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    # A lone surrogate is no text: it cannot be written as UTF-8.
    write_file(path, text.encode("utf-8", "replace"))
