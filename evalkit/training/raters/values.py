"""What each rater group's values say of every completion: a stated utility, or a reward model's rewards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from evalkit.checkpoints.folder import locate
from evalkit.errors import InputError
from evalkit.metrics.quality.reward import asked_of
from evalkit.plumbing.child_process import open_child
from evalkit.plumbing.progress import Listener
from evalkit.preferences.pairs import Pair
from evalkit.records import Prompt
from evalkit.training.config import RaterGroup, RewardSource
from evalkit.training.raters.utility import open_utility

Values = Mapping[str, Mapping[tuple[str, str], float]]
"""Rater group -> (prompt id, completion) -> value; not finite where the group cannot judge the completion."""
Exchange = tuple[Prompt, str]
BLOCK = 512
"""Exchanges that a reward model is given at once: between two blocks, the user sees progress."""


def value_pairs(groups: Mapping[str, RaterGroup], pairs: Sequence[Pair], tell: Listener) -> Values:
    """What each group's values say of every completion. Raises `InputError` naming the group, `EngineError`."""
    exchanges = {(pair.prompt_id, text): (pair.prompt, text) for pair in pairs for text in (pair.a, pair.b)}
    for name, group in groups.items():
        with _naming(name):
            _check_source(group.values)
    by_group = {}
    for name, group in groups.items():
        tell.stage(f"values of {name}", len(exchanges))
        with _naming(name):
            values = _score(group.values, list(exchanges.values()), tell)
        by_group[name] = dict(zip(exchanges, values, strict=True))
    return by_group


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
            yield lambda exchanges: remote.call("score", [(asked_of(prompt), text) for prompt, text in exchanges])


@contextmanager
def _naming(group: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"group {group!r}: {error}") from error
