"""Does the model keep a target distribution over answers, or look for its mode? Exact, from log-probs, not sampled.

A prompt's `choices` state a target distribution, say 0.51 heads and 0.49 tails. An answer gives a choice when it begins
with it (the rules stand in `metrics.choice_match`); chances are then normalised over the choices, so that they can be
held against the target, and what begins otherwise is `off_choices`.
"""

from __future__ import annotations

import math

import numpy as np

from evalkit.metrics.declaration import metric
from evalkit.plumbing.arrays import Array
from evalkit.records import Group


@metric(
    name="tv_to_target",
    unit="share",
    better="lower",
    side="match",
    family="the stated chances",
    plain="distance from the stated chances",
    bounds=(0, 1),
    needs={"choices"},
    version="1.1",
    cites="",
)
def tv_to_target(group: Group) -> float:
    """Total variation of the model's chances of the choices from the target distribution: the share to be moved.

    Half the sum of |p - target|, p normalised over the choices.

    Range: 0 (the target is kept) to 1; at 51 to 49, an arm that always gives one side has 0.49 or 0.51.

    Bias: none; exact, however many completions there are.

    Cost: the checkpoint reads each spelling of each choice once; kept in the cache.

    Undefined: on prompts without choices, for a server, and for arms with another temperature than 1 or with tokens cut
    off.
    """
    model, target = _distributions(group)
    return float(np.abs(model - target).sum()) / 2


@metric(
    name="kl_to_target",
    unit="nats",
    better="lower",
    side="match",
    family="the stated chances",
    plain="distance from the stated chances",
    bounds=(0, None),
    needs={"choices"},
    version="1.1",
    cites="Kullback & Leibler 1951",
)
def kl_to_target(group: Group) -> float:
    """KL(model || target) over the choices: nats that an answer tells of not having been drawn from the target.

    In this direction a choice that the model never gives costs nothing of its own, and the figure stays finite: log n
    for a model that always gives the same of n even choices.

    Range: 0 (the target is kept) to -log of the least target chance.

    Bias: none; exact, however many completions there are.

    Cost: that of `tv_to_target`, shared with it.

    Undefined: as `tv_to_target`; and where the model gives a choice whose target chance is 0.
    """
    model, target = _distributions(group)
    given = model > 0
    if np.isnan(model).any() or (target[given] == 0).any():
        return float("nan")
    return max(0.0, float((model[given] * np.log(model[given] / target[given])).sum()))


@metric(
    name="top_share",
    unit="share",
    better="neither",
    side="neither",
    family="the stated chances",
    plain="share of the favourite choice",
    bounds=(0, 1),
    needs={"choices"},
    version="1.1",
    cites="",
)
def top_share(group: Group) -> float:
    """Chance of the choice that the model gives most often, normalised over the choices: 51 to 49 becomes 100 to 0.

    To be held against the target's own largest chance; a mode seeker goes to 1 whatever that is.

    Range: 1/n for n choices given alike, to 1.

    Bias: none; exact, however many completions there are.

    Cost: that of `tv_to_target`, shared with it.

    Undefined: as `tv_to_target`.
    """
    model, _ = _distributions(group)
    return float(model.max())


@metric(
    name="off_choices",
    unit="share",
    better="neither",
    side="neither",
    family="the stated chances",
    plain="answers that are none of the choices",
    bounds=(0, 1),
    needs={"choices"},
    version="1.1",
    cites="",
)
def off_choices(group: Group) -> float:
    """Chance of an answer that begins with none of the choices; the other figures say nothing of it.

    Large, it means that the model was not asked in a way that it answers: look at its completions, and at the frame.

    Range: 0 to 1, rounding errors of 16-bit models cut off at 0.

    Bias: none; exact but for choices written in other cuts into tokens than the tokenizer's own, which count as off.

    Cost: that of `tv_to_target`, shared with it.

    Undefined: on prompts without choices, for a server, and for arms with another temperature than 1 or with tokens cut
    off.
    """
    if not group.choice_logprobs:
        return float("nan")
    return max(0.0, 1 - math.fsum(map(math.exp, group.choice_logprobs.values())))


def _distributions(group: Group) -> tuple[Array, Array]:
    """The model's and the target distribution over the prompt's c choices, (c,) each; (1,) NaN where there are none."""
    logprob_of = group.choice_logprobs
    if not logprob_of or max(logprob_of.values()) == -math.inf:
        return np.full(1, np.nan), np.full(1, np.nan)
    logprobs = np.array([logprob_of[choice] for choice in group.prompt.choices], dtype=np.float64)
    target = np.array(list(group.prompt.choices.values()), dtype=np.float64)
    model = np.exp(logprobs - logprobs.max())
    return model / model.sum(), target / target.sum()
