"""What people said of a run: win rates, several arms on one scale, and where proxies of "good" say something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.analysis.agreement import scores_of_quality
from evalkit.errors import MetricError
from evalkit.metrics.registry import Measure, parse
from evalkit.preferences.agreement.coefficients import agreement, couples
from evalkit.preferences.agreement.ratings import CATEGORIES, ratings_of
from evalkit.preferences.agreement.two_way import Estimate
from evalkit.preferences.annotation import Annotation, votes
from evalkit.preferences.davidson import Standings, standings
from evalkit.preferences.known_pairs import KnownPairs
from evalkit.preferences.proxies import Disagreement, ProxyRate, disagreements, proxy_rates
from evalkit.preferences.votes_on import votes_on
from evalkit.preferences.win_rate import WinRate, win_rates
from evalkit.records import Arm, Better, Groups
from evalkit.runs.stored_scores import Scores


@dataclass(frozen=True, slots=True)
class People:
    """All that a page says of people's judgement."""

    rates: tuple[WinRate, ...]
    proxies: tuple[ProxyRate, ...]
    disagreements: tuple[Disagreement, ...]
    standings: Standings | None
    """Where votes compare three arms or more."""
    labels: int
    """Votes that count."""
    raters: int
    agreed: Estimate
    """Share of two raters' answers to one pair that are the same; NaN where no pair was put to two."""
    alpha: Estimate
    """Krippendorff's, which takes off what chance would agree on."""
    aside: int
    """Answers that count for nothing: skipped pairs, repeats, checks, excluded raters."""
    unknown: int
    """Votes that are not on completions of this run, of an arm and its baseline."""


def people(
    annotations: Sequence[Annotation], arms: Sequence[Arm], groups: Groups, scores: Scores, clusters: Sequence[str] = ()
) -> People | None:
    """What annotations say of a run's arms; None where no vote is on an arm and its baseline.

    A vote that names the draws that it compares counts where the run has these very texts: another run's arms may
    have the same names.
    """
    baselines = {arm.name: arm.baseline for arm in arms if arm.baseline is not None and arm.baseline != arm.name}
    counted = votes(annotations)
    of_run = votes_on(groups, counted)
    known = {frozenset(pair) for pair in baselines.items()}
    here = [vote for vote in of_run if frozenset(vote.comparison.arms or ()) in known]
    if not here:
        return None
    compared = {arm: baseline for arm, baseline in baselines.items()
                if any(set(vote.comparison.arms or ()) == {arm, baseline} for vote in here)}  # fmt: skip
    directions = _directions(scores)
    agreed, alpha = _agreement(here)
    return People(
        tuple(win_rates(here, compared, KnownPairs(groups, baselines, scores), with_length=True)),
        tuple(proxy_rates(groups, compared, scores, directions, clusters)),
        tuple(disagreements(here, groups, scores, directions)),
        standings(of_run, next(iter(compared.values()))),
        len(here),
        len({(vote.group, vote.rater) for vote in here}),
        agreed,
        alpha,
        len(annotations) - len(counted),
        len(counted) - len(here),
    )


def _agreement(counted: Sequence[Annotation]) -> tuple[Estimate, Estimate]:
    """Of all raters, whatever their groups."""
    ratings = ratings_of(counted)
    rows = ratings.members(None)
    found = couples(ratings.answers, CATEGORIES, rows)
    return agreement("raw", found, CATEGORIES, [rows]), agreement("krippendorff", found, CATEGORIES, [rows])


def _directions(scores: Scores) -> Mapping[str, Better]:
    """Score -> its better direction, of those that say how good a completion is."""
    return {name: better for name in scores for better in scores_of_quality(_measures(name)).values()}


def _measures(name: str) -> list[Measure]:
    """The score's, or none where its plug-in is not here."""
    try:
        return [parse(name)]
    except MetricError:
        return []
