"""The plug-in fails a test on a regression and on all that is no pass, with lines instead of tracebacks."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from tests.gate.test_baselines import write_run
from tests.sides import law, summary

pytest_plugins = ["pytester"]
NEW, OLD = law(0)
TEST = """
from evalkit.pytest_plugin import assert_no_regression

def test_it():
    assert_no_regression({new!r}, baseline="old", inconclusive={inconclusive!r})
"""


@pytest.mark.parametrize(
    ("factor", "inconclusive", "outcome", "words"),
    [
        (1.0, None, "passed", "1 passed"),
        (0.8, None, "failed", "Regression: 1 of 1 measure lost more than is allowed (vendi of tuned)."),
        (0.95, None, "failed", "Inconclusive: 1 of 1 measure cannot be told"),
        (0.95, "pass", "passed", "1 passed"),
        (None, None, "failed", "evalkit: there is neither a run, a summary nor a baseline 'new'"),
    ],
)
def test_a_test_fails_unless_the_gate_passes(
    pytester: pytest.Pytester, factor: float | None, inconclusive: str | None, outcome: str, words: str
) -> None:
    write_run(pytester.path / "old", summary({"vendi": {"base": OLD, "tuned": OLD}}))
    if factor is not None:
        write_run(pytester.path / "new", summary({"vendi": {"base": OLD, "tuned": NEW * factor}}))
    pytester.makepyfile(TEST.format(new="new", inconclusive=inconclusive))
    result = pytester.runpytest_inprocess("-p", "evalkit.pytest_plugin")
    result.assert_outcomes(**{outcome: 1})
    assert words in result.stdout.str()
    assert "pytest_plugin.py:" not in result.stdout.str()


def test_the_fixture_names_a_suites_mistake_without_a_traceback(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(evalkit_run):\n    evalkit_run('nowhere.yaml')\n")
    result = pytester.runpytest_inprocess("-p", "evalkit.pytest_plugin")
    result.assert_outcomes(failed=1)
    assert "evalkit: nowhere.yaml: there is no such file" in result.stdout.str()


def test_pytest_finds_it_by_its_entry_point() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [module] = project["entry-points"]["pytest11"].values()
    assert hasattr(import_module(module), "evalkit_run")


@pytest.mark.slow
def test_a_suite_is_run_inside_a_test(pytester: pytest.Pytester) -> None:
    from tests.conftest import SUITE

    (pytester.path / "suite.yaml").write_text(SUITE.replace("lab:tuned", "lab:ppo-0.1"), encoding="utf-8")
    pytester.makepyfile(
        """
        from evalkit.pytest_plugin import assert_no_regression

        def test_it(evalkit_run):
            run = evalkit_run("suite.yaml", engine="transformers", samples=2)
            assert run.sampled == 8
            assert_no_regression(run, inconclusive="pass")
        """
    )
    pytester.runpytest_subprocess("-p", "evalkit.pytest_plugin").assert_outcomes(passed=1)


def test_a_grown_suite_passes_by_its_common_prompts(pytester: pytest.Pytester) -> None:
    write_run(pytester.path / "old", summary({"vendi": {"base": OLD[:50], "tuned": OLD[:50]}}))
    write_run(pytester.path / "new", summary({"vendi": {"base": OLD, "tuned": NEW}}))
    pytester.makepyfile(
        """
        from evalkit.pytest_plugin import assert_no_regression

        def test_grown():
            assert_no_regression("new", baseline="old", common_prompts=True)

        def test_too_far():
            assert_no_regression("new", baseline="old", common_prompts=True, least_common=0.9)

        def test_refused():
            assert_no_regression("new", baseline="old")
        """
    )
    result = pytester.runpytest_inprocess("-p", "evalkit.pytest_plugin")
    result.assert_outcomes(passed=1, failed=2)
    assert "Judged by the 50 prompts that both asked alike, 83.3 %" in result.stdout.str()
    assert "prompts: 10 only in new (p50, p51, p52, ...); --common-prompts goes by" in result.stdout.str()
