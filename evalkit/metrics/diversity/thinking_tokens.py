"""How many tokens go into thinking before an answer, and which share of all that is."""

from __future__ import annotations

from evalkit.metrics.declaration import metric
from evalkit.records import Group

NAN = float("nan")


@metric(
    name="thinking_tokens",
    unit="tokens",
    better="neither",
    side="neither",
    family="thinking",
    plain="tokens of thinking before an answer",
    bounds=(0, None),
    needs={"thinking_tokens"},
    version="1.0",
    cites="",
    per_token=True,
)
def thinking_tokens(group: Group) -> float:
    """Mean number of tokens up to the end of the thinking, its end mark included.

    Of local engines counted by the checkpoint's tokenizer; of servers as they tell it (`reasoning_tokens`), which they
    do for requests of a single completion.

    Range: [0, inf).

    Bias: none at any k; answers that were cut in their thinking are left out, so that long thinking is missed.

    Cost: a few decodings of each completion.

    Undefined: where not all of the measured answers came after thinking whose tokens are known.
    """
    counts = _counts(group)
    return sum(counts) / len(counts) if counts else NAN


@metric(
    name="thinking_share",
    unit="share",
    better="neither",
    side="neither",
    family="thinking",
    plain="share of tokens that is thinking",
    bounds=(0, 1),
    needs={"thinking_tokens"},
    version="1.0",
    cites="",
    per_token=True,
)
def thinking_share(group: Group) -> float:
    """Tokens of thinking as a share of all tokens of the completions.

    Range: [0, 1]; 1 when every answer is empty.

    Bias: none at any k; answers that were cut in their thinking are left out, so that long thinking is missed.

    Cost: a few decodings of each completion.

    Undefined: where not all of the measured answers came after thinking whose tokens are known, or the engine does not
    tell the tokens of a completion.
    """
    counts = _counts(group)
    if not counts or not all(completion.token_ids for completion in group.completions):
        return NAN
    return sum(counts) / sum(len(completion.token_ids) for completion in group.completions)


def _counts(group: Group) -> list[int]:
    """Of every completion; none where one is not known."""
    counts = [completion.thinking_tokens for completion in group.completions if completion.thinking_tokens is not None]
    return counts if len(counts) == len(group.completions) else []
