"""The model card of a policy that was fine-tuned on its own best completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def best_of_n_card(name: str, facts: Mapping[str, Any]) -> str:
    """README.md of a policy, from what its training.json holds."""
    return f"""\
---
library_name: transformers
pipeline_tag: text-generation
tags: [evalkit, best-of-n]
---
# {name}

`{facts["policy"]}` fine-tuned on its own completions: of every {facts["n"]} of a prompt, sampled at temperature
{facts["temperature"]:g}, the one that the reward `{facts["reward_from"]}` likes best. {facts["kept"]} were kept of
{facts["prompts"]} prompts. Made by `evalkit train best-of-n` with seed {facts["settings"]["seed"]}; `training.json`
holds all settings. Sample it at temperature 1, with nothing cut off.

| | |
| --- | --- |
| mean reward of what was kept | {facts["reward_of_kept"]:.4f} |
| share of it that ends by itself | {facts["ended"]:.3f} |
| KL from the start, nats a completion: best-of-n's own is at most | {facts["kl_at_most"]:.4f} |
| cross entropy of kept completions that were not trained on, nats a token | {facts["held_out_loss_token"]:.4f} |

The bound is log n - (n - 1) / n and holds for what was kept: fine-tuning that stops early stays nearer to the start,
and one that learns single completions by heart goes further.
"""
