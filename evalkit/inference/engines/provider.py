"""What the engines of providers share: a request a draw, sent and tried again as to any server."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.providers import PROVIDERS, own_headers
from evalkit.errors import EngineError
from evalkit.inference.engines.answers import BadAnswer, Choice, count_of, read_body
from evalkit.inference.engines.base import LETTERS_OF_TOKEN, Pair, Progress
from evalkit.inference.engines.clock import Clock
from evalkit.inference.engines.decoding import GREEDY_BELOW
from evalkit.inference.engines.dispatch import BAD_ANSWERS, Dispatch, Reply, Server
from evalkit.inference.engines.openai import all_of, completion_of, request_seeds, unmetered
from evalkit.plumbing.coroutines import run_to_end
from evalkit.records import Completion, Rendered, Sampling
from evalkit.runs.usage import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_Result = TypeVar("_Result")


class ProviderEngine:
    """Samples through a provider's own interface; a draw is a request of its own."""

    name: ClassVar[str]
    local = False
    shard_size = 256
    clock = Clock()

    @staticmethod
    def missing() -> str | None:
        return None

    @staticmethod
    def version() -> str:
        return "v1"

    def __init__(self, checkpoint: Checkpoint, max_length: int) -> None:
        self._checkpoint = checkpoint
        self._facts = dict(checkpoint.served)
        self._servers = [Server(checkpoint.location, checkpoint.serving.concurrency)]
        self.meter: Callable[[Usage], None] = unmetered

    def sample(
        self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, progress: Progress
    ) -> list[Completion]:
        draws = 1 if sampling.temperature < GREEDY_BELOW else sampling.n

        async def ask_all(dispatch: Dispatch) -> list[Choice]:
            async def ask(index: int, draw: int) -> Choice:
                seeds = request_seeds(seed, index, sampling.n)
                choice = await self._draw(dispatch, prompts[index], sampling, seeds[draw])
                progress(sampling.n if draws == 1 else 1, 0)
                return choice

            return await all_of(ask(index, draw) for index in range(len(prompts)) for draw in range(draws))

        drawn = self._run(ask_all)
        return [
            completion_of(prompt, sample_index, drawn[index * draws + sample_index % draws])
            for index, prompt in enumerate(prompts)
            for sample_index in range(sampling.n)
        ]

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        raise EngineError(f"{self._checkpoint.source} cannot score given texts; only vLLM servers can")

    def turn_to(self, checkpoint: Checkpoint) -> None:
        """It serves one alone."""

    def close(self) -> None:
        """Nothing is held between calls."""

    def _path(self) -> str:
        """Where a request goes, below the interface's root."""
        raise NotImplementedError

    def _body(self, prompt: Rendered, sampling: Sampling, seed: int) -> dict[str, Any]:
        """What one request asks for."""
        raise NotImplementedError

    def _choice(self, body: Mapping[str, Any]) -> Choice:
        """The completion that an answer holds. Raises `BadAnswer`."""
        raise NotImplementedError

    def _usage(self, body: Mapping[str, Any]) -> tuple[Any, Any]:
        """Prompt and completion tokens, as far as the answer tells."""
        raise NotImplementedError

    async def _draw(self, dispatch: Dispatch, prompt: Rendered, sampling: Sampling, seed: int) -> Choice:
        headers = own_headers(PROVIDERS[self.name])

        async def request(client: AsyncOpenAI) -> Reply:
            body = self._body(prompt, sampling, seed)
            answer = await client.post(self._path(), body=body, cast_to=str, options={"headers": headers})
            return {}, answer.encode()

        def read(content: bytes) -> Choice:
            body = read_body(content)
            asked, written = map(count_of, self._usage(body))
            if asked is not None and written is not None:  # it is paid for, whatever it is
                self.meter(Usage(prompt.prompt_id, 1, asked, written))
            return self._choice(body)

        letters = sum(len(text) for _, text in prompt.messages)
        try:
            return await dispatch.send(request, read, letters / LETTERS_OF_TOKEN + sampling.max_tokens)
        except BadAnswer as error:
            raise EngineError(
                f"{error}; asked {BAD_ANSWERS} times, it gave no completion of prompt {prompt.prompt_id!r}"
            ) from None

    def _run(self, work: Callable[[Dispatch], Coroutine[Any, Any, _Result]]) -> _Result:
        async def entered() -> _Result:
            timeout = self._checkpoint.serving.timeout
            async with Dispatch(self._servers, timeout, self.clock, _known) as dispatch:
                return await work(dispatch)

        return run_to_end(entered())


async def _known(url: str, client: AsyncOpenAI) -> None:
    """Its model was looked for when the run was planned."""


def texts_of(parts: Any, key: str, wanted: Callable[[Mapping[str, Any]], bool]) -> str | None:
    """The texts under `key` of those parts that are wanted, as one; None where there is no such part."""
    rows = [part for part in parts if isinstance(part, Mapping) and wanted(part)] if isinstance(parts, list) else []
    return "".join(str(part.get(key) or "") for part in rows) if rows else None


def out_of_range(name: str, value: float, low: float, high: float, title: str) -> list[str]:
    """Why a setting is refused, if it is."""
    return [] if low <= value <= high else [f"{name} is {value:g}; {title} takes {low:g} to {high:g}"]


def unknown(sampling: Sampling, names: Sequence[str], title: str) -> list[str]:
    """Settings that change what is drawn and that a provider has no word for."""
    given = {**sampling.departures, **({"min_p": sampling.min_p} if sampling.min_p else {})}
    return [f"{name} is {given[name]:g}; {title} has no such parameter" for name in names if name in given]


def body_text(value: Any) -> str:
    """What an answer is, short, for errors."""
    return json.dumps(value)[:120]
