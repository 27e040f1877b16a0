"""Two runs are held against each other: may this checkpoint ship?"""

from evalkit.gate.baselines import chosen_policy, read_side
from evalkit.gate.compare import compare_sides
from evalkit.gate.decide import Verdict, exit_code, judge
from evalkit.gate.power_analysis import plan_size
from evalkit.gate.sequential_run import run_until_decided
from evalkit.gate.sides import Side, choose_pairs

__all__ = [
    "Side",
    "Verdict",
    "choose_pairs",
    "chosen_policy",
    "compare_sides",
    "exit_code",
    "judge",
    "plan_size",
    "read_side",
    "run_until_decided",
]
