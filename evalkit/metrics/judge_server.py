"""A judge: a language model on a server that speaks the OpenAI API, asked short questions, its answers kept.

EVALKIT_JUDGE_URL says where it is, EVALKIT_JUDGE_KEY is its key if it wants one. Which model answers there is asked
first. What it said is kept: in the cache where the server names the weights, else in the run's folder alone, since
another model may answer by the same name tomorrow. What could not be read is not kept.

Texts that are judged stand between marks that none of them can know beforehand, and the judge is told that nothing
between them is an instruction; that makes attacks by a text harder, not impossible.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.checkpoints.clients import UnreadableAnswer, api_key, one_line, open_async_client, refused
from evalkit.checkpoints.servers import Served, base_url, identify, shown, url_fault
from evalkit.errors import EngineError, MetricError, ServerError
from evalkit.plumbing.array_cache import key_of, recall, remember
from evalkit.plumbing.coroutines import run_to_end
from evalkit.records import Prompt

if TYPE_CHECKING:
    from openai import AsyncOpenAI

KEYS = ("EVALKIT_JUDGE_KEY",)
CONCURRENT_REQUESTS = 8
RETRIES = 6
"""After 429, 5xx and lost connections, with growing waits (the openai package's)."""
READ_SECONDS = 120.0
MAX_TOKENS = 16
Messages = list[dict[str, str]]
Read = Callable[[str | None], float]
"""The number that an answer stands for; NaN for one that is none."""


@dataclass(frozen=True)
class Judge:
    """A model on the judges' server, temperature 0."""

    model: str
    """Its name there."""
    metric: str
    """Who asks, in errors."""

    def identity(self) -> dict[str, str]:
        """What the server tells of it, as a hash; so a run without one that answers is refused before it samples."""
        return {"served": key_of({"facts": dict(self._served.facts)})[:12]}

    def verdicts(self, questions: Sequence[Messages], read: Read) -> list[float]:
        """A number for each question, from what is kept where it was asked before; each different one is asked once.

        NaN where `read` makes nothing of the answer. Raises `MetricError` without a proper EVALKIT_JUDGE_URL,
        `EngineError` when the server does not answer.
        """
        served = self._served
        judge = {"url": self._url(), "model": self.model, "served": dict(served.facts)}
        keys = [key_of({"judge": judge, "messages": messages}) for messages in questions]
        asked = dict(zip(keys, questions, strict=True))
        cached = {key: recall("verdicts", key, served.names_weights) for key in asked}
        verdicts = {key: float(arrays[0]) for key, arrays in cached.items() if arrays is not None}
        missing = [key for key in asked if key not in verdicts]
        if missing:
            answers = self._ask([asked[key] for key in missing])
            for key, verdict in zip(missing, map(read, answers), strict=True):
                verdicts[key] = verdict
                if not np.isnan(verdict):
                    remember("verdicts", key, [np.array(verdict)], _warn, served.names_weights)
        return [verdicts[key] for key in keys]

    def _url(self) -> str:
        url = os.environ.get("EVALKIT_JUDGE_URL", "")
        if not url:
            raise MetricError(
                f"metric {self.metric} needs a server: set EVALKIT_JUDGE_URL to one that speaks the OpenAI API "
                "(http://host:port/v1), and EVALKIT_JUDGE_KEY to its key if it wants one"
            )
        if fault := url_fault(url):
            raise MetricError(f"metric {self.metric}: EVALKIT_JUDGE_URL {shown(url)!r} {fault}")
        return base_url(url)

    @cached_property
    def _served(self) -> Served:
        try:
            return identify(self._url(), self.model, KEYS)
        except ServerError as error:
            raise ServerError(f"the judge: {error}") from None

    def _ask(self, questions: Sequence[Messages]) -> list[str | None]:
        import openai

        url = self._url()

        async def ask_all() -> list[str | None]:
            async with open_async_client(url, api_key(KEYS), READ_SECONDS, RETRIES, READ_SECONDS) as client:
                connections = asyncio.Semaphore(CONCURRENT_REQUESTS)
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._ask_one(client, connections, one)) for one in questions]
                return [task.result() for task in tasks]

        try:
            return run_to_end(ask_all())
        except* openai.APIStatusError as errors:
            error: Any = errors.exceptions[0]
            raise EngineError(f"the judge at {url} {refused(error)}") from None
        except* openai.APIConnectionError as errors:
            cause = errors.exceptions[0]
            why = one_line(str(cause.__cause__ or cause))
            raise EngineError(f"no answer from the judge at {url} after {RETRIES + 1} tries: {why}") from None
        except* UnreadableAnswer as errors:
            raise EngineError(f"the judge at {url} {errors.exceptions[0]}") from None

    async def _ask_one(self, client: AsyncOpenAI, connections: asyncio.Semaphore, messages: Messages) -> str | None:
        async with connections:
            reply = await client.chat.completions.with_raw_response.create(
                model=self.model, messages=messages, temperature=0, max_tokens=MAX_TOKENS
            )
        return _said(reply.http_response.content)


def marked(system: str, texts: Mapping[str, str]) -> Messages:
    """What a judge reads: texts by their titles, between marks that hold a hash of them all, as none can itself."""
    mark = hashlib.sha256("\0".join(texts.values()).encode("utf-8", "replace")).hexdigest()[:16]
    parts = [f"[{title} {mark}]\n{text}\n[END {mark}]" for title, text in texts.items()]
    return [{"role": "system", "content": system}, {"role": "user", "content": "\n\n".join(parts)}]


def request_of(prompt: Prompt) -> str:
    """The prompt's text; before a conversation, what the answers are to it."""
    return f"(A conversation; each answer is its next turn.)\n\n{prompt.text}" if prompt.messages else prompt.text


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def _said(content: bytes) -> str | None:
    """What the judge answered; None where that is no answer."""
    try:
        text = json.loads(content)["choices"][0]["message"]["content"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return text if isinstance(text, str) else None
