"""Held across measure, overview, alarms, curves and figure data: groups that are made on a look and shared out over
processes give the very numbers of groups in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.analysis.alarms import alarms
from evalkit.analysis.collect_figure_data import collect_figure_data
from evalkit.analysis.comparison.openings import _opening_of_all, opening_of
from evalkit.analysis.fair_comparison import compare_fairly
from evalkit.analysis.measure import Fairness, Measurements, measure_groups
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.metrics.declaration import declared_here
from evalkit.metrics.registry import Measure, parse
from evalkit.plumbing import by_row
from evalkit.plumbing.lazily import Mapped
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Completion, Group, Prompt, Sampling
from tests.analysis.comparison.worlds import group

RAW = Sampling(n=2, temperature=1.0, top_p=1.0, min_p=0.0, max_tokens=9, stop=(), seed=0)
ARMS = [Arm("a", "a", "base", RAW, None), Arm("b", "b", "tuned", RAW, "a"), Arm("c", "c", "tuned", None, "a")]
NAMES = ["distinct_n", "ead_n", "self_bleu", "ngram_entropy", "rouge_l_homogenization", "length", "compression_ratio",
         "sequence_entropy", "branching_factor", "accuracy", "best_of_k|k:2", "embedding_distance", "vendi"]  # fmt: skip
FAIR = Fairness(parse("accuracy"), None, ("useful", "matched", "pooled"))
WORDS = ["the", "a", "sea", "stone", "blue", "Blue .", "海は", "Here is a line :"]


def same(index: int, member: Group) -> Group:
    return member


def on_a_look(groups: Mapping[str, Sequence[Group]]) -> dict[str, Sequence[Group]]:
    return {name: Mapped(members, same) for name, members in groups.items()}


@pytest.fixture(autouse=True)
def _two_cores() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_row, "cores", lambda: 2)
        yield


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, list[Group]]:
    """All arms' completions of some prompts, of which some have none."""
    prompts = draw(st.integers(3, 6))
    k = draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def made(place: int, arm: str) -> Group:
        size = 0 if rng.random() < 0.1 else k
        drawn = tuple(_completion(f"p{place}", sample, rng) for sample in range(size))
        return Group(Prompt(f"p{place}", f"What of {place}?", answer="blue"), drawn)

    return {arm.name: [made(place, arm.name) for place in range(prompts)] for arm in ARMS}


def _completion(prompt: str, sample: int, rng: np.random.Generator) -> Completion:
    text = " ".join(rng.choice(WORDS, rng.integers(0, 9)))
    ids = tuple(rng.integers(0, 3, rng.integers(1, 5)).tolist())
    finish = "length" if rng.random() < 0.2 else "stop"
    return Completion(prompt, sample, text, ids, tuple((-rng.random(len(ids))).tolist()), finish)


def found_in(groups: Mapping[str, Sequence[Group]], measures: Sequence[Measure]) -> list[str]:
    """All that is said of them, to the last digit."""
    found = measure_groups(measures, SampledArms(ARMS, groups, 2), Quiet(), fairness=FAIR)
    said: list[object] = [
        compare_fairly(found),
        collect_figure_data(found.groups, found.measures),
        collect_figure_data(found.groups, found.measures, 2),
        alarms(ARMS, groups, found.overview),
        found.alarms,
    ]
    return [*_values(found), *map(repr, said)]


def _values(found: Measurements) -> list[str]:
    return [
        f"{one.measure} {one.signature} {arm} {[value.hex() for value in np.asarray(values).tolist()]}"
        for one in found.measured
        for arm, values in one.values.items()
    ]


@settings(max_examples=12)
@given(worlds())
def test_shared_measures_are_those_of_one_process(groups: dict[str, list[Group]]) -> None:
    measures = [parse(name) for name in NAMES]
    assert found_in(on_a_look(groups), measures) == found_in(groups, measures)


def test_a_metric_that_cannot_travel_is_taken_here(monkeypatch: pytest.MonkeyPatch) -> None:
    known = parse("distinct_n").definition
    local = dataclasses.replace(known, name="of_a_notebook", function=lambda group: float(len(group.completions)))
    monkeypatch.setitem(declared_here, "of_a_notebook", local)
    groups = {arm.name: [group(["the sea", "a stone"])] * 4 for arm in ARMS}
    measures = [parse("distinct_n"), parse("of_a_notebook"), parse("length")]
    shared = measure_groups(measures, SampledArms(ARMS, on_a_look(groups), 2), Quiet())
    assert [one.measure for one in shared.measured] == ["distinct_n", "of_a_notebook", "length"]
    assert shared.measured[1].values["a"].tolist() == [2.0] * 4
    assert _values(shared) == _values(measure_groups(measures, SampledArms(ARMS, groups, 2), Quiet()))


openings = st.lists(st.lists(st.lists(st.sampled_from("aaaab"), max_size=4), min_size=1, max_size=4), min_size=4)


@given(openings)
def test_an_opening_that_is_counted_is_the_one_that_is_looked_for(texts: list[list[list[str]]]) -> None:
    groups = [group([" ".join(words) for words in own]) for own in texts]
    answered = sum(any(own.words) for own in groups)
    assert opening_of(groups) == (() if answered < 4 else _opening_of_all(groups))
