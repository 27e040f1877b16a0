"""The openai engine against a real vLLM server, and against a server that misbehaves on purpose."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from evalkit.checkpoints.checkpoint import CONCURRENCY, Checkpoint
from evalkit.errors import EngineError
from evalkit.inference.engines.base import Engine, choose_engine, open_engine
from evalkit.inference.engines.openai import OpenAIEngine, request_seeds
from evalkit.records import Rendered, Sampling
from tests.served import Server, choices
from tests.served import server as server

Make = Callable[..., Sampling]
PROMPT = Rendered("one", "w6 w7 w8", ())
CHAT = Rendered("one", "", (), (("user", "w6 w7"),))
ALPHA = 1e-3


def ignore(completions: int, tokens: int) -> None:
    pass


def remote(url: str, kind: str = "base", model: str = "") -> Checkpoint:
    return Checkpoint("served", kind, url, url, model, None, "0" * 64, "auto")  # type: ignore[arg-type]


def refusal(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "bad", "param": None, "code": None}}


@pytest.mark.parametrize("statuses", [[429, 500, 503], [502]], ids=["429, 500, 503", "502"])
def test_a_failing_server_is_asked_again(server: Server, sampling: Make, statuses: list[int]) -> None:
    left = list(statuses)
    server.answer = lambda request: (left.pop(0), refusal("later")) if left else (200, choices(request["n"]))
    done = OpenAIEngine(remote(server.url), 0).sample([PROMPT], sampling(), 1, ignore)
    assert [one.text for one in done] == [" hello"] * 4
    assert len(server.requests) == len(statuses) + 1


def test_the_retries_end_in_one_line_with_url_and_status(
    server: Server, sampling: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.inference.engines.dispatch.RETRIES", 2)
    server.answer = lambda request: (503, refusal("overloaded\nfor ever"))
    with pytest.raises(EngineError) as caught:
        OpenAIEngine(remote(server.url), 0).sample([PROMPT], sampling(), 1, ignore)
    assert str(caught.value).startswith(f"{server.url}/v1 answered 503: ")
    assert "overloaded" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.requests) == 3


def test_a_server_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.inference.engines.dispatch.RETRIES", 0)
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(EngineError, match=rf"^no answer from {url}/v1: .* \(tried once\)$"):
        OpenAIEngine(remote(url), 0)


def test_fewer_choices_than_asked_for_are_topped_up_with_seeds_of_their_own(server: Server, sampling: Make) -> None:
    server.answer = lambda request: (200, choices(min(2, request["n"])))
    prompts = [replace(PROMPT, prompt_id=str(index)) for index in range(3)]
    done = OpenAIEngine(remote(server.url), 0).sample(prompts, sampling(n=5), 1, ignore)
    assert [(one.prompt_id, one.sample_index) for one in done] == [
        (str(index), slot) for index in range(3) for slot in range(5)
    ]
    assert sorted(request["n"] for request in server.requests) == [1, 1, 1, 3, 3, 3, 5, 5, 5]
    drawn = [request["seed"] + child for request in server.requests for child in range(min(2, request["n"]))]
    assert len(set(drawn)) == len(drawn) == 15


def test_more_choices_than_asked_for_are_cut(server: Server, sampling: Make) -> None:
    server.answer = lambda request: (200, choices(9))
    assert len(OpenAIEngine(remote(server.url), 0).sample([PROMPT], sampling(), 1, ignore)) == 4


def test_no_choice_at_all_is_an_error_and_not_a_loop(server: Server, sampling: Make) -> None:
    server.answer = lambda request: (200, choices(0))
    with pytest.raises(EngineError, match="gave no completion of prompt 'one'"):
        OpenAIEngine(remote(server.url), 0).sample([PROMPT], sampling(), 1, ignore)


@pytest.mark.parametrize("what", ["logprobs", "seed"])
def test_what_a_server_refuses_is_left_out_and_remembered(
    server: Server, sampling: Make, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = lambda request: (
        (400, refusal(f"Unsupported parameter: '{what}'")) if what in request else (200, choices(request["n"]))
    )
    engine = OpenAIEngine(remote(server.url), 0)
    with caplog.at_level(logging.WARNING):
        engine.sample([PROMPT], sampling(), 1, ignore)
        engine.sample([PROMPT], sampling(), 2, ignore)
    assert [what in request for request in server.requests] == [True, False, False]
    [record] = caplog.records
    assert f"/v1 is asked without {what}: the server refuses it (" in record.message


def test_what_the_samples_depend_on_is_never_left_out(server: Server, sampling: Make) -> None:
    server.answer = lambda request: (400, refusal("top_p is not supported"))
    with pytest.raises(EngineError, match=r"answered 400: .*top_p is not supported"):
        OpenAIEngine(remote(server.url), 0).sample([PROMPT], sampling(top_p=0.5), 1, ignore)


def test_servers_other_than_vllm_hear_only_of_the_openai_api(server: Server, sampling: Make) -> None:
    engine = OpenAIEngine(remote(server.url), 0)
    engine.sample([PROMPT], sampling(stop=("w1",)), 1, ignore)
    engine.sample([PROMPT], sampling(min_p=0.1), 1, ignore)
    engine.sample([PROMPT], sampling(top_k=20, repetition_penalty=1.2, presence_penalty=1.5), 1, ignore)
    plain, with_min_p, with_penalties = server.requests
    assert set(plain) == {
        "model", "prompt", "n", "temperature", "top_p", "presence_penalty", "frequency_penalty", "max_tokens", "stop",
        "seed", "logprobs",
    }  # fmt: skip
    assert with_min_p["min_p"] == 0.1
    assert with_penalties.keys() - plain.keys() == {"top_k", "repetition_penalty"}
    assert (with_penalties["top_k"], with_penalties["presence_penalty"]) == (20, 1.5)
    with pytest.raises(EngineError, match="cannot score given texts"):
        engine.logprobs([((1,), (2,))])


def test_a_vllm_server_is_sent_the_turns_and_what_its_chat_template_is_to_be_told(
    server: Server, sampling: Make
) -> None:
    server.models = [{"id": "m", "object": "model", "owned_by": "vllm", "created": 0}]
    server.answer = lambda request: (200, choices(request["n"], message={"role": "assistant", "content": "hello"}))
    turns = (("system", "be brief"), ("user", "w6"), ("assistant", "w7"), ("user", "w8"))
    told = Rendered("one", "", (), turns, '{"enable_thinking": false}')
    [asked, *_] = [OpenAIEngine(remote(server.url, "tuned"), 0).sample([one], sampling(), 1, ignore)[0].text for one in (told, CHAT)]  # fmt: skip
    assert asked == "hello"
    first, second = server.requests
    assert first["messages"] == [{"role": role, "content": text} for role, text in turns]
    assert first["chat_template_kwargs"] == {"enable_thinking": False}
    assert "chat_template_kwargs" not in second


def test_the_api_key_comes_from_the_environment(
    server: Server, sampling: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVALKIT_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    engine = OpenAIEngine(remote(server.url), 0)
    engine.sample([PROMPT], sampling(), 1, ignore)
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    engine.sample([PROMPT], sampling(), 1, ignore)
    monkeypatch.setenv("EVALKIT_API_KEY", "first")
    engine.sample([PROMPT], sampling(), 1, ignore)
    assert server.keys == ["Bearer none", "Bearer second", "Bearer first"]


def test_the_model_is_the_one_named_or_the_only_one(server: Server, sampling: Make) -> None:
    OpenAIEngine(remote(server.url), 0).sample([PROMPT], sampling(), 1, ignore)
    server.models = [*server.models, {**server.models[0], "id": "other"}]
    OpenAIEngine(remote(server.url, model="other"), 0).sample([PROMPT], sampling(), 1, ignore)
    assert [request["model"] for request in server.requests] == ["m", "other"]
    with pytest.raises(EngineError, match="serves m, other; name one of them"):
        OpenAIEngine(remote(server.url), 0)


def test_only_so_many_requests_are_in_flight(server: Server, sampling: Make) -> None:
    full = threading.Barrier(CONCURRENCY)

    def answer(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        full.wait(timeout=20)
        return 200, choices(request["n"])

    server.answer = answer
    prompts = [replace(PROMPT, prompt_id=str(index)) for index in range(3 * CONCURRENCY)]
    assert len(OpenAIEngine(remote(server.url), 0).sample(prompts, sampling(), 1, ignore)) == 4 * len(prompts)
    assert server.most_at_once == CONCURRENCY


def test_no_two_draws_share_a_seed() -> None:
    seeds = [one for seed in range(50) for index in range(40) for one in request_seeds(seed, index, 16)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= one < 2**31 for one in seeds)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def vllm_server(tiny: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real vLLM server on loopback, with the folder's nasty generation_config as its default."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    port = free_port()
    log = tmp_path_factory.mktemp("server") / "server.log"
    options = {"--model": tiny.location, "--served-model-name": "tiny", "--host": "127.0.0.1", "--port": str(port)}
    options |= {"--dtype": "float32", "--max-model-len": "64"}
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    command += [part for option in options.items() for part in option]
    environment = {**os.environ, "TORCHDYNAMO_DISABLE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 280
        while not answers(f"{url}/health"):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < until, f"the server did not start: {log.read_text()[-3000:]}"
            time.sleep(0.2)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


vllm_only = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def served_base(vllm_server: str) -> Iterator[Engine]:
    checkpoint = remote(vllm_server)
    with open_engine(choose_engine("auto", checkpoint), checkpoint, 64) as engine:
        yield engine


@pytest.fixture
def served_tuned(vllm_server: str) -> Iterator[Engine]:
    with open_engine("openai", remote(f"{vllm_server}/v1/", "tuned", "tiny"), 64) as engine:
        yield engine


class TestRealServer:
    pytestmark = vllm_only

    def test_first_tokens_follow_the_raw_law_and_not_the_generation_config(
        self, served_base: Engine, transformers_engine: Engine, sampling: Make
    ) -> None:
        done = served_base.sample([PROMPT], sampling(n=1024, max_tokens=1), 1, ignore)
        drawn = np.bincount([one.token_ids[0] for one in done], minlength=64)
        ids = (1, 10, 11, 12)  # one BOS, w6, w7, w8
        law = np.exp([one for (one,) in transformers_engine.logprobs([(ids, (token,)) for token in range(64)])])
        rare = law * 1024 < 5
        observed, expected = (np.append(x[~rare], x[rare].sum()) for x in (drawn, law * 1024))
        assert stats.chisquare(observed, expected, sum_check=False).pvalue > ALPHA

    @pytest.mark.parametrize("kind", ["base", "tuned"])
    def test_ids_texts_and_logprobs_are_the_checkpoints_with_one_bos(
        self, request: pytest.FixtureRequest, transformers_engine: Engine, sampling: Make, kind: str
    ) -> None:
        engine: Engine = request.getfixturevalue(f"served_{kind}")
        prompt, ids = (PROMPT, (1, 10, 11, 12)) if kind == "base" else (CHAT, (1, 10, 11, 13))
        done = engine.sample([prompt], sampling(n=16, temperature=0.8), 1, ignore)
        scored = transformers_engine.logprobs([(ids, one.token_ids) for one in done])
        for one, given in zip(done, scored, strict=True):
            assert one.logprobs == pytest.approx(given, abs=1e-3)
        assert {one.finish_reason for one in done} <= {"stop", "length"}
        assert len({one.token_ids for one in done}) > 8

    def test_its_chat_template_gets_all_turns_and_what_it_is_to_be_told(
        self, served_tuned: Engine, transformers_engine: Engine, sampling: Make
    ) -> None:
        turns = (("system", "w6"), ("user", "w7"), ("assistant", "w8"), ("user", "w6"))
        loud = Rendered("one", "", (), turns, '{"loud": true}')
        done = served_tuned.sample([loud], sampling(n=4), 1, ignore)
        ids = (1, 10, 13, 11, 13, 12, 13, 10, 13, 9)  # each turn's word and w9; w5 where it is told to be loud
        scored = transformers_engine.logprobs([(ids, one.token_ids) for one in done])
        for one, given in zip(done, scored, strict=True):
            assert one.logprobs == pytest.approx(given, abs=1e-3)

    def test_given_texts_are_scored_as_by_the_local_engine(
        self, served_base: Engine, transformers_engine: Engine
    ) -> None:
        pairs = [((1, 10, 11), (12, 40, 2)), ((1,), (5,)), ((1, 9), ())]
        for served, local in zip(served_base.logprobs(pairs), transformers_engine.logprobs(pairs), strict=True):
            assert served == pytest.approx(local, abs=1e-3)

    def test_greedy_completions_are_one_draw_in_every_slot(self, served_tuned: Engine, sampling: Make) -> None:
        done = served_tuned.sample([CHAT], sampling(n=3, temperature=0.0), 1, ignore)
        assert [one.sample_index for one in done] == [0, 1, 2]
        assert len({one.token_ids for one in done}) == 1

    def test_a_cpu_server_survives_many_long_prompts_since_it_gets_no_seed(
        self, vllm_server: str, sampling: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            engine = OpenAIEngine(remote(vllm_server), 64)
        long = [Rendered(str(index), " ".join(["w5"] * 45), ()) for index in range(8)]
        assert len(engine.sample(long, sampling(n=64, max_tokens=4), 1, ignore)) == 512
        told = [record.message for record in caplog.records]
        assert any("is asked without seed: evalkit's choice" in message for message in told) == on_cpu()
        assert not any("the server refuses" in message for message in told)

    def test_a_prompt_longer_than_the_servers_context_is_one_line(self, served_base: Engine, sampling: Make) -> None:
        with pytest.raises(EngineError, match=r"answered 400: .*context length"):
            served_base.sample([Rendered("long", "w5 " * 100, ())], sampling(), 1, ignore)


def on_cpu() -> bool:
    return not Path("/dev/nvidiactl").exists()
