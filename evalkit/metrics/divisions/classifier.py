"""A sequence-pair classifier says whether two answers say the same; it lives in child processes.

Any checkpoint that `AutoModelForSequenceClassification` loads: what it gives to the label that means "the same" is held
against a threshold. A network does not read "A, B" as it reads "B, A"; so each pair is read in both orders, and must
reach the threshold in both, unless `both_orders` is off: then the first member of the class comes first, as
NoveltyBench's code has it. The second order is read only of pairs that reach it in the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.checkpoints.folder import Weights, architectures_of, labels_of, locate, read_config
from evalkit.errors import MetricError
from evalkit.metrics.divisions.greedy import Divided, Pair, Short, divide_together
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.length_batches import by_length, in_parts
from evalkit.plumbing.models import Model

UNKNOWN_SHARE = 0.1
"""An answer with a larger share of tokens that the classifier's vocabulary lacks is not one that it can read."""
BATCH_TOKENS = 8_192
"""Tokens in one batch, padding included."""
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spm.model")
Label = str | int | None
Answers = tuple[Sequence[str], Short]
"""A prompt's answers, and how short ones are compared."""
Told = tuple[list[int], int, int]
"""Of each answer its class; pairs that were read, and pairs that could not be."""


def check_pair_classifier(config: Mapping[str, Any], name: str) -> None:
    """Refuse what classifies nothing, by its config.json. Raises `MetricError`."""
    architecture = architectures_of(config)
    if "SequenceClassification" not in architecture:
        raise MetricError(
            f"{name} cannot tell whether answers say the same: it is a {architecture}, not a sequence-classification "
            "checkpoint"
        )


def check_tokenizer(folder: Path, name: str) -> None:
    """Refuse a folder without a vocabulary: transformers would make an empty one up. Raises `MetricError`."""
    if not any((folder / file).is_file() for file in VOCABULARIES):
        raise MetricError(
            f"{name} comes without a tokenizer; save the one that it was trained with into its folder "
            "(tokenizer.json and tokenizer_config.json)"
        )


def find_label(config: Mapping[str, Any], name: str, label: Label) -> int:
    """Number of the label that means "the same": as stated, else the only one, or the second of two.

    Raises `MetricError`.
    """
    check_pair_classifier(config, name)
    labels = labels_of(config)
    listed = ", ".join(f"{number} {text}" for number, text in labels.items())
    if label is None:
        if len(labels) > 2:
            raise MetricError(
                f"{name} has {len(labels)} labels ({listed}), and nothing says which of them means that two answers "
                "say the same; write it, as in label: entailment"
            )
        return len(labels) - 1
    named = {text.lower(): number for number, text in labels.items()} | {str(number): number for number in labels}
    if str(label).lower() not in named:
        raise MetricError(f"{name} has no label {label!r}; its labels are {listed}")
    return named[str(label).lower()]


@dataclass(frozen=True)
class PairModel:
    """A classifier, and how it is read."""

    model: str
    """Folder, hub id or `PLUGIN:NAME`."""
    label: Label = None
    threshold: float = 0.5
    """A probability above which two answers say the same."""
    both_orders: bool = True
    """Whether it must be so in both orders; else the first member of a class comes first."""
    max_tokens: int = 0
    """First tokens of each answer that are read; 0 for all of them."""
    overlap: bool = False
    """Whether short answers go by the words that they share."""

    def check(self) -> None:
        """Raises `InputError` that names what is wrong."""
        who = f"classifier {self.model}"
        if not 0 <= self.threshold < 1:
            raise MetricError(f"{who}: threshold is {self.threshold:g}; it is a probability, from 0 up to but not 1")
        if self.max_tokens < 0:
            raise MetricError(
                f"{who}: max_tokens is {self.max_tokens}; it must be 1 or more, or 0 for all of an answer"
            )
        folder = locate(self.model)
        find_label(read_config(folder), self.model, self.label)
        check_tokenizer(folder, self.model)

    def opened(self) -> Model:
        """The network, to be asked."""
        target = f"{__name__}:PairClassifier"
        return Model(f"classifier {self.model}", target, (str(locate(self.model)), self))


@dataclass(frozen=True)
class PairWeights(Weights):
    """What classes by a classifier depend on besides their parameters."""

    def __call__(self, *, model: str, **parameters: object) -> dict[str, str]:
        """Raises `InputError` where the model is not there, or where a parameter is none of it; nothing is loaded."""
        pair_model({"model": model, **parameters}).check()
        return super().__call__(model=model)


