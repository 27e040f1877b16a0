"""Prompts that state a target distribution over their choices, and what each arm makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.analysis.figure_data import ChoiceShares
from evalkit.records import Prompt
from evalkit.report.content.content import ReportContent
from evalkit.runs.stored_groups import prompts_of


@dataclass(frozen=True, slots=True)
class ArmShares:
    """What one arm makes of one prompt's choices."""

    arm: str
    shares: Mapping[str, float]
    """Choice -> probability; those of all other answers are not in it."""
    is_exact: bool
    """Read from the model's distribution, not counted among completions."""
    draws: int

    def total_variation(self, target: Mapping[str, float]) -> float:
        """From the target distribution, in [0, 1]: the share of this arm's answers that would have to be others."""
        others = max(0.0, 1 - sum(self.shares.values()))
        return (sum(abs(self.shares[choice] - wanted) for choice, wanted in target.items()) + others) / 2


@dataclass(frozen=True, slots=True)
class TargetPrompt:
    """One prompt with a target distribution."""

    prompt: Prompt
    arms: tuple[ArmShares, ...]
    """In the order of the report's arms."""

    @property
    def target(self) -> Mapping[str, float]:
        """Choice -> the probability that the prompt states."""
        return self.prompt.choices

    @property
    def by_arm(self) -> dict[str, ArmShares]:
        return {shares.arm: shares for shares in self.arms}


def target_prompts(content: ReportContent) -> list[TargetPrompt]:
    """The prompts that state a distribution, in the summary's order, with what each arm makes of them."""
    every = (prompt for groups in content.groups.values() for prompt in prompts_of(groups))
    prompts = {prompt.id: prompt for prompt in every if prompt.opinion is None}
    by_prompt: dict[str, dict[str, ArmShares]] = {}
    for shares in content.figure_data.choices:
        if shares.prompt in prompts:
            by_prompt.setdefault(shares.prompt, {})[shares.arm] = _arm_shares(shares, prompts[shares.prompt].choices)
    order = [arm.name for arm in content.summary.arms]
    return [
        TargetPrompt(prompts[name], tuple(by_prompt[name][arm] for arm in order if arm in by_prompt[name]))
        for name in content.summary.prompts
        if name in by_prompt
    ]


def _arm_shares(shares: ChoiceShares, choices: Iterable[str]) -> ArmShares:
    drawn = {choice: count / max(1, shares.draws) for choice, count in shares.drawn.items()}
    known = shares.exact or drawn
    return ArmShares(
        shares.arm, {choice: known.get(choice, 0.0) for choice in choices}, bool(shares.exact), shares.draws
    )


def arm_names(prompts: Sequence[TargetPrompt]) -> list[str]:
    """The arms that are known on any of the prompts."""
    return list(dict.fromkeys(shares.arm for prompt in prompts for shares in prompt.arms))


def of_arm(prompts: Sequence[TargetPrompt], arm: str) -> list[tuple[TargetPrompt, ArmShares]]:
    """One arm's shares, with the prompts that they are of."""
    return [(prompt, shares) for prompt in prompts for shares in prompt.arms if shares.arm == arm]
