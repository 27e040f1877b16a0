"""KL from the baseline: the mean of what is known of each completion, exact in expectation, undefined where unknown."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.diversity.divergence import jensen_shannon, kl_forward, kl_reverse, sharpening
from evalkit.metrics.registry import parse
from evalkit.records import Group
from tests.metrics.diversity.groups import surprised

DISTRIBUTIONS = st.lists(st.floats(0.01, 1), min_size=2, max_size=6).map(
    lambda weights: np.array(weights) / sum(weights)
)


def crossed(group: Group, *logprobs: float) -> Group:
    return dataclasses.replace(group, baseline_logprobs=np.array(logprobs))


def test_a_value_by_hand() -> None:
    # log-ratios 1 and 3 of completions of two tokens and of one.
    assert kl_reverse(crossed(surprised([-1.0, -1.0], [-0.5]), -3.0, -3.5)) == pytest.approx(2.0)


@given(DISTRIBUTIONS, st.data())
def test_its_expectation_is_the_divergence_at_any_law(arm: np.ndarray, data: st.DataObject) -> None:
    home = data.draw(st.permutations(list(arm)).map(np.array))
    expected = sum(
        p * kl_reverse(crossed(surprised([math.log(p)]), math.log(q))) for p, q in zip(arm, home, strict=True)
    )
    assert expected == pytest.approx(float((arm * np.log(arm / home)).sum()), abs=1e-12)
    assert expected >= -1e-12


def test_it_is_undefined_where_either_side_is_unknown() -> None:
    assert math.isnan(kl_reverse(surprised([-1.0])))
    assert math.isnan(kl_reverse(crossed(surprised([-1.0], []), -1.0, -1.0)))
    assert math.isnan(kl_reverse(crossed(surprised())))


def test_its_signature_names_the_baseline() -> None:
    assert parse("kl_reverse").signature(8, "enc", "0123456789abcdef") == "kl_reverse|baseline:0123456789ab|k:8|v:1.0"
    assert "baseline" not in parse("sequence_entropy").signature(8, "enc", "0123456789abcdef")


def both_ways(arm: list[float], under_baseline: list[float], baseline: list[float], under_arm: list[float]) -> Group:
    """An arm's completions and the baseline's, each with its own log-prob and that under the other."""
    theirs = surprised(*([x] for x in baseline))
    group = crossed(surprised(*([x] for x in arm)), *under_baseline)
    return dataclasses.replace(group, baseline=theirs, forward_logprobs=np.array(under_arm))


def test_forward_is_of_the_baselines_completions_by_hand() -> None:
    group = both_ways([-1.0], [-9.0], [-1.0, -3.0], [-2.0, -7.0])
    assert kl_forward(group) == pytest.approx((1 + 4) / 2)
    assert kl_reverse(group) == pytest.approx(8)


@given(DISTRIBUTIONS, st.data())
def test_forward_and_jensen_shannon_have_the_divergences_expectation(arm: np.ndarray, data: st.DataObject) -> None:
    home = data.draw(st.permutations(list(arm)).map(np.array))
    p, q = np.log(arm), np.log(home)
    pairs = [(i, j) for i in range(len(arm)) for j in range(len(arm))]
    groups = {(i, j): both_ways([p[i]], [q[i]], [q[j]], [p[j]]) for i, j in pairs}
    forward = sum(arm[i] * home[j] * kl_forward(groups[i, j]) for i, j in pairs)
    assert forward == pytest.approx(float((home * (q - p)).sum()), abs=1e-12)
    middle = np.log((arm + home) / 2)
    exact = float((arm * (p - middle)).sum() + (home * (q - middle)).sum()) / 2
    assert sum(arm[i] * home[j] * jensen_shannon(groups[i, j]) for i, j in pairs) == pytest.approx(exact, abs=1e-12)


def test_jensen_shannon_ends_at_log_2() -> None:
    apart = both_ways([-1.0], [-900.0], [-2.0], [-900.0])
    assert jensen_shannon(apart) == pytest.approx(math.log(2))
    assert jensen_shannon(both_ways([-1.0], [-1.0], [-2.0], [-2.0])) == pytest.approx(0)


@given(
    DISTRIBUTIONS.filter(lambda distribution: np.ptp(np.log(distribution)) > 1), st.floats(-2, 9), st.integers(0, 99)
)
def test_sharpening_of_a_tempered_law_is_its_exponent_at_any_sample(
    distribution: np.ndarray, gamma: float, seed: int
) -> None:
    tempered = gamma * np.log(distribution) - np.log((distribution**gamma).sum())
    drawn = [
        *np.random.default_rng(seed).integers(0, len(distribution), 4),
        int(distribution.argmin()),
        int(distribution.argmax()),
    ]
    group = both_ways([-1.0], [-1.0], [math.log(distribution[i]) for i in drawn], [float(tempered[i]) for i in drawn])
    assert sharpening(group) == pytest.approx(gamma, abs=1e-9)


def test_sharpening_is_the_projection_of_log_p_arm_where_the_fit_is_not_exact() -> None:
    """On the baseline's own distribution; a distribution that was tilted by something unrelated to it keeps the exponent 1."""
    home = np.array([0.4, 0.3, 0.2, 0.1])
    x = np.log(home) - home @ np.log(home)
    unrelated = np.array([1.0, -2.0, 3.0, -1.0])
    unrelated -= home @ unrelated
    unrelated -= x * (home * x @ unrelated) / (home * x @ x)
    counts = (home * 10).round().astype(int)
    drawn = np.repeat(np.arange(4), counts)
    for gamma in (1.0, 2.5):
        under_arm = gamma * np.log(home) + unrelated
        group = both_ways([-1.0], [-1.0], np.log(home)[drawn].tolist(), under_arm[drawn].tolist())
        assert sharpening(group) == pytest.approx(gamma)


def test_a_baseline_that_prefers_nothing_has_nothing_to_sharpen() -> None:
    coin = [math.log(0.51), math.log(0.49)]
    assert math.isnan(sharpening(both_ways([-1.0], [-1.0], coin, [math.log(0.9), math.log(0.1)])))
    assert not math.isnan(sharpening(both_ways([-1.0], [-1.0], [-0.5, -1.0], [-0.1, -2.0])))


def test_all_that_needs_the_baselines_completions_is_undefined_without_them() -> None:
    alone = crossed(surprised([-1.0]), -1.0)
    silent = dataclasses.replace(alone, baseline=surprised([]), forward_logprobs=np.array([-1.0]))
    for metric in (kl_forward, jensen_shannon, sharpening):
        assert math.isnan(metric(alone))
        assert math.isnan(metric(silent))


@pytest.mark.parametrize("name", ["kl_forward", "jensen_shannon", "sharpening"])
def test_signatures_of_both_directions_name_the_baseline(name: str) -> None:
    assert "|baseline:0123456789ab|" in parse(name).signature(8, "enc", "0123456789abcdef")
