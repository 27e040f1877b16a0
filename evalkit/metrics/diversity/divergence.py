"""How far an arm's distribution has moved from the baseline's, and which way: what tuning gains and costs.

Like `distribution`, these measure draws from untempered model distributions (temperature 1, nothing cut off) over token
sequences as the sampler ends them. Each checkpoint conditions on its own rendering of the prompt: the arm on its chat
template, say, the baseline on its frame. Tokens are compared as they are, the end of sequence among them: two
checkpoints that end their answers with different tokens are apart by that.

Mode seeking is in the two directions of the KL. KL(arm || baseline) asks whether the arm says what the baseline would
not; KL(baseline || arm) asks whether it still says what the baseline does. A model that kept the likeliest answers and
dropped the rest has a small first and a large second.
"""

from __future__ import annotations

import math

import numpy as np

from evalkit.metrics.declaration import metric
from evalkit.plumbing.arrays import Array
from evalkit.records import Group

LEAST_SPREAD = 0.1
"""Standard deviation of the baseline's log-probs, nats, below which it prefers nothing that could be sharpened."""


@metric(
    name="kl_reverse",
    unit="nats",
    better="neither",
    side="neither",
    family="probability",
    plain="distance moved by tuning",
    needs={"logprobs", "baseline_logprobs"},
    version="1.0",
    cites="Kullback & Leibler 1951",
)
def kl_reverse(group: Group) -> float:
    """KL(arm || baseline): how far the arm's distribution over completions has moved from the baseline's, in nats.

    Mean over the arm's completions of log p_arm - log p_baseline: the log-probs that they were drawn with, less those
    of the same tokens teacher-forced through the baseline. Both are distributions over token sequences as the
    arm's sampler ends them: completions cut at max_tokens make it the KL of the distributions cut there, never more
    than that of the whole ones. It is what the KL penalty of PPO holds down.

    Range: 0 or more in expectation, so a little noise below 0 is possible; 0 for the baseline itself, by definition.

    Bias: none at any k.

    Cost: the baseline reads every completion of the arm once; kept in the cache.

    Undefined: unless both checkpoints are here and have one vocabulary, and where log-probs are unknown.
    """
    if group.baseline_logprobs is None or not _has_logprobs(group):
        return float("nan")
    return float((_logprobs(group) - group.baseline_logprobs).mean())


@metric(
    name="kl_forward",
    unit="nats",
    better="neither",
    side="neither",
    family="probability",
    plain="what is no longer covered",
    needs={"logprobs", "baseline_group", "forward_logprobs"},
    version="1.0",
    cites="Kullback & Leibler 1951",
)
def kl_forward(group: Group) -> float:
    """KL(baseline || arm): how much of what the baseline says the arm no longer covers, in nats.

    Mean over the baseline's completions of log p_baseline - log p_arm. Each answer of the baseline that the arm has
    dropped costs as many nats as the arm finds it unlikely. Much larger than `kl_reverse`, it is the mark of mode
    seeking. Both are distributions over token sequences as the baseline's sampler ends them.

    Range: 0 or more in expectation, so a little noise below 0 is possible; 0 for the baseline itself, by definition.

    Bias: none at any k; but with few completions the rare ones that cost the most are mostly not seen, so that it is
    more often below the truth than above.

    Cost: the arm's checkpoint reads every completion of the baseline once; kept in the cache.

    Undefined: unless both checkpoints are here and have one vocabulary, and where log-probs are unknown.
    """
    if group.forward_logprobs is None or group.baseline is None or not _has_logprobs(group.baseline):
        return float("nan")
    return float((_logprobs(group.baseline) - group.forward_logprobs).mean())


@metric(
    name="jensen_shannon",
    unit="nats",
    better="neither",
    side="neither",
    family="probability",
    plain="how easily the two are told apart",
    needs={"logprobs", "baseline_logprobs", "baseline_group", "forward_logprobs"},
    version="1.0",
    cites="Lin 1991",
)
def jensen_shannon(group: Group) -> float:
    """Jensen-Shannon divergence of the arm's distribution and the baseline's: how well draws tell them apart, in nats.

    Half of E_arm[log p_arm / m] and half of E_baseline[log p_baseline / m], m the even mixture of the two; all
    three log-probs of a completion are known, so nothing is fitted. Unlike the KLs it is bounded and the same in both
    directions, and no single rare completion decides it. Exact where both samplers end completions alike.

    Range: 0 (the same distribution) to log 2 = 0.69 (no answer in common), up to noise below 0.

    Bias: none at any k.

    Cost: that of `kl_reverse` and `kl_forward` together.

    Undefined: unless both checkpoints are here and have one vocabulary, and where log-probs are unknown.
    """
    if group.baseline_logprobs is None or group.forward_logprobs is None or group.baseline is None:
        return float("nan")
    if not _has_logprobs(group) or not _has_logprobs(group.baseline):
        return float("nan")
    of_arm = _over_the_mixture(_logprobs(group), group.baseline_logprobs)
    of_baseline = _over_the_mixture(_logprobs(group.baseline), group.forward_logprobs)
    return (of_arm + of_baseline) / 2


@metric(
    name="sharpening",
    unit="exponent",
    better="neither",
    side="neither",
    family="probability",
    plain="how much likely answers became likelier",
    needs={"logprobs", "baseline_group", "forward_logprobs"},
    version="1.0",
    cites="",
)
def sharpening(group: Group) -> float:
    """Exponent gamma of the best fit p_arm ~ p_baseline^gamma: has tuning made likely answers likelier still?

    1 is a distribution left as it was, or moved without regard to how likely answers were; 2 squares all chances; a
    large one is the arg max; 0 a distribution made flat. The slope of log p_arm over log p_baseline by least squares
    over the baseline's completions of the prompt, so that the normaliser is the intercept. Where p_arm is
    p_baseline^gamma / Z, all points lie on the line and the slope is gamma exactly, at any k. Elsewhere it is the
    projection of log p_arm, in L2(p_baseline), on the distributions of that family. The regressor is known exactly, so
    no error in it pulls the slope to 0; and the completions are the baseline's alone, because to choose points by their
    p_arm would bias the slope.

    Range: any number; 1 for the baseline itself.

    Bias: of order 1/k where the fit is not exact, none where it is.

    Cost: that of `kl_forward`.

    Undefined: as `kl_forward`; and where the baseline's log-probs spread by less than 0.1 nats (standard deviation):
    a distribution with no likelier answers has none to sharpen, and the exponent of a fair coin means nothing.
    """
    if group.forward_logprobs is None or group.baseline is None or not _has_logprobs(group.baseline):
        return float("nan")
    of_baseline = _logprobs(group.baseline)
    x = of_baseline - of_baseline.mean()
    if x @ x < len(x) * LEAST_SPREAD**2:
        return float("nan")
    return float(x @ group.forward_logprobs / (x @ x))


def _over_the_mixture(log_p: Array, log_q: Array) -> float:
    """Mean of log p - log((p + q) / 2) over draws from p; `log_p`, `log_q`: (k,) log-probs of each draw under both."""
    return float((log_p - np.logaddexp(log_p, log_q)).mean()) + math.log(2)


def _has_logprobs(group: Group) -> bool:
    return bool(group.completions) and all(completion.logprobs for completion in group.completions)


def _logprobs(group: Group) -> Array:
    """(k,) log-prob of each completion, nats."""
    return np.array([math.fsum(completion.logprobs) for completion in group.completions], dtype=np.float64)
