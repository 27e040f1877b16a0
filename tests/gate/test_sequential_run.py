"""A run in blocks stops when it knows, asks nothing twice, and a later gate knows that it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli.main import main
from evalkit.errors import Incomparable, InputError, RecordsError
from evalkit.gate.baselines import read_side, save
from evalkit.gate.decide import decide
from evalkit.gate.sequential_run import run_until_decided
from evalkit.gate.sides import Side
from evalkit.gate.stats.group_sequential import Look
from evalkit.inference.plan import make_plan
from evalkit.plumbing.progress import Quiet
from evalkit.report.content.read import read_content
from evalkit.suite.gate_policy import DEFAULT
from evalkit.suite.schema import Suite, load_suite, overrides
from tests import ROOT
from tests.gate.test_baselines import write_run
from tests.sides import law, side, summary

CREATIVE = ROOT / "suites" / "creative.yaml"
METRICS = ("distinct_n", "sequence_entropy", "length")


def two_arms(samples: int, prompts: int) -> Suite:
    asked = load_suite(CREATIVE, overrides({}, samples, None, prompts))
    checkpoints = {name: asked.checkpoints[name] for name in ("base", "ppo-0.1")}
    metrics = tuple(measure for measure in asked.metrics if measure.name in METRICS)
    return asked.model_copy(update={"checkpoints": checkpoints, "metrics": metrics})


def test_blocks_end_together_and_the_first_of_them_are_a_plan_of_their_own() -> None:
    plan = make_plan(two_arms(8, 10), "transformers", blocks=4)
    assert plan.block_ends == (3, 6, 9, 10)
    part = plan.first(6)
    assert [prompt.id for prompt in part.suite.prompts] == [prompt.id for prompt in plan.suite.prompts[:6]]
    assert set(part.shards) < set(plan.shards)
    assert sum(len(shard.prompts) for shard in part.shards_of("base")) == 6
    assert plan.first(10) == plan


@pytest.mark.slow
def test_a_clear_loss_stops_it_early_and_the_same_command_decides_the_same(tmp_path: Path) -> None:
    suite, out = two_arms(8, 30), tmp_path / "run"
    decided = run_until_decided(suite, DEFAULT, None, "transformers", out, Quiet())
    assert decided.verdict.outcome == "regression"
    assert 5 <= decided.prompts_asked < decided.prompts_planned == 30
    assert decided.run.sampled == 2 * 8 * decided.prompts_asked
    again = run_until_decided(suite, DEFAULT, None, "transformers", out, Quiet())
    assert (again.prompts_asked, again.run.sampled) == (decided.prompts_asked, 0)
    assert again.verdict == decided.verdict
    asked = {arm: len(groups) for arm, groups in read_content(out).groups.items()}
    assert asked == dict.fromkeys(("base", "ppo-0.1"), decided.prompts_asked)
    stopped = read_side(str(out))
    assert stopped.look is not None
    assert decide(stopped, stopped, [("ppo-0.1", "base")], DEFAULT).judgements == decided.verdict.judgements


def test_a_stopped_run_is_gated_on_its_own_prompts_and_by_its_looks_levels() -> None:
    new, old = law(0, prompts=60, noise=0.5)
    new = new - 0.62
    whole_old = side({"vendi": old}, "old")
    stopped = replace(side({"vendi": new}).only([f"p{i}" for i in range(30, 0, -1)]), look=Look((0.5, 1.0), 0))
    at_look, whole = (decide(one, whole_old, [("tuned", "tuned")], DEFAULT) for one in (stopped, side({"vendi": new})))
    assert at_look.judgements[0].prompts == 30
    assert whole.judgements[0].prompts == 60
    plain = decide(replace(stopped, look=None), whole_old.only(stopped.summary.prompts), [("tuned", "tuned")], DEFAULT)
    assert plain.judgements[0].p_beyond == at_look.judgements[0].p_beyond


def test_a_look_that_would_need_a_smaller_p_value_is_not_decided() -> None:
    p = {}
    for look in (None, Look((0.5, 1.0), 0)):
        for shift in range(0, 300):
            new, old = law(0, prompts=30, noise=0.5)
            found = decide(
                replace(side({"vendi": new - 0.01 * shift}), look=look),
                side({"vendi": old}),
                [("tuned", "tuned")],
                DEFAULT,
            )
            if found.outcome == "regression":
                p[look] = found.judgements[0].p_beyond
                break
    assert p[None] is not None
    assert p[None] <= 0.05
    assert p[Look((0.5, 1.0), 0)] <= Look((0.5, 1.0), 0).level(0.05) < 0.04


def test_where_it_was_stopped_is_kept_and_a_damaged_note_of_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = summary({"vendi": {"base": law(0)[0], "tuned": law(0)[1]}})
    look = {"fractions": [0.5, 1.0], "index": 0}
    assert read_side(str(write_run(tmp_path / "good", values, look=look))).look == Look((0.5, 1.0), 0)
    write_run(tmp_path / "bad", values, look={"fractions": "x"})
    with pytest.raises(RecordsError, match="look is damaged"):
        read_side("bad")
    with pytest.raises(InputError, match="was stopped after 50% of its prompts: no baseline"):
        save("good", "v1")


@pytest.mark.slow
def test_the_command_shows_the_verdict_and_exits_as_the_gate_does(
    tmp_path: Path, write_suite: Callable[..., Path]
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("inconclusive: fail\nrules: [{metrics: distinct_n, allow: {relative: 0.05}}]", encoding="utf-8")
    command = [
        "run",
        str(write_suite(("lab:tuned", "lab:ppo-0.1"))),
        "--engine",
        "transformers",
        "--until-decided",
        str(policy),
    ]
    result = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "run")], catch_exceptions=False)
    assert result.exit_code == 1
    assert "after 2 of 2 prompts: inconclusive" in result.output
    assert "Asked 2 of 2 prompts. Report: " in " ".join(result.output.split())


def test_a_baseline_without_a_policy_to_stop_by_is_wrong_use() -> None:
    result = CliRunner().invoke(main, ["run", str(CREATIVE), "--baseline", "v1"])
    assert result.exit_code == 2
    assert "--baseline goes with --until-decided" in result.output


def test_a_suite_that_has_grown_is_refused_before_anything_is_sampled(tmp_path: Path) -> None:
    suite, out = two_arms(2, 6), tmp_path / "run"
    values = summary({"vendi": {"base": law(0)[0], "ppo-0.1": law(0)[1]}})
    old = Side(values, "v1")
    with pytest.raises(
        Incomparable, match=r"did not ask 6 of 6 alike .*evalkit gate RUN --baseline v1 --common-prompts"
    ):
        run_until_decided(suite, DEFAULT, old, "transformers", out, Quiet())
    assert not out.exists()
