"""The model card of a trained policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = {
    "reward": "mean reward",
    "gold": "mean gold reward",
    "kl": "KL from the reference, nats a completion",
    "entropy": "entropy, nats a completion",
    "eos_rate": "share that ends by itself",
    "length": "tokens a completion",
}


def policy_card(name: str, facts: Mapping[str, Any]) -> str:
    """README.md of a policy, from what `training.json` holds: beta, KL reached, reward, entropy, temperature."""
    rows = "\n".join(f"| {WORDS[key]} | {value} |" for key, value in facts["reached"].items())
    return f"""\
---
library_name: transformers
pipeline_tag: text-generation
tags: [evalkit, {facts["method"].lower()}]
---
# {name}

`{facts["policy"]}` tuned by {facts["method"]} on the reward `{facts["reward_from"]}`, over
{facts["episodes"]} episodes, to make this as large as can be: {facts["objective"]}. Made by
`evalkit train {facts["method"].lower()}` with seed {facts["seed"]}; `training.json` holds all settings.

The distribution that was trained is the model's at temperature {facts["temperature"]:g}, with nothing cut off:
sample it so.
{_scale(facts["reward_mean"], facts["reward_deviation"])}

| over the last updates | |
| --- | --- |
{rows}
"""


def _scale(mean: float, deviation: float) -> str:
    if (mean, deviation) == (0.0, 1.0):
        return "Beta is in the reward's own units: rewards were not normalised."
    return f"""\
Rewards were brought to mean 0 and standard deviation 1 on the untrained model's completions (mean
{mean:.4g}, deviation {deviation:.4g}) before beta was applied."""
