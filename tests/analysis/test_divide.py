"""Groups get classes from a classifier: kept, shared by all metrics of meaning, and shown as curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.analysis import divide
from evalkit.analysis.collect_figure_data import collect_figure_data
from evalkit.analysis.comparison.curves import trace
from evalkit.analysis.measure import Fairness, Measurements, measure_groups
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.errors import MetricError
from evalkit.metrics.divisions.classifier import PairClassifier, PairModel
from evalkit.metrics.divisions.divided import classes_in, numbered
from evalkit.metrics.registry import parse
from evalkit.plumbing.lazily import Made
from evalkit.plumbing.models import Batch, Keep, Model
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Completion, Given, Group, Prompt
from tests.metrics.diversity.groups import classed
from tests.metrics.divisions.pair_model import write_pair_model

OF_MEANING = ("distinct_k", "simpson_classes", "class_entropy", "niches", "utility_k", "qd_score")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pair_model(tmp_path_factory.mktemp("pairs"))


def group(prompt: str, seed: int, k: int = 6) -> Group:
    rng = np.random.default_rng(seed)
    texts = [" ".join(f"w{i}" for i in rng.integers(0, 28, 7)) for _ in range(k)]
    return Group(
        Prompt(prompt, "?"), tuple(Completion(prompt, slot, text, (), (), "stop") for slot, text in enumerate(texts))
    )


def arms(**groups: Sequence[Group]) -> SampledArms:
    made = [Arm(name, name, None, None, None if number == 0 else "a") for number, name in enumerate(groups)]
    return SampledArms(made, groups, 6)


def by_classifier(folder: Path, name: str = "distinct_k", **more: Any) -> dict[str, dict[str, Any]]:
    return {f"classifier/{name}": {"model": str(folder), "threshold": 0.45, **more}}


def measured(sampled: SampledArms, *measures: Any) -> Measurements:
    return measure_groups([parse(one) for one in measures], sampled, Quiet(), fairness=Fairness(curves=True))


def test_all_arms_are_divided_at_once_and_known_classes_are_not_asked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def here(model: Model, method: str, batches: Sequence[Batch], keep: Keep) -> None:
        asked.append(sum(len(batch.items) for batch in batches))
        for number, batch in enumerate(batches):
            keep(number, PairClassifier(str(folder), PairModel("m", threshold=0.45)).divide(*batch.arguments))

    monkeypatch.setattr(divide, "ask", here)
    monkeypatch.setattr(divide, "PROMPTS", 2)
    groups = {
        "a": [group(f"p{seed}", seed) for seed in range(3)],
        "b": [group(f"p{seed}", 9 + seed) for seed in range(3)],
    }
    first = measured(arms(**groups), by_classifier(folder), by_classifier(folder, "class_entropy"))
    assert asked == [6]
    [expected] = PairClassifier(str(folder), PairModel("m", threshold=0.45)).divide([(groups["b"][1].texts, "asked")])
    assert first.measured[0].values["b"][1] == max(expected[0]) + 1
    again = measured(arms(**groups), by_classifier(folder))
    assert asked == [6]
    assert [list(again.measured[0].values[arm]) for arm in "ab"] == [
        list(first.measured[0].values[arm]) for arm in "ab"
    ]
    # One more prompt: what is full is known, the rest is divided anew.
    measured(arms(**{arm: [*of_arm, group("p3", 5)] for arm, of_arm in groups.items()}), by_classifier(folder))
    assert asked == [6, 4]
    lazy = {arm: Made(3, lambda of_arm=of_arm: of_arm) for arm, of_arm in groups.items()}
    assert list(measured(arms(**lazy), by_classifier(folder)).measured[0].values["b"]) == list(
        first.measured[0].values["b"]
    )
    assert asked == [6, 4]


def test_a_classifier_in_a_process_of_its_own_divides_as_one_here(folder: Path) -> None:
    one = group("p", 1)
    found = measured(arms(a=[one]), by_classifier(folder, max_tokens=5))
    how = PairModel("m", threshold=0.45, max_tokens=5)
    [(classes, _, _)] = PairClassifier(str(folder), how).divide([(one.texts, "asked")])
    [divided] = found.groups["a"]
    key = f"classifier|model:{folder}|label:none|threshold:0.45|both_orders:true|max_tokens:5|overlap:false"
    assert classes_in(divided, key) is not None
    assert list(classes_in(divided, key)) == classes  # type: ignore[arg-type]
    [curve] = [one for one in trace(found.measures, {}, found.sampled, "", found.points) if one.name == "classes"]
    assert curve.measure == str(found.measures[0])
    assert curve.values["a"][0][-1] == max(classes) + 1
    meanings = collect_figure_data(found.groups, found.measures).meanings
    assert meanings is not None
    assert (meanings.threshold, meanings.classes["a"]["p"]) == (None, tuple(classes))


@pytest.mark.parametrize("name", OF_MEANING)
def test_a_metric_on_given_classes_is_the_metric_on_embeddings_that_tell_them(name: str) -> None:
    """The lab's classes, one axis each: what embeddings find there is what is given, by whatever names."""
    classes, quality = [0, 1, 1, 2, 0, 1, 3], [3.0, 1, 4, 1, 5, 9, 2]
    embedded = classed(classes, quality)
    given = replace(embedded, embeddings=None, given=Given(classes=np.array([7, 3, 3, 9, 7, 3, 0])))
    assert parse(f"given/{name}")(given) == pytest.approx(parse(name)(embedded), abs=1e-12)


def test_classes_are_numbered_as_they_appear() -> None:
    assert numbered(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]
    assert numbered([2**30, 0, 0]).tolist() == [0, 1, 1]


def test_without_classes_there_is_no_value() -> None:
    assert np.isnan(parse("given/distinct_k")(classed([0, 1])))


def test_only_metrics_that_count_what_says_the_same_have_the_form() -> None:
    for name in ("given/self_bleu", "given/vendi", "classifier/nli_diversity", "given/thinking/distinct_k"):
        with pytest.raises(MetricError, match=r"has no form|needs a value for 'model'"):
            parse(name)
    with pytest.raises(MetricError, match="needs a value for 'model'"):
        parse("classifier/distinct_k")
    with pytest.raises(MetricError, match="has no parameter 'threshold'"):
        parse("given/distinct_k|threshold:0.5")
    assert str(parse("given/distinct_k@4")) == "given/distinct_k|k:4"
