"""Multiple choice by log-prob: what the model itself holds for likeliest, without drawing anything."""

from __future__ import annotations

from evalkit.metrics.answer_match import matcher
from evalkit.metrics.declaration import metric
from evalkit.records import Group


@metric(
    name="choice_accuracy",
    unit="share",
    better="higher",
    side="quality",
    family="right answers",
    plain="right choices",
    bounds=(0, 1),
    needs={"choices", "answer"},
    version="1.2",
    cites="Brown et al. 2020",
)
def choice_accuracy(group: Group) -> float:
    """Whether the likeliest of the prompt's choices, as the whole answer, is the right one.

    The mean over prompts is the accuracy that a multiple-choice benchmark reports. Choices are compared by their whole
    log-prob, end of sequence included, so that a long answer is not favoured for being long; of equal ones each counts
    its part.

    Range: [0, 1]; guessing gives one over the number of choices.

    Bias: none; it is exact and does not depend on the completions or their number.

    Cost: O(choices); their log-probs are one teacher-forced pass.

    Undefined: without an answer or without the choices' log-probs. Raises `MetricError` on an answer that fits nothing.
    """
    matches = matcher(group.prompt)
    if matches is None or not group.choice_logprobs:
        return float("nan")
    best = max(group.choice_logprobs.values())
    likeliest = [choice for choice, logprob in group.choice_logprobs.items() if logprob == best]
    return sum(matches(choice) for choice in likeliest) / len(likeliest)
