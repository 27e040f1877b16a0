"""Two runs are held against each other: may this checkpoint ship?"""

from evalkit.gate.baselines import chosen_policy, read_side
from evalkit.gate.compare import compare_sides
from evalkit.gate.decide import GateDecision, decide, exit_code
from evalkit.gate.power_analysis import plan_size
from evalkit.gate.sequential_run import run_until_decided
from evalkit.gate.sides import Side, choose_pairs

__all__ = [
    "GateDecision",
    "Side",
    "choose_pairs",
    "chosen_policy",
    "compare_sides",
    "decide",
    "exit_code",
    "plan_size",
    "read_side",
    "run_until_decided",
]
