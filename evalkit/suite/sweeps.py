"""Sweeps: paths of decoding settings along which every checkpoint is drawn, one setting a list and the others held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import model_validator

from evalkit.checkpoints.spec import MinPs, Temperatures, TopPs
from evalkit.errors import SuiteError
from evalkit.plumbing.prose import listed
from evalkit.plumbing.typed_yaml import Part
from evalkit.records import Sampling

SWEPT = ("temperature", "top_p", "min_p")


class Sweep(Part):
    """One path: an arm of each value of the setting that is a list; a setting that is left out is as in `sampling`."""

    temperature: Temperatures | None = None
    """Left out where `sampling` has several: its first."""
    top_p: TopPs | None = None
    min_p: MinPs | None = None

    @model_validator(mode="after")
    def _is_a_path(self) -> Sweep:
        several = [name for name in SWEPT if len(set(getattr(self, name) or ())) > 1]
        if len(several) != 1:
            found = f"{listed(several)} are lists" if several else "none is"
            raise ValueError(
                f"a sweep has one setting with a list of two values or more ({found}); it may be temperature, top_p or "
                "min_p, and the others are one number each, as in {min_p: [0, 0.05, 0.1], temperature: 1.3}"
            )
        return self

    def settings(self, common: Mapping[str, Any]) -> Iterator[dict[str, float]]:
        """One setting after the other along the path; `common`: what `sampling` says."""
        stated = {name: getattr(self, name) or _listed(common[name]) for name in SWEPT}
        along = max(SWEPT, key=lambda name: len(set(getattr(self, name) or ())))
        for value in stated[along]:
            yield {name: float(values[0]) for name, values in stated.items()} | {along: float(value)}


def drawn_with(sweeps: Sequence[Sweep], common: Mapping[str, Any]) -> list[dict[str, float]]:
    """Every setting once: the temperatures of `common` first, then those of the sweeps that are not among them."""
    held = {name: float(common[name]) for name in ("top_p", "min_p")}
    found = [{"temperature": float(value)} | held for value in common["temperature"]]
    found += [setting for sweep in sweeps for setting in sweep.settings(common)]
    return list({tuple(setting[name] for name in SWEPT): setting for setting in found}.values())


def check_told_apart(settings: Sequence[Sampling], checkpoint: str, where: str) -> None:
    """Refuse settings of one checkpoint whose arms would have one name. Raises `SuiteError`; `where` begins it."""
    called: dict[str, Sampling] = {}
    for one in settings:
        name = ", ".join(f"{swept} {getattr(one, swept):g}" for swept in SWEPT)
        first = called.setdefault(name, one)
        differing = [swept for swept in SWEPT if getattr(first, swept) != getattr(one, swept)]
        if differing:
            two = " and ".join(f"{getattr(each, differing[0]):.15g}" for each in (first, one))
            raise SuiteError(
                f"{where}: sweeps: {checkpoint} would be drawn at {differing[0]} {two}, which have one name; keep one "
                "of them"
            )


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) else (value,)
