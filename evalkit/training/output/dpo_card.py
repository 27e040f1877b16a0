"""The model card of a policy that was tuned on preferences directly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.records import CONFIDENCE

DIVERGENCES = {
    "reverse_kl": "the KL divergence",
    "forward_kl": "the forward KL divergence",
    "jensen_shannon": "the Jensen-Shannon divergence",
}


def dpo_card(name: str, facts: Mapping[str, Any]) -> str:
    """README.md of a policy, from what its training.json holds."""
    held_out = facts["held_out"]
    return f"""\
---
library_name: transformers
pipeline_tag: text-generation
tags: [evalkit, dpo]
---
# {name}

`{facts["policy"]}` tuned by direct preference optimisation on {facts["votes"]} votes on {facts["pairs"]} pairs of
completions of {facts["prompts"]} prompts, held near its start by beta {facts["beta"]:g} times
{DIVERGENCES[facts["divergence"]]}. Made by `evalkit train dpo` with seed {facts["settings"]["seed"]}; `training.json`
holds all settings.
{_length_normalised(facts["length_normalised"])}
| on {held_out["votes"]} votes on {held_out["pairs"]} pairs of held-out prompts | |
| --- | --- |
| accuracy of the implicit reward | {held_out["accuracy"]:.3f} ({held_out["low"]:.3f} to {held_out["high"]:.3f}) |
| loss, nats a vote (guessing: 0.693) | {held_out["loss"]:.4f} |
| margin: log-odds for the chosen completion | {held_out["margin"]:.4f} |
| log policy - log start of chosen completions | {held_out["chosen_log_ratio"]:.4f} |
| log policy - log start of rejected completions | {held_out["rejected_log_ratio"]:.4f} |

A tie counts as half right. The interval is Wilson's, {CONFIDENCE:.0%}, and takes votes as independent.
"""


def _length_normalised(is_normalised: bool) -> str:
    if not is_normalised:
        return ""
    return "\nLog-ratios were divided by the number of a completion's tokens, end of sequence included.\n"
