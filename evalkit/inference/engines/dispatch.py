"""Requests go out to a server, or to whichever of a pool's servers has the fewest of them, until each is answered.

- So many are in flight to each server at most; a refusal (429) halves that, answers give it back one by one.
- A server is left alone for as long as it asks for, or until its limits, which its headers tell, let a request in.
- 408, 409, 429, 5xx, lost connections, requests that take too long and answers that are none are tried again, after
  growing waits. What else a server refuses is one line at once.
- A server of a pool that fails is left out for `AWAY_SECONDS`; then it must say again that it serves the pool's model.
  Where all have failed, none is left out.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar

from evalkit.checkpoints.clients import UnreadableAnswer, answers_of, api_key, one_line, open_async_client, refused
from evalkit.errors import EngineError
from evalkit.inference.engines.answers import BadAnswer
from evalkit.inference.engines.clock import Clock
from evalkit.inference.engines.rate_limits import LONGEST_WAIT, Allowance, asked_wait

if TYPE_CHECKING:
    from openai import AsyncOpenAI

RETRIES = 6
"""Of a request, after its first try; in a pool one more for each further server."""
FIRST_WAIT = 0.5
LONGEST_BACKOFF = 30.0
"""Seconds before a second try, doubled with each; and what they grow to."""
BAD_ANSWERS = 3
"""So many answers that are none, and a request is given up."""
AWAY_SECONDS = 30.0
"""For which a server of a pool that failed is left out."""
TRIED_AGAIN = (408, 409, 429)
"""And all from 500 on."""
SPENT = "insufficient_quota"
"""A 429 that no waiting helps: the account is empty."""
Reply = tuple[Mapping[str, str], bytes]
"""Headers and body."""
Request = Callable[["AsyncOpenAI"], Awaitable[Reply]]
Meet = Callable[[str, "AsyncOpenAI"], Awaitable[None]]
"""Sees that a server, by its URL, serves the model. Raises `EngineError`."""
_Read = TypeVar("_Read")
_log = logging.getLogger(__name__)


class Refusal(EngineError):  # noqa: N818 (what the server does)
    """A server does not do what it was asked, and will not when asked again."""

    def __init__(self, url: str, status: int, message: str) -> None:
        super().__init__(f"{url} {message}")
        self.status = status
        self.message = message


class _Failure(Exception):  # noqa: N818 (never leaves this module)
    """One try that came to nothing: what happened, and how long the server asks to be left alone.

    `was_sent`: whether the server had the request; not where it did not even say that it serves the model.
    """

    def __init__(self, line: str, was_sent: bool = True, wait: float | None = None, is_refusal: bool = False) -> None:
        super().__init__(line)
        self.was_sent = was_sent
        self.wait = wait
        self.is_refusal = is_refusal


@dataclass(eq=False)
class Server:
    """One server, and how it fared so far."""

    url: str
    concurrency: int
    in_flight: int = 0
    sent: int = 0
    is_met: bool = False
    """Whether it has said that it serves the model, since it last failed."""
    away_until: float = -math.inf
    """Until then others are asked, if there are others."""
    resting_until: float = -math.inf
    """Until then it is not asked."""
    fault: str = ""
    """The last one."""
    places: float = 0.0
    """What it takes at once, as far as it lets itself be seen."""
    halved: float = -math.inf
    requests: Allowance = field(default_factory=lambda: Allowance("requests"))
    tokens: Allowance = field(default_factory=lambda: Allowance("tokens"))

    def __post_init__(self) -> None:
        self.places = self.concurrency

    def wait(self, tokens: float, now: float) -> float:
        """Seconds until it may be sent so many tokens; infinite where something must come back first."""
        if self.in_flight >= math.floor(self.places):
            return math.inf
        wait = max(self.requests.wait(1, now), self.tokens.wait(tokens, now), self.resting_until - now, 0.0)
        # Nothing is under way that could tell: it will say itself whether it takes this one.
        return 0.0 if wait == math.inf and not self.in_flight else wait

    def enter(self, tokens: float) -> int:
        """A request goes out; its number."""
        self.in_flight += 1
        self.sent += 1
        self.requests.take(1)
        return self.tokens.take(tokens)

    def leave(self, tokens: float) -> None:
        """A request has come back, or is lost."""
        self.in_flight -= 1
        self.requests.give_back(1)
        self.tokens.give_back(tokens)

    def hear(self, headers: Mapping[str, str], number: int, now: float) -> None:
        self.requests.hear(headers, number, now)
        self.tokens.hear(headers, number, now)

    def answered(self) -> None:
        self.places = min(self.concurrency, self.places + 1 / self.places)

    def failed(self, failure: _Failure, sent_at: float, backoff: float, now: float) -> None:
        """Leave it alone for a while; a refusal of a request that went out after the last refusal halves its places."""
        self.fault = str(failure)
        self.resting_until = max(self.resting_until, now + (backoff if failure.wait is None else failure.wait))
        if failure.is_refusal and sent_at >= self.halved:
            self.places, self.halved = max(1.0, self.places / 2), now

    def leave_out(self, now: float) -> None:
        """Ask others in its place for a while."""
        self.away_until, self.is_met = now + AWAY_SECONDS, False


def backoff(tries: int) -> float:
    """Seconds to wait after so many tries, where the server does not say."""
    return float(min(FIRST_WAIT * 2 ** (tries - 1), LONGEST_BACKOFF))


class Dispatch:
    """Asks a checkpoint's servers while it is entered; what it learns of them stays in them."""

    def __init__(
        self,
        servers: Sequence[Server],
        timeout: float,
        clock: Clock,
        meet: Callable[[str, AsyncOpenAI], Awaitable[None]],
    ) -> None:
        """`timeout`: seconds that a request may take."""
        self._servers = servers
        self._timeout = timeout
        self._clock = clock
        self._meet = meet
        self._clients: dict[str, AsyncOpenAI] = {}
        self._stack = AsyncExitStack()
        self._change = asyncio.Event()
        self._places = asyncio.Semaphore(sum(server.concurrency for server in servers))

    async def __aenter__(self) -> Self:
        for server in self._servers:
            client = open_async_client(server.url, api_key(), self._timeout, retries=0)
            self._clients[server.url] = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    async def reach(self) -> None:
        """Meet a server: the first that answers. Raises as `send` does."""
        await self.send(_nothing, bytes)

    async def send(self, request: Request, read: Callable[[bytes], _Read], tokens: float = 0.0) -> _Read:
        """What `read` makes of the answer to a request that may take so many tokens.

        Raises `Refusal`, `EngineError` when no server has answered after all tries, and `BadAnswer` when several
        answers were such that `read` raised it.
        """
        async with self._places:
            tries = bad = 0
            while True:
                server = await self._turn(tokens)
                tries += 1
                sent_at = self._clock.now()
                try:
                    return await self._try(server, request, read, tokens)
                except BadAnswer as error:
                    bad += 1
                    failure = _Failure(f"{server.url} {error}")
                    if bad == BAD_ANSWERS:
                        raise BadAnswer(str(failure)) from None
                except _Failure as one:
                    failure = one
                now = self._clock.now()
                server.failed(failure, sent_at, backoff(tries), now)
                if len(self._servers) > 1 and not failure.is_refusal:
                    self._leave_out(server, now)
                if not failure.was_sent and any(other.is_met for other in self._servers):
                    tries -= 1  # the others, who are at work, have not been asked this one yet
                if tries >= RETRIES + len(self._servers):
                    raise EngineError(self._given_up(failure, tries)) from failure.__cause__

    async def _turn(self, tokens: float) -> Server:
        """The server to ask next, as soon as one may be; the request counts as in flight then."""
        while True:
            now = self._clock.now()
            present = [server for server in self._servers if server.away_until <= now] or self._servers
            waits = {server.url: server.wait(tokens, now) for server in present}
            server = min(present, key=lambda one: (waits[one.url], one.in_flight, one.sent))
            wait = waits[server.url]
            if wait <= 0:
                return server
            returns = [one.away_until - now for one in self._servers if one not in present]
            if all(LONGEST_WAIT < one < math.inf for one in (*waits.values(), *returns)):
                raise EngineError(f"{server.fault}, and asks to be left alone for {wait:,.0f} s; try again after that")
            await self._until(min(wait, *returns) if returns else wait)

    async def _try(self, server: Server, request: Request, read: Callable[[bytes], _Read], tokens: float) -> _Read:
        import openai

        number, was_sent = server.enter(tokens), server.is_met
        client = self._clients[server.url]
        try:
            async with asyncio.timeout(self._timeout):
                if not server.is_met:
                    await self._meet(server.url, client)
                    was_sent = server.is_met = True
                with answers_of(tokens):
                    headers, content = await request(client)
            server.hear(headers, number, self._clock.now())
            result = read(content)
        except UnreadableAnswer as error:
            raise BadAnswer(str(error)) from error
        except openai.APIStatusError as error:
            server.hear(error.response.headers, number, self._clock.now())
            raise _failure(server.url, error, was_sent) from error
        except openai.APIConnectionError as error:
            if isinstance(error, openai.APITimeoutError):
                raise self._too_slow(server.url, was_sent) from error
            line = one_line(str(error.__cause__ or error))
            raise _Failure(f"no answer from {server.url}: {line}", was_sent) from error
        except TimeoutError as error:
            raise self._too_slow(server.url, was_sent) from error
        finally:
            server.leave(tokens)
            self._changed()
        server.answered()
        return result

    def _too_slow(self, url: str, was_sent: bool) -> _Failure:
        return _Failure(f"no answer from {url}: a request took longer than {self._timeout:g} s", was_sent)

    def _changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def _until(self, seconds: float) -> None:
        """Wait so long, or until a request comes back."""
        tasks: set[asyncio.Task[Any]] = {asyncio.create_task(self._change.wait())}
        if seconds < math.inf:
            tasks.add(asyncio.create_task(self._clock.sleep(self._clock.jittered(seconds))))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _leave_out(self, server: Server, now: float) -> None:
        if server.away_until <= now:
            _log.warning("%s; it is left out of its pool for %g s", server.fault, AWAY_SECONDS)
        server.leave_out(now)

    def _given_up(self, failure: _Failure, tries: int) -> str:
        if len(self._servers) == 1:
            return f"{failure} (tried {'once' if tries == 1 else f'{tries} times'})"
        return (
            f"no server of the pool of {len(self._servers)} answered a request in {tries} tries; the last: {failure}; "
            "what was sampled is kept, and the same command goes on when they are back"
        )


async def _nothing(client: AsyncOpenAI) -> Reply:
    return {}, b""


def _failure(url: str, error: Any, was_sent: bool) -> _Failure | Refusal:
    """What a status says: a try that came to nothing, or a `Refusal`."""
    status, headers = error.status_code, error.response.headers
    again = status in TRIED_AGAIN or status >= 500
    if error.code == SPENT or not {"true": True, "false": False}.get(headers.get("x-should-retry", ""), again):
        return Refusal(url, status, refused(error))
    return _Failure(f"{url} {refused(error)}", was_sent, asked_wait(headers), is_refusal=status == 429)
