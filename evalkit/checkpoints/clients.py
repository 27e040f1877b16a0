"""HTTP clients for servers that nobody vouches for: their answers have an end, and keys go nowhere else.

- An answer that is longer than it can be is broken off, also where it grows only when it is unpacked.
- Redirects are not followed: a key would go where nobody sent it, and a POST would become a GET.
- A key that no header can hold is said to be one, without its letters.
"""

from __future__ import annotations

import os
import re
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from evalkit.errors import ServerError

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

CONNECT_SECONDS = 10.0
KEYS = ("EVALKIT_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold a server's key, the first that is set."""
ALL_KEYS = (*KEYS, "EVALKIT_JUDGE_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
NO_KEY = "none"
LONGEST_LINE = 300
SHORTEST_KEY = 8
"""Characters; what is shorter opens nothing, and may stand in any sentence."""
SECRET_KEY = 20
"""Characters from which on a key is no word that a text could hold by itself."""
PAGE_BYTES = 16 * 2**20
"""What a server's answer may be, beside the tokens that it was asked for."""
TOKEN_BYTES = 1024
"""What a token may take in an answer: its text, its log-prob and their names."""
UNPACKED_BYTES = 2**20
"""So much of a packed answer is unpacked at once."""
_longest: ContextVar[int] = ContextVar("_longest", default=PAGE_BYTES)
_Client = TypeVar("_Client")


class UnreadableAnswer(Exception):  # noqa: N818 (it is the answer that is bad)
    """An answer was broken off, in words that follow the server's name."""


def api_key(keys: tuple[str, ...] = KEYS) -> str:
    """The key that the environment holds; servers without one take any. Raises `ServerError`: no header can hold it."""
    found = key_in(keys)
    return NO_KEY if found is None else found[1]


def key_in(names: tuple[str, ...]) -> tuple[str, str] | None:
    """The first of some environment variables that holds a key, and the key. Raises `ServerError`."""
    for name in names:
        if key := os.environ.get(name, "").strip():
            if not re.fullmatch(r"[!-~]+", key):
                raise ServerError(
                    f"{name} holds a space, a line break or a sign outside ASCII, which no key has; set it again"
                )
            return name, key
    return None


def one_line(text: str) -> str:
    """What a server said, short, without what would move a terminal's cursor and without the keys of this machine."""
    seen = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(without_keys(seen).split())[:LONGEST_LINE]


def without_keys(text: str, shortest: int = SHORTEST_KEY) -> str:
    """A text in which no key of so many characters can be read, for servers that repeat what they were sent."""
    for name in ALL_KEYS:
        key = os.environ.get(name, "").strip()
        if len(key) >= shortest:
            text = text.replace(key, f"[{name}]")
    return text


def refused(error: Any) -> str:
    """What a server's status says, in words that follow its URL; `error`: an `openai.APIStatusError`."""
    place = error.response.headers.get("location", "")
    if 300 <= error.status_code < 400 and place:
        return f"answered {error.status_code}: it sends to {one_line(place)}; name the URL that is meant"
    return f"answered {error.status_code}: {one_line(error.message)}"


def open_client(
    url: str, key: str, seconds: float, retries: int, whole_seconds: float | None = None, follows: bool = False
) -> OpenAI:
    """A client for one server; `seconds`: for a piece of an answer, `whole_seconds`: for all of it.

    `follows`: redirects, other servers without the key.

    Raises `ServerError` where the environment (proxies, certificates) allows none.
    """
    import openai

    def bound(response: Any) -> None:
        _bound(response, whole_seconds)

    def opened() -> OpenAI:
        http = openai.DefaultHttpxClient(**_settings(seconds, bound, follows))
        return openai.OpenAI(base_url=url, api_key=key, max_retries=retries, http_client=http)

    return _made(url, opened)


def open_async_client(
    url: str, key: str, seconds: float, retries: int, whole_seconds: float | None = None
) -> AsyncOpenAI:
    """The same for many requests at once. Raises `ServerError`."""
    import openai

    async def bound(response: Any) -> None:
        _bound(response, whole_seconds)

    def opened() -> AsyncOpenAI:
        http = openai.DefaultAsyncHttpxClient(**_settings(seconds, bound))
        return openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=retries, http_client=http)

    return _made(url, opened)


@contextmanager
def answers_of(tokens: float) -> Iterator[None]:
    """Inside, answers may be as long as so many tokens are."""
    mark = _longest.set(PAGE_BYTES + round(tokens * TOKEN_BYTES))
    try:
        yield
    finally:
        _longest.reset(mark)


def _settings(seconds: float, bound: Callable[[Any], Any], follows: bool = False) -> dict[str, Any]:
    import openai

    return {
        "timeout": openai.Timeout(seconds, connect=CONNECT_SECONDS),
        "follow_redirects": follows,
        # The others that there are unpack a few bytes to more than memory holds, at once.
        "headers": {"Accept-Encoding": "gzip"},
        "event_hooks": {"response": [bound]},
    }


def _made(url: str, opened: Callable[[], _Client]) -> _Client:
    """What `opened` returns; an environment that allows none is the user's to mend."""
    try:
        return opened()
    except Exception as error:
        raise ServerError(
            f"{url} cannot be asked: {one_line(str(error))}; look at the environment (HTTP_PROXY, HTTPS_PROXY, "
            "ALL_PROXY, SSL_CERT_FILE)"
        ) from error


def _bound(response: Any, seconds: float | None) -> None:
    """Let an answer that comes in be read no further than it may go."""
    kind = next(one for one in type(response.stream).__mro__ if one.__name__ in _READERS)
    reading = _Reading(response.headers, _longest.get(), seconds)
    response.headers.pop("content-encoding", None)
    response.stream = type("Bounded", (_READERS[kind.__name__], kind), {})(response.stream, reading)


class _Reading:
    """An answer that is read piece by piece."""

    def __init__(self, headers: Mapping[str, str], most: int, seconds: float | None) -> None:
        self._most = most
        self._left = most
        self._until = None if seconds is None else time.monotonic() + seconds
        packed = headers.get("content-encoding", "identity").strip().lower()
        if packed not in ("identity", "gzip", ""):
            raise UnreadableAnswer(f"packed its answer as {one_line(packed)[:20]!r}, which it was not asked for")
        self._unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16) if packed == "gzip" else None

    def pieces(self, raw: bytes) -> Iterator[bytes]:
        """What a piece as it came over the line holds. Raises `UnreadableAnswer`."""
        if self._until is not None and time.monotonic() > self._until:
            raise UnreadableAnswer("sent an answer without an end")
        if self._unpacked is None:
            yield self._counted(raw)
        while self._unpacked is not None and raw:
            try:
                piece = self._unpacked.decompress(raw, UNPACKED_BYTES)
            except zlib.error as error:
                raise UnreadableAnswer(f"sent what is no gzip ({error})") from None
            yield self._counted(piece)
            raw = self._unpacked.unconsumed_tail

    def rest(self) -> bytes:
        """What was held back until the last piece was here."""
        return b"" if self._unpacked is None else self._counted(self._unpacked.flush())

    def _counted(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0:
            raise UnreadableAnswer(f"sent more than {self._most / 1e6:,.0f} MB, which no answer to this is")
        return piece


class _Stream:
    def __init__(self, stream: Any, reading: _Reading) -> None:
        self._stream = stream
        self._reading = reading


class _Sync(_Stream):
    def __iter__(self) -> Iterator[bytes]:
        for raw in self._stream:
            yield from self._reading.pieces(raw)
        yield self._reading.rest()

    def close(self) -> None:
        self._stream.close()


class _Async(_Stream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for raw in self._stream:
            for piece in self._reading.pieces(raw):
                yield piece
        yield self._reading.rest()

    async def aclose(self) -> None:
        await self._stream.aclose()


_READERS: Mapping[str, type[_Stream]] = {"SyncByteStream": _Sync, "AsyncByteStream": _Async}
"""What an answer's stream is in httpx and in its successors, whichever the openai package is built on."""
