"""A verdict as JSON, for programs."""

from __future__ import annotations

import dataclasses
import json

from evalkit.announce import failure as failures
from evalkit.announce import words
from evalkit.announce.failure import Failure
from evalkit.gate import Verdict


def to_json(verdict: Verdict, exit_code: int, policy: str) -> str:
    """Everything; `policy` says where the policy came from."""
    fields = dataclasses.asdict(verdict)
    told = {
        "outcome": fields.pop("outcome"),
        "exit_code": exit_code,
        "headline": words.headline(verdict),
        "policy": policy,
    }
    return json.dumps(told | fields, indent=1, ensure_ascii=False, allow_nan=False)


def failure_to_json(failure: Failure) -> str:
    """The same keys as far as there is anything to tell, and the reasons."""
    told = {
        "outcome": failures.VERDICT,
        "exit_code": failure.exit_code,
        "headline": failures.headline(failure),
        "suite": failure.suite,
        "reasons": list(failure.reasons),
    }
    return json.dumps(told, indent=1, ensure_ascii=False)
