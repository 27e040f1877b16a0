"""How far an arm's law has moved from the baseline's: what tuning gains and costs is judged by it.

Like `distribution`, it is a measure of draws from the raw law (temperature 1, nothing cut off) over token sequences as
the sampler ends them.
"""

from __future__ import annotations

import math

from evalkit.measure import metric
from evalkit.records import Group


@metric(
    name="kl",
    unit="nats",
    better="neither",
    needs={"logprobs", "baseline_logprobs"},
    version="1.0",
    cites="Kullback & Leibler 1951",
)
def kl(group: Group) -> float:
    """KL(arm || baseline): how far the arm's law of a completion has moved from the baseline checkpoint's, in nats.

    Mean over the arm's completions of log p_arm - log p_baseline: the log-probs that they were drawn with, less those
    of the same tokens teacher-forced through the baseline. Each conditions on its own rendering of the prompt: the arm
    on its chat template, the baseline on its frame. Both are laws over token sequences as the arm's sampler ends them:
    completions cut at max_tokens make it the KL of the laws cut there, never more than that of the whole ones.
    Unbiased at every k, so a little noise below 0 is possible, where the true value is at least 0. It is 0 for the
    baseline itself, by definition. NaN unless both checkpoints are here and have one vocabulary.
    """
    if group.baseline_logprobs is None or not group.completions:
        return float("nan")
    if not all(completion.logprobs for completion in group.completions):
        return float("nan")
    moved = math.fsum(math.fsum(completion.logprobs) for completion in group.completions)
    return (moved - math.fsum(group.baseline_logprobs)) / len(group.completions)
