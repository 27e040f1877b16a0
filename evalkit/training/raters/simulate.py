"""Simulated raters prefer one completion of a pair to the other, by the values of their group and by chance.

A simulated rater prefers a over b with probability sigmoid((u(a) - u(b)) / noise), u being the values of its group
(Bradley & Terry 1952). Chance is seeded by the pair itself, so that neither the order of pairs nor that of
groups changes a label.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from evalkit.errors import InputError
from evalkit.plumbing.progress import Listener
from evalkit.preferences.annotation import Annotation, Choice, Comparison, Side
from evalkit.preferences.files import Preference
from evalkit.preferences.pairs import Pair, read_pairs
from evalkit.training.raters.config import PrefsSimulateConfig, RaterGroup, SimulatedLabelling
from evalkit.training.raters.values import Values, value_pairs


def simulate(config: PrefsSimulateConfig, tell: Listener) -> list[Preference]:
    """Read the config's pairs and let its rater groups label them. Raises what the three steps raise."""
    pairs = read_pairs(config.pairs, tell.note)
    return label_pairs(config, pairs, value_pairs(config.groups, pairs, tell), tell)


def label_pairs(config: PrefsSimulateConfig, pairs: Sequence[Pair], values: Values, tell: Listener) -> list[Preference]:
    """Who prefers which: for every pair, one preference of the group that it is assigned to, or one of every group.

    Pairs in order, groups by name. A pair is assigned to group g with probability share(g) / sum of shares, there to
    each rater alike. Pairs that their group cannot judge are left out and counted.
    Raises `InputError` when none is left.
    """
    preferences = []
    unjudged: Counter[str] = Counter()
    for pair, twin in _numbered(pairs):
        for name, chance in _assigned(config, pair, twin).items():
            worth_a, worth_b = (values[name][pair.prompt_id, text] for text in (pair.a, pair.b))
            if math.isfinite(worth_a - worth_b):
                preferences.append(_compare(name, config.groups[name], pair, worth_a - worth_b, chance))
            else:
                unjudged[name] += 1
    _tell_unjudged(unjudged, tell)
    if not preferences:
        raise InputError("no preferences came out: no group can judge any of its pairs")
    return preferences


def annotate_pairs(
    config: PrefsSimulateConfig, asked: SimulatedLabelling, pairs: Sequence[Pair], values: Values, tell: Listener
) -> list[Annotation]:
    """The same as annotations: of each pair's group so many raters answer, some of them once more later.

    Sides are drawn, and swapped when a pair comes again; times are lognormal. Pairs that a group cannot judge are left
    out and counted. Raises `InputError` when none is left.
    """
    found: list[Annotation] = []
    unjudged: Counter[str] = Counter()
    for pair, twin in _numbered(pairs):
        for name, chance in _assigned(config, pair, twin).items():
            worth_a, worth_b = (values[name][pair.prompt_id, text] for text in (pair.a, pair.b))
            if math.isfinite(worth_a - worth_b):
                found += _annotate(name, config.groups[name], asked, pair, worth_a - worth_b, chance)
            else:
                unjudged[name] += 1
    _tell_unjudged(unjudged, tell)
    if not found:
        raise InputError("no annotations came out: no group can judge any of its pairs")
    return found


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
        group: {judge: sum(signs) / len(signs) if signs else math.nan for judge, signs in by_judge.items()}
        for group, by_judge in sides.items()
    }


def _numbered(pairs: Iterable[Pair]) -> Iterator[tuple[Pair, int]]:
    """Each pair with how often it came before: equal pairs are compared independently."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for pair in pairs:
        texts = (pair.prompt_id, pair.a, pair.b)
        yield pair, seen[texts]
        seen[texts] += 1


def _assigned(config: PrefsSimulateConfig, pair: Pair, twin: int) -> dict[str, random.Random]:
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


def _annotate(
    name: str, group: RaterGroup, asked: SimulatedLabelling, pair: Pair, gap: float, chance: random.Random
) -> Iterator[Annotation]:
    for number in chance.sample(range(group.raters), min(asked.overlap, group.raters)):
        first: Side = "a" if chance.random() < 0.5 else "b"
        for is_repeat in (False, True)[: 1 + (chance.random() < asked.repeats)]:
            choice: Choice = "a" if chance.random() < _sigmoid(gap / group.noise) else "b"
            seconds = round(asked.seconds * math.exp(chance.gauss(0, 0.5)), 2)
            shown: Side = "a" if (first == "a") != is_repeat else "b"
            rater = f"{name}-{1 + number}"
            yield Annotation(Comparison(pair), rater, name, choice, shown, seconds, at="", is_repeat=is_repeat)


def _tell_unjudged(unjudged: Counter[str], tell: Listener) -> None:
    for name, count in sorted(unjudged.items()):
        tell.note(f"group {name} cannot judge {count} of its pairs; they are left out")


def _sigmoid(x: float) -> float:
    return (1 + math.tanh(x / 2)) / 2  # exp would overflow
