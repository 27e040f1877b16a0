"""A verdict as JSON, for programs."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from evalkit.gate.decide import GateDecision
from evalkit.gate.formats import failure as failures
from evalkit.gate.formats import words
from evalkit.gate.formats.failure import Failure
from evalkit.runs.asked import Common


def to_json(verdict: GateDecision, exit_code: int, policy: str) -> str:
    """Everything; `policy` says where the policy came from."""
    fields = dataclasses.asdict(verdict) | {"common": _common(verdict.common)}
    head = {
        "outcome": fields.pop("outcome"),
        "exit_code": exit_code,
        "headline": words.headline(verdict),
        "policy": policy,
    }
    return json.dumps(head | fields, indent=1, ensure_ascii=False, allow_nan=False)


def _common(common: Common | None) -> dict[str, Any] | None:
    """How many prompts were shared, and which were left out on each side; None where all had to be the same."""
    if common is None:
        return None
    return {
        "prompts": len(common.prompts),
        "share": common.share,
        "least_for_a_pass": common.least,
        "shared": common.prompts,
        "changed": common.changed,
        "only_new": common.only_here,
        "only_old": common.only_there,
    }


def failure_to_json(failure: Failure) -> str:
    """The same keys as far as there is anything to tell, and the reasons."""
    fields = {
        "outcome": failures.VERDICT,
        "exit_code": failure.exit_code,
        "headline": failures.headline(failure),
        "suite": failure.suite,
        "reasons": list(failure.reasons),
    }
    return json.dumps(fields, indent=1, ensure_ascii=False)
