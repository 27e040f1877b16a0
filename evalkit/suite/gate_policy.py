"""A gate's policy: what may be lost of what. Written in a suite under `gate`, or in a file of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from evalkit.plumbing.typed_yaml import Part, read_part
from evalkit.records import Margin, Unit

GROUPS = ("diversity", "quality", "match")
"""Words that stand for all plain measures of a side that have a better direction."""
Inconclusive = Literal["report", "pass", "fail"]


class Allowance(Part):
    """How much may be lost; exactly one of the three."""

    absolute: float | None = Field(None, ge=0, allow_inf_nan=False)
    """In the metric's own unit."""
    relative: float | None = Field(None, ge=0, lt=1)
    """As a share of the baseline's mean."""
    standard_errors: float | None = Field(None, ge=0, le=100)
    """In standard errors of the paired difference: a larger run allows less."""

    @model_validator(mode="after")
    def _is_one(self) -> Allowance:
        if len(self._given()) != 1:
            raise ValueError("give exactly one of absolute, relative, standard_errors, as in {relative: 0.05}")
        return self

    @property
    def margin(self) -> Margin:
        ((unit, size),) = self._given().items()
        return Margin(unit, size)

    def _given(self) -> dict[Unit, float]:
        sizes: dict[Unit, float | None] = {
            "absolute": self.absolute, "relative": self.relative, "standard_errors": self.standard_errors,
        }  # fmt: skip
        return {unit: size for unit, size in sizes.items() if size is not None}


class Trade(Part):
    """More may be lost where something is gained for it."""

    metric: str = Field(min_length=1)
    """What must be gained, as in `reward|model:lab:reward`; its bare name will do where it is the only one."""
    gain: float = Field(ge=0, allow_inf_nan=False)
    """At least so much, in that metric's unit, in its better direction."""
    allow: Allowance
    """What may be lost then."""


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Metrics = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Rule(Part):
    """What some metrics may lose."""

    metrics: Metrics
    """Names as the summary has them, or `diversity`, `quality`: all plain measures of that side."""
    allow: Allowance
    better: Literal["higher", "lower"] | None = None
    """Which way is better; default: the metric's own. Needed for one that has none."""
    trade: Trade | None = None


class Policy(Part):
    """A whole policy. A rule that names a metric goes before one that names its side."""

    confidence: float = Field(0.95, ge=0.5, lt=1)
    """1 less the probability of a wrong "regression" anywhere in the family, and of a wrong "pass"."""
    inconclusive: Inconclusive = "report"
    """What to make of data that cannot tell: `report` is exit code 3, or have it `pass` or `fail`."""
    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Policy:
        names = [name for rule in self.rules for name in rule.metrics]
        twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
        if twice is not None:
            raise ValueError(f"{twice!r} stands in two rules; keep one")
        return self

    @property
    def alpha(self) -> float:
        return 1 - self.confidence

    def renamed(self, names: Mapping[str, str]) -> Policy:
        """The same rules for metrics that are called otherwise: old name -> new one."""
        rules = [
            rule.model_copy(
                update={
                    "metrics": tuple(dict.fromkeys(names.get(name, name) for name in rule.metrics)),
                    "trade": rule.trade
                    and rule.trade.model_copy(update={"metric": names.get(rule.trade.metric, rule.trade.metric)}),
                }
            )
            for rule in self.rules
        ]
        return self.model_copy(update={"rules": tuple(rules)})

    def without(self, names: Collection[str]) -> Policy | None:
        """The rules for metrics that are measured, where those of `names` are not; None where no rule is left.

        A trade for one of them is off: what it allowed for a gain is not allowed.
        """
        rules = []
        for rule in self.rules:
            kept = tuple(name for name in rule.metrics if name not in names)
            trade = None if rule.trade is not None and rule.trade.metric in names else rule.trade
            if kept:
                rules.append(rule.model_copy(update={"metrics": kept, "trade": trade}))
        return self.model_copy(update={"rules": tuple(rules)}) if rules else None


DEFAULT = Policy(
    rules=(
        Rule(metrics=("diversity",), allow=Allowance(relative=0.05)),
        Rule(metrics=("quality",), allow=Allowance(standard_errors=3)),
    )
)
"""Without a policy: no plain measure of diversity may lose more than 5 % of the baseline's mean.

5 % is a loss that a run of some seventy prompts can tell from none, and that a reader would hardly see. Scores have no
natural zero, so a share of them means nothing: quality may fall by what such a run can hardly tell from no fall. Name
an absolute loss where you know what a point of quality is worth.
"""


def read_policy(path: Path) -> Policy:
    """Read a policy's own file. Raises `SuiteError` with file, line and key."""
    return read_part(Policy, path, "policy")[0]
