"""The anthropic engine against a server that speaks the Messages API; Anthropic itself is not asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.resolution import resolve
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import CheckpointError, EngineError, ServerError
from evalkit.inference.engines.anthropic import AnthropicEngine, refusals
from evalkit.inference.engines.base import choose_engine, open_engine
from evalkit.records import Completion, Rendered, Sampling
from evalkit.runs.usage import Usage
from tests.providers_served import CLAUDE, KEY, ProvidingServer, message
from tests.providers_served import providing as providing

Make = Callable[..., Sampling]
TURNS = (("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi."), ("user", "A colour?"))
CHAT = Rendered("one", "A colour?", (), TURNS)
OLD, NEW = "claude-sonnet-4-5-20250929", "claude-opus-4-8"


def found(model: str = "claude-sonnet-4-5") -> Checkpoint:
    return resolve("claude", CheckpointSpec(path=f"anthropic://{model}", kind="tuned"))


def drawn(sampling: Sampling, checkpoint: Checkpoint | None = None) -> list[Completion]:
    with open_engine("anthropic", checkpoint or found(), 0) as engine:
        return engine.sample([CHAT], sampling, 1, lambda completions, tokens: None)


def test_n_answers_are_n_requests_with_the_turns_where_they_belong(providing: ProvidingServer, sampling: Make) -> None:
    done = drawn(sampling(n=3, temperature=0.5, stop=("\nUser:",)))
    assert sorted(one.text for one in done) == ["answer 1", "answer 2", "answer 3"]
    assert [one.sample_index for one in done] == [0, 1, 2]
    assert providing.bodies == 3 * [
        {
            "model": "claude-sonnet-4-5",
            "max_tokens": 16,
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hi."},
                {"role": "user", "content": "A colour?"},
            ],
            "temperature": 0.5,
            "stop_sequences": ["\nUser:"],
        }
    ]


def test_the_key_goes_to_its_provider_and_nobody_elses_does(providing: ProvidingServer, sampling: Make) -> None:
    checkpoint = found()
    drawn(sampling(n=1), checkpoint)
    [(path, headers, _)] = providing.requests
    assert path == "/v1/messages"
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in headers
    assert "somebody" not in str(headers)
    assert KEY not in repr(checkpoint)


def test_what_departs_from_drawing_as_the_model_does_is_all_that_is_sent(
    providing: ProvidingServer, sampling: Make
) -> None:
    drawn(sampling(n=1))
    drawn(sampling(n=1, top_p=0.9))
    drawn(sampling(n=1, top_k=5))
    names = {"temperature", "top_p", "top_k", "seed", "n"}
    sent = [{name: body[name] for name in body if name in names} for body in providing.bodies]
    assert sent == [{}, {"top_p": 0.9}, {"top_k": 5}]


@pytest.mark.parametrize(
    ("answer", "text", "finish", "thinking", "is_answer"),
    [
        (message("Red", "stop_sequence"), "Red", "stop", None, True),
        (message("Re", "max_tokens"), "Re", "length", None, True),
        (message("", "end_turn"), "", "stop", None, True),
        (message("", "refusal"), "", "withheld", None, False),
        (message("Re", "refusal"), "Re", "withheld", None, True),
        (message("Red", before=({"type": "thinking", "thinking": "Warm.", "signature": "s"},)), "Red", "stop", "Warm.", True),
        (message("Red", before=({"type": "redacted_thinking", "data": "x"},)), "Red", "stop", "", True),
        (message("", "max_tokens", ({"type": "thinking", "thinking": "Wa", "signature": "s"},)), "", "length", "Wa", False),
    ],
)  # fmt: skip
def test_thinking_is_apart_and_endings_are_told_from_each_other(
    providing: ProvidingServer, sampling: Make, answer: dict[str, Any], text: str, finish: str, thinking: str | None, is_answer: bool
) -> None:  # fmt: skip
    providing.answer = lambda body: (200, answer)
    [one] = drawn(sampling(n=1))
    assert (one.text, one.finish_reason, one.thinking, one.is_answer) == (text, finish, thinking, is_answer)


def test_anthropics_own_package_reads_what_the_server_answers_and_knows_all_that_is_sent(
    providing: ProvidingServer, sampling: Make
) -> None:
    import anthropic
    from anthropic.types import Message, ModelInfo, message_create_params
    from pydantic import TypeAdapter

    drawn(sampling(n=1, stop=("x",)))
    [body] = providing.bodies
    assert body.keys() <= message_create_params.MessageCreateParamsNonStreaming.__annotations__.keys() | (
        message_create_params.MessageCreateParamsBase.__annotations__.keys()
    )
    TypeAdapter(ModelInfo).validate_python(CLAUDE)
    answer = message("Red", before=({"type": "thinking", "thinking": "Warm.", "signature": "s"},))
    TypeAdapter(Message).validate_python(answer)
    providing.answer = lambda body: (200, answer)
    client = anthropic.Anthropic(base_url=providing.url, api_key=KEY)
    said = client.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "A colour?"}])
    assert [block.type for block in said.content] == ["thinking", "text"]
    assert len({path for path, _, _ in providing.requests}) == 1


def test_a_busy_server_is_asked_again_and_a_refusal_is_one_line(providing: ProvidingServer, sampling: Make) -> None:
    busy = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    providing.answer = lambda body: (529, busy) if len(providing.requests) == 1 else (200, message("Red"))
    assert [one.text for one in drawn(sampling(n=1))] == ["Red"]
    refused = {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: too many"}}
    providing.answer = lambda body: (400, refused)
    with pytest.raises(EngineError, match=r"answered 400: .*max_tokens: too many"):
        drawn(sampling(n=1))


def test_what_is_no_answer_is_asked_again_and_then_an_error(providing: ProvidingServer, sampling: Make) -> None:
    providing.answer = lambda body: (200, message("x", "pause_turn"))
    with pytest.raises(EngineError, match=r"stop_reason 'pause_turn'.*asked 3 times, it gave no completion of prompt"):
        drawn(sampling(n=1))
    assert len(providing.requests) == 3


def test_what_a_request_took_is_told(providing: ProvidingServer, sampling: Make) -> None:
    used: list[Usage] = []
    engine = AnthropicEngine(found(), 0)
    engine.meter = used.append
    engine.sample([CHAT], sampling(n=2), 1, lambda completions, tokens: None)
    assert used == 2 * [Usage("one", 1, 7, 3)]


@pytest.mark.parametrize(
    ("model", "changed", "reason"),
    [
        (OLD, {"temperature": 1.5}, "temperature is 1.5; Anthropic takes 0 to 1"),
        (OLD, {"temperature": 0.5, "top_p": 0.9}, "temperature and top_p are both set; Anthropic takes one of them"),
        (OLD, {"min_p": 0.1}, "min_p is 0.1; Anthropic has no such parameter"),
        (OLD, {"presence_penalty": 1.0}, "presence_penalty is 1; Anthropic has no such parameter"),
        (OLD, {"frequency_penalty": 1.0}, "frequency_penalty is 1; "),
        (OLD, {"repetition_penalty": 1.1}, "repetition_penalty is 1.1; "),
        (OLD, {"stop": ("\n\n",)}, "takes no stop string of white space alone"),
        (OLD, {"max_tokens": 64001}, "max_tokens is 64001; claude-sonnet-4-5-20250929 writes 64000 at most"),
        (NEW, {"temperature": 0.7}, "temperature is 0.7; Anthropic lets nobody set the sampling of models after"),
        (NEW, {"top_k": 5}, "top_k is 5; Anthropic lets nobody set"),
        (NEW, {"top_p": 0.9}, "top_p is 0.9; Anthropic lets nobody set"),
    ],
)
def test_what_would_be_ignored_cut_or_refused_is_refused_here(
    sampling: Make, model: str, changed: dict[str, Any], reason: str
) -> None:
    [told] = refusals(model, sampling(**changed), {"max_tokens": "64000"})
    assert reason in told


@pytest.mark.parametrize(
    ("model", "changed"),
    [
        (NEW, {}),
        ("claude-fable-5", {}),
        (OLD, {"temperature": 0.5}),
        (OLD, {"top_p": 0.9, "top_k": 5}),
        ("claude-haiku-4-5", {"temperature": 0.0}),
        ("claude-opus-4-6", {"temperature": 0.2}),
        ("claude-opus-4-20250514", {"temperature": 0.2}),
        ("claude-3-5-haiku-latest", {"temperature": 0.5, "top_p": 0.9}),
    ],
)
def test_what_the_api_takes_is_not_refused(sampling: Make, model: str, changed: dict[str, Any]) -> None:
    assert refusals(model, sampling(**changed), {}) == []


def test_a_missing_key_a_missing_model_and_a_path_without_one_are_each_a_line(
    providing: ProvidingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServerError, match=r"^checkpoint 'claude': .*Anthropic has no model 'claude-none'"):
        found("claude-none")
    with pytest.raises(CheckpointError, match="names no model; write anthropic://MODEL"):
        found("")
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(CheckpointError, match=r"Anthropic's key is not there; set ANTHROPIC_API_KEY"):
        found()


def test_the_path_chooses_the_engine_and_no_other_can_ask(providing: ProvidingServer) -> None:
    checkpoint = found()
    assert choose_engine("auto", checkpoint) == "anthropic"
    assert checkpoint.names_weights is False
    with pytest.raises(Exception, match=r"engine openai cannot ask anthropic://claude-sonnet-4-5 .*; use auto"):
        choose_engine("openai", checkpoint)
    with pytest.raises(Exception, match="engine gemini is for paths like gemini://MODEL"):
        choose_engine("gemini", checkpoint)
