"""Groups of people whose preferences reward models learned: who gained and who lost by a tuning, none averaged away."""

from __future__ import annotations

from collections.abc import Iterable

from evalkit.analysis import effects
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Difference, Summary
from evalkit.plumbing.prose import listed
from evalkit.report.wording import interval_text, label, value_text, with_level

REWARD = "reward"


def rater_groups(summary: Summary) -> dict[str, str]:
    """Reward -> the raters whose preferences it learned; empty unless there are two rewards at least."""
    return groups_of(effects.betters(summary))


def groups_of(metrics: Iterable[str]) -> dict[str, str]:
    """The same of these measures."""
    rewards = [
        metric for metric in metrics if effects.is_plain(metric) and split_variant(metric)[1].split("|")[0] == REWARD
    ]
    return {metric: _rater_group(metric) for metric in rewards} if len(rewards) > 1 else {}


def rater_claims(summary: Summary) -> dict[str, str]:
    """Compared arm -> whose reward models it clearly gained with and whose it lost with; only where any is clear."""
    groups = rater_groups(summary)
    by_arm: dict[str, list[Difference]] = {}
    for difference in summary.differences:
        if difference.metric in groups:
            by_arm.setdefault(difference.arm, []).append(difference)
    claims = {arm: _claim(arm, groups, differences) for arm, differences in by_arm.items()}
    return {arm: claim for arm, claim in claims.items() if claim}


def _claim(arm: str, groups: dict[str, str], differences: list[Difference]) -> str:
    clauses = []
    for kind, words in (("gained", "gained with the raters of"), ("lost", "lost with those of")):
        of_kind = [_said(groups, d) for d in differences if effects.outcome(d, "higher") == kind]
        if of_kind:
            clauses.append(f"{words} {listed(of_kind)}")
    unclear = [groups[d.metric] for d in differences if effects.outcome(d, "higher") == "unclear"]
    if clauses and unclear:
        clauses.append(f"clearly did neither with those of {listed(unclear)}")
    return f"{arm} {listed(clauses)}." if clauses else ""


def _said(groups: dict[str, str], difference: Difference) -> str:
    interval = interval_text(difference)
    shown = f"{value_text(difference, signed=True)}{f', {with_level(interval)}' if interval else ''}"
    return f"{groups[difference.metric]} ({shown})"


def _rater_group(metric: str) -> str:
    """The reward model's name, if nothing else tells two rewards apart."""
    _, *parameters = split_variant(metric)[1].split("|")
    [only] = parameters if len(parameters) == 1 else [""]
    return only.removeprefix("model:") if only.startswith("model:") else label(metric)
