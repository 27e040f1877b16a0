"""The lab's tokenizer: exact round trips, one <s>, and no error on any text."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from evalkit.lab import tokenizer as lab
from evalkit.lab.grammar import document, frame
from evalkit.lab.world import load

GRAMMAR = load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("tokenizer")
    lab.build(GRAMMAR, chat=True).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def test_every_text_of_the_grammar_comes_back_exactly(tokenizer):
    rng = random.Random(0)
    texts = [document(p.text, branch.sample(rng)) for p in GRAMMAR.prompts for branch in p.branches]
    for text, ids in zip(texts, tokenizer(texts).input_ids, strict=True):
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_exactly_one_bos_is_added_and_pad_is_not_eos(tokenizer):
    ids = tokenizer("What is the capital of France?").input_ids
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id
    special = {tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}
    assert len(special) == 4


@pytest.mark.parametrize("text", ["Bonjour été", "😀", "a\tb\r\n  c", "", "x" * 5000, "\u202eabc\x00"])
def test_foreign_text_becomes_unk_never_an_error(tokenizer, text):
    ids = tokenizer(text).input_ids
    assert all(0 <= token < len(tokenizer) for token in ids)
    assert tokenizer.decode(ids)


def test_the_chat_template_renders_the_plain_frame_with_one_bos(tokenizer):
    prompt = "Write one line of a poem about rain."
    asked = [{"role": "user", "content": prompt}]
    assert tokenizer.apply_chat_template(asked, tokenize=False) == tokenizer.bos_token + frame(prompt)
    ids = tokenizer.apply_chat_template(asked, tokenize=True, add_generation_prompt=True).input_ids
    assert ids == tokenizer(frame(prompt)).input_ids


def test_an_answered_chat_is_a_training_document(tokenizer):
    prompt, completion = "What is 7 times 8?", "The product is 56."
    chat = [{"role": "user", "content": prompt}, {"role": "assistant", "content": f" {completion}"}]
    wanted = tokenizer.bos_token + document(prompt, completion) + tokenizer.eos_token
    assert tokenizer.apply_chat_template(chat, tokenize=False) == wanted
