"""A verdict as JSON, for programs."""

from __future__ import annotations

import dataclasses
import json

from evalkit.announce import words
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
