"""Token ids become text, the same way in every local engine.

A token's text depends on those before it (a leading space, the bytes of one character), so a completion is
decoded as the continuation of its prompt, token by token, as vLLM does: text that ends inside a character is held back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.plumbing.tokenize_13a import continues_number, continues_word

GREEDY_BELOW = 1e-5
"""Temperatures under this mean the most likely token, in vLLM and so here. Every draw is then the same: one is made."""

_HALVES: Mapping[str, str | tuple[str, ...]] = {"1": tuple("0123456789"), "%": tuple("%‰°")}
"""A sign that may come second -> all of its kind."""


class Decoder:
    """Decodes completions with a checkpoint's tokenizer; special tokens are left out, but for those of `shown`."""

    def __init__(self, tokenizer: Any, shown: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._shown: dict[int, str] = {token: tokenizer.convert_ids_to_tokens(token) for token in shown}
        self._fast = getattr(tokenizer, "backend_tokenizer", None)

    @property
    def is_fast(self) -> bool:
        """Whether the tokenizer is one that vLLM decodes with `DecodeStream` too."""
        return self._fast is not None

    def start(self, prompt: Sequence[int]) -> Continuation:
        """An empty completion of `prompt`, to be grown token by token."""
        return _ShowingContinuation(self._plain, prompt, self._shown) if self._shown else self._plain(prompt)

    def text(self, prompt: Sequence[int], completion: Sequence[int], stop: Sequence[str] = ()) -> str:
        """The text that `completion` adds to `prompt`, up to the first of `stop`."""
        continuation = self.start(prompt)
        for token in completion:
            seen = len(continuation.text)
            continuation.add(token)
            if continuation.cut_at(stop, seen):
                break
        return continuation.text

    def _plain(self, prompt: Sequence[int]) -> Continuation:
        return _FastContinuation(self._fast, prompt) if self.is_fast else _SlowContinuation(self._tokenizer, prompt)


def closing_tokens(tokenizer: Any, decoder: Decoder, vocabulary: int) -> list[bool]:
    """[vocabulary] whether a token that comes after a word leaves the word as it is: an end, a space, a sign.

    A token that is only a part of a character counts as a letter, and so does an output that stands for no token.
    """
    return [text is not None and not continues_word(text) for text in _texts_after(tokenizer, decoder, vocabulary)]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What may follow a digit without making it another number: `1.` and `1, 2` leave 1, `1.5` and `1%` do not."""

    closing: tuple[bool, ...]
    """[vocabulary] whether a token does not make it another number by itself."""
    going_on: Mapping[int, tuple[int, ...]]
    """Tokens that may be half of what does, such as a point -> those that are the other half."""


def number_tokens(tokenizer: Any, decoder: Decoder, vocabulary: int) -> Numbers:
    """The tokens that make another number of a digit, one by one or two together."""
    texts = _texts_after(tokenizer, decoder, vocabulary)
    closing = tuple(
        text is not None and not continues_word(text) and not continues_number(text) for text in texts
    )  # fmt: skip
    halves = {
        sign: {token for token, text in enumerate(texts) if text is not None and text.startswith(half)}
        for sign, half in _HALVES.items()
    }
    going_on = {}
    for token, text in enumerate(texts):
        possible = [
            tokens for sign, tokens in halves.items() if text and closing[token] and continues_number(text + sign)
        ]
        if other := set().union(*possible):
            going_on[token] = tuple(sorted(other))
    return Numbers(closing, going_on)


def _texts_after(tokenizer: Any, decoder: Decoder, vocabulary: int) -> list[str | None]:
    """[vocabulary] what each token reads as after a word: "" for an end, None for none or a part of a character."""
    ends = set(tokenizer.all_special_ids)
    known = range(min(len(tokenizer), vocabulary))
    # What a token reads as depends on what it follows: some tokenizers drop the first space of a text.
    word = next((token for token in known if decoder.text((), (token,)).strip().isalnum()), None)
    after = () if word is None else (word,)
    texts = ["" if token in ends else decoder.text(after, (token,)) or None for token in known]
    return texts + [None] * (vocabulary - len(known))


class Continuation:
    """A completion's text as far as it has been decoded."""

    text = ""

    def add(self, token: int) -> None:
        raise NotImplementedError

    def cut_at(self, stop: Sequence[str], seen: int) -> bool:
        """Cut the text at the first of `stop` that ends after character `seen`; whether there was one.

        Of several that one token completes, the one that ends first counts, and of those the first of `stop`.
        """
        if len(self.text) == seen:
            return False
        begins = [(string, self.text.find(string, max(0, seen + 1 - len(string)))) for string in stop]
        ends = [(begin + len(string), begin) for string, begin in begins if begin >= 0]
        if not ends:
            return False
        _, begin = min(ends, key=lambda pair: pair[0])
        self.text = self.text[:begin]
        return True


class _FastContinuation(Continuation):
    def __init__(self, tokenizer: Any, prompt: Sequence[int]) -> None:
        from tokenizers.decoders import DecodeStream

        self._tokenizer = tokenizer
        self._stream = DecodeStream(ids=list(prompt), skip_special_tokens=True)

    def add(self, token: int) -> None:
        self.text += self._stream.step(self._tokenizer, token) or ""


class _ShowingContinuation(Continuation):
    """Decoded in parts, between the special tokens that are shown."""

    def __init__(
        self, start: Callable[[Sequence[int]], Continuation], prompt: Sequence[int], shown: Mapping[int, str]
    ) -> None:
        self._start = start
        self._shown = shown
        self._ids = list(prompt)
        self._before = ""
        self._part = start(prompt)

    def add(self, token: int) -> None:
        self._ids.append(token)
        if token in self._shown:
            self._before += self._part.text + self._shown[token]
            self._part = self._start(self._ids)
        else:
            self._part.add(token)
        self.text = self._before + self._part.text


class _SlowContinuation(Continuation):
    def __init__(self, tokenizer: Any, prompt: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids = list(prompt)
        self._before = self._decode()

    def add(self, token: int) -> None:
        self._ids.append(token)
        whole = self._decode()
        if not whole.endswith("\N{REPLACEMENT CHARACTER}"):
            self.text = whole[len(self._before) :]

    def _decode(self) -> str:
        text: str = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        return text
