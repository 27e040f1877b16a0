"""What servers' completions cost: by their own count, once, whoever asked; and pools of servers that die in a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from evalkit.cli.forecast import show_forecast
from evalkit.errors import EngineError
from evalkit.inference.engines.openai import OpenAIEngine
from evalkit.inference.forecasting import forecast
from evalkit.inference.plan import make_plan
from evalkit.report.sections.spending import spending_text
from evalkit.suite.schema import Suite
from tests.inference.engines.test_dispatch import VirtualClock, in_turn, kill
from tests.inference.engines.test_openai import refusal
from tests.served import Reset, Server, choices, serving
from tests.served import server as server
from tests.test_reuse import run

USAGE = {"usage": {"prompt_tokens": 10, "completion_tokens": 6, "total_tokens": 16}}
PRICE = {"input": 1.0, "output": 2.0, "currency": "EUR"}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    clock = VirtualClock()
    monkeypatch.setattr(OpenAIEngine, "clock", clock)
    return clock


def counts(server: Server, **usage: Any) -> None:
    server.answer = lambda request: (200, choices(request["n"]) | (usage or USAGE))


def asking(path: Any, n: int = 2, prompts: int = 2, **spec: Any) -> Suite:
    return Suite.model_validate({
        "name": "served",
        "checkpoints": {"now": {"path": path, "kind": "base", **spec}},
        "sampling": {"n": n, "max_tokens": 4},
        "metrics": ["distinct_n|n:1", "length"],
        "prompts": [{"id": f"p{index}", "text": f"Question {index}"} for index in range(prompts)],
    })  # fmt: skip


def spent(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    told: dict[str, Any] = manifest["spending"]["now"]
    return told


def took(requests: int, prompt: int, completion: int, **cost: float) -> dict[str, Any]:
    return {"requests": requests, "prompt_tokens": prompt, "completion_tokens": completion, **cost}


def test_a_request_counts_once_for_its_draws_and_once_for_a_resumed_run(server: Server, tmp_path: Path) -> None:
    counts(server)
    run(asking(server.url, price=PRICE), tmp_path / "run")
    once = took(2, 20, 12, cost=pytest.approx(44e-6))
    assert spent(tmp_path / "run") == {"run": once, "completions": once, "untold": 0, "price": PRICE}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "4.4e-05 EUR (20 tokens in and 12 out) for what this run asked" in page
    made, _ = run(asking(server.url, price=PRICE), tmp_path / "run")
    assert made.sampled == 0
    assert spent(tmp_path / "run")["run"] == once


def test_draws_that_one_of_a_prompts_requests_did_not_count_are_named(server: Server, tmp_path: Path) -> None:
    """One choice an answer, and every second answer is counted."""
    seen: list[int] = []

    def counted_at_times(request: dict[str, Any]) -> tuple[int, Any]:
        seen.append(request["n"])
        return 200, choices(1) | (USAGE if len(seen) % 2 else {})

    server.answer = counted_at_times
    run(asking(server.url, n=4, prompts=1), tmp_path / "run")
    assert spent(tmp_path / "run") == {"run": took(2, 20, 12), "completions": took(2, 20, 12), "untold": 2}


def test_prices_change_no_samples(server: Server, tmp_path: Path) -> None:
    counts(server)
    run(asking(server.url, price=PRICE), tmp_path / "run")
    identity = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["identity"]
    made, _ = run(asking(server.url, price=PRICE | {"output": 4.0}, concurrency=3, timeout=9), tmp_path / "run")
    assert made.sampled == 0
    assert spent(tmp_path / "run")["run"]["cost"] == pytest.approx(68e-6)
    run(asking(server.url), tmp_path / "run")
    assert spent(tmp_path / "run") == {"run": took(2, 20, 12), "completions": took(2, 20, 12), "untold": 0}
    assert json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["identity"] == identity


def test_what_the_cache_has_costs_nothing_now_and_has_cost_what_it_did(server: Server, tmp_path: Path) -> None:
    server.models = [{"id": "m", "object": "model", "created": 1, "owned_by": "library"}]
    server.pages = {"/api/tags": {"models": [{"name": "m", "digest": "9f438cb9cd581fc0"}]}}
    counts(server)
    run(asking(server.url), tmp_path / "one")
    run(asking(server.url, price=PRICE), tmp_path / "two")
    again = spent(tmp_path / "two")
    assert again["run"] == took(0, 0, 0, cost=0.0)
    assert again["completions"] == took(2, 20, 12, cost=pytest.approx(44e-6))
    run(asking(server.url, n=1, prompts=1), tmp_path / "part")
    assert spent(tmp_path / "part")["completions"] == took(1, 10, 3)
    run(asking(server.url, n=4), tmp_path / "two")
    assert spent(tmp_path / "two") == {"run": took(2, 20, 12), "completions": took(4, 40, 24), "untold": 0}


def test_what_was_paid_for_a_call_that_did_not_end_is_counted(server: Server, tmp_path: Path) -> None:
    server.answer = in_turn((200, choices(2) | USAGE), (400, refusal("bad words")))
    with pytest.raises(EngineError, match=r"answered 400: .*bad words"):
        run(asking(server.url, concurrency=1), tmp_path / "run")
    counts(server)
    run(asking(server.url, concurrency=1), tmp_path / "run")
    assert spent(tmp_path / "run") == {"run": took(3, 30, 18), "completions": took(2, 20, 12), "untold": 0}


def test_completions_that_no_server_counted_are_said_to_be(server: Server, tmp_path: Path) -> None:
    run(asking(server.url), tmp_path / "run")
    assert "spending" not in json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    counts(server)
    run(asking(server.url, n=3), tmp_path / "run")
    told = spent(tmp_path / "run")
    assert (told["untold"], told["run"]) == (4, took(2, 20, 12))
    assert "of 4 completions its server did not say" in spending_text({"now": told})


def test_it_is_told_beforehand_and_better_after_the_first_time(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts(server)
    suite = asking(server.url, price=PRICE)
    before = forecast(make_plan(suite, "auto"), tmp_path / "run")
    [arm] = before.arms
    rendered = make_plan(suite, "auto").checkpoints["now"].rendered
    assert arm.prompt_tokens == sum(-(-one.letters // 4) for one in rendered)
    assert before.stated_costs() == {"EUR": pytest.approx(((arm.prompt_tokens + 2 * 16) / 1e6,) * 2)}
    show_forecast(before, None)
    told = capsys.readouterr().out
    assert "Cost by the stated prices: about 4.6e-05 EUR, at most 4.6e-05 EUR." in told
    assert "all completions are reckoned as long as they may be" in told
    assert "four letters each" in told
    run(suite, tmp_path / "run")
    after = forecast(make_plan(asking(server.url, n=4, price=PRICE), "auto"), tmp_path / "run")
    [arm] = after.arms
    assert (arm.prompt_tokens, arm.expected_tokens, arm.most_tokens) == (20, 12, 16)
    assert after.stated_costs() == {"EUR": pytest.approx((44e-6, 52e-6))}
    show_forecast(forecast(make_plan(asking(server.url), "auto"), tmp_path / "new"), None)
    assert "Cost" not in capsys.readouterr().out


def test_several_arms_are_summed_by_currency_and_names_are_only_shown() -> None:
    row = {"run": took(1, 1, 1, cost=2.5), "completions": took(2, 2, 2, cost=1234.5), "untold": 0, "price": PRICE}
    text = spending_text({"<b>": row, "b": row, "c": {"run": 3, "completions": None}, "d": 4})
    assert "altogether 5.00 EUR for this run and 2,469.00 EUR for all completions" in text
    assert "c: 0 tokens in and 0 out for what this run asked" in text
    assert spending_text(None) == spending_text([1]) == ""


@pytest.fixture
def pool() -> Iterator[list[Server]]:
    with ExitStack() as stack:
        servers = [stack.enter_context(serving()) for _ in range(2)]
        for one in servers:
            counts(one)
        yield servers


def test_a_pool_that_loses_a_server_in_a_run_ends_as_one_that_does_not(pool: list[Server], tmp_path: Path) -> None:
    urls = [one.url for one in pool]
    run(asking(urls, n=16, prompts=40), tmp_path / "whole")
    asked = len(pool[0].requests)

    def dying(request: dict[str, Any]) -> Any:
        if len(pool[0].requests) < asked + 5:
            return 200, choices(request["n"]) | USAGE
        if len(pool[0].requests) == asked + 5:
            kill(pool[0])
        raise Reset

    pool[0].answer = dying
    run(asking(urls, n=16, prompts=40), tmp_path / "hurt")
    whole, hurt = (json.loads((tmp_path / name / "run.json").read_text(encoding="utf-8")) for name in ("whole", "hurt"))
    assert whole["identity"] == hurt["identity"]
    summaries = [(tmp_path / name / "summary.json").read_text(encoding="utf-8") for name in ("whole", "hurt")]
    assert summaries[0] == summaries[1]
    assert spent(tmp_path / "hurt")["completions"] == took(40, 400, 240)


def test_when_all_of_a_pool_die_the_run_goes_on_where_it_was(pool: list[Server], tmp_path: Path) -> None:
    urls, ports = [one.url for one in pool], [one.server_port for one in pool]
    suite = asking(urls, n=16, prompts=40)  # three calls of 16 prompts at most

    def dying(request: dict[str, Any]) -> Any:
        if sum(len(one.requests) for one in pool) <= 20:
            return 200, choices(request["n"]) | USAGE
        raise Reset

    for one in pool:
        one.answer = dying
    with pytest.raises(EngineError, match=r"no server of the pool of 2 answered .* the same command goes on"):
        run(suite, tmp_path / "run")
    for one in pool:
        kill(one)
    with ExitStack() as stack:
        late = [stack.enter_context(serving(port)) for port in ports]
        for one in late:
            counts(one)
        made, _ = run(suite, tmp_path / "run")
        assert made.sampled == 24 * 16
        assert sum(len(one.requests) for one in late) == 24
    told = spent(tmp_path / "run")
    assert told["completions"] == took(40, 400, 240)
    assert told["run"] == took(44, 440, 264)
