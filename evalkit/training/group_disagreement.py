"""Where rater groups disagree, and how much of it is noise: what reward models and the votes behind them say.

Votes tell it from pairs that raters of both groups compared; reward models of the groups from every held-out pair.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.checkpoints.training_log import work_of
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.files import write_file
from evalkit.plumbing.prose import short
from evalkit.preferences.agreement.disagreement import disagreement
from evalkit.preferences.agreement.partings import by_models, by_votes, labels_of
from evalkit.preferences.agreement.plain import plain
from evalkit.preferences.agreement.ratings import CATEGORIES, Ratings, as_annotations, ratings_of
from evalkit.preferences.annotation import Annotation
from evalkit.preferences.files import read_preferences
from evalkit.preferences.preference import Preference
from evalkit.preferences.read_annotations import holds_annotations, read_annotations

MARGINS = "held_out_margins.json"
MOST = 10
"""Prompts, tags and pairs that are named."""
TEXT = 80
"""Signs of a completion that are shown."""


@dataclass(frozen=True, slots=True)
class Margins:
    """A reward model's log-odds of the chosen against the rejected completion, of held-out preferences."""

    sources: Sequence[int]
    """Which of the preferences each is of."""
    log_odds: Sequence[float]


def ratings_in(paths: Iterable[str]) -> Ratings:
    """What files tell of who compared what, repeats included; of preferences, those whose rater and group are named."""
    found: list[Annotation] = []
    for path in map(Path, paths):
        if holds_annotations(path):
            found += read_annotations([path], _unheard)
        else:
            found += as_annotations(read_preferences([path], _unheard))
    return ratings_of(found)


def _unheard(_: str) -> None:
    """The same files were read before, and their notes given."""


def between_groups(ratings: Ratings) -> list[dict[str, Any]]:
    """Of every two groups that compared a pair in common: how they disagree, and what of it is noise."""
    found = []
    for one, other in combinations(ratings.group_names, 2):
        parts = disagreement(ratings.answers, ratings.again, ratings.members(one), ratings.members(other), CATEGORIES)
        if parts.total.pairs:
            found.append({"groups": [one, other], **plain(parts)})
    return found


def parted_by_votes(ratings: Ratings) -> list[dict[str, Any]]:
    """The prompts and the tags on which the votes of two groups part most, the surest first."""
    return [
        {"groups": [one, other], "by": by, **plain(row)}
        for one, other in combinations(ratings.group_names, 2)
        for by, labels in labels_of(ratings.pairs).items()
        for row in by_votes(ratings, one, other, labels)[:MOST]
    ]


def keep_margins(folder: Path, margins: Margins) -> None:
    """Write a reward model's margins beside its log. Raises `StoreError`."""
    write_file(work_of(folder) / MARGINS, json.dumps(asdict(margins)).encode())


def parted_by_models(folders: Mapping[str, Path], preferences: Sequence[Preference]) -> dict[str, list[dict[str, Any]]]:
    """`prompts` and `pairs` of held-out prompts on which the reward models of two groups part most.

    `folders`: group -> its reward model. Of a model whose margins were not kept nothing is said.
    """
    kept = {group: work_of(folder) / MARGINS for group, folder in folders.items()}
    known = {group: Margins(**json.loads(path.read_text())) for group, path in kept.items() if path.exists()}
    found: dict[str, list[dict[str, Any]]] = {"prompts": [], "pairs": []}
    for one, other in combinations(sorted(known), 2):
        rows, first, second = _on_pairs(known[one], known[other], preferences)
        prompts = by_models(first, second, [(row.prompt_id or short(row.prompt),) for row in rows])[:MOST]
        found["prompts"] += [{"groups": [one, other], **plain(prompt)} for prompt in prompts]
        furthest = np.argsort(-np.abs(first - second), kind="stable")[:MOST]
        found["pairs"] += [
            {
                "groups": [one, other],
                "prompt": rows[place].prompt_id or short(rows[place].prompt),
                "a": short(rows[place].chosen, TEXT),
                "b": short(rows[place].rejected, TEXT),
                "prefers_a": [float(first[place]), float(second[place])],
            }
            for place in furthest
        ]
    return found


def _on_pairs(one: Margins, other: Margins, preferences: Sequence[Preference]) -> tuple[list[Preference], Array, Array]:
    """Each pair once, with the probability that both models give to the first of its completions."""
    seen: dict[tuple[str, frozenset[str]], int] = {}
    for place, source in enumerate(one.sources):
        row = preferences[source]
        seen.setdefault((row.prompt, frozenset((row.chosen, row.rejected))), place)
    places = np.array(list(seen.values()), np.int64)
    log_odds = np.array([one.log_odds, other.log_odds])[:, places]
    first, second = 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
    return [preferences[one.sources[place]] for place in places], first, second
