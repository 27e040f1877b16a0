"""What sampling calls ask of a batch interface, request by request, and what has come of it.

A request is named `KEY.PROMPT.DRAW`: its call, the place of its prompt there, and the first of the draws that it asks
for. That is all that a result says of itself, and enough to know where it belongs, whichever process asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from evalkit.checkpoints.clients import one_line
from evalkit.inference.engines.decoding import GREEDY_BELOW
from evalkit.inference.engines.dispatch import TRIED_AGAIN
from evalkit.plumbing.prose import counted
from evalkit.records import Completion, Rendered, Sampling
from evalkit.runs.usage import Usage

_PLACE = re.compile(r"[0-9]{1,9}")


class Call(Protocol):
    """A sampling call: so many draws of each of some prompts."""

    @property
    def key(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def prompts(self) -> tuple[Rendered, ...]: ...
    @property
    def sampling(self) -> Sampling: ...


@dataclass(frozen=True)
class Request:
    """The draws of a prompt from one on."""

    call: Call
    index: int
    """Place of the prompt in the call."""
    start: int

    @property
    def name(self) -> str:
        return f"{self.call.key}.{self.index}.{self.start}"

    @property
    def prompt(self) -> Rendered:
        return self.call.prompts[self.index]

    @property
    def n(self) -> int:
        return draws_of(self.call) - self.start


@dataclass
class Came:
    """What became of requests that one wait was for."""

    answered: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    """Why requests have no answer that may have one the next time -> how many."""
    refused: Counter[str] = field(default_factory=Counter)
    """The same of those that would have none the next time either."""
    cancelled: list[str] = field(default_factory=list)
    """Ids of batches that somebody stopped."""

    @property
    def reasons(self) -> str:
        """The commonest, in words."""
        return "; ".join(f"{why} ({counted(n, 'request')})" for why, n in (self.refused + self.lost).most_common(3))


@dataclass(frozen=True)
class Answer:
    """What a request brought, and took."""

    completions: tuple[Completion, ...]
    usage: Usage | None


@dataclass(frozen=True)
class Whole:
    """A call whose draws have all come."""

    place: int
    """Among the calls."""
    completions: list[Completion]
    usages: list[Usage]


class Work:
    """Calls, and the draws of them that have come."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = {call.key: (place, call) for place, call in enumerate(calls)}
        self._came: dict[str, Answer] = {}

    @property
    def is_done(self) -> bool:
        """Whether all calls were handed out."""
        return not self._calls

    def request(self, name: str) -> Request | None:
        """The request of a name that a call which is still open may have given."""
        key, _, rest = name.partition(".")
        index, _, start = rest.partition(".")
        if key not in self._calls or not (_PLACE.fullmatch(index) and _PLACE.fullmatch(start)):
            return None
        request = Request(self._calls[key][1], int(index), int(start))
        return request if request.index < len(request.call.prompts) and request.n > 0 else None

    def next(self) -> list[Request]:
        """What is still to be asked for, the draws of a prompt that have come left out."""
        asked = (
            Request(call, index, len(self._draws(call, index)))
            for _, call in self._calls.values()
            for index in range(len(call.prompts))
        )
        return [request for request in asked if request.n > 0]

    def take(self, request: Request, answer: Answer) -> bool:
        """Keep what a request brought; whether it is new. Of two answers to one request the first counts."""
        if request.name in self._came or not answer.completions:
            return False
        self._came[request.name] = answer
        return True

    def finished(self) -> Iterator[Whole]:
        """Calls whose draws have all come, which are then held no longer."""
        for key, (place, call) in list(self._calls.items()):
            drawn = [self._draws(call, index) for index in range(len(call.prompts))]
            if all(len(draws) == draws_of(call) for draws in drawn):
                del self._calls[key]
                answers = [self._came.pop(name) for name in list(self._came) if name.startswith(f"{key}.")]
                indices = range(call.sampling.n)
                completions = [
                    replace(draws[index % len(draws)], sample_index=index) for draws in drawn for index in indices
                ]
                yield Whole(place, completions, [answer.usage for answer in answers if answer.usage is not None])

    def _draws(self, call: Call, index: int) -> list[Completion]:
        draws: list[Completion] = []
        while len(draws) < draws_of(call) and (more := self._came.get(Request(call, index, len(draws)).name)):
            draws += more.completions
        return draws[: draws_of(call)]


def draws_of(call: Call) -> int:
    """How many draws of a prompt are asked for: greedy ones are all the same."""
    return 1 if call.sampling.temperature < GREEDY_BELOW else call.sampling.n


def answer_of(row: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str, bool]:
    """(body of the answer, why there is none, whether another try may bring one) of a line of results."""
    response, error = row.get("response"), row.get("error")
    if not isinstance(response, dict):
        said = (error.get("message") or error.get("code")) if isinstance(error, dict) else error
        return None, one_line(str(said)) if said else "neither an answer nor an error", True
    status, body = response.get("status_code"), response.get("body")
    if status == 200 and isinstance(body, dict):
        return body, "", False
    told = body.get("error") if isinstance(body, dict) else body
    said = told.get("message") if isinstance(told, dict) else told
    passing = not isinstance(status, int) or status in TRIED_AGAIN or status >= 500 or status == 200
    return None, f"status {status}{f': {one_line(str(said))}' if said else ''}", passing
