"""Text grows token by token as vLLM makes it, and stop strings cut it where vLLM cuts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.dtype import dtype_of
from evalkit.inference.engines.decoding import Continuation, Decoder, closing_tokens, number_tokens


@pytest.fixture(scope="session")
def bytes_tokenizer() -> Any:
    """One token a byte, so that most letters of most scripts take several; token 0 is special."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<end>": 0, **{letter: index for index, letter in enumerate(alphabet, start=1)}}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


class Slow:
    """A tokenizer without a fast backend."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        return text


TEXTS = ["plain", " leads with a space", "Grüße, 世界 👩‍🚀!", "", "tab\tand\nline"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("wrap", [lambda one: one, Slow], ids=["fast", "slow"])
def test_a_completion_is_the_text_it_adds_to_its_prompt(bytes_tokenizer: Any, wrap: Any, text: str) -> None:
    decoder = Decoder(wrap(bytes_tokenizer))
    prompt = bytes_tokenizer("Prompt: ü").input_ids
    assert decoder.text(prompt, [*bytes_tokenizer(text).input_ids, 0]) == text


@pytest.mark.parametrize("wrap", [lambda one: one, Slow], ids=["fast", "slow"])
def test_text_that_ends_inside_a_character_is_held_back(bytes_tokenizer: Any, wrap: Any) -> None:
    ids = bytes_tokenizer("a世").input_ids
    continuation = Decoder(wrap(bytes_tokenizer)).start([])
    seen = []
    for token in ids:
        continuation.add(token)
        seen.append(continuation.text)
    assert seen == ["a", "a", "a", "a世"]


@pytest.mark.parametrize(
    ("before", "after", "stop", "cut"),
    [
        ("one", "one\ntwo", ("\n",), "one"),
        ("one\n", "one\n\n", ("\n\n",), "one"),
        ("ab", "abcd", ("cd", "bcd"), "ab"),
        ("ab", "abcd", ("bcd", "cd"), "a"),
        ("x", "x END y STOP", ("STOP", "END"), "x "),
        ("x", "x", ("x",), None),
        ("\n", "\n more", ("\n",), None),
        ("x", "x y", (), None),
    ],
    ids=[
        "in the new part",
        "begun in the old part",
        "ending together, the first of the list",
        "ending together, the other order",
        "the one that ends first",
        "nothing new",
        "only in the old part",
        "no stop strings",
    ],
)
def test_a_stop_string_cuts_the_text(before: str, after: str, stop: tuple[str, ...], cut: str | None) -> None:
    continuation = Continuation()
    continuation.text = after
    assert continuation.cut_at(stop, len(before)) == (cut is not None)
    assert continuation.text == (after if cut is None else cut)


def test_bytes_of_signs_leave_a_word_as_it_is_and_bytes_of_letters_do_not(bytes_tokenizer: Any) -> None:
    closing = closing_tokens(bytes_tokenizer, Decoder(bytes_tokenizer), 300)
    assert len(closing) == 300
    assert not any(closing[257:]), "an output that stands for no token is no sign"
    known = {bytes_tokenizer.decode([token]): closing[token] for token in range(257)}
    assert closing[0], "the end of the text closes a word"
    assert all(known[sign] for sign in " \n.,;:!?-'\"*")
    assert not any(known[letter] for letter in "azAZ09_")
    assert not known["\N{REPLACEMENT CHARACTER}"], "a part of a character counts as a letter"


def test_a_point_closes_a_number_unless_a_digit_follows(bytes_tokenizer: Any) -> None:
    found = number_tokens(bytes_tokenizer, Decoder(bytes_tokenizer), 300)
    token_of = {bytes_tokenizer.decode([token]): token for token in range(257)}
    assert {sign for sign in " .,;:!-%)a1" if found.closing[token_of[sign]]} == set(" .,;:!-)")
    assert {sign for sign in ".,:/'- ;)" if token_of[sign] in found.going_on} == set(".,:/'- ")
    assert {sign for sign in "15%.a" if token_of[sign] in found.going_on[token_of["."]]} == set("15")
    assert {sign for sign in "15%.a" if token_of[sign] in found.going_on[token_of[" "]]} == set("%")


def test_a_space_that_a_tokenizer_drops_at_a_texts_start_still_closes_a_word() -> None:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    pieces = ["<end>", "<unk>", "▁cat", "s", "▁dog", ".", "▁"]
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.decoder = decoders.Metaspace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unk>")
    closing = closing_tokens(fast, Decoder(fast), len(pieces))
    assert dict(zip(pieces, closing, strict=True)) == {piece: piece != "s" for piece in pieces}


@pytest.mark.vllm
@pytest.mark.slow
def test_the_cut_is_the_one_that_vllm_makes() -> None:
    vllm = pytest.importorskip("vllm.v1.engine.detokenizer", exc_type=ImportError)
    for before, after, stop in [
        ("ab", "abcd", ["cd", "bcd"]),
        ("x", "x END STOP", ["STOP", "END"]),
        ("\n", "\n a", ["\n"]),
    ]:
        continuation = Continuation()
        continuation.text = after
        theirs = vllm.check_stop_strings(after, len(after) - len(before), stop, include_in_output=False)
        assert continuation.cut_at(stop, len(before)) == (theirs is not None)
        assert continuation.text == (after if theirs is None else after[: theirs[1]])


@pytest.mark.parametrize(
    ("asked", "config", "loaded"),
    [
        ("bfloat16", {"dtype": "float32"}, "bfloat16"),
        ("auto", {"dtype": "bfloat16"}, "bfloat16"),
        ("auto", {"torch_dtype": "float16"}, "float16"),
        ("auto", {"text_config": {"dtype": "bfloat16"}}, "bfloat16"),
        ("auto", {}, "float32"),
        ("auto", {"dtype": "float8_e4m3fn"}, "float32"),
    ],
)
def test_weights_are_loaded_as_asked_or_as_stored(
    tiny: Checkpoint, tmp_path: Path, asked: str, config: dict[str, Any], loaded: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(Path(tiny.location, "model.safetensors").read_bytes())
    assert dtype_of(replace(tiny, location=str(tmp_path), dtype=asked)) == loaded
