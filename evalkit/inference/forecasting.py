"""What a run will ask for, before any model is loaded: requests, tokens, time, room on the disk, money."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.checkpoints.spec import Price
from evalkit.errors import InputError
from evalkit.inference.arms import draws_of, sampling_of
from evalkit.inference.engines.base import LETTERS_OF_TOKEN, by_load
from evalkit.inference.engines.decoding import GREEDY_BELOW
from evalkit.inference.manifest import check_fresh, continued, known_rows, new_manifest
from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Loaded, Shard
from evalkit.inference.speeds import Speed, last_speed
from evalkit.inference.stock import allot
from evalkit.plumbing.prose import counted
from evalkit.records import Arm, Rendered
from evalkit.runs.folder import Store, StoredShard
from evalkit.runs.manifest import Manifest, ShardRow

BYTES_OF_TOKEN = 12.0
"""On the disk where nothing is known yet: id, log-prob and some letters."""


@dataclass(frozen=True)
class ArmForecast:
    """What one arm still needs."""

    arm: str
    completions: int
    """All that the run has of it; of lists of answers, lists."""
    missing: int
    """Those that are neither in the folder nor in the cache."""
    requests: int
    """Prompts that an engine or server is asked: each for all the draws of a call."""
    prompt_tokens: int
    """Of those requests."""
    is_exact: bool
    """Whether the prompts' tokens are counted, not guessed from their length."""
    most_tokens: int
    """Of the missing completions, at most."""
    expected_tokens: float | None
    """By the lengths of the last time; None where nothing is known."""
    price: Price | None = None
    """As the suite states it."""

    @property
    def likely_tokens(self) -> float:
        """Expected, or at most where nothing is known."""
        return self.most_tokens if self.expected_tokens is None else self.expected_tokens


@dataclass(frozen=True)
class Forecast:
    """What a run still needs."""

    arms: tuple[ArmForecast, ...]
    seconds: float | None
    """Of loading and sampling; None where a checkpoint was never sampled here."""
    unmeasured: tuple[str, ...]
    """Checkpoints that were not."""
    stored: float
    """Bytes of the new shards, by the likely tokens."""
    notes: tuple[str, ...]

    def cost(self, prompt: float, completion: float) -> tuple[float, float]:
        """By the likely tokens and at most, given prices of a million tokens."""
        prompts = sum(arm.prompt_tokens for arm in self.arms) * prompt
        likely = sum(arm.likely_tokens for arm in self.arms) * completion
        most = sum(arm.most_tokens for arm in self.arms) * completion
        return (prompts + likely) / 1e6, (prompts + most) / 1e6

    def stated_costs(self) -> dict[str, tuple[float, float]]:
        """By the prices that the suite states: currency -> by the likely tokens, and at most."""
        costs: dict[str, tuple[float, float]] = {}
        for arm in self.arms:
            if arm.price is not None:
                likely, most = costs.get(arm.price.currency, (0.0, 0.0))
                costs[arm.price.currency] = (
                    likely + arm.price.of(arm.prompt_tokens, arm.likely_tokens),
                    most + arm.price.of(arm.prompt_tokens, arm.most_tokens),
                )
        return costs


@dataclass(frozen=True)
class _ReadOnly:
    """The folder and the cache, of which nothing is changed; a damaged shard is found when it is used."""

    store: Store

    def holds(self, key: str, arm: str = "", shared: bool = True, distribution: str = "") -> bool:
        return self.store.is_listed(key, shared, distribution)

    def stored(self, distribution: str, shared: bool = True) -> Sequence[StoredShard]:
        return self.store.stored(distribution, shared)

    def take(self, stored: StoredShard, arm: str) -> bool:
        return stored.path.exists()


def forecast(plan: Plan, folder: Path, fresh: bool = False) -> Forecast:
    """What the run of a plan in a folder, which need not be there, still needs. Nothing is written or loaded.

    Raises `InputError` where the run would be refused, `StoreError` where its manifest is damaged.
    """
    notes = [plan.note] if plan.note else []
    notes += [note for arm in plan.arms if (note := _asking_note(arm))]
    stock = _ReadOnly(Store(folder, notes.append))
    rows, fresh = _known(plan, folder, stock.store.manifest(), fresh)
    settled = allot(plan, stock, rows, fresh)
    todo = [
        shard
        for shard in settled.shards
        if not stock.holds(shard.key, "", shard.shared and not fresh, shard.distribution)
    ]
    speeds = {name: last_speed(loaded) for name, loaded in plan.checkpoints.items()}
    arms = [
        _arm(
            name,
            sum(shard.size for shard in settled.shards_of(name)),
            [shard for shard in todo if shard.arm.name == name],
            plan.checkpoints[checkpoint],
            speeds[checkpoint],
            plan.suite.checkpoints[checkpoint].price,
        )
        for name, checkpoint in ((arm.name, arm.checkpoint) for arm in plan.arms)
    ]
    sampled = {shard.arm.checkpoint for shard in todo}
    engines = [(loaded.engine, loaded.checkpoint) for name, loaded in plan.checkpoints.items() if name in sampled]
    loads = {names[0] for names in by_load(engines)}
    times = {
        name: _seconds(
            [arm for arm, of in zip(arms, plan.arms, strict=True) if of.checkpoint == name], speed, name in loads
        )
        for name, speed in speeds.items()
        if name in sampled
    }
    known = [seconds for seconds in times.values() if seconds is not None]
    return Forecast(
        tuple(arms),
        sum(known) if len(known) == len(times) else None,
        tuple(name for name, seconds in times.items() if seconds is None),
        sum(arm.likely_tokens * _stored(speeds[of.checkpoint]) for arm, of in zip(arms, plan.arms, strict=True)),
        tuple(notes),
    )


