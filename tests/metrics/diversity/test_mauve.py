"""MAUVE against the authors' package on given features, and what must hold of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evalkit.metrics.diversity.mauve import LEAST, area, area_between, mauve
from evalkit.records import Completion, Group, Prompt

LAWS = st.lists(st.integers(0, 40), min_size=4, max_size=4).filter(any).map(lambda w: np.array(w) / sum(w))
"""Shares of clusters, as counts give them."""


def texts(shift: float, seed: int, count: int = LEAST) -> np.ndarray:
    """Embeddings of one side: a mixture of ten lumps, whose weights `shift` tilts."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(10, 16))
    weights = np.exp(shift * np.arange(10))
    lumps = random.choice(10, size=count, p=weights / weights.sum())
    return (centres[lumps] + 0.3 * random.normal(size=(count, 16))).astype(np.float32)


@given(LAWS, LAWS)
def test_the_area_is_the_authors(p: np.ndarray, q: np.ndarray) -> None:
    from mauve.compute_mauve import get_divergence_curve_for_multinomials
    from sklearn.metrics import auc

    # For equal laws theirs sorts a curve whose points are one up to rounding, and gets 0.75 or 1 by chance.
    assume(np.abs(p - q).max() > 1e-3)
    x, y = get_divergence_curve_for_multinomials(p, q, np.linspace(1e-6, 1 - 1e-6, 25), 5).T
    by_x, by_y = np.argsort(x), np.argsort(y)
    assert area(p, q) == pytest.approx((auc(x[by_x], y[by_x]) + auc(y[by_y], x[by_y])) / 2, abs=1e-9)


@given(LAWS, LAWS)
def test_the_area_is_symmetric_and_1_for_equal_laws(p: np.ndarray, q: np.ndarray) -> None:
    assert area(p, q) == pytest.approx(area(q, p), abs=1e-12)
    assert -1e-12 <= area(p, q) <= 1 + 1e-12
    assert area(p, p) == pytest.approx(1)


def test_laws_with_nothing_in_common_have_next_to_none() -> None:
    assert area(np.array([1.0, 0.0]), np.array([0.0, 1.0])) < 0.05


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.6])
def test_on_features_it_is_the_authors_up_to_the_clustering(shift: float) -> None:
    """Each with its own k-means, so equal up to the noise of three clusterings, and the two k-means' own bias."""
    from mauve import compute_mauve

    model, human = texts(shift, 1), texts(0.0, 2)
    seeds = (0, 1, 2)
    theirs = [compute_mauve(model, human, seed=seed, verbose=False).mauve for seed in seeds]
    ours = [area_between(model, human, seed) for seed in seeds]
    noise = math.hypot(np.std(theirs, ddof=1), np.std(ours, ddof=1)) / math.sqrt(len(seeds))
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=max(4 * noise, 0.02))


def arm(shift: float, seed: int, prompts: int = 40, each: int = 50, human_seed: int = 2) -> list[Group]:
    """An arm's groups: every prompt has `each` completions and as many references, all of one law."""
    ours, people = (np.split(texts(by, of, prompts * each), prompts) for by, of in ((shift, seed), (0.0, human_seed)))
    return [
        Group(
            Prompt(f"p{i}", "?", references=("x",) * each),
            tuple(Completion(f"p{i}", slot, "", (), (), "stop") for slot in range(each)),
            embeddings=ours[i],
            reference_embeddings=people[i],
        )
        for i in range(prompts)
    ]


def test_the_further_a_law_is_moved_the_lower_it_is() -> None:
    found = [float(mauve(arm(shift, 1)).mean()) for shift in (0.0, 0.15, 0.3, 0.6)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.95
    assert found[-1] < found[0] - 0.2


def test_the_mean_of_the_influence_values_is_the_figure() -> None:
    groups = arm(0.3, 1)
    model, human = (
        np.concatenate([g.embeddings for g in groups]),
        np.concatenate([g.reference_embeddings for g in groups]),
    )
    assert mauve(groups).mean() == pytest.approx(
        np.mean([area_between(model, human, seed) for seed in range(5)]), abs=1e-12
    )


def test_a_prompt_without_references_does_not_count() -> None:
    groups = arm(0.3, 1, prompts=44, each=50)
    bare = [replace(group, reference_embeddings=np.zeros((0, 16), np.float32)) for group in groups[:4]]
    values = mauve([*bare, *groups[4:]])
    assert np.isnan(values[:4]).all()
    assert values[4:] == pytest.approx(mauve(groups[4:]), abs=1e-12)


@pytest.mark.slow
def test_the_interval_is_as_wide_as_the_figure_wanders() -> None:
    """Over 16 arms drawn anew, whose deviation is known to 18 %, beside the mean jackknife standard error."""
    drawn = [mauve(arm(0.3, 10 + trial, human_seed=100 + trial)) for trial in range(16)]
    wanders = np.std([values.mean() for values in drawn], ddof=1)
    said = np.mean([values.std(ddof=1) / np.sqrt(len(values)) for values in drawn])
    assert 0.6 < said / wanders < 1.7


@pytest.mark.parametrize(("each", "people"), [(49, 50), (50, 49)])
def test_it_refuses_few_texts(each: int, people: int) -> None:
    groups = [
        replace(group, embeddings=group.embeddings[:each], reference_embeddings=group.reference_embeddings[:people])
        for group in arm(0.0, 1)
    ]
    assert np.isnan(mauve(groups)).all()
