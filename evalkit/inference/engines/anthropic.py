"""Anthropic's Messages API, as its reference and the types of its Python package have it (read in November 2026).

A request gives one answer. `temperature`, `top_p` and `top_k` are sent where they depart from drawing as the model
does, so that models which take none of them can be drawn from as they are. The API's version is 2023-06-01, since the
next, 2026-10-21, takes them of no model; Anthropic keeps the parameters that a version has
(platform.claude.com/docs/en/api/versioning).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from evalkit.inference.engines.answers import BadAnswer, Choice
from evalkit.inference.engines.provider import ProviderEngine, out_of_range, texts_of, unknown
from evalkit.records import FinishReason, Rendered, Sampling

TITLE = "Anthropic"
REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "withheld",
}
"""`stop_reason` -> how a completion ended. Others belong to tools, which are not offered."""
OPEN_SAMPLING = re.compile(r"claude-(?:[23][-.]|instant|(?:opus|sonnet|haiku)-4(?:-[0-6])?(?:-(?:\d{8}|latest))?$)")
"""Models whose sampling can be set: the API refuses it of Claude Opus 4.7 and all after it."""
BOTH = re.compile(r"claude-(?:[23][-.]|instant)")
"""Those that take temperature and top_p in one request: from Claude 4 on it is one of them."""


class AnthropicEngine(ProviderEngine):
    """Samples from `anthropic://MODEL`; the key comes from ANTHROPIC_API_KEY."""

    name = "anthropic"

    def _path(self) -> str:
        return "/messages"

    def _body(self, prompt: Rendered, sampling: Sampling, seed: int) -> dict[str, Any]:
        system = [text for role, text in prompt.messages if role == "system"]
        turns = [{"role": role, "content": text} for role, text in prompt.messages if role != "system"]
        body: dict[str, Any] = {
            "model": self._checkpoint.model,
            "max_tokens": sampling.max_tokens,
            "messages": turns,
        }
        if system:
            body["system"] = system[0]
        if sampling.stop:
            body["stop_sequences"] = list(sampling.stop)
        return body | set_sampling(sampling)

    def _choice(self, body: Mapping[str, Any]) -> Choice:
        blocks, told = body.get("content"), str(body.get("stop_reason"))
        if not isinstance(blocks, list) or told not in REASONS:
            raise BadAnswer(f"answered with stop_reason {told!r}, which a request without tools does not end with")
        text = texts_of(blocks, "text", lambda block: block.get("type") == "text")
        thinking = texts_of(blocks, "thinking", lambda block: block.get("type") in ("thinking", "redacted_thinking"))
        return Choice(text or "", (), (), REASONS[told], thinking)

    def _usage(self, body: Mapping[str, Any]) -> tuple[Any, Any]:
        usage = body.get("usage")
        counts = usage if isinstance(usage, Mapping) else {}
        return counts.get("input_tokens"), counts.get("output_tokens")


def set_sampling(sampling: Sampling) -> dict[str, float]:
    """The parameters of sampling that depart from drawing as the model does."""
    given = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    return {name: value for name, value in given.items() if value != {"top_k": 0}.get(name, 1.0)}


def refusals(model: str, sampling: Sampling, facts: Mapping[str, str]) -> list[str]:
    """What of the settings the API would ignore, cut or refuse, each with what is allowed.

    `facts`: the model's card, as far as it is known.
    """
    given = set_sampling(sampling)
    reasons = out_of_range("temperature", sampling.temperature, 0, 1, TITLE)
    if given and not OPEN_SAMPLING.match(model):
        reasons.append(
            f"{', '.join(f'{name} is {value:g}' for name, value in given.items())}; {TITLE} lets nobody set the "
            f"sampling of models after Claude Opus 4.6, and {model} is not known to be an earlier one; leave "
            "temperature 1, top_p 1 and top_k 0"
        )
    elif {"temperature", "top_p"} <= given.keys() and not BOTH.match(model):
        reasons.append(f"temperature and top_p are both set; {TITLE} takes one of them for {model}")
    reasons += unknown(sampling, ("min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"), TITLE)
    if blank := next((stop for stop in sampling.stop if not stop.strip()), None):
        reasons.append(f"stop has {blank!r}; {TITLE} takes no stop string of white space alone")
    most = facts.get("max_tokens", "")
    if most.isdecimal() and sampling.max_tokens > int(most):
        reasons.append(f"max_tokens is {sampling.max_tokens}; {model} writes {most} at most")
    return reasons
