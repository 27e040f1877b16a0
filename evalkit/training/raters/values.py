"""What each rater group's values say of every completion: a stated utility, or a reward model's rewards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from evalkit.checkpoints.folder import locate
from evalkit.errors import InputError
from evalkit.inference.workers.models import measured_on
from evalkit.metrics.quality.reward import asked_of, rewards_of
from evalkit.plumbing.progress import Listener
from evalkit.preferences.pairs import Pair
from evalkit.records import Prompt
from evalkit.training.config import RewardSource
from evalkit.training.raters.config import RaterGroup
from evalkit.training.raters.utility import open_utility

Values = Mapping[str, Mapping[tuple[str, str], float]]
"""Rater group -> (prompt id, completion) -> value; not finite where the group cannot judge the completion."""
Exchange = tuple[Prompt, str]


def value_pairs(groups: Mapping[str, RaterGroup], pairs: Sequence[Pair], tell: Listener) -> Values:
    """What each group's values say of every completion. Raises `InputError` naming the group, `EngineError`."""
    exchanges = {(pair.prompt_id, text): (pair.prompt, text) for pair in pairs for text in (pair.a, pair.b)}
    for name, group in groups.items():
        with _naming(name):
            check_source(group.values)
    by_group = {}
    for name, group in groups.items():
        tell.stage(f"values of {name}", len(exchanges))
        with _naming(name):
            values = score_exchanges(group.values, list(exchanges.values()), tell)
        by_group[name] = dict(zip(exchanges, values, strict=True))
    return by_group


def check_source(source: RewardSource) -> None:
    """See that a source is one, before hours of work. Raises `InputError`."""
    if source.utility is not None:
        open_utility(source.utility)
    else:
        locate(str(source.model))


def score_exchanges(source: RewardSource, exchanges: Sequence[Exchange], tell: Listener) -> list[float]:
    """What a source says of each; not finite where it cannot judge. Raises `InputError`, `EngineError`."""
    if source.utility is None:
        pairs = [(asked_of(prompt), text) for prompt, text in exchanges]
        with measured_on(None, tell):
            return rewards_of(str(source.model), pairs, tell.advance)
    utility = open_utility(source.utility)
    values = []
    for prompt, text in exchanges:
        values.append(utility(prompt, text))
        tell.advance(1)
    return values


@contextmanager
def _naming(group: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"group {group!r}: {error}") from error
