"""Does the answer still depend on the question? What a completion tells of which prompt it answers.

Like `distribution`, it measures draws from an untempered model distribution (temperature 1, nothing cut off) over token
sequences as the sampler ends them. A prompt is all that its checkpoint sees before it answers: frame or chat template,
system prompt, earlier turns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evalkit.metrics.declaration import arm_metric
from evalkit.metrics.other_prompts import FEWEST, others_of
from evalkit.plumbing.arrays import Array
from evalkit.records import Group


@arm_metric(
    name="prompt_information",
    unit="nats",
    better="neither",
    side="neither",
    family="the question",
    plain="what an answer tells of its question",
    moves_with_length=True,
    least={"others": 1},
    needs={"logprobs", "other_prompt_logprobs"},
    version="1.0",
    cites="Wang et al. 2026 (RAGEN-2, 2604.06268); van den Oord et al. 2018; Poole et al. 2019",
)
def prompt_information(groups: Sequence[Group], *, others: int = 8) -> Array:
    """Mutual information of prompt and completion: how well answers show which of several prompts they are to, in nats.

    Mean over prompts x and their completions y of log p(y | x) - log m(y), where m is the mean of p(y | x') over x
    itself and P' other prompts (`others`, or all there are), every chance by the checkpoint that wrote y. For each
    prompt its expectation is KL(p(. | x) || m), over prompts the mutual information of a completion and which of 1 + P'
    equally likely prompts it is to. Near 0 answers no longer depend on the question (template collapse), however
    various they are: what is open within a prompt is `sequence_entropy`. Which prompts are held against which follows
    from their names, is the same for all arms, and stands in the signature as a hash. Prompts of one `cluster` are one
    question and never held against each other. log p(y | x) is what y was drawn with; a completion that was cut is read
    as far as it goes. A prompt's value is its part in the figure: what its own answers tell, and what it adds to or
    takes from others as one of those that they are held against.

    Range: 0 to log(1 + P') in expectation, 2.197 at P' = 8: noise may take it below, nothing above. 0 where an answer
    is as likely to any of the prompts; log(1 + P') where no other prompt gives it any chance.

    Bias: none at any k for these prompts. Of the information about all of a suite's prompts it tells too little, never
    too much, averaged over choices of the others, and it rises with P' (InfoNCE with the exact critic): compare at
    equal `others`. Longer answers tell more.

    Cost: the checkpoint reads each of its completions P' times, after other prompts; linear in prompts, kept in the
    cache.

    Undefined: for servers, whose weights are needed here; with fewer than three questions, for two have one figure
    between them; where log-probs are unknown.
    """
    # One look at each group: they may lie on disk.
    looked_at = [(group.prompt, _told(group, others)) for group in groups]
    design = others_of([prompt for prompt, _ in looked_at], others)
    if design.questions < FEWEST:
        return np.full(len(groups), np.nan)
    undefined = np.full(1 + design.count, np.nan)
    told = [undefined if row is None else row for _, row in looked_at]
    return with_shares(np.stack(told), np.array(design.others))


def information(own: Array, under_others: Array) -> Array:
    """(k,) nats that each completion tells of its prompt: log p(y | x) less the log of the mean chance.

    `own`: (k,) log-probs after the prompt itself; `under_others`: (k, P') after the others. At most log(1 + P').
    """
    every = np.column_stack([own, under_others])
    return np.asarray(own - np.logaddexp.reduce(every, axis=1) + math.log(every.shape[1]), dtype=np.float64)


def without_each(own: Array, under_others: Array) -> Array:
    """(k, P') `information` without each of the others, in time linear in their number."""
    every = np.column_stack([own, under_others])
    before = np.logaddexp.accumulate(every, axis=1)[:, :-1]
    after = np.logaddexp.accumulate(every[:, :0:-1], axis=1)[:, ::-1]
    beyond = np.column_stack([after[:, 1:], np.full(len(own), -np.inf)])
    return np.asarray(own[:, None] - np.logaddexp(before, beyond) + math.log(every.shape[1] - 1), dtype=np.float64)


def with_shares(told: Array, others: Array) -> Array:
    """(P,) each prompt's part in the figure: what its own answers tell, and what it does as another to those of others.

    `told`: (P, 1 + P') of each prompt what its answers tell, and how much of that each other adds; `others`: (P, P')
    their places. The parts' mean is that of the first column; their spread over prompts tells its interval, for a
    prompt that is drawn comes with both roles.
    """
    values = told[:, 0].copy()
    adds, known = told[:, 1:], ~np.isnan(values)
    counted = known[:, None] & known[others]
    if counted.any():
        np.add.at(values, others[counted], adds[counted] - adds[counted].mean())
    return np.asarray(values, dtype=np.float64)


def _told(group: Group, others: int) -> Array | None:
    """(1 + P',) of `with_shares`; None where it is not defined."""
    under = group.other_prompt_logprobs
    if under is None or not group.completions or not all(completion.logprobs for completion in group.completions):
        return None
    own = np.array([math.fsum(completion.logprobs) for completion in group.completions], dtype=np.float64)
    nearest = under[:, :others]
    whole = information(own, nearest).mean()
    return np.array([whole, *(whole - without_each(own, nearest).mean(axis=0))], dtype=np.float64)
