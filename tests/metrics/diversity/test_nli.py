"""NLI diversity: the sign, both directions, what it cannot read, and which checkpoints it refuses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.checkpoints.folder import fingerprint
from evalkit.errors import CheckpointError, MetricError
from evalkit.metrics.diversity.nli import NliModel, difference, find_labels, nli_diversity
from evalkit.metrics.registry import parse
from tests.metrics.diversity.groups import group_of
from tests.metrics.divisions.pair_model import write_pair_model

LABELS = {0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION"}


def write_nli_model(folder: Path, logits: Sequence[float] | None = None, **changed: Any) -> Path:
    """A classifier of pairs with the three labels of NLI."""
    return write_pair_model(folder, logits, **({"num_labels": 3, "id2label": LABELS} | changed))


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nli_model(tmp_path_factory.mktemp("nli"))


def by_hand(folder: Path, premise: str, hypothesis: str) -> float:
    """One pair at a time, no padding, straight from the model."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        read = AutoTokenizer.from_pretrained(folder)(premise, hypothesis, return_tensors="pt")
        shares = model(**read).logits[0].double().softmax(0)
    return float(shares[2] - shares[0])


def test_contradiction_counts_up_and_entailment_down() -> None:
    # Logits (entailment, neutral, contradiction): softmax of log p is p.
    logits = np.log([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.1, 0.8, 0.1]])
    assert difference(logits, contradiction=2, entailment=0) == pytest.approx([-0.6, 0.6, 0.0])
    assert difference(1000 * np.eye(3), 2, 0) == pytest.approx([-1, 0, 1])  # nothing overflows


def test_a_judge_that_finds_entailment_everywhere_finds_no_diversity(tmp_path: Path) -> None:
    folder = write_nli_model(tmp_path, logits=np.log([0.9, 0.08, 0.02]).tolist())
    [values] = nli_diversity([group_of(["w1 w2", "w1 w2", "w3"])], model=str(folder))
    assert values == pytest.approx([-0.88] * 3, abs=1e-6)


def test_every_completion_is_compared_with_every_other_in_both_directions(random_model: Path) -> None:
    texts = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10", "w4"]
    values, alone = nli_diversity([group_of(texts), group_of(["w1"])], model=str(random_model))
    judged = {pair: by_hand(random_model, *pair) for pair in {*permutations(texts, 2)}}
    wanted = [
        np.mean([(judged[one, other] + judged[other, one]) / 2 for j, other in enumerate(texts) if j != i])
        for i, one in enumerate(texts)
    ]
    assert values == pytest.approx(wanted, abs=1e-5)
    assert values.mean() == pytest.approx(np.mean([judged[pair] for pair in permutations(texts, 2)]), abs=1e-5)
    assert abs(judged["w4", "w1 w2 w3"] - judged["w1 w2 w3", "w4"]) > 1e-3  # directions differ, so both must count
    assert alone.shape == (1,)
    assert math.isnan(alone[0])


def test_what_the_model_cannot_read_is_left_out(random_model: Path) -> None:
    texts = ["w1 " * 44, "w2", "w3 w4"]
    [values] = nli_diversity([group_of(texts)], model=str(random_model))
    both = (by_hand(random_model, "w2", "w3 w4") + by_hand(random_model, "w3 w4", "w2")) / 2
    # 44 words, 1 more and 3 marks are 48, which still fits; 2 more do not.
    assert values[2] == pytest.approx(both, abs=1e-5)
    first = (by_hand(random_model, texts[0].strip(), "w2") + by_hand(random_model, "w2", texts[0].strip())) / 2
    assert values[0] == pytest.approx(first, abs=1e-5)
    [too_long] = nli_diversity([group_of(["w1 " * 47, "w2", "w3"])], model=str(random_model))
    assert list(np.isnan(too_long)) == [True, False, False]


def test_many_pairs_are_judged_as_each_alone(random_model: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in rng.integers(0, 28, size)) for size in range(1, 11)]
    judged = np.array(NliModel(str(random_model), "nli").judge(texts, texts))
    for one, other in ((0, 9), (9, 0), (4, 5), (7, 7)):
        assert judged[one, other] == pytest.approx(by_hand(random_model, texts[one], texts[other]), abs=1e-5)
    assert judged.std() > 0.01


def test_labels_are_found_by_name() -> None:
    config = {"architectures": ["XForSequenceClassification"]}
    labels = {"0": "contradiction", "1": "entailment", "2": "neutral"}
    assert find_labels(config | {"id2label": labels}, "m") == (0, 1)
    assert find_labels(config | {"id2label": LABELS}, "m") == (2, 0)


def test_a_checkpoint_that_is_no_judge_is_refused(tmp_path: Path) -> None:
    folder = write_nli_model(tmp_path, id2label={0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})
    with pytest.raises(
        MetricError, match=r"its labels are LABEL_0, LABEL_1, LABEL_2; an NLI model has `contradiction`"
    ):
        nli_diversity([group_of(["w1", "w2"])], model=str(folder))
    with pytest.raises(MetricError, match=r"it is a LlamaForCausalLM, not a sequence-classification checkpoint"):
        find_labels({"id2label": LABELS, "architectures": ["LlamaForCausalLM"]}, "m")
    with pytest.raises(CheckpointError):
        nli_diversity([group_of(["w1", "w2"])], model="./no/such/folder")


def test_the_signature_names_the_weights(random_model: Path) -> None:
    measure = parse({"nli_diversity": {"model": str(random_model)}})
    assert f"|weights:{fingerprint(random_model)[:12]}|" in measure.signature(4, "none")