def _known(plan: Plan, folder: Path, known: Manifest | None, fresh: bool) -> tuple[list[ShardRow], bool]:
    """What a run in the folder has settled, and whether the cache does not count for it. Raises `InputError`."""
    check_fresh(folder, known, fresh)
    if known is None:
        return [], fresh
    manifest = continued(folder, known, new_manifest(plan, known, (), fresh, ()))
    return [row for _, row in known_rows(known, manifest)], manifest.fresh


def _arm(
    name: str, completions: int, todo: Sequence[Shard], loaded: Loaded, speed: Speed | None, price: Price | None
) -> ArmForecast:
    tokens = [_tokens(prompt, speed) for shard in todo for prompt in shard.prompts]
    missing = sum(shard.size for shard in todo)
    expected = [_expected(shard, speed) for shard in todo]
    return ArmForecast(
        arm=name,
        completions=completions,
        missing=missing,
        requests=len(tokens),
        prompt_tokens=sum(tokens),
        is_exact=not loaded.checkpoint.is_remote,
        most_tokens=sum(len(shard.prompts) * _draws(shard) * shard.kept.max_tokens for shard in todo),
        expected_tokens=None if None in expected else sum(tokens for tokens in expected if tokens is not None),
        price=price,
    )


def _asking_note(arm: Arm) -> str:
    """How many completions an arm's answers take, where that is another number."""
    if arm.asking is None or arm.is_independent:
        return ""
    n, draws = sampling_of(arm).n, draws_of(arm)
    if arm.asking.wordings > 1:
        return (
            f"{arm.name}: {counted(n, 'answer')} a prompt take {counted(draws, 'completion')} of each of "
            f"{arm.asking.wordings} wordings"
        )
    return f"{arm.name}: {counted(n, 'answer')} a prompt take {counted(draws, 'completion')} of {arm.asking.answers}"


def _draws(shard: Shard) -> int:
    """What an engine computes of each prompt: greedy draws are all the same."""
    return 1 if shard.kept.temperature < GREEDY_BELOW else len(shard.sample_indices)


def _tokens(prompt: Rendered, speed: Speed | None) -> int:
    """Counted, or guessed by how many letters a token had when the server counted the last time."""
    if prompt.token_ids:
        return len(prompt.token_ids)
    is_told = speed is not None and speed.prompt_tokens and speed.prompt_letters
    letters = speed.prompt_letters / speed.prompt_tokens if speed is not None and is_told else LETTERS_OF_TOKEN
    return math.ceil(prompt.letters / letters)


def _expected(shard: Shard, speed: Speed | None) -> float | None:
    """By the mean length of the same distribution, else of all that the checkpoint wrote; never above the room."""
    if speed is None:
        return None
    tokens, drawn = speed.tokens.get(shard.distribution, 0), speed.drawn.get(shard.distribution, 0)
    if not drawn:
        tokens, drawn = sum(speed.tokens.values()), sum(speed.drawn.values())
    if not tokens:
        return None
    return min(tokens / drawn, shard.kept.max_tokens) * len(shard.prompts) * _draws(shard)


def _seconds(arms: Sequence[ArmForecast], speed: Speed | None, loads: bool) -> float | None:
    """By tokens a second; by completions a second where a server does not tell tokens.

    `loads`: whether it is loaded for this, not served by what was loaded for another checkpoint.
    """
    if speed is None:
        return None
    load = speed.load if loads else 0.0
    tokens = sum(speed.tokens.values())
    if tokens:
        return load + sum(arm.likely_tokens for arm in arms) * speed.seconds / tokens
    return load + sum(arm.missing for arm in arms) * speed.seconds / speed.completions


def _stored(speed: Speed | None) -> float:
    """Bytes of a token on the disk."""
    tokens = sum(speed.tokens.values()) if speed is not None else 0
    return speed.stored / tokens if speed is not None and tokens else BYTES_OF_TOKEN


def read_prices(given: str) -> tuple[float, float]:
    """Prices of a million prompt tokens and of a million completion tokens, written IN,OUT. Raises `InputError`."""
    try:
        prompt, completion = (float(price) for price in given.split(","))
    except ValueError:
        prompt = completion = math.nan
    if not (0 <= prompt < math.inf and 0 <= completion < math.inf):
        raise InputError(
            f"--price-per-million is {given!r}; it must be two prices, of a million prompt tokens and of a million "
            "completion tokens, as in 0.15,0.60"
        )
    return prompt, completion
