"""What a run says beforehand is what it then does; nothing is loaded, written or asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.forecast import show_forecast
from evalkit.cli.main import main
from evalkit.errors import InputError
from evalkit.inference.forecasting import ArmForecast, Forecast, forecast, read_prices
from evalkit.inference.plan import make_plan
from evalkit.inference.speeds import Speed, last_speed, remember_speed
from evalkit.inference.workers import calls
from evalkit.plumbing.progress import Quiet
from evalkit.run import run_suite
from evalkit.suite.schema import load_suite, overrides
from tests.finished import finished_run
from tests.runs.test_growth import open_here
from tests.served import Server
from tests.served import server as server
from tests.test_reuse import served

Write = Callable[..., Path]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def planned(suite: Path, **asked: Any) -> Any:
    defaults = {"models": {}, "samples": None, "temperature": None, "prompts": None}
    return make_plan(load_suite(suite, overrides(**(defaults | asked))), "transformers")


def test_it_foretells_what_is_then_sampled(write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "open_engine", open_here)
    suite = write_suite()
    plan = planned(suite)
    lengths = {name: sum(len(one.token_ids) for one in loaded.rendered) for name, loaded in plan.checkpoints.items()}
    before = forecast(plan, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert [(arm.completions, arm.missing, arm.requests, arm.most_tokens) for arm in before.arms] == [
        (8, 8, 2, 192)
    ] * 2
    assert [arm.prompt_tokens for arm in before.arms] == [lengths["base"], lengths["tuned"]]
    assert (before.seconds, before.unmeasured) == (None, ("base", "tuned"))
    made = run_suite(load_suite(suite), "transformers", tmp_path / "run", Quiet())
    assert made.sampled == sum(arm.missing for arm in before.arms)
    kept = files(tmp_path / "run")
    after = forecast(plan, tmp_path / "run")
    assert [(arm.missing, arm.requests, arm.most_tokens, arm.expected_tokens) for arm in after.arms] == [
        (0, 0, 0, 0)
    ] * 2
    assert (after.seconds, after.stored) == (0, 0)
    grown = forecast(planned(suite, samples=6), tmp_path / "run")
    assert [(arm.completions, arm.missing) for arm in grown.arms] == [(12, 4)] * 2
    assert forecast(planned(suite, samples=6), tmp_path / "new", fresh=True).arms[0].missing == 12
    assert grown.seconds is not None
    assert grown.seconds > 0
    tokens = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["tokens"]
    assert [arm.expected_tokens for arm in grown.arms] == [tokens["base"] / 8 * 4, tokens["tuned"] / 8 * 4]
    assert files(tmp_path / "run") == kept
    with pytest.raises(InputError, match="--fresh samples anew, and"):
        forecast(plan, tmp_path / "run", fresh=True)


def test_a_folder_of_another_run_is_refused_before_too(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run", {"base": 8})
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    suite = tmp_path / "suite.yaml"
    prompts = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))["prompts"]
    asked = [{key: one[key] for key in ("id", "text", "answer")} for one in prompts]
    suite.write_text(
        json.dumps({"name": "tiny", "checkpoints": {"base": {"path": "lab:base", "kind": "base"}}, "prompts": asked,
                    "sampling": {"n": 4, "max_tokens": 8, "seed": 4}, "metrics": ["length"]})
    )  # fmt: skip
    assert manifest["suite"]["sampling"]["seed"] == 3
    with pytest.raises(InputError, match=r"arms\.base\.seed was 3, is 4"):
        forecast(make_plan(load_suite(suite), "transformers"), folder)


def test_a_servers_prompts_are_guessed_and_nothing_is_asked(server: Server, tmp_path: Path) -> None:
    plan = make_plan(served(server), "auto")
    asked = len(server.requests)
    found = forecast(plan, tmp_path / "run")
    [arm] = found.arms
    assert not arm.is_exact
    assert arm.prompt_tokens == sum(-(-len(one.text) // 4) for one in plan.checkpoints["now"].rendered)
    assert len(server.requests) == asked


def test_time_comes_from_tokens_a_second_and_length_from_the_law(tmp_path: Path, write_suite: Write) -> None:
    plan = planned(write_suite(), temperature=(0.0, 1.0))
    loaded = plan.checkpoints["base"]
    law = plan.shards_of("base@T=1")[0].distribution
    speed = Speed(2.0, 5.0, 20, {law: 50, "another": 950}, {law: 10, "another": 10}, 4000)
    remember_speed(loaded, speed, pytest.fail)
    assert last_speed(loaded) == speed
    arms = {arm.arm: arm for arm in forecast(plan, tmp_path / "run").arms}
    assert arms["base@T=1"].expected_tokens == 8 * 5
    # Greedy draws are all the same: one of each prompt is computed, and none has more tokens than there is room for.
    assert arms["base@T=0"].expected_tokens == 2 * 24
    assert arms["base@T=0"].most_tokens == 2 * 24
    tuned = plan.checkpoints["tuned"]
    remember_speed(tuned, speed, pytest.fail)
    found = forecast(plan, tmp_path / "run")
    likely = sum(arm.likely_tokens for arm in found.arms)
    assert found.seconds == pytest.approx(2 * 2.0 + likely * 5 / 1000)
    assert found.stored == pytest.approx(likely * 4)


def test_costs_are_prices_of_a_million_tokens() -> None:
    arm = ArmForecast("a", 10, 10, 2, 1000, True, 4000, 2000.0)
    assert Forecast((arm,), None, (), 0, ()).cost(1.0, 10.0) == pytest.approx((0.021, 0.041))
    assert read_prices("0.15, 0.60") == (0.15, 0.6)
    for wrong in ("1", "a,b", "1,2,3", "-1,2", "nan,1", "inf,1", ""):
        with pytest.raises(InputError, match=r"--price-per-million is .*as in 0\.15,0\.60"):
            read_prices(wrong)


def test_what_is_not_known_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    arm = ArmForecast("[b]a", 10, 10, 2, 1000, False, 4000, None)
    show_forecast(Forecast((arm,), None, ("a",), 5e6, ("left out",)), (1.0, 2.0))
    told = capsys.readouterr().out
    for words in ("[b]a", "~1,000", "?", "4,000", "not yet sampled on this machine: a", "about 5 MB", "about 0.009",
                  "four letters", "left out"):  # fmt: skip
        assert words in told
    show_forecast(Forecast((arm,), 3700.0, (), 5e6, ()), None)
    assert "about 1 h 1 min to load and sample" in capsys.readouterr().out


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def test_the_command_looks_and_the_run_carries_seed_and_tags(
    write_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "open_engine", open_here)
    suite, out = write_suite(), tmp_path / "run"
    asked = ["run", suite, "--engine", "transformers", "--out", out, "--seed", 7]
    looked = call(*asked, "--dry-run", "--price-per-million", "1,2")
    assert looked.exit_code == 0, looked.output
    assert "Cost: about" in looked.output
    assert not out.exists()
    assert call(*asked, "--tag", "nightly", "--tag", "<b>").exit_code == 0
    assert call(*asked, "--tag", "again", "--tag", "nightly").exit_code == 0
    manifest = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert manifest["tags"] == ["nightly", "<b>", "again"]
    assert manifest["suite"]["sampling"]["seed"] == 7
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "nightly, &lt;b&gt;, again" in page
    assert call(*asked[:-1], 8, "--dry-run").exit_code == 2  # another seed is another run
    assert call("run", suite, "--out", tmp_path / "other", "--engine", "transformers", "--quiet").exit_code == 0
    wide = call("report", "--history", out, tmp_path / "other", "--out", tmp_path / "history.html")
    assert wide.exit_code == 0, wide.output
    assert "<bdi>&lt;b&gt;</bdi>" in (tmp_path / "history.html").read_text(encoding="utf-8")


def test_prices_without_a_dry_run_are_wrong_use(write_suite: Write) -> None:
    result = call("run", write_suite(), "--price-per-million", "1,2")
    assert result.exit_code == 2
    assert "--price-per-million goes with --dry-run" in result.output
