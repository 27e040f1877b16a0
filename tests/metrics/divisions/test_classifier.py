"""Classes by a sequence-pair classifier: which label, which order, what is too long, and what is no classifier."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.checkpoints.folder import fingerprint
from evalkit.errors import MetricError
from evalkit.metrics.divisions.classifier import PairClassifier, PairModel, find_label
from evalkit.metrics.registry import parse
from tests.metrics.divisions.pair_model import chance_by_hand, write_pair_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pair_model(tmp_path_factory.mktemp("pairs"))


def texts_of(count: int, longest: int = 10) -> list[str]:
    rng = np.random.default_rng(1)
    return [" ".join(f"w{i}" for i in rng.integers(0, 28, int(size))) for size in rng.integers(6, longest, count)]


def test_many_pairs_are_read_as_each_alone(folder: Path) -> None:
    texts = texts_of(6)
    classifier = PairClassifier(str(folder), PairModel("m"))
    pairs = list(permutations(texts, 2))
    chances = classifier.chances(pairs)
    assert chances[:5] == pytest.approx([chance_by_hand(folder, *pair) for pair in pairs[:5]], abs=1e-6)
    assert chances.std() > 0.01


def test_both_orders_must_say_so_and_one_order_is_the_first_member_s(folder: Path) -> None:
    first, second = texts_of(2)
    there, back = chance_by_hand(folder, first, second), chance_by_hand(folder, second, first)
    assert abs(there - back) > 1e-3  # no network reads both orders alike, so both must count
    between = (there + back) / 2
    one = PairClassifier(str(folder), PairModel("m", threshold=between, both_orders=False))
    both = PairClassifier(str(folder), PairModel("m", threshold=between))
    is_same = [classifier.divide([([first, second], "words")])[0][0] == [0, 0] for classifier in (one, both)]
    assert is_same == [there > between, False]
    low = PairClassifier(str(folder), PairModel("m", threshold=min(there, back) * 0.99))
    assert low.divide([([first, second], "words")]) == [([0, 0], 1, 0)]


def test_the_division_is_that_of_the_pairs_one_by_one(folder: Path) -> None:
    texts = texts_of(8)
    chances = {pair: chance_by_hand(folder, *pair) for pair in permutations(texts, 2)}
    threshold = float(np.median(list(chances.values())))
    classes: list[int] = []
    leaders: list[str] = []
    for text in texts:
        joined = [n for n, one in enumerate(leaders) if min(chances[one, text], chances[text, one]) > threshold]
        classes.append(joined[0] if joined else len(leaders))
        leaders += [] if joined else [text]
    assert 1 < len(leaders) < len(texts)
    [(told, _, unread)] = PairClassifier(str(folder), PairModel("m", threshold=threshold)).divide([(texts, "words")])
    assert (told, unread) == (classes, 0)


def test_an_answer_may_be_cut_to_its_first_tokens(folder: Path) -> None:
    long, short = "w1 w2 w3 " * 20, "w4 w5 w6 w7 w8 w9"
    whole, cut = PairModel("m"), PairModel("m", max_tokens=4)
    assert np.isnan(PairClassifier(str(folder), whole).chances([(long, short)]))
    by_hand = chance_by_hand(folder, "w1 w2 w3 w1", "w4 w5 w6 w7")
    assert PairClassifier(str(folder), cut).chances([(long, short)]) == pytest.approx([by_hand], abs=1e-6)
    assert PairClassifier(str(folder), whole).divide([([long, short], "words")]) == [([0, 1], 1, 1)]


def test_words_that_the_model_does_not_know_are_not_said_to_be_the_same(folder: Path) -> None:
    classifier = PairClassifier(str(folder), PairModel("m", threshold=0.0))
    known, unknown = "w1 w2 w3 w4 w5 w6", "lamps ships waves gulls rocks sand"
    assert np.isnan(classifier.chances([(known, unknown), (unknown, unknown[::-1])])).all()
    assert classifier.divide([([known, unknown, "w7 w8 w9 w1 w2 w3"], "asked")]) == [([0, 1, 0], 2, 1)]


@pytest.mark.parametrize(
    ("labels", "stated", "number"),
    [
        ({0: "different", 1: "same"}, None, 1),
        ({0: "score"}, None, 0),
        ({0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION"}, "entailment", 0),
        ({0: "equivalent", 1: "not_equivalent"}, 0, 0),
    ],
)
def test_the_label_is_the_one_stated_else_the_second_of_two(labels: Any, stated: Any, number: int) -> None:
    config = {"architectures": ["XForSequenceClassification"], "id2label": labels}
    assert find_label(config, "m", stated) == number


def test_what_tells_nothing_of_pairs_is_refused_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    config = {"architectures": ["XForSequenceClassification"], "id2label": {0: "a", 1: "b", 2: "c"}}
    with pytest.raises(
        MetricError, match=r"m has 3 labels \(0 a, 1 b, 2 c\), and nothing says which .* write it, as in"
    ):
        find_label(config, "m", None)
    with pytest.raises(MetricError, match=r"m has no label 'd'; its labels are 0 a, 1 b, 2 c"):
        find_label(config, "m", "d")
    with pytest.raises(MetricError, match="it is a LlamaForCausalLM, not a sequence-classification"):
        find_label({"architectures": ["LlamaForCausalLM"]}, "m", None)
    for parameters, message in (
        ({"threshold": 1}, "threshold is 1; it is a probability"),
        ({"max_tokens": -1}, "max_tokens is -1; it must be 1 or more, or 0"),
        ({"label": "same"}, "has no label 'same'; its labels are 0 LABEL_0, 1 LABEL_1"),
    ):
        with pytest.raises(MetricError, match=message):
            parse({"classifier/distinct_k": {"model": str(folder), **parameters}}).identify()
    bare = write_pair_model(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (bare / name).unlink()
    with pytest.raises(MetricError, match="comes without a tokenizer; save the one that it was trained with"):
        parse({"classifier/distinct_k": {"model": str(bare)}}).identify()


def test_the_signature_names_the_weights_and_how_they_are_read(folder: Path) -> None:
    measure = parse({"classifier/distinct_k": {"model": str(folder), "threshold": 0.102, "both_orders": False}})
    signature = measure.signature(4, "enc")
    assert (
        f"|label:none|threshold:0.102|both_orders:false|max_tokens:0|overlap:false|k:0|weights:{fingerprint(folder)[:12]}|"
        in signature
    )
    assert "enc:" not in signature
    assert parse(str(measure)) == measure
