"""Diversity by natural-language inference: do completions contradict each other, or does one follow from the other?

The judge is any sequence-classification checkpoint whose labels say "contradiction" and "entailment", named in the
suite. It lives in child processes, so that its memory is given back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.checkpoints.folder import Weights, architectures_of, labels_of, locate, read_config
from evalkit.errors import MetricError
from evalkit.metrics.declaration import score
from evalkit.metrics.distinct_texts import DistinctTexts
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.length_batches import in_parts
from evalkit.plumbing.models import Batch, Model, ask
from evalkit.records import Group

_BATCH = 32
"""Pairs judged together."""


def find_labels(config: Mapping[str, Any], name: str) -> tuple[int, int]:
    """Numbers of the labels "contradiction" and "entailment" by config.json, in any case. Raises `MetricError`."""
    architecture = architectures_of(config)
    if "SequenceClassification" not in architecture:
        raise MetricError(
            f"{name} cannot judge pairs: it is a {architecture}, not a sequence-classification checkpoint"
        )
    labels = labels_of(config)
    numbers = {label.lower(): number for number, label in labels.items()}
    if not {"contradiction", "entailment"} <= numbers.keys():
        raise MetricError(
            f"{name} cannot judge pairs: its labels are {', '.join(labels.values())}; an NLI model has "
            "`contradiction` and `entailment` (id2label in its config.json)"
        )
    return numbers["contradiction"], numbers["entailment"]


def check_nli_model(config: Mapping[str, Any], name: str) -> None:
    """Refuse what is no NLI model, by its config.json. Raises `MetricError`."""
    find_labels(config, name)


@score(
    name="nli_diversity",
    unit="probability",
    better="higher",
    side="diversity",
    family="meaning",
    plain="answers that contradict each other",
    bounds=(-1, 1),
    needs=(),
    version="1.0",
    cites="Stasaski & Hearst 2022",
    identity=Weights(check_nli_model),
)
def nli_diversity(groups: Sequence[Group], *, model: str) -> list[Array]:
    """Contradiction less entailment between a completion and each other of its prompt, by an NLI model.

    p(contradiction) - p(entailment), averaged over both directions and over the other completions; the prompt's value
    is the mean over all pairs. `model` is a folder, a hub id or `lab:NAME` of a sequence-classification checkpoint with
    labels "contradiction" and "entailment". One float64 array of k values per group.

    Range: [-1, 1]; -1 when every completion says the same, 0 when they have nothing to do with each other, 1 when all
    contradict each other. (A released reference has the sign the other way round.)

    Bias: none at any k (a U-statistic over pairs), so figures at different k compare.

    Cost: one pass of the model for every ordered pair of different texts of a prompt: k^2 at most.

    Undefined: for the only completion of a prompt, and for one that is too long for the model beside all others:
    nothing is truncated. A pair that is too long is left out.
    """
    judge = Model(f"NLI model {model}", f"{__name__}:NliModel", (str(locate(model)), model))
    texts = DistinctTexts(groups)
    compared = [index for index, group in enumerate(groups) if len(group.completions) > 1]
    batches = [Batch(texts.of_prompt(index), (texts.of_prompt(index),)) for index in compared]
    means = [np.full(len(group.completions), np.nan) for group in groups]

    def keep(number: int, rows: Sequence[Sequence[float]]) -> None:
        index = compared[number]
        means[index] = _means_to_others(texts.which(index), rows)

    ask(judge, "judge", batches, keep)
    return means


def _means_to_others(which: Array, rows: Sequence[Sequence[float]]) -> Array:
    """(k,) the mean of both directions' judgements between each completion and every other, pairs unread left out.

    `which`: (k,) number of each completion's text. `rows`: judgements of each distinct text as premise, about each as
    hypothesis.
    """
    judged = np.array(rows, dtype=np.float64)
    pairs = ((judged + judged.T) / 2)[np.ix_(which, which)]
    np.fill_diagonal(pairs, np.nan)
    read = (~np.isnan(pairs)).sum(axis=1)
    return np.where(read > 0, np.nansum(pairs, axis=1) / np.maximum(read, 1), np.nan)


class NliModel:
    """An NLI model in memory; lives in a child process. Raises `MetricError` for a checkpoint that is none."""

    def __init__(self, folder: str, name: str) -> None:
        import torch
        from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

        config = AutoConfig.from_pretrained(folder)
        self._contradiction, self._entailment = find_labels(read_config(Path(folder)), name)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        if self._tokenizer.pad_token is None:
            raise MetricError(f"{name} cannot judge pairs of texts: its tokenizer has no padding token")
        self._limit = min(self._tokenizer.model_max_length, getattr(config, "max_position_embeddings", 2**31))
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.float32 if self._device == "cpu" else "auto"
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype)
        self._model = model.to(self._device).eval()

    def judge(self, premises: Sequence[str], hypotheses: Sequence[str]) -> list[list[float]]:
        """(m, n) p(contradiction) - p(entailment), a row a premise; NaN where a pair is too long."""
        pairs = list(product(range(len(premises)), range(len(hypotheses))))
        tokens = [dict(self._tokenizer(premises[premise], hypotheses[hypothesis])) for premise, hypothesis in pairs]
        lengths = [len(encoded["input_ids"]) for encoded in tokens]
        # By length, so that a batch holds little padding.
        readable = sorted((i for i in range(len(pairs)) if lengths[i] <= self._limit), key=lengths.__getitem__)
        judged = np.full((len(premises), len(hypotheses)), np.nan)
        for start in range(0, len(readable), _BATCH):
            batch = readable[start : start + _BATCH]
            for i, value in zip(batch, in_parts([tokens[i] for i in batch], self._judge_batch), strict=True):
                judged[pairs[i]] = value
        rows: list[list[float]] = judged.tolist()
        return rows

    def _judge_batch(self, tokens: Sequence[Mapping[str, Any]]) -> Array:
        import torch

        padded = self._tokenizer.pad(list(tokens), return_tensors="pt").to(self._device)
        with torch.inference_mode():
            logits = self._model(**padded).logits.double().cpu().numpy()
        return difference(logits, self._contradiction, self._entailment)


def difference(logits: Array, contradiction: int, entailment: int) -> Array:
    """(m,) p(contradiction) - p(entailment) from (m, labels) logits."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return np.asarray(shares[:, contradiction] - shares[:, entailment], dtype=np.float64)
