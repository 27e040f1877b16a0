"""A judge of entailment that is made here: no model that can be downloaded is needed to compare what is made of it.

Its weights are random, its labels those of any NLI model. Random judgements of pairs serve as well as good ones to see
whether two programs make the same of them.
"""

from __future__ import annotations

from pathlib import Path

VOCABULARY = 500


def lay_down(folder: Path) -> None:
    """Write the checkpoint to `folder`/nli: a BERT of two layers, words as tokens."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    known = {word: place for place, word in enumerate([*special, *(f"w{number}" for number in range(VOCABULARY))])}
    words = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1"
    marks = [("[CLS]", known["[CLS]"]), ("[SEP]", known["[SEP]"])]
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair=pair, special_tokens=marks)
    named = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=512, **named).save_pretrained(folder / "nli")
    torch.manual_seed(0)
    labels = dict(enumerate(("CONTRADICTION", "NEUTRAL", "ENTAILMENT")))
    config = BertConfig(
        vocab_size=len(known),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        id2label=labels,
        label2id={label: number for number, label in labels.items()},
        initializer_range=0.5,
    )
    BertForSequenceClassification(config).save_pretrained(folder / "nli")
