"""Any server that speaks the OpenAI API: a vLLM server on a cluster, llama.cpp, a provider; or a pool of them.

Base checkpoints are asked through /v1/completions with the rendered text, tuned ones through /v1/chat/completions with
messages, so that the server applies their chat template. What servers do differently is settled here:

- fewer choices than asked for are topped up by further requests, and a choice without text is none;
- vLLM seeds a request's n children seed, seed + 1, ...: requests get seeds a stride apart, so that no two children
  of a call share one;
- a server that refuses log-probs or seeds is asked without, and a warning says so; vLLM on a CPU gets no seed, since
  its engine process dies ("CPU Generator does not use offset") when a seeded request's prompt is computed in chunks;
- a vLLM server applies the checkpoint's generation_config unless each parameter is sent, so each one is.

When which server is asked, and what is tried again, is in `dispatch.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.clients import SECRET_KEY, one_line, without_keys
from evalkit.checkpoints.pools import differing, pool_facts
from evalkit.checkpoints.servers import base_url, card_facts, listed, only_model
from evalkit.errors import EngineError
from evalkit.inference.engines.answers import BadAnswer, Choice, read_body, read_choices, read_usage
from evalkit.inference.engines.base import LETTERS_OF_TOKEN, Pair, Progress
from evalkit.inference.engines.clock import Clock
from evalkit.inference.engines.decoding import GREEDY_BELOW
from evalkit.inference.engines.dispatch import BAD_ANSWERS, Dispatch, Refusal, Reply, Server
from evalkit.plumbing.coroutines import run_to_end
from evalkit.records import NEUTRAL, Completion, Rendered, Sampling
from evalkit.runs.usage import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

SEEDS = 2**31
"""Some servers keep seeds in a signed number of 32 bits."""
OPTIONAL = ("logprobs", "seed")
"""What a server may refuse and the samples still are what was asked for."""
NOT_UNDERSTOOD = (400, 422)
"""Statuses of a request that has something in it which the server does not take."""
_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class OpenAIEngine:
    """Samples from the server at `checkpoint.location`, or from its pool.

    The API key comes from EVALKIT_API_KEY or OPENAI_API_KEY.
    """

    name = "openai"
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
        serving = checkpoint.serving
        self._timeout = serving.timeout
        self._pool = serving.pool
        self._served = dict(checkpoint.served)
        self._servers = [Server(base_url(url), serving.concurrency) for url in (serving.pool or (checkpoint.location,))]
        self._left_out: set[str] = set()
        self._answered_as: set[str] = set()
        self._model = checkpoint.model
        self._is_vllm = False
        self.meter: Callable[[Usage], None] = unmetered
        self._run(Dispatch.reach)

    @property
    def _url(self) -> str:
        return ", ".join(server.url for server in self._servers)

    def sample(
        self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, progress: Progress
    ) -> list[Completion]:
        async def ask_all(dispatch: Dispatch) -> list[list[Completion]]:
            async def ask(index: int, prompt: Rendered) -> list[Completion]:
                done = await self._completions(dispatch, prompt, sampling, request_seeds(seed, index, sampling.n))
                progress(len(done), sum(len(completion.token_ids) for completion in done))
                return done

            return await all_of(ask(index, prompt) for index, prompt in enumerate(prompts))

        return [completion for done in self._run(ask_all) for completion in done]

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        """As the protocol says; only a vLLM server can do it, any other is an `EngineError`."""
        if not self._is_vllm:
            raise EngineError(f"the server at {self._url} cannot score given texts; only vLLM servers can")

        async def score_all(dispatch: Dispatch) -> list[tuple[float, ...]]:
            return await all_of(self._score(dispatch, *pair) for pair in pairs)

        return self._run(score_all)

    def turn_to(self, checkpoint: Checkpoint) -> None:
        """It serves one alone."""

    def close(self) -> None:
        """Nothing is held between calls."""

    def _run(self, work: Callable[[Dispatch], Coroutine[Any, Any, _Result]]) -> _Result:
        async def entered() -> _Result:
            async with Dispatch(self._servers, self._timeout, self.clock, self._meet) as dispatch:
                return await work(dispatch)

        return run_to_end(entered())

    async def _meet(self, url: str, client: AsyncOpenAI) -> None:
        """See what a server serves; one of a pool must serve what the others do. Raises `EngineError`."""
        cards = await _cards(client)
        ids = [str(card.get("id")) for card in cards]
        self._model = self._model or only_model(ids, url)
        if self._pool:
            self._check_alike(url, next((card for card in cards if card.get("id") == self._model), None))
        self._is_vllm = any(card.get("owned_by") == "vllm" for card in cards)
        if self._is_vllm and await _is_on_cpu(client, url):
            self._leave_out("seed", "evalkit's choice, since vLLM's CPU build dies of one when it cuts a long prompt")

    def _check_alike(self, url: str, card: Mapping[str, Any] | None) -> None:
        if card is None:
            raise EngineError(f"{url} does not serve {self._model}, which each server of its pool must")
        facts = pool_facts(card_facts(card))
        known = {name: self._served[name] for name in facts if name in self._served}
        if differences := differing(known, facts) if self._served else []:
            raise EngineError(f"{url} tells of another model than its pool ({'; '.join(differences)})")

    async def _completions(
        self, dispatch: Dispatch, prompt: Rendered, sampling: Sampling, seeds: Sequence[int]
    ) -> list[Completion]:
        # vLLM refuses several greedy draws, which could only be the same.
        draws = 1 if sampling.temperature < GREEDY_BELOW else sampling.n
        choices: list[Choice] = []
        while len(choices) < draws:
            lacking = draws - len(choices)
            try:
                choices += await self._ask(dispatch, prompt, sampling, lacking, seeds[len(choices)])
            except BadAnswer as error:
                raise EngineError(
                    f"{error}; asked {BAD_ANSWERS} times, it gave no completion of prompt {prompt.prompt_id!r}"
                ) from None
        return [completion_of(prompt, index, choices[index % draws]) for index in range(sampling.n)]

    async def _ask(self, dispatch: Dispatch, prompt: Rendered, sampling: Sampling, n: int, seed: int) -> list[Choice]:
        """One request, again without what the server refuses of `OPTIONAL`; at least one choice, at most n."""

        def read(content: bytes) -> list[Choice]:
            body = read_body(content)
            self._hear_name(body.get("model"))
            choices: list[Choice] = []
            try:
                choices = read_choices(body, bool(prompt.messages))[:n]
            finally:  # it is paid for, whatever it is
                if counts := read_usage(body):
                    self.meter(Usage(prompt.prompt_id, len(choices), *counts))
            return choices

        while True:
            offered = [name for name in OPTIONAL if name not in self._left_out]
            try:
                return await dispatch.send(
                    lambda client: self._request(client, prompt, sampling, n, seed), read, _tokens(prompt, sampling, n)
                )
            except Refusal as refusal:
                refused = next((name for name in offered if name in refusal.message.lower()), None)
                if refusal.status not in NOT_UNDERSTOOD or refused is None:
                    raise
                self._leave_out(refused, f"the server refuses it ({refusal.message})")

    async def _request(self, client: AsyncOpenAI, prompt: Rendered, sampling: Sampling, n: int, seed: int) -> Reply:
        settings = self._settings(prompt, sampling, n, seed)
        if prompt.messages:
            return _reply(await client.chat.completions.with_raw_response.create(**settings))
        return _reply(await client.completions.with_raw_response.create(**settings))

    def _settings(self, prompt: Rendered, sampling: Sampling, n: int, seed: int) -> dict[str, Any]:
        """What one request asks for; `extra_body` holds what is no part of the OpenAI API."""
        settings: dict[str, Any] = {
            "model": self._model,
            "n": n,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "max_tokens": sampling.max_tokens,
            "extra_body": self._extras(sampling),
        }
        if sampling.stop:
            settings["stop"] = list(sampling.stop)
        if "seed" not in self._left_out:
            settings["seed"] = seed
        if prompt.messages:
            if "logprobs" not in self._left_out:
                settings["logprobs"] = True
            if prompt.chat_template_kwargs:
                settings["extra_body"]["chat_template_kwargs"] = json.loads(prompt.chat_template_kwargs)
            return settings | {"messages": [{"role": role, "content": text} for role, text in prompt.messages]}
        if "logprobs" not in self._left_out:
            settings["logprobs"] = 0
        return settings | {"prompt": prompt.text}

    def _extras(self, sampling: Sampling) -> dict[str, Any]:
        """What is no part of the OpenAI API; other servers may refuse to hear of it, so they are told what departs."""
        settings = {"min_p": sampling.min_p, "top_k": sampling.top_k, "repetition_penalty": sampling.repetition_penalty}
        if self._is_vllm:
            return {**settings, "min_tokens": 0, "return_token_ids": True}
        neutral = {**NEUTRAL, "min_p": 0.0}
        return {name: value for name, value in settings.items() if value != neutral[name]}

    async def _score(
        self, dispatch: Dispatch, prompt: tuple[int, ...], completion: tuple[int, ...]
    ) -> tuple[float, ...]:
        tokens = [*prompt, *completion]

        async def request(client: AsyncOpenAI) -> Reply:
            return _reply(
                await client.completions.with_raw_response.create(
                    model=self._model, prompt=tokens, max_tokens=1, temperature=0.0, extra_body={"prompt_logprobs": 0}
                )
            )

        return await dispatch.send(request, lambda content: _scores(content, tokens, len(prompt)), len(tokens) + 1)

    def _hear_name(self, told: Any) -> None:
        """Warn where answers name another model than those before: an alias may be turned to one at any time."""
        name = one_line(told) if isinstance(told, str) else ""
        if name and name not in self._answered_as:
            if self._answered_as:
                before = ", ".join(sorted(self._answered_as))
                _log.warning("%s answered as %s and now as %s: these are samples of both", self._url, before, name)
            self._answered_as.add(name)

    def _leave_out(self, what: str, why: str) -> None:
        if what not in self._left_out:
            self._left_out.add(what)
            _log.warning("%s is asked without %s: %s", self._url, what, why)


def request_seeds(seed: int, index: int, n: int) -> list[int]:
    """The seeds of prompt `index`'s n draws: a block of n consecutive numbers that no other prompt of the call has.

    A request for what is still lacking after k draws starts at the block's k-th seed. Blocks of different calls begin
    at hashed places, so that one prompt practically never gets a seed twice; all are below what every server takes.
    """
    start = int.from_bytes(hashlib.sha256(f"requests {seed}".encode()).digest()[:8], "big")
    begin = (start + index * n) % (SEEDS - n)
    return [begin + sample_index for sample_index in range(n)]


async def all_of(work: Iterable[Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """All results in order; the first failure ends the rest."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in work]
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]


