"""Which arms make a decoding path: those of one checkpoint that differ in one setting alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from evalkit.metrics.decoding import DecodingPath, Setting
from evalkit.records import NEUTRAL, Arm, Sampling

SETTINGS: tuple[Setting, ...] = get_args(Setting)
LONG = 3
"""Arms from which on a path is one whatever other paths cross it."""


def paths_of(arms: Sequence[Arm]) -> list[DecodingPath]:
    """Every path, checkpoint by checkpoint, temperature first.

    Two arms that are each on a longer path make none of their own: two paths over min_p at two temperatures are no
    paths over temperature.
    """
    families: dict[tuple[object, ...], list[Arm]] = {}
    for arm in arms:
        if arm.sampling is not None:
            families.setdefault((arm.checkpoint, arm.best_of, arm.asking, arm.system), []).append(arm)
    return [path for family in families.values() for path in _meant([*_lines(family)])]


def start_of(arms: Sequence[Arm], reference: Arm) -> Arm:
    """Of a checkpoint's arms the one that is drawn as the reference is, else the first."""
    return next((arm for arm in arms if _distribution(arm) == _distribution(reference)), arms[0])


def reference_of(arms: Sequence[Arm]) -> Arm:
    """Of the baseline checkpoint's arms the one with its own distribution, nothing heated or cut, else the first."""
    return next((arm for arm in arms if arm.sampling is not None and arm.sampling.is_raw), arms[0])


def _distribution(arm: Arm) -> tuple[float, ...] | None:
    return arm.sampling.distribution if arm.sampling else None


def _lines(arms: Sequence[Arm]) -> Iterator[DecodingPath]:
    for setting in SETTINGS:
        lines: dict[tuple[tuple[str, float], ...], dict[float, Arm]] = {}
        for arm in arms:
            assert arm.sampling is not None
            held = _settings(arm.sampling)
            value = held.pop(setting)
            lines.setdefault(tuple(held.items()), {}).setdefault(value, arm)
        for others, line in lines.items():
            if len(line) > 1:
                values = tuple(sorted(line))
                names = tuple(line[value].name for value in values)
                yield DecodingPath(arms[0].checkpoint, setting, values, names, dict(others))


def _settings(sampling: Sampling) -> dict[str, float]:
    return {name: float(getattr(sampling, name)) for name in (*SETTINGS, *NEUTRAL)}


def _meant(paths: Sequence[DecodingPath]) -> Iterator[DecodingPath]:
    on_long = {arm for path in paths if len(path.arms) >= LONG for arm in path.arms}
    return (path for path in paths if len(path.arms) >= LONG or not on_long.issuperset(path.arms))
