"""The exact optimum of tuning: pi*(y | x) proportional to p(y | x) exp(u(x, y) / beta), and what follows from it.

pi* maximises E[u] - beta KL(pi || p), in nats a completion; p is the grammar's distribution, u a rater's utility. The
utility of a text is a constant of its branch (manner, truth, the voice's share and entropy) plus typicality times the
log-probs of the branch and of each slot's fill. So pi* is a grammar again, with the same branches and slots: with tilt
t = 1 + typicality / beta,

    slot    p(fill)^t / Z(slot),    Z(slot) = sum over fills of p(fill)^t
    branch  P(branch)^t exp((worth + typicality * (H(voice) - log P(voice))) / beta) * product of Z(slot)

normalised; nothing is enumerated. A choice has one branch and one slot, so of two answers with p and 1 - p the first
gets sigmoid(log(p / (1 - p)) + gap / beta), where gap = typicality * log(p / (1 - p)) is its lead in utility.

A distribution below is a `Prompt` with its own probabilities: the grammar's prompt itself, or its optimum. Texts that
the grammar cannot make have probability 0 in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from evalkit.errors import InputError
from evalkit.lab.grammar import Branch, Prompt, Slot, log
from evalkit.lab.rater import Rater, voice_share_and_entropy


def optimum(prompt: Prompt, rater: Rater, beta: float) -> Prompt:
    """Return the prompt as tuning on `rater` to KL penalty `beta` (nats of utility, above 0) makes it in the end.

    Its `shares`, `accuracy`, `choices`, `entropy`, `parse` and `sample` are then those of the optimum.
    Raises `InputError` where beta is not above 0.
    """
    if not beta > 0:
        raise InputError(f"beta is {beta}; the optimum exists for a beta above 0 alone")
    weights = softmax([_branch_weight(prompt, branch, rater, beta) for branch in prompt.branches])
    tilt = 1 + rater.typicality / beta
    branches = tuple(
        replace(branch, probability=weight, parts=tuple(_tilted(part, tilt) for part in branch.parts))
        for branch, weight in zip(prompt.branches, weights, strict=True)
    )
    return replace(prompt, branches=branches)


def expected_utility(prompt: Prompt, rater: Rater, distribution: Prompt) -> float:
    """Return E[u] under `distribution`, one of `prompt`'s; u is `rater`'s utility for the grammar's `prompt`."""

    def liked(grammars: Branch, branch: Branch) -> float:
        typical = log(grammars.probability) + math.fsum(
            mean(list(map(log, was.probabilities)), now.probabilities)
            for was, now in zip(grammars.slots, branch.slots, strict=True)
        )
        return _constant(prompt, grammars, rater) + rater.typicality * typical

    return _mean_over_branches(prompt, distribution, liked)


def divergence(distribution: Prompt, reference: Prompt) -> float:
    """Return KL(distribution || reference) in nats a completion, 0 or more; both are of one prompt."""

    def parted(referred: Branch, branch: Branch) -> float:
        slots = zip(referred.slots, branch.slots, strict=True)
        return math.fsum(
            [log(branch.probability) - log(referred.probability), *(_slot_divergence(now, was) for was, now in slots)]
        )

    return max(0.0, _mean_over_branches(reference, distribution, parted))


def pass_at(distribution: Prompt, k: int) -> float | None:
    """Return the probability that one of `k` completions is right; None where nothing is right or wrong."""
    accuracy = distribution.accuracy
    if accuracy is None:
        return None
    return -math.expm1(k * math.log1p(-accuracy)) if accuracy < 1 else 1.0


def softmax(logits: Sequence[float]) -> tuple[float, ...]:
    """Return the probabilities of unnormalised log weights, without overflow."""
    most = max(logits)
    weights = [math.exp(logit - most) for logit in logits]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


def mean(values: Sequence[float], probabilities: Sequence[float]) -> float:
    """Return E[value]; what has probability 0 does not count, be it infinite."""
    return math.fsum(p * value for p, value in zip(probabilities, values, strict=True) if p > 0)


def _constant(prompt: Prompt, branch: Branch, rater: Rater) -> float:
    """The part of the utility that all texts of a branch share, but for the branch's own probability."""
    share, entropy = voice_share_and_entropy(prompt)[branch.voice]
    return rater.worth(prompt, branch.voice, branch.right) + rater.typicality * (entropy - math.log(share))


def _branch_weight(prompt: Prompt, branch: Branch, rater: Rater, beta: float) -> float:
    tilt = 1 + rater.typicality / beta
    slots = math.fsum(_log_sum_exp([tilt * log(p) for p in slot.probabilities]) for slot in branch.slots)
    return tilt * log(branch.probability) + _constant(prompt, branch, rater) / beta + slots


def _tilted(part: str | Slot, tilt: float) -> str | Slot:
    return (
        replace(part, probabilities=softmax([tilt * log(p) for p in part.probabilities]))
        if isinstance(part, Slot)
        else part
    )


def _slot_divergence(slot: Slot, reference: Slot) -> float:
    pairs = zip(slot.probabilities, reference.probabilities, strict=True)
    return mean([log(p) - log(q) for p, q in pairs], slot.probabilities)


def _mean_over_branches(prompt: Prompt, distribution: Prompt, of: Callable[[Branch, Branch], float]) -> float:
    pairs = zip(prompt.branches, distribution.branches, strict=True)
    return math.fsum(now.probability * of(was, now) for was, now in pairs if now.probability > 0)


def _log_sum_exp(logits: Sequence[float]) -> float:
    most = max(logits)
    return most + math.log(math.fsum(math.exp(logit - most) for logit in logits))
