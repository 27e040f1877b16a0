"""What `evalkit.gate` and `evalkit.compare` give: a verdict and a comparison, to be looked at in Python."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from evalkit.gate.compare import MetricRow, SideComparison
from evalkit.gate.decide import GateDecision, GateOutcome
from evalkit.gate.formats import words
from evalkit.gate.ruling import Ruling
from evalkit.metrics.summary import Difference, Estimate
from evalkit.plumbing.frames import Columns, frame

if TYPE_CHECKING:
    import pandas as pd

JUDGEMENTS: Columns = {
    "metric": "string", "arm": "string", "against": "string", "outcome": "string", "unit": "string",
    "allowed": "float64", "change": "float64", "low": "float64", "high": "float64", "p_within": "float64",
    "p_beyond": "float64", "prompts": "int64", "units": "int64", "needed": "Int64", "note": "string",
}  # fmt: skip
COMPARED: Columns = {
    "metric": "string", "a": "string", "b": "string",
    "a_value": "float64", "a_low": "float64", "a_high": "float64",
    "b_value": "float64", "b_low": "float64", "b_high": "float64",
    "difference": "float64", "low": "float64", "high": "float64", "p": "float64", "p_adjusted": "float64",
    "outcome": "string", "why_not": "string",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class GateResult:
    """A gate's verdict. It is true where the gate passes: `assert evalkit.gate(run)`."""

    ruling: Ruling

    @property
    def verdict(self) -> GateDecision:
        """All of it, in parts."""
        return self.ruling.verdict

    @property
    def outcome(self) -> GateOutcome:
        """Whether it is a "pass", a "regression" or "inconclusive"."""
        return self.verdict.outcome

    @property
    def exit_code(self) -> int:
        """What `evalkit gate` would end with: 0 pass, 1 regression, 3 cannot be told."""
        return self.ruling.exit_code

    @property
    def passed(self) -> bool:
        """Whether the exit code is 0."""
        return self.exit_code == 0

    @property
    def headline(self) -> str:
        """One sentence on the whole."""
        return words.headline(self.verdict)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """A row a measure and pair of arms, regressions first."""
        judgements = self.verdict.judgements
        return frame(JUDGEMENTS, ([getattr(judgement, column) for column in JUDGEMENTS] for judgement in judgements))

    def to_json(self) -> str:
        """As `evalkit gate --json` prints it."""
        from evalkit.gate.formats.as_json import to_json

        return to_json(self.verdict, self.exit_code, self.ruling.policy)

    def to_markdown(self) -> str:
        """A comment for a pull request."""
        from evalkit.gate.formats.markdown import to_markdown

        return to_markdown(self.verdict)

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"<evalkit gate: {self.headline}>"

    def _repr_html_(self) -> str:
        from evalkit.gate.formats.notebook import verdict_html

        return verdict_html(self.verdict, self.ruling.policy)


@dataclass(frozen=True, eq=False)
class CompareResult:
    """B minus A, a measure a row."""

    comparison: SideComparison

    @cached_property
    def rows(self) -> pd.DataFrame:
        """A row a measure and pair of arms."""
        pairs = [(pair, row) for pair in self.comparison.pairs for row in pair.rows]
        return frame(COMPARED, (_cells(pair.a, pair.b, row) for pair, row in pairs))

    def to_json(self) -> str:
        """As `evalkit compare --json` prints it."""
        from evalkit.gate.formats.compare import to_json

        return to_json(self.comparison)

    def __repr__(self) -> str:
        return f"<evalkit comparison of {self.comparison.a!r} (A) and {self.comparison.b!r} (B)>"

    def _repr_html_(self) -> str:
        from evalkit.gate.formats.notebook import comparison_html

        return comparison_html(self.comparison)


def _cells(a: str, b: str, row: MetricRow) -> tuple[object, ...]:
    difference = row.difference
    p = (None, None) if difference is None else (difference.p, difference.p_adjusted)
    outcome = row.outcome or "not compared", row.why_not
    return row.metric, a, b, *_interval(row.a), *_interval(row.b), *_interval(difference), *p, *outcome


def _interval(estimate: Estimate | Difference | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if estimate is None else (estimate.value, estimate.low, estimate.high)
