"""What the user asks: suites, prompts and the gate's policy, read and checked before anything is loaded."""

from evalkit.suite.gate_policy import Policy, read_policy
from evalkit.suite.prompts import check_prompts, read_prompts
from evalkit.suite.schema import Suite, load_suite, overrides, suite_schema

__all__ = ["Policy", "Suite", "check_prompts", "load_suite", "overrides", "read_policy", "read_prompts", "suite_schema"]
