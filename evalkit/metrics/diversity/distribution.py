"""Diversity of the model distribution itself, from log-probs of its own draws and from next-token distributions.

`Completion.logprobs` and `Group.next_token_distributions` are those of the untempered model distribution, so the
completions must be draws from it: temperature 1, nothing cut off (`Sampling.is_raw`). For other arms the run leaves
these metrics undefined. All measure the distribution over TOKEN sequences as the sampler ends them: at end of
sequence, a stop string, or max_tokens. A completion cut at max_tokens is a whole draw from the distribution cut there,
so none is left out; but arms whose completions are often cut compare only at equal max_tokens.
"""

from __future__ import annotations

import math

import numpy as np

from evalkit.errors import MetricError
from evalkit.metrics.declaration import metric
from evalkit.plumbing.arrays import Array
from evalkit.records import RANKS, Group


@metric(
    name="sequence_entropy",
    unit="nats",
    better="higher",
    side="diversity",
    family="probability",
    plain="unpredictability of an answer",
    moves_with_length=True,
    bounds=(0, None),
    needs={"logprobs"},
    version="1.0",
    cites="Shannon 1948",
)
def sequence_entropy(group: Group) -> float:
    """Entropy of the model's answer to the prompt: mean of -log p over the completions, in nats a sequence.

    It grows with length by its nature; `nats_per_token`, `nats_per_byte` and `branching_factor` do not.

    Range: 0 or more; 0 when the model always says the same.

    Bias: none at any k, for the entropy of the distribution over token sequences, cut at max_tokens and stop strings.

    Cost: none beyond sampling.

    Undefined: when the log-probs of any completion are unknown.
    """
    surprisals = _surprisals(group)
    return math.fsum(surprisals) / len(surprisals) if surprisals else float("nan")


@metric(
    name="nats_per_token",
    unit="nats/token",
    better="higher",
    side="diversity",
    family="probability",
    plain="unpredictability of the text",
    per_token=True,
    bounds=(0, None),
    needs={"logprobs"},
    version="1.0",
    cites="Shannon 1948",
)
def nats_per_token(group: Group) -> float:
    """Entropy per token: total surprisal over total tokens, end-of-sequence tokens included.

    Every token weighs the same, so long completions weigh more than short ones. Its exponential is
    `branching_factor`; `token_entropy` estimates the same with less noise. Tokens differ between tokenizers: compare
    checkpoints that share one, or take `nats_per_byte`.

    Range: 0 or more; below log V for a vocabulary of V tokens.

    Bias: of order 1/k, from the ratio of two means; consistent.

    Cost: none beyond sampling.

    Undefined: when the log-probs of any completion are unknown.
    """
    surprisals = _surprisals(group)
    tokens = sum(len(completion.logprobs) for completion in group.completions)
    return math.fsum(surprisals) / tokens if surprisals else float("nan")


@metric(
    name="nats_per_byte",
    unit="nats/byte",
    better="higher",
    side="diversity",
    family="probability",
    plain="unpredictability of the text",
    bounds=(0, None),
    needs={"logprobs"},
    version="1.0",
    cites="Gao et al. 2020",
)
def nats_per_byte(group: Group) -> float:
    """Entropy per byte: total surprisal over the total bytes of the completions' texts in UTF-8.

    The figure per length that can be compared between tokenizers. Bytes are those of the text as it was written, with
    white space around it; special tokens and a stop string have none, but their surprisal counts: to end is a choice
    too.

    Range: 0 or more. English by a good model is near 0.7 (a bit a byte).

    Bias: of order 1/k, from the ratio of two means; consistent.

    Cost: none beyond sampling.

    Undefined: when the log-probs of any completion are unknown, and where all texts are empty.
    """
    surprisals = _surprisals(group)
    size = sum(len(completion.text.encode("utf-8", "replace")) for completion in group.completions)
    return math.fsum(surprisals) / size if surprisals and size else float("nan")


@metric(
    name="branching_factor",
    unit="tokens",
    better="higher",
    side="diversity",
    family="probability",
    plain="next words open to the model",
    per_token=True,
    bounds=(1, None),
    needs={"logprobs"},
    version="1.0",
    cites="Yang & Holtzman 2025",
)
def branching_factor(group: Group) -> float:
    """Branching factor: how many next tokens are open to the model, on the way of its own answers.

    exp of total surprisal over total tokens, end-of-sequence tokens included. The whole distribution counts, where the
    reference implementation renormalises its top 50. Tokens differ between tokenizers: compare checkpoints that share
    one.

    Range: 1 or more; 1 when the model always says the same.

    Bias: of order 1/k, from the ratio and the exponential; consistent.

    Cost: none beyond sampling.

    Undefined: when the log-probs of any completion are unknown.
    """
    return math.exp(nats_per_token(group))


