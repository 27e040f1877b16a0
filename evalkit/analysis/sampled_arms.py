"""What measures are taken on: arms with their completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.records import Arm, Groups


@dataclass(frozen=True)
class SampledArms:
    """Arms and equally many completions of each prompt under every one of them."""

    arms: Sequence[Arm]
    groups: Groups
    """Arm name -> one group a prompt, in prompt order."""
    samples: int
    """Completions a prompt, k."""
    baseline: str = ""
    """Fingerprint of the baseline checkpoint; empty where that is not known."""
