"""Distribution matching itself: how likely the model finds what people wrote."""

from __future__ import annotations

import math

from evalkit.metrics.declaration import metric
from evalkit.records import Group


@metric(
    name="reference_nll",
    unit="nats/byte",
    better="lower",
    side="match",
    family="people's texts",
    plain="surprise at human texts",
    bounds=(0, None),
    needs={"references"},
    version="1.0",
    cites="Gao et al. 2020",
)
def reference_nll(group: Group) -> float:
    """Surprisal of the prompt's human texts, in nats a byte of UTF-8: low where the model matches people.

    Total -log p over total bytes of all the references of the prompt, read as answers, with or without a space before
    them. The end of the answer does not count: how a text is ended is a habit of templates more than of people. Bytes
    make checkpoints with different tokenizers comparable. In bits a byte: divide by 0.693.

    Range: 0 or more, lower is nearer to the people who wrote; English by a good model is near 0.7.

    Bias: none for the references given. It is no entropy: they must not have been trained on.

    Cost: the checkpoint reads each reference twice; kept in the cache.

    Undefined: on prompts without references, for a server, for arms with another temperature than 1 or with tokens cut
    off, and where a reference cannot be written with the model's tokens.
    """
    size = sum(len(text.encode("utf-8", "replace")) for text in group.prompt.references)
    if not group.reference_logprobs or not size:
        return float("nan")
    total = -math.fsum(group.reference_logprobs)
    return total / size if math.isfinite(total) else float("nan")
