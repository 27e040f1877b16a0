"""Diversity of the law itself, from the log-probs of its own draws.

`Completion.logprobs` are those of the raw law, so the completions must be draws from it: temperature 1, no
truncation of the law (`Sampling.is_raw`). For other arms the run leaves these metrics undefined. Both measure the law
over TOKEN sequences as the sampler ends them: at end of sequence, a stop string, or max_tokens. A completion
cut at max_tokens is a whole draw from the law cut there, so none is left out; but arms whose completions are
often cut compare only at equal max_tokens.
"""

from __future__ import annotations

import math

from evalkit.measure import metric
from evalkit.records import Group


@metric(
    name="sequence_entropy",
    unit="nats",
    better="higher",
    needs={"logprobs"},
    version="1.0",
    cites="Shannon 1948",
)
def sequence_entropy(group: Group) -> float:
    """Entropy of the model's answer to the prompt: mean of -log p over the completions, in nats a sequence.

    At least 0. Unbiased at every k for the entropy of the law over token sequences, cut at max_tokens and stop
    strings. It grows with length by its nature; `branching_factor` is the figure per token. NaN
    when the log-probs of any completion are unknown.
    """
    surprisals = _surprisals(group)
    return math.fsum(surprisals) / len(surprisals) if surprisals else float("nan")


@metric(
    name="branching_factor",
    unit="tokens",
    better="higher",
    needs={"logprobs"},
    version="1.0",
    cites="Yang & Holtzman 2025",
)
def branching_factor(group: Group) -> float:
    """Branching factor: how many next tokens are open to the model, on the way of its own answers.

    exp of total surprisal over total tokens, end-of-sequence tokens included. At least 1; 1 when the model always
    says the same. The whole law counts, where the reference implementation renormalises its top 50. Consistent, with
    a bias of order 1/k from the ratio and the exponential. Tokens differ between tokenizers: compare
    checkpoints that share one. NaN when the log-probs of any completion are unknown.
    """
    surprisals = _surprisals(group)
    tokens = sum(len(completion.logprobs) for completion in group.completions)
    return math.exp(math.fsum(surprisals) / tokens) if surprisals else float("nan")


def _surprisals(group: Group) -> list[float]:
    """-log p of each completion; empty when one of them is unknown."""
    if not all(completion.logprobs for completion in group.completions):
        return []
    return [-math.fsum(completion.logprobs) for completion in group.completions]
