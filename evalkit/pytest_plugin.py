"""A pytest plug-in: run a suite inside a test, and fail the test on a regression.

    from evalkit.pytest_plugin import assert_no_regression

    def test_the_tuned_model_keeps_its_variety(evalkit_run):
        run = evalkit_run("suites/creative.yaml", models={"tuned": "out/tuned"}, samples=16)
        assert_no_regression(run, baseline="v1.0")

Heavy imports stand inside: pytest loads this module in every session of whoever has evalkit installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from evalkit.run import Run
    from evalkit.suite.gate_policy import Inconclusive


class RunSuite(Protocol):
    """What `evalkit_run` gives."""

    def __call__(
        self,
        suite: str | PathLike[str],
        models: Mapping[str, str] | None = None,
        samples: int | None = None,
        prompts: int | None = None,
        engine: str = "auto",
    ) -> Run: ...


@pytest.fixture(scope="session")
def evalkit_run(tmp_path_factory: pytest.TempPathFactory) -> RunSuite:
    """Run a suite as `evalkit run` does, into a temporary folder; mistakes fail the test in a line, not a traceback."""

    def run(
        suite: str | PathLike[str],
        models: Mapping[str, str] | None = None,
        samples: int | None = None,
        prompts: int | None = None,
        engine: str = "auto",
    ) -> Run:
        from evalkit.errors import EvalkitError
        from evalkit.plumbing.progress import Quiet
        from evalkit.run import run_suite
        from evalkit.suite.schema import load_suite, overrides

        try:
            chosen = load_suite(Path(suite), overrides(models or {}, samples, None, prompts))
            return run_suite(chosen, engine, tmp_path_factory.mktemp("evalkit") / "run", Quiet())
        except EvalkitError as error:
            pytest.fail(f"evalkit: {error}", pytrace=False)

    return run


def assert_no_regression(
    run: Run | str | PathLike[str],
    baseline: str | PathLike[str] | None = None,
    policy: str | PathLike[str] | None = None,
    arms: Sequence[tuple[str, str]] = (),
    inconclusive: Inconclusive | None = None,
    common_prompts: bool = False,
    least_common: float | None = None,
) -> None:
    """Fail the test unless the gate passes; the arguments are those of `evalkit gate`.

    What cannot be told or compared fails too, unless `inconclusive` (or the policy) says "pass" of the former.
    """
    from evalkit.errors import EvalkitError
    from evalkit.gate.baselines import chosen_policy, read_side
    from evalkit.gate.formats import words
    from evalkit.gate.ruling import judge_sides

    run_path = fspath(run) if isinstance(run, str | PathLike) else str(run.folder)
    try:
        new = read_side(run_path)
        old = new if baseline is None else read_side(fspath(baseline))
        gate_policy, source = chosen_policy(run_path, None if policy is None else Path(policy))
        ruling = judge_sides(new, old, gate_policy, source, arms, inconclusive, common_prompts, least_common)
    except EvalkitError as error:
        pytest.fail(f"evalkit: {error}", pytrace=False)
    if ruling.exit_code != 0:
        verdict = ruling.verdict
        wrong = [words.sentence(judgement) for judgement in verdict.judgements if judgement.outcome != "pass"]
        lines = [words.headline(verdict), words.shared(verdict), *wrong, *words.notes(verdict)]
        pytest.fail("\n  ".join(filter(None, lines)), pytrace=False)
