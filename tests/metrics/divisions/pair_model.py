"""Sequence-pair classifiers made in tests, saved as safetensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *(f"w{index}" for index in range(28))]


def write_pair_model(folder: Path, logits: Sequence[float] | None = None, **changed: Any) -> Path:
    """A tiny BERT with random weights, or one that gives these `logits` whatever it reads."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    settings = {"vocab_size": len(WORDS), "max_position_embeddings": 48, "pad_token_id": 0, "num_labels": 2}
    model = BertForSequenceClassification(BertConfig(**(sizes | settings | changed)))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
        if logits is not None:
            model.classifier.weight.zero_()
            model.classifier.bias.copy_(torch.tensor(logits))
    model.save_pretrained(folder)
    return folder


def chance_by_hand(folder: Path, first: str, second: str, label: int = 1) -> float:
    """What the model gives to a label, one pair at a time, no padding, straight from the model."""
    import torch

    model, tokenizer = _loaded(folder)
    with torch.inference_mode():
        return float(model(**tokenizer(first, second, return_tensors="pt")).logits[0].double().softmax(0)[label])


@cache
def _loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    return AutoModelForSequenceClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
