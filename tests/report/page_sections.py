"""A made-up run that has every section of the report: next tokens, choices, voices, two rewards, trainings."""

from __future__ import annotations

import dataclasses

from evalkit.analysis.figure_data import ChoiceShares, FigureData, Shape
from evalkit.checkpoints.training_log import Training
from evalkit.metrics.summary import Curve, Difference, Estimate
from evalkit.records import CONFIDENCE, Group, Prompt
from evalkit.report.content.content import ReportContent
from tests.report.example import difference, estimate, synthetic

HOSTILE = "<script>alert(1)</script>"
COIN = Prompt("coin", "Heads or tails? One word.", choices={"Heads": 0.51, "Tails": 0.49})
GAME = Prompt(HOSTILE, HOSTILE, choices={HOSTILE: 0.5, "Paper": 0.3, "Scissors": 0.2})
SHARES = (
    ChoiceShares("coin", "base", {"Heads": 0.53, "Tails": 0.47}, {"Heads": 16, "Tails": 16}, 32),
    ChoiceShares("coin", "tuned", {"Heads": 0.97, "Tails": 0.03}, {"Heads": 31, "Tails": 1}, 32),
    ChoiceShares(GAME.id, "base", {HOSTILE: 0.5, "Paper": 0.3, "Scissors": 0.2}, {HOSTILE: 9, "Paper": 9}, 32),
    ChoiceShares(GAME.id, "tuned", {}, {HOSTILE: 8, "Paper": 16, "Scissors": 4}, 32),
)
REWARDS = ("reward|model:lab:reward", "reward|model:lab:reward-friends")


def everything() -> ReportContent:
    """A base and a tuned arm on two prompts that state a distribution."""
    content = synthetic([("base", "base", 1.0), ("tuned", "tuned", 1.0)], prompts=2, samples=2)
    prompts = (COIN, GAME)
    summary = content.summary
    return dataclasses.replace(
        content,
        summary=dataclasses.replace(
            summary,
            prompts=tuple(prompt.id for prompt in prompts),
            estimates=(*(e for e in summary.estimates if e.metric != "reward"), *_rewards().values()),
            differences=(*(d for d in summary.differences if d.metric != "reward"), *_gains()),
            curves=tuple(_branching(arm.name) for arm in summary.arms),
        ),
        groups={
            arm: [Group(prompt, own.completions) for prompt, own in zip(prompts, groups, strict=True)]
            for arm, groups in content.groups.items()
        },
        figure_data=FigureData((shape("base", 0.5), shape("tuned", 0.9)), SHARES, (training("tuned"),)),
        provenance={"voices": CARD},
    )


def shape(arm: str, first: float) -> Shape:
    """Half of it is left at each rank; beyond the fourth there is no vocabulary."""
    values = (first, first / 2, 1e-7, None)
    return Shape(
        arm, (1, 2, 3, 5), values, (first * 0.9, first * 0.4, 0.0, None), (first * 1.1, first * 0.6, 2e-7, None)
    )


def training(checkpoint: str) -> Training:
    return Training(checkpoint, "update", 2, (1, 3, 4), (0.0, 0.5, 0.75), (0.0, 2.0, 4.0), (20.0, 15.0, None))


def share(voice: str, spoken: float | None) -> dict[str, str | float | None]:
    known = spoken is not None
    return {
        "voice": voice,
        "heard": 0.4,
        "spoken": spoken,
        "low": 0.3 if known else None,
        "high": 0.7 if known else None,
    }


CARD = {
    "voices": [HOSTILE, "rude"],
    "accuracy": 0.9,
    "above_chance": True,
    "confusion": [[9, 1], [1, 9]],
    # Not in the order of the arms: a file may hold them in any.
    "shares": {
        "tuned": [share(HOSTILE, 0.6), share("rude", None)],
        "base": [share(HOSTILE, 0.5), share("rude", 0.5)],
    },
    "shift": {"tuned": {"value": 0.1, "low": 0.0, "high": 0.2}},
}


def _branching(arm: str) -> Curve:
    return Curve(
        "branching",
        "",
        "next tokens",
        "branching|v:1.0",
        arm,
        (1, 2),
        (4.0, 1.5),
        (3.0, 1.2),
        (5.0, 1.8),
        CONFIDENCE,
        2,
    )


def _rewards() -> dict[tuple[str, str], Estimate]:
    """The raters gain by the tuning, and their friends lose."""
    values = {"base": [[0.0, 2.0], [0.0, 2.0]], "tuned": [[3.0, 5.2], [-2.0, -0.1]]}
    return {
        (name, arm): estimate(name, arm, list(own[place]), "higher")
        for place, name in enumerate(REWARDS)
        for arm, own in values.items()
    }


def _gains() -> list[Difference]:
    rewards = _rewards()
    return [difference(rewards[name, "tuned"], rewards[name, "base"], 2) for name in REWARDS]
