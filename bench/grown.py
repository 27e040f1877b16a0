"""The gate on suites that have grown: python -m bench.grown [--trials N] [--groups N] [--write].

Two runs share some of their prompts; the rest was added, put in other words or dropped. Trials draw values as
`bench.gate` does. What is not common is made to mislead: where nothing was lost these prompts lose half of everything,
where too much was lost they gain half. If the gate counted any of them, its errors would show it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.gate import EDGE, PLANTED, POLICY, K, Picker, World, build, lost, picker, write
from evalkit.gate.common_prompts import on_common_prompts
from evalkit.gate.decide import GateDecision, decide
from evalkit.gate.sides import Side
from evalkit.metrics.summary import Estimate
from evalkit.suite.gate_policy import Allowance, Policy, Rule

BEGIN, END = "<!-- python -m bench.grown -->", "<!-- end of grown -->"
BEFORE = 60
"""Prompts of the suite when the baseline was measured."""


@dataclass(frozen=True)
class Growth:
    """What became of the suite."""

    added: int = 0
    reworded: int = 0
    dropped: int = 0

    @property
    def common(self) -> int:
        return BEFORE - self.reworded - self.dropped

    def __str__(self) -> str:
        after = BEFORE - self.dropped + self.added
        told = [f"{count} {how}" for count, how in ((self.reworded, "reworded"), (self.dropped, "dropped")) if count]
        return f"{BEFORE} → {after}{''.join(f', {part}' for part in told)}"


GROWTHS = (
    Growth(),
    Growth(added=1),
    Growth(added=15),
    Growth(added=6, reworded=6),
    Growth(added=4, dropped=8),
    Growth(added=30),
)


def grown(pick: Picker, growth: Growth, misleads: float) -> Picker:
    """A trial's two sides: the old one of `BEFORE` prompts, the new one of what the suite became, in another order.

    What is not common is `misleads` times what it would be on the new side.
    """

    def both(rng: np.random.Generator) -> tuple[Side, Side]:
        new, old = pick(rng)
        ids = new.summary.prompts
        here = [*range(BEFORE + growth.added - 1, growth.dropped - 1, -1)]
        strange = {*range(BEFORE, len(ids)), *range(growth.dropped, growth.dropped + growth.reworded)}
        told = tuple("other" if place in strange else "same" for place in here)
        estimates = tuple(_placed(e, here, strange, misleads) for e in new.summary.estimates)
        mine = replace(new.summary, prompts=tuple(ids[place] for place in here), estimates=estimates, asked=told)
        theirs = old.only(ids[:BEFORE]).summary
        return Side(mine, "new"), Side(replace(theirs, asked=("same",) * BEFORE), "old")

    return both


def _placed(estimate: Estimate, here: Sequence[int], strange: set[int], misleads: float) -> Estimate:
    values = np.array(estimate.values, dtype=np.float64)
    factors = np.array([misleads if place in strange else 1.0 for place in here])
    better = factors if estimate.better == "higher" else 1 / factors
    return replace(estimate, values=tuple(map(float, values[list(here)] * better)))


def verdicts(pick: Picker, policy: Policy, trials: int, seed: int = 0) -> list[GateDecision]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(trials):
        new, old, common = on_common_prompts(*pick(rng))
        found.append(decide(new, old, [("arm", "arm")], policy, common))
    return found


def share(found: Sequence[GateDecision], outcome: str) -> float:
    return float(np.mean([verdict.outcome == outcome for verdict in found]))


@dataclass(frozen=True)
class Errors:
    """Of one growth: what came of the trials."""

    regression_of_none: float
    """A/A, all measures, nothing allowed."""
    regression_at_edge: float
    pass_at_edge: float
    """One measure that lost exactly what is allowed."""
    found: float
    """All measures, a loss of a tenth where 5 % is allowed."""
    passed: float
    """One measure, nothing lost where a fifth is allowed."""


def measure(world: World, growth: Growth, trials: int) -> Errors:
    size = BEFORE + growth.added
    same, worse = (picker(new, world.base, size) for new in (world.base, world.lossy))
    edge = Policy(rules=(Rule(metrics=(PLANTED,), allow=Allowance(relative=lost(world))),))
    lax = Policy(rules=(Rule(metrics=(PLANTED,), allow=Allowance(relative=0.2)),))
    losing, gaining = 0.5, 1.5
    return Errors(
        share(verdicts(grown(same, growth, losing), EDGE, trials), "regression"),
        share(verdicts(grown(worse, growth, losing), edge, trials), "regression"),
        share(verdicts(grown(worse, growth, gaining), edge, trials), "pass"),
        share(verdicts(grown(worse, growth, gaining), POLICY, trials), "regression"),
        share(verdicts(grown(same, growth, losing), lax, trials), "pass"),
    )


def table(world: World, trials: int) -> str:
    lines = [
        f"{trials} trials a cell, prompts drawn from {len(world.base[PLANTED])} creative ones, {K} completions each. "
        "What is not common loses half of everything in the columns of mistaken regressions and of right passes, and "
        "gains half in the others.",
        "",
        "| prompts | common | share | regression: nothing lost | regression: lost what is allowed | pass: lost what is "
        f"allowed | {100 * lost(world):.1f} % lost, found | nothing lost, passed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for growth in GROWTHS:
        found = measure(world, growth, trials)
        largest = max(BEFORE, BEFORE - growth.dropped + growth.added)
        cells = (
            growth.common / largest,
            found.regression_of_none,
            found.regression_at_edge,
            found.pass_at_edge,
            found.found,
            found.passed,
        )
        told = " | ".join(f"{100 * cell:.1f} %" for cell in cells)
        lines.append(f"| {growth} | {growth.common} | {told} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--groups", type=int, default=8, help="groups drawn for each prompt and law")
    parser.add_argument("--write", action="store_true", help="put the table into docs/gate.md")
    asked = parser.parse_args()
    text = table(build(asked.groups), asked.trials)
    print(text)
    if asked.write:
        write(text, BEGIN, END)


if __name__ == "__main__":
    main()
