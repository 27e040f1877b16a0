"""A suite becomes completions and log-probs: what is asked of whom, by which engine, and what is there already."""

from evalkit.inference.engines.base import Engine, open_engine
from evalkit.inference.logprobs.attach import fill_needs
from evalkit.inference.plan import Plan, make_plan, plan_in
from evalkit.inference.sample import read_groups, sample_missing
from evalkit.inference.settle import begin

__all__ = [
    "Engine",
    "Plan",
    "begin",
    "fill_needs",
    "make_plan",
    "open_engine",
    "plan_in",
    "read_groups",
    "sample_missing",
]
