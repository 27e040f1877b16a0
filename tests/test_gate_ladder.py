"""Whether a loss is one depends on what the model is for: the ladder's last checkpoint fails as a writer, passes as a searcher."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.gate.baselines import chosen_policy, read_side
from evalkit.gate.decide import GateDecision, decide
from evalkit.gate.sides import choose_pairs
from evalkit.plumbing.progress import Quiet
from evalkit.run import run_suite
from evalkit.suite.schema import load_suite, overrides

SUITES = Path(__file__).parent.parent / "suites"


def gated(suite: str, out: Path) -> GateDecision:
    """The suite's own policy on its own run, fewer prompts and completions, base and the last checkpoint of the ladder alone."""
    asked = load_suite(SUITES / f"{suite}.yaml", overrides({}, 16, None, 24))
    kept = {name: asked.checkpoints[name] for name in ("base", "ppo-0.1")}
    run_suite(asked.model_copy(update={"checkpoints": kept}), "transformers", out, Quiet())
    side = read_side(str(out))
    policy, source = chosen_policy(str(out), None)
    assert source == "the suite's"
    return decide(side, side, choose_pairs(side, side, []), policy)


@pytest.mark.slow
def test_a_tuned_checkpoint_fails_as_a_writer(tmp_path: Path) -> None:
    verdict = gated("creative", tmp_path / "run")
    assert verdict.outcome == "regression"
    lost = {judgement.metric for judgement in verdict.judgements if judgement.outcome == "regression"}
    assert {"vendi", "embedding_distance", "sequence_entropy"} <= lost


@pytest.mark.slow
def test_the_same_checkpoint_passes_as_a_searcher(tmp_path: Path) -> None:
    verdict = gated("search", tmp_path / "run")
    assert verdict.outcome == "pass"
    assert {judgement.metric.split("|")[0] for judgement in verdict.judgements} == {"accuracy", "reward"}