PAIR_WEIGHTS = PairWeights(check_pair_classifier)


def pair_model(parameters: Mapping[str, Any]) -> PairModel:
    """The classifier of a metric's parameters, which may have others besides."""
    names = [field.name for field in fields(PairModel)]
    return PairModel(**{name: parameters[name] for name in names if name in parameters})


class PairClassifier:
    """A sequence-pair classifier in memory. Raises `MetricError` for a checkpoint that is none."""

    def __init__(self, folder: str, how: PairModel) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification

        self._how = how
        self._label = find_label(read_config(Path(folder)), how.model, how.label)
        self._tokenizer = _tokenizer(folder, how.model)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.float32 if self._device == "cpu" else "auto"
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype)
        positions = getattr(model.config.get_text_config(), "max_position_embeddings", 2**31)
        self._limit = min(self._tokenizer.model_max_length, positions)
        self._model = model.to(self._device).eval()

    def divide(self, prompts: Sequence[Answers]) -> list[Told]:
        """Each prompt's answers divided, all of them together."""
        lists, short = [list(texts) for texts, _ in prompts], [way for _, way in prompts]
        return [_told(one) for one in divide_together(lists, short, self._same)]

    def _same(self, pairs: Sequence[Pair]) -> list[bool | None]:
        """Whether each pair says the same; None where it cannot be read."""
        texts = [(first, second) for _, first, second in pairs]
        first_order = self.chances(texts)
        same = first_order > self._how.threshold
        if self._how.both_orders:
            again = np.flatnonzero(same)
            swapped = self.chances([texts[place][::-1] for place in again])
            same[again] = swapped > self._how.threshold
        return [None if unread else bool(one) for one, unread in zip(same, np.isnan(first_order), strict=True)]

    def chances(self, pairs: Sequence[tuple[str, str]]) -> Array:
        """(m,) probability that each pair says the same, read in this order.

        NaN where it is too long for the model, or in words that it does not know.
        """
        encoded = self._encoded({text for pair in pairs for text in pair})
        known = {text for text, tokens in encoded.items() if self._is_known(tokens.ids)}
        tokens = [self._joined(encoded[first], encoded[second]) for first, second in pairs]
        lengths = [len(joined["input_ids"]) for joined in tokens]
        readable = [i for i, pair in enumerate(pairs) if lengths[i] <= self._limit and known.issuperset(pair)]
        chances = np.full(len(pairs), np.nan)
        for batch in by_length([lengths[place] for place in readable], BATCH_TOKENS):
            places = [readable[index] for index in batch]
            chances[places] = in_parts([tokens[place] for place in places], self._chances)
        return chances

    def _encoded(self, texts: Iterable[str]) -> dict[str, Any]:
        """Each text in tokens, cut to the first of them."""
        encoded = {text: self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=False) for text in texts}
        for tokens in encoded.values() if self._how.max_tokens else ():
            tokens.truncate(self._how.max_tokens)
        return encoded

    def _is_known(self, tokens: Sequence[int]) -> bool:
        return tokens.count(self._tokenizer.unk_token_id) <= UNKNOWN_SHARE * len(tokens)

    def _joined(self, first: Any, second: Any) -> dict[str, list[int]]:
        """Two texts with the marks that the tokenizer puts around them."""
        joined = self._tokenizer.backend_tokenizer.post_process(first, second, True)
        fields = {"input_ids": joined.ids, "token_type_ids": joined.type_ids}
        return {name: ids for name, ids in fields.items() if name in self._tokenizer.model_input_names}

    def _chances(self, tokens: Sequence[Mapping[str, Any]]) -> Array:
        import torch

        padded = self._tokenizer.pad(list(tokens), return_tensors="pt").to(self._device)
        with torch.inference_mode():
            logits = self._model(**padded).logits.double()
            shares = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(-1)
        return np.asarray(shares[:, self._label].cpu().numpy(), dtype=np.float64)


def _tokenizer(folder: str, name: str) -> Any:
    from transformers import AutoTokenizer

    check_tokenizer(Path(folder), name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not tokenizer.is_fast:
        raise MetricError(f"{name} has a tokenizer of an old kind; one with a tokenizer.json is needed to join answers")
    if tokenizer.pad_token is None:
        raise MetricError(f"{name} cannot read pairs of answers together: its tokenizer has no padding token")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def _told(divided: Divided) -> Told:
    return divided.classes.tolist(), divided.asked, divided.unread
