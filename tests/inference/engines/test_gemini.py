"""The gemini engine against a server that speaks generateContent; Google itself is not asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.resolution import resolve
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import EngineError
from evalkit.inference.engines.base import open_engine
from evalkit.inference.engines.gemini import GeminiEngine, refusals
from evalkit.inference.engines.openai import request_seeds
from evalkit.records import Completion, Rendered, Sampling
from evalkit.runs.usage import Usage
from tests.providers_served import GEMINI, KEY, ProvidingServer, candidate
from tests.providers_served import providing as providing

Make = Callable[..., Sampling]
TURNS = (("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi."), ("user", "A colour?"))
CHAT = Rendered("one", "A colour?", (), TURNS)
CARD = {"topK": "64", "maxTemperature": "2", "outputTokenLimit": "65536"}


def found() -> Checkpoint:
    return resolve("gem", CheckpointSpec(path="gemini://gemini-2.5-flash", kind="tuned"))


def drawn(sampling: Sampling) -> list[Completion]:
    with open_engine("gemini", found(), 0) as engine:
        return engine.sample([CHAT], sampling, 1, lambda completions, tokens: None)


def test_n_answers_are_n_requests_with_a_seed_each_and_every_parameter_said(
    providing: ProvidingServer, sampling: Make
) -> None:
    done = drawn(sampling(n=3, temperature=0.5, top_k=64, presence_penalty=0.5, stop=("\n\n",)))
    assert sorted(one.text for one in done) == ["answer 1", "answer 2", "answer 3"]
    assert sorted(body["generationConfig"].pop("seed") for body in providing.bodies) == request_seeds(1, 0, 3)
    assert providing.bodies == 3 * [
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Hello"}]},
                {"role": "model", "parts": [{"text": "Hi."}]},
                {"role": "user", "parts": [{"text": "A colour?"}]},
            ],
            "generationConfig": {
                "candidateCount": 1,
                "temperature": 0.5,
                "topP": 1.0,
                "topK": 64,
                "maxOutputTokens": 16,
                "presencePenalty": 0.5,
                "stopSequences": ["\n\n"],
                "thinkingConfig": {"includeThoughts": True},
            },
        }
    ]
    path, headers, _ = providing.requests[0]
    assert path == "/v1/models/gemini-2.5-flash:generateContent"
    assert headers["x-goog-api-key"] == KEY
    assert "authorization" not in headers


def test_thoughts_are_asked_for_only_of_a_model_that_thinks(providing: ProvidingServer, sampling: Make) -> None:
    del providing.cards["/v1/models/gemini-2.5-flash"]["thinking"]
    try:
        drawn(sampling(n=1))
    finally:
        GEMINI["thinking"] = True
    assert "thinkingConfig" not in providing.bodies[0]["generationConfig"]


@pytest.mark.parametrize(
    ("answer", "text", "finish", "thinking", "is_answer"),
    [
        (candidate("Red"), "Red", "stop", None, True),
        (candidate("Re", "MAX_TOKENS"), "Re", "length", None, True),
        (candidate("Red", before=({"text": "Warm.", "thought": True},), thought=4), "Red", "stop", "Warm.", True),
        (candidate("", "MAX_TOKENS", thought=16), "", "length", "", False),
        (candidate("", "SAFETY"), "", "withheld", None, False),
        (candidate("Re", "RECITATION"), "Re", "withheld", None, True),
        (candidate("", "PROHIBITED_CONTENT"), "", "withheld", None, False),
        ({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 7}}, "", "withheld", None, False),
    ],
)  # fmt: skip
def test_thoughts_are_apart_and_endings_are_told_from_each_other(
    providing: ProvidingServer, sampling: Make, answer: dict[str, Any], text: str, finish: str, thinking: str | None, is_answer: bool
) -> None:  # fmt: skip
    providing.answer = lambda body: (200, answer)
    [one] = drawn(sampling(n=1))
    assert (one.text, one.finish_reason, one.thinking, one.is_answer) == (text, finish, thinking, is_answer)


def test_googles_own_package_reads_what_the_server_answers_and_knows_all_that_is_sent(
    providing: ProvidingServer, sampling: Make
) -> None:
    from google import genai
    from google.genai import types

    drawn(sampling(n=1, top_k=64, stop=("x",)))
    [body] = providing.bodies
    types.GenerationConfig.model_validate(body["generationConfig"])
    for content in (*body["contents"], body["systemInstruction"]):
        types.Content.model_validate(content)
    types.GenerateContentResponse.model_validate(
        candidate("Red", before=({"text": "Warm.", "thought": True},), thought=4)
    )
    client = genai.Client(api_key=KEY)
    said = client.models.generate_content(
        model="gemini-2.5-flash",
        contents="A colour?",
        config=types.GenerateContentConfig(temperature=0.5, top_k=64, seed=1, system_instruction="Be brief."),
    )
    assert said.text == "answer 2"
    (path, headers, _), (own_path, own_headers, own_body) = providing.requests
    assert path == own_path
    assert headers["x-goog-api-key"] == own_headers["x-goog-api-key"]
    assert own_body["generationConfig"].keys() <= body["generationConfig"].keys()
    assert own_body["systemInstruction"]["parts"] == body["systemInstruction"]["parts"]


def test_an_answer_without_anything_is_asked_again_and_then_an_error(
    providing: ProvidingServer, sampling: Make
) -> None:
    providing.answer = lambda body: (200, {"usageMetadata": {"promptTokenCount": 1}})
    with pytest.raises(EngineError, match="answered without any candidate"):
        drawn(sampling(n=1))
    assert len(providing.requests) == 3


def test_thoughts_are_paid_for(providing: ProvidingServer, sampling: Make) -> None:
    used: list[Usage] = []
    providing.answer = lambda body: (200, candidate("Red", thought=4))
    engine = GeminiEngine(found(), 0)
    engine.meter = used.append
    engine.sample([CHAT], sampling(n=1), 1, lambda completions, tokens: None)
    assert used == [Usage("one", 1, 7, 7)]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"temperature": 2.0}, "temperature is 2; Gemini's gemini-x takes 0 to 1.5"),
        ({"min_p": 0.1}, "min_p is 0.1; Gemini has no such parameter"),
        ({"repetition_penalty": 1.1}, "repetition_penalty is 1.1; Gemini has no such parameter"),
        ({"stop": tuple("abcdef")}, "stop has 6 strings; Gemini takes 5 at most"),
        ({"top_k": 0}, "has no word for all: say top_k: 64"),
        ({"max_tokens": 70000}, "max_tokens is 70000; gemini-x writes 65536 at most"),
    ],
)
def test_what_would_be_ignored_cut_or_refused_is_refused_here(
    sampling: Make, changed: dict[str, Any], reason: str
) -> None:
    [told] = refusals("gemini-x", sampling(**{"top_k": 64, **changed}), CARD | {"maxTemperature": "1.5"})
    assert reason in told


def test_a_model_that_lets_nobody_set_top_k_is_not_told_one(sampling: Make) -> None:
    card = {name: value for name, value in CARD.items() if name != "topK"}
    assert refusals("gemini-x", sampling(), card) == []
    assert "lets nobody set it" in refusals("gemini-x", sampling(top_k=5), card)[0]
