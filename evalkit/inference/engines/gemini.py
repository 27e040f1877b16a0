"""Google's generateContent, as its reference and the types of its Python package have it (read in November 2026).

A request gives one answer here: not every model takes `candidateCount`. Every parameter is sent, since a model's own
defaults cut its distribution.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from evalkit.inference.engines.answers import BadAnswer, Choice
from evalkit.inference.engines.provider import ProviderEngine, body_text, out_of_range, texts_of, unknown
from evalkit.records import FinishReason, Rendered, Sampling

TITLE = "Gemini"
HOTTEST = 2.0
MOST_STOPS = 5
REASONS: Mapping[str, FinishReason] = {"STOP": "stop", "MAX_TOKENS": "length"}
"""`finishReason` -> how a completion ended; with all others (SAFETY, RECITATION, BLOCKLIST, ...) it was withheld."""
ROLES = {"user": "user", "assistant": "model"}


class GeminiEngine(ProviderEngine):
    """Samples from `gemini://MODEL`; the key comes from GEMINI_API_KEY or GOOGLE_API_KEY."""

    name = "gemini"

    def _path(self) -> str:
        return f"/models/{quote(self._checkpoint.model)}:generateContent"

    def _body(self, prompt: Rendered, sampling: Sampling, seed: int) -> dict[str, Any]:
        turns = [(ROLES[role], text) for role, text in prompt.messages if role != "system"]
        body: dict[str, Any] = {
            "contents": [{"role": role, "parts": [{"text": text}]} for role, text in turns],
            "generationConfig": self._settings(sampling, seed),
        }
        system = [text for role, text in prompt.messages if role == "system"]
        if system:
            body["systemInstruction"] = {"parts": [{"text": system[0]}]}
        return body

    def _settings(self, sampling: Sampling, seed: int) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "candidateCount": 1,
            "temperature": sampling.temperature,
            "topP": sampling.top_p,
            "maxOutputTokens": sampling.max_tokens,
            "seed": seed,
        }
        if sampling.top_k:
            settings["topK"] = sampling.top_k
        if sampling.stop:
            settings["stopSequences"] = list(sampling.stop)
        penalties = {"presencePenalty": sampling.presence_penalty, "frequencyPenalty": sampling.frequency_penalty}
        # Some models refuse to hear of them.
        settings |= {name: value for name, value in penalties.items() if value}
        if self._facts.get("thinking") == "True":
            settings["thinkingConfig"] = {"includeThoughts": True}
        return settings

    def _choice(self, body: Mapping[str, Any]) -> Choice:
        candidates = body.get("candidates")
        if not isinstance(candidates, list) or not candidates or not isinstance(candidates[0], Mapping):
            feedback = body.get("promptFeedback")
            if isinstance(feedback, Mapping) and feedback.get("blockReason"):
                return Choice("", (), (), "withheld", None)
            raise BadAnswer(f"answered without any candidate: {body_text(body)}")
        told = candidates[0].get("finishReason")
        if not isinstance(told, str):
            raise BadAnswer("answered without a finishReason")
        content = candidates[0].get("content")
        parts = content.get("parts") if isinstance(content, Mapping) else None
        text = texts_of(parts, "text", lambda part: not part.get("thought"))
        thinking = texts_of(parts, "text", lambda part: part.get("thought") is True)
        if thinking is None and _counts(body).get("thoughtsTokenCount"):
            thinking = ""  # it thought, and does not show it
        return Choice(text or "", (), (), REASONS.get(told, "withheld"), thinking)

    def _usage(self, body: Mapping[str, Any]) -> tuple[Any, Any]:
        counts = _counts(body)
        written, thought = counts.get("candidatesTokenCount", 0), counts.get("thoughtsTokenCount", 0)
        both = written + thought if isinstance(written, int) and isinstance(thought, int) else None
        return counts.get("promptTokenCount"), both


def _counts(body: Mapping[str, Any]) -> Mapping[str, Any]:
    usage = body.get("usageMetadata")
    return usage if isinstance(usage, Mapping) else {}


def refusals(model: str, sampling: Sampling, facts: Mapping[str, str]) -> list[str]:
    """What of the settings the API would ignore, cut or refuse, each with what is allowed.

    `facts`: the model's card, as far as it is known.
    """
    hottest = _hottest(facts)
    reasons = out_of_range("temperature", sampling.temperature, 0, hottest, f"{TITLE}'s {model}")
    reasons += unknown(sampling, ("min_p", "repetition_penalty"), TITLE)
    if len(sampling.stop) > MOST_STOPS:
        reasons.append(f"stop has {len(sampling.stop)} strings; {TITLE} takes {MOST_STOPS} at most")
    if facts and sampling.top_k and "topK" not in facts:
        reasons.append(f"top_k is {sampling.top_k}; {model} lets nobody set it: leave top_k 0")
    if "topK" in facts and not sampling.top_k:
        reasons.append(
            f"top_k is 0, which is all tokens; {model} draws from its {facts['topK']} most likely ones where it is not "
            f"told otherwise, and has no word for all: say top_k: {facts['topK']}"
        )
    most = facts.get("outputTokenLimit", "")
    if most.isdecimal() and sampling.max_tokens > int(most):
        reasons.append(f"max_tokens is {sampling.max_tokens}; {model} writes {most} at most")
    return reasons


def _hottest(facts: Mapping[str, str]) -> float:
    """The highest temperature: what the card allows, where it is a number."""
    with contextlib.suppress(ValueError):
        told = float(facts.get("maxTemperature", HOTTEST))
        return min(HOTTEST, told) if told > 0 else HOTTEST
    return HOTTEST