async def _cards(client: AsyncOpenAI) -> list[Mapping[str, Any]]:
    """The models that a server lists; not every server has the page. Raises `BadAnswer`."""
    import openai

    try:
        text = await client.get("/models", cast_to=str)
    except openai.NotFoundError:
        return []
    try:
        return list(listed(json.loads(text)).values())
    except (ValueError, RecursionError):
        raise BadAnswer(f"answered what is no list of models: {one_line(text)!r}") from None


async def _is_on_cpu(client: AsyncOpenAI, url: str) -> bool:
    """Whether a vLLM server shows the block size that only its CPU build takes by itself."""
    import openai

    try:
        metrics = await client.get(f"{url.removesuffix('/v1')}/metrics", cast_to=str)
    except openai.APIStatusError:
        return False
    facts = next((line for line in metrics.splitlines() if line.startswith("vllm:cache_config_info{")), "")
    return 'block_size="128"' in facts and 'user_specified_block_size="False"' in facts


def _reply(response: Any) -> Reply:
    return response.headers, response.http_response.content


def _tokens(prompt: Rendered, sampling: Sampling, n: int) -> float:
    """How many a request may take, by which servers that limit them count it."""
    return prompt.letters / LETTERS_OF_TOKEN + n * sampling.max_tokens


def completion_of(prompt: Rendered, sample_index: int, choice: Choice) -> Completion:
    """A choice as the draw of a prompt."""
    return Completion(
        prompt_id=prompt.prompt_id,
        sample_index=sample_index,
        text=without_keys(choice.text, SECRET_KEY),
        token_ids=choice.token_ids,
        logprobs=choice.logprobs,
        finish_reason=choice.finish_reason,
        thinking=choice.thinking and without_keys(choice.thinking, SECRET_KEY),
        thinking_tokens=choice.thinking_tokens,
    )


def _scores(content: bytes, tokens: Sequence[int], start: int) -> tuple[float, ...]:
    """The log-probs of all tokens from `start` on. Raises `BadAnswer`."""
    try:
        given = read_body(content)["choices"][0]["prompt_logprobs"]
        return tuple(float(given[place][str(tokens[place])]["logprob"]) for place in range(start, len(tokens)))
    except (KeyError, IndexError, TypeError, ValueError):
        raise BadAnswer("sent no prompt_logprobs") from None


def unmetered(usage: Usage) -> None:
    """Nobody asked what it takes."""
