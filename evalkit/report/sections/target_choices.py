"""Choices against the distribution that their prompt states, in words and cells: of all prompts, then one by one."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.plumbing.arrays import JSON
from evalkit.plumbing.prose import counted, listed, short
from evalkit.records import Arm
from evalkit.report.content.content import ReportContent
from evalkit.report.content.target_choices import ArmShares, TargetPrompt, arm_names, of_arm, target_prompts
from evalkit.report.html.render import sentence
from evalkit.report.plots import figures, markers
from evalkit.report.plots.target_choices import UNIT, bars, exact_percent, square, whole_percent

LONGEST = 60
"""Characters of a prompt in the selector."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """One arm over all prompts: what stands above its square."""

    arm: str
    total_variation: str
    """From the target distributions, mean over prompts."""
    is_exact: bool


@dataclass(frozen=True, slots=True)
class ChoicesView:
    """All that the template prints."""

    lead: str
    portraits: tuple[Portrait, ...]
    options: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    """(prompt, its choices as cells: choice, target, each arm's share)."""
    arms: tuple[str, ...]


def choices_view(content: ReportContent) -> ChoicesView | None:
    """None where no prompt has choices."""
    prompts = target_prompts(content)
    arms = arm_names(prompts)
    if not arms:
        return None
    return ChoicesView(
        lead=_lead(prompts, arms),
        portraits=tuple(_portrait(prompts, arm) for arm in arms),
        options=tuple(short(f"{each.prompt.id}: {each.prompt.text}", LONGEST) for each in prompts),
        rows=tuple((each.prompt.id, tuple(_cells(each, arms))) for each in prompts),
        arms=tuple(arms),
    )


def squares(content: ReportContent) -> dict[str, figures.Figure]:
    """Arm -> its square: target to the right, the arm's share upwards."""
    prompts, numbers = target_prompts(content), markers.numbers(content.summary)
    return {arm: square(prompts, arm, numbers[arm]) for arm in arm_names(prompts)}


def one_by_one(content: ReportContent) -> JSON:
    """For the selector: each prompt with its text, its figure and what it says; and which of them to show first."""
    prompts = target_prompts(content)
    if not arm_names(prompts):
        return None
    numbers = markers.numbers(content.summary)
    moved = [_moved(each, content.summary.arms) for each in prompts]
    return {
        "first": moved.index(max(moved)),
        "prompts": [
            {"text": each.prompt.text, "says": sentence(says(each)), "figure": bars(each, numbers)} for each in prompts
        ],
    }


def says(prompt: TargetPrompt) -> str:
    """`Asked for 51 to 49 (Cats to Dogs), base says 53 to 47 and ppo-0.1 says 97 to 3.`"""
    target = prompt.target
    if len(target) == 2:
        odds = [f"{shares.arm} says {_odds(shares.shares, target)}" for shares in prompt.arms]
        return f"Asked for {_odds(target, target)} ({' to '.join(target)}), {listed(odds)}."
    best = max(target, key=lambda choice: target[choice])
    wanted = "each" if len(set(target.values())) == 1 else f"at the most ({best})"
    likeliest = [f"{_likeliest(shares)} in {shares.arm}" for shares in prompt.arms]
    return f"Asked for {whole_percent(target[best])} {wanted}; the likeliest answer is {listed(likeliest)}."


def _odds(shares: Mapping[str, float], order: Mapping[str, float]) -> str:
    return " to ".join(whole_percent(shares[choice]).removesuffix(UNIT) for choice in order)


def _likeliest(shares: ArmShares) -> str:
    best = max(shares.shares, key=lambda choice: shares.shares[choice])
    return f"{best} with {whole_percent(shares.shares[best])}"


def _lead(prompts: Sequence[TargetPrompt], arms: Sequence[str]) -> str:
    """How sure of its likeliest answer an arm is, beside how sure it was asked to be."""
    wanted = statistics.fmean(max(each.target.values()) for each in prompts)
    likeliest = [f"{whole_percent(_sureness(prompts, arm))} in {arm}" for arm in arms]
    return (
        f"On average over {counted(len(prompts), 'prompt')} the likeliest answer should have {whole_percent(wanted)}; "
        f"the likeliest one has {listed(likeliest)}."
    )


def _sureness(prompts: Sequence[TargetPrompt], arm: str) -> float:
    """The share of the arm's likeliest choice, mean over prompts."""
    return statistics.fmean(max(shares.shares.values()) for _, shares in of_arm(prompts, arm))


def _portrait(prompts: Sequence[TargetPrompt], arm: str) -> Portrait:
    by_prompt = of_arm(prompts, arm)
    distance = statistics.fmean(shares.total_variation(prompt.target) for prompt, shares in by_prompt)
    return Portrait(arm, whole_percent(distance), all(shares.is_exact for _, shares in by_prompt))


def _moved(prompt: TargetPrompt, arms: Sequence[Arm]) -> float:
    """How far the prompt's distribution went from a baseline's, or from the target where nothing is compared."""
    by_arm = prompt.by_arm
    pairs = [
        (by_arm[arm.name], by_arm[arm.baseline].shares) for arm in arms if arm.name in by_arm and arm.baseline in by_arm
    ]
    return max(
        (shares.total_variation(baseline) for shares, baseline in pairs),
        default=max(shares.total_variation(prompt.target) for shares in prompt.arms),
    )


def _cells(prompt: TargetPrompt, arms: Sequence[str]) -> list[tuple[str, ...]]:
    by_arm = prompt.by_arm
    return [
        (
            choice,
            exact_percent(target),
            *(exact_percent(by_arm[arm].shares[choice]) if arm in by_arm else "–" for arm in arms),
        )
        for choice, target in prompt.target.items()
    ]
