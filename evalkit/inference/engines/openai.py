"""Any server that speaks the OpenAI API: a vLLM server on a cluster, llama.cpp, a provider.

Base checkpoints are asked through /v1/completions with the rendered text, tuned ones through /v1/chat/completions with
messages, so that the server applies their chat template. What servers do differently is settled here:

- fewer choices than asked for are topped up by further requests;
- vLLM seeds a request's n children seed, seed + 1, ...: requests get seeds a stride apart, so that no two children
  of a call share one;
- a server that refuses log-probs or seeds is asked without, and a warning says so; vLLM on a CPU gets no seed, since
  its engine process dies ("CPU Generator does not use offset") when a seeded request's prompt is computed in chunks;
- a vLLM server applies the checkpoint's generation_config unless each parameter is sent, so each one is.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from evalkit.checkpoints.servers import api_key, base_url, failures_of, one_line, only_model
from evalkit.errors import EngineError
from evalkit.inference.engines.base import Pair, Progress
from evalkit.inference.engines.decoding import GREEDY_BELOW
from evalkit.plumbing.coroutines import run_to_end
from evalkit.records import NEUTRAL, Checkpoint, Completion, FinishReason, Rendered, Sampling

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONCURRENT_REQUESTS = 8
RETRIES = 6
"""After 429, 5xx and lost connections; waits grow from half a second to 8 s, with jitter (the openai package's)."""
CONNECT_SECONDS = 10.0
READ_SECONDS = 600.0
SEEDS = 2**31
"""Some servers keep seeds in a signed number of 32 bits."""
OPTIONAL = ("logprobs", "seed")
"""What a server may refuse and the samples still are what was asked for."""
_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class OpenAIEngine:
    """Samples from the server at `checkpoint.location`; the API key comes from EVALKIT_API_KEY or OPENAI_API_KEY."""

    name = "openai"
    local = False
    shard_size = 256

    @staticmethod
    def missing() -> str | None:
        return None

    @staticmethod
    def version() -> str:
        return "v1"

    def __init__(self, checkpoint: Checkpoint, max_length: int) -> None:
        self._chats = checkpoint.kind == "tuned"
        self._url = base_url(checkpoint.location)
        self._left_out: set[str] = set()
        models = self._run(self._models)
        self._model = checkpoint.model or only_model([str(model.id) for model in models], self._url)
        self._is_vllm = any(model.owned_by == "vllm" for model in models)
        if self._is_vllm and self._run(self._is_on_cpu):
            self._leave_out("seed", "evalkit's choice, since vLLM's CPU build dies of one when it cuts a long prompt")

    def sample(
        self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, progress: Progress
    ) -> list[Completion]:
        async def ask_all(client: AsyncOpenAI) -> list[list[Completion]]:
            places = asyncio.Semaphore(CONCURRENT_REQUESTS)

            async def ask(index: int, prompt: Rendered) -> list[Completion]:
                async with places:
                    seeds = request_seeds(seed, index, sampling.n)
                    done = await self._completions(client, prompt, sampling, seeds)
                progress(len(done), sum(len(completion.token_ids) for completion in done))
                return done

            return await _all(ask(index, prompt) for index, prompt in enumerate(prompts))

        return [completion for done in self._run(ask_all) for completion in done]

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        """As the protocol says; only a vLLM server can do it, any other is an `EngineError`."""
        if not self._is_vllm:
            raise EngineError(f"the server at {self._url} cannot score given texts; only vLLM servers can")

        async def score_all(client: AsyncOpenAI) -> list[tuple[float, ...]]:
            places = asyncio.Semaphore(CONCURRENT_REQUESTS)

            async def score(pair: Pair) -> tuple[float, ...]:
                async with places:
                    return await self._score(client, *pair)

            return await _all(score(pair) for pair in pairs)

        return self._run(score_all)

    def turn_to(self, checkpoint: Checkpoint) -> None:
        """It serves one alone."""

    def close(self) -> None:
        """Nothing is held between calls."""

    def _run(self, work: Callable[[AsyncOpenAI], Coroutine[Any, Any, _Result]]) -> _Result:
        """Run `work` with a client, and say what went wrong in terms of the server."""
        import openai

        async def with_client() -> _Result:
            timeout = openai.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
            async with openai.AsyncOpenAI(
                base_url=self._url, api_key=api_key(), max_retries=RETRIES, timeout=timeout
            ) as client:
                return await work(client)

        with failures_of(self._url, RETRIES, EngineError):
            return run_to_end(with_client())

    async def _models(self, client: AsyncOpenAI) -> list[Any]:
        return list((await client.models.list()).data)

    async def _is_on_cpu(self, client: AsyncOpenAI) -> bool:
        """Whether a vLLM server shows the block size that only its CPU build takes by itself."""
        import openai

        try:
            metrics = await client.get(f"{self._url.removesuffix('/v1')}/metrics", cast_to=str)
        except openai.APIStatusError:
            return False
        facts = next((line for line in metrics.splitlines() if line.startswith("vllm:cache_config_info{")), "")
        return 'block_size="128"' in facts and 'user_specified_block_size="False"' in facts

    async def _completions(
        self, client: AsyncOpenAI, prompt: Rendered, sampling: Sampling, seeds: Sequence[int]
    ) -> list[Completion]:
        # vLLM refuses several greedy draws, which could only be the same.
        draws = 1 if sampling.temperature < GREEDY_BELOW else sampling.n
        choices: list[tuple[Any, int | None]] = []
        while len(choices) < draws:
            lacking = draws - len(choices)
            answer = await self._ask(client, prompt, sampling, lacking, seeds[len(choices)])
            if not answer.choices:
                raise EngineError(f"{self._url} gave no completion of prompt {prompt.prompt_id!r}")
            thinking_tokens = _reasoning_tokens(answer)
            choices += [(choice, thinking_tokens) for choice in answer.choices[:lacking]]
        return [
            self._completion(prompt, sample_index, *choices[sample_index % draws]) for sample_index in range(sampling.n)
        ]

    async def _ask(self, client: AsyncOpenAI, prompt: Rendered, sampling: Sampling, n: int, seed: int) -> Any:
        """One request, again without what the server refuses of `OPTIONAL`."""
        import openai

        while True:
            offered = [name for name in OPTIONAL if name not in self._left_out]
            try:
                return await self._request(client, prompt, sampling, n, seed)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                refused = next((name for name in offered if name in error.message.lower()), None)
                if refused is None:
                    raise
                self._leave_out(refused, f"the server refuses it ({one_line(error.message)})")

    async def _request(self, client: AsyncOpenAI, prompt: Rendered, sampling: Sampling, n: int, seed: int) -> Any:
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
        if self._chats:
            if "logprobs" not in self._left_out:
                settings["logprobs"] = True
            messages = [{"role": role, "content": text} for role, text in prompt.messages]
            if prompt.chat_template_kwargs:
                settings["extra_body"]["chat_template_kwargs"] = json.loads(prompt.chat_template_kwargs)
            return await client.chat.completions.create(messages=messages, **settings)
        if "logprobs" not in self._left_out:
            settings["logprobs"] = 0
        return await client.completions.create(prompt=prompt.text, **settings)

    def _extras(self, sampling: Sampling) -> dict[str, Any]:
        """What is no part of the OpenAI API; other servers may refuse to hear of it, so they are told what departs."""
        settings = {"min_p": sampling.min_p, "top_k": sampling.top_k, "repetition_penalty": sampling.repetition_penalty}
        if self._is_vllm:
            return {**settings, "min_tokens": 0, "return_token_ids": True}
        neutral = {**NEUTRAL, "min_p": 0.0}
        return {name: value for name, value in settings.items() if value != neutral[name]}

    def _completion(self, prompt: Rendered, sample_index: int, choice: Any, thinking_tokens: int | None) -> Completion:
        reason: FinishReason = "length" if choice.finish_reason == "length" else "stop"
        text = choice.message.content if self._chats else choice.text
        return Completion(
            prompt_id=prompt.prompt_id,
            sample_index=sample_index,
            text=text or "",
            token_ids=tuple(getattr(choice, "token_ids", None) or ()),
            logprobs=_logprobs(choice.logprobs),
            finish_reason=reason,
            thinking=_thinking(choice.message) if self._chats else None,
            thinking_tokens=thinking_tokens,
        )

    async def _score(
        self, client: AsyncOpenAI, prompt: tuple[int, ...], completion: tuple[int, ...]
    ) -> tuple[float, ...]:
        tokens = [*prompt, *completion]
        answer = await client.completions.create(
            model=self._model, prompt=tokens, max_tokens=1, temperature=0.0, extra_body={"prompt_logprobs": 0}
        )
        given: Any = getattr(answer.choices[0], "prompt_logprobs", None)
        if not given:
            raise EngineError(f"{self._url} sent no prompt_logprobs")
        return tuple(
            float(given[position][str(tokens[position])]["logprob"]) for position in range(len(prompt), len(tokens))
        )

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


async def _all(work: Iterable[Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """All results in order; the first failure ends the rest."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in work]
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]


def _thinking(message: Any) -> str | None:
    """What servers that tell thinking apart call `reasoning_content`, newer ones `reasoning`."""
    texts = (getattr(message, name, None) for name in ("reasoning_content", "reasoning"))
    return next((text for text in texts if isinstance(text, str) and text), None)


def _reasoning_tokens(answer: Any) -> int | None:
    """Tokens of thinking, as the usage of an answer with a single choice tells them: of several it tells the sum."""
    details = getattr(getattr(answer, "usage", None), "completion_tokens_details", None)
    tokens = getattr(details, "reasoning_tokens", None)
    return tokens if len(answer.choices) == 1 and isinstance(tokens, int) else None


def _logprobs(given: Any) -> tuple[float, ...]:
    if given is None:
        return ()
    chat = getattr(given, "content", None)
    if chat is not None:
        return tuple(float(token.logprob) for token in chat)
    return tuple(float(logprob) for logprob in getattr(given, "token_logprobs", None) or ())