@metric(
    name="token_entropy",
    unit="nats/token",
    better="higher",
    side="diversity",
    family="probability",
    plain="unpredictability of the next word",
    per_token=True,
    bounds=(0, None),
    needs={"next_token_distributions"},
    version="1.0",
    cites="Shannon 1948",
)
def token_entropy(group: Group) -> float:
    """Entropy of the whole next-token distribution, exact at every visited state and averaged over them.

    A state is a prompt with the beginning of a completion, up to before each of its tokens, the end of sequence
    included. Every state that was visited weighs the same, so that long completions weigh more than short ones, and a
    state that many completions pass counts as often. By the chain rule the entropies along a completion have the
    surprisals' expectation: it estimates `nats_per_token`, without the noise of which token was drawn.

    Range: 0 to log V for a vocabulary of V tokens.

    Bias: of order 1/k, from the ratio of two means; the entropies themselves are exact, in float32.

    Cost: a teacher-forced pass of the checkpoint over its own completions, kept in the cache.

    Undefined: where the next-token distributions are unknown: a server, or an arm with another temperature than 1 or
    with tokens cut off.
    """
    if not group.next_token_distributions:
        return float("nan")
    return float(np.concatenate([along.entropy for along in group.next_token_distributions]).mean(dtype=np.float64))


@metric(
    name="rank_decay",
    unit="nats a unit of log rank, or a rank",
    better="neither",
    side="neither",
    family="probability",
    plain="how fast rare words are ruled out",
    bounds=(None, 0),
    needs={"next_token_distributions"},
    version="1.0",
    cites="Zipf 1949",
)
def rank_decay(group: Group, *, over: str = "log_rank") -> float:
    """Slope of log p over log rank in the next-token distribution: how fast chances fall from likely tokens to rare.

    At every visited state a line is fitted by least squares through the log-probs at ranks 1, 2, 3, 5, 8 ... 987, each
    of which weighs the same: ranks are evenly spread on a log scale, so every factor of rank weighs the same. Slopes
    are averaged over visited states, which weigh the same as in `token_entropy`. A power law p ~ rank^-a gives -a.
    `over`: "log_rank", or "rank" for an exponential fall: p ~ exp(-b rank) gives -b; over "rank" the large ranks
    decide.

    Range: 0 or less; 0 for a uniform distribution. Steeper (further below 0) is a distribution that rules more out.

    Bias: of order 1/k, from the ratio of two means; slopes are exact, in float32.

    Cost: a teacher-forced pass of the checkpoint over its own completions, shared with `token_entropy`.

    Undefined: where the next-token distributions are unknown: a server, or an arm with another temperature than 1 or
    with tokens cut off.
    """
    if over not in ("log_rank", "rank"):
        raise MetricError(f"metric rank_decay: over is {over!r}; it must be log_rank or rank")
    if not group.next_token_distributions:
        return float("nan")
    rows = np.concatenate([along.logprobs_at_ranks for along in group.next_token_distributions]).astype(np.float64)
    # Ranks beyond the vocabulary, and tokens that a distribution rules out, have no log-prob.
    kept = np.isfinite(rows).all(axis=0)
    if kept.sum() < 2:
        return float("nan")
    ranks = np.array(RANKS, dtype=np.float64)[kept]
    x = np.log(ranks) if over == "log_rank" else ranks
    x -= x.mean()
    return float((rows[:, kept] @ x).mean() / (x @ x))


def branching_by_position(group: Group) -> tuple[Array, Array]:
    """Branching factor at each token position, and how many completions are still going there: two (T,) arrays.

    exp of the mean surprisal of the tokens at a position, over the completions that reach it, the end of sequence
    included; T is the longest completion's tokens. Where few are left it is noisy, and says only what long
    completions do. Completions without log-probs are left out.
    """
    rows = [completion.logprobs for completion in group.completions if completion.logprobs]
    longest = max(map(len, rows), default=0)
    total, going = np.zeros(longest), np.zeros(longest)
    for row in rows:
        total[: len(row)] -= row
        going[: len(row)] += 1
    return np.exp(total / going), going


def _surprisals(group: Group) -> list[float]:
    """-log p of each completion; empty when one of them is unknown."""
    if not all(completion.logprobs for completion in group.completions):
        return []
    return [-math.fsum(completion.logprobs) for completion in group.completions]
