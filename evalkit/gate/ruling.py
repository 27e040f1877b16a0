"""A gate's verdict and what becomes of it: one way for the command, for tests and for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.gate.common_prompts import on_common_prompts
from evalkit.gate.decide import GateDecision, decide, exit_code
from evalkit.gate.sides import Pair, Side, choose_pairs
from evalkit.runs.asked import LEAST
from evalkit.suite.gate_policy import Inconclusive, Policy


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict, what is made of one that cannot tell, and where its policy came from."""

    verdict: GateDecision
    inconclusive: Inconclusive
    policy: str

    @property
    def exit_code(self) -> int:
        """0 pass, 1 regression, 3 cannot be told."""
        return exit_code(self.verdict, self.inconclusive)


def judge_sides(
    new: Side,
    old: Side,
    policy: Policy,
    source: str,
    arms: Sequence[Pair] = (),
    inconclusive: Inconclusive | None = None,
    common_prompts: bool = False,
    least_common: float | None = None,
) -> Ruling:
    """Judge `new` by `policy`, which came from `source`. `arms`: those to compare, else `choose_pairs`.

    `inconclusive`: what to make of data that cannot tell, else what the policy says. `common_prompts`: by what both
    asked alike, of which a pass needs the share `least_common`. Raises `Incomparable`, `InputError`.
    """
    pairs, common = choose_pairs(new, old, arms), None
    if common_prompts:
        new, old, common = on_common_prompts(new, old, LEAST if least_common is None else least_common)
    verdict = decide(new, old, pairs, policy, common)
    return Ruling(verdict, inconclusive or policy.inconclusive, source)
