"""Questions of opinion in a report: what each arm answers, what groups of people do, and how far they are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.figure_data import ChoiceShares
from evalkit.metrics.estimators.opinions import (
    distance,
    order_effect,
    shares_of,
    shares_of_group,
    without_place,
)
from evalkit.plumbing.arrays import Array
from evalkit.records import Opinion, Prompt
from evalkit.report.content.content import ReportContent
from evalkit.runs.stored_groups import prompts_of


@dataclass(frozen=True, slots=True)
class Shares:
    """One arm's or one group's distribution over a question's choices."""

    name: str
    shares: tuple[float, ...]
    is_exact: bool = True
    draws: int = 0
    """Of all orders together, where they were counted."""
    order_effect: float = float("nan")


@dataclass(frozen=True, slots=True)
class OpinionQuestion:
    """One question, as the report shows it."""

    text: str
    """Without the choices below it."""
    opinion: Opinion
    arms: tuple[Shares, ...]
    """In the order of the report's arms; those that gave no choice are not there."""
    groups: tuple[Shares, ...]

    def distance(self, name: str, group: str) -> float | None:
        """Between an arm and a group; None where one of them is not known."""
        arm = next((shares for shares in self.arms if shares.name == name), None)
        theirs = shares_of_group(self.opinion, group)
        if arm is None or theirs is None:
            return None
        return distance(np.array(arm.shares), theirs, self.opinion.ordered)


def opinion_questions(content: ReportContent) -> list[OpinionQuestion]:
    """The questions that the run asked, in the order in which it did."""
    prompts = {prompt.id: prompt for groups in content.groups.values() for prompt in prompts_of(groups)}
    asked: dict[str, list[Prompt]] = {}
    for name in content.summary.prompts:
        prompt = prompts.get(name)
        if prompt is not None and prompt.opinion is not None:
            asked.setdefault(prompt.opinion.question, []).append(prompt)
    known = {(shares.prompt, shares.arm): shares for shares in content.figure_data.choices}
    arms = [arm.name for arm in content.summary.arms]
    return [_question(orders, arms, known) for orders in asked.values()]


def _question(
    prompts: Sequence[Prompt], arms: Sequence[str], known: Mapping[tuple[str, str], ChoiceShares]
) -> OpinionQuestion:
    opinion = prompts[0].opinion
    assert opinion is not None
    answers = [_arm(arm, prompts, known) for arm in arms]
    groups = [
        Shares(name, tuple(shares.tolist()))
        for name in opinion.groups
        if (shares := shares_of_group(opinion, name)) is not None
    ]
    return OpinionQuestion(_text(prompts[0]), opinion, tuple(filter(None, answers)), tuple(groups))


def _text(prompt: Prompt) -> str:
    """What is asked; the choices are shown beside their bars."""
    assert prompt.opinion is not None
    is_listed = prompt.opinion.answers != prompt.opinion.choices
    return "\n".join(prompt.text.split("\n")[: -1 - len(prompt.opinion.choices)]) if is_listed else prompt.text


def _arm(arm: str, prompts: Sequence[Prompt], known: Mapping[tuple[str, str], ChoiceShares]) -> Shares | None:
    """As `metrics.estimators.opinions.answered` takes it of groups; None without a distribution."""
    found = [(prompt, known[prompt.id, arm]) for prompt in prompts if (prompt.id, arm) in known]
    if not found:
        return None
    is_exact = all(shares.exact for _, shares in found)
    rows = np.array([
        [(shares.exact if is_exact else shares.drawn).get(answer, 0.0) for answer in _answers(prompt)]
        for prompt, shares in found
    ], dtype=np.float64)  # fmt: skip
    whole = without_place(_logs(rows)) if is_exact else shares_of(rows.sum(axis=0))
    if np.isnan(whole).any():
        return None
    draws = sum(shares.draws for _, shares in found)
    return Shares(arm, tuple(whole.tolist()), is_exact, draws, order_effect(rows))


def _answers(prompt: Prompt) -> tuple[str, ...]:
    assert prompt.opinion is not None
    return prompt.opinion.answers


def _logs(shares: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(shares), dtype=np.float64)
