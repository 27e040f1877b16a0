"""suites/experiments/real-ladder: its parts fit together. That they run is seen by running them, for most of an hour."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from evalkit.suite.schema import Suite, load_suite
from evalkit.training.config import DpoConfig, GrpoConfig, PpoConfig, RewardConfig, load_config
from evalkit.training.raters.config import PrefsSampleConfig, PrefsSimulateConfig

SUITES = Path(__file__).parents[2] / "suites"
FOLDER = SUITES / "experiments" / "real-ladder"
START = "checkpoints/smollm2-135m-instruct"
TUNED: Mapping[str, type[PpoConfig | GrpoConfig | DpoConfig]] = {"ppo": PpoConfig, "grpo": GrpoConfig, "dpo": DpoConfig}


def test_all_start_from_one_model_and_are_held_by_the_same_betas() -> None:
    tuned = [load_config(TUNED[name], FOLDER / f"{name}.yaml") for name in TUNED]
    assert {(one.policy.path, one.beta, one.lora, one.dtype) for one in tuned} == {
        (START, (1.0, 0.3, 0.1), tuned[0].lora, "bfloat16")
    }
    reward = load_config(RewardConfig, FOLDER / "reward.yaml")
    assert reward.model.path == START
    assert load_config(DpoConfig, FOLDER / "dpo.yaml").preferences == reward.preferences


def test_ppo_and_grpo_see_as_many_answers_to_the_same_prompts() -> None:
    ppo = load_config(PpoConfig, FOLDER / "ppo.yaml")
    grpo = load_config(GrpoConfig, FOLDER / "grpo.yaml")
    shared = ("prompts", "reward", "gold", "sampling", "rollout", "updates", "batch", "epochs", "minibatches", "seed")
    assert {name: getattr(ppo, name) for name in shared} == {name: getattr(grpo, name) for name in shared}
    pairs = load_config(PrefsSampleConfig, FOLDER / "pairs.yaml")
    assert pairs.prompts == ppo.prompts
    [raters] = load_config(PrefsSimulateConfig, FOLDER / "votes.yaml").groups.values()
    assert ppo.gold is not None
    assert raters.values.utility == ppo.gold.utility, "what is watched is what the raters value"


@pytest.mark.parametrize("name", ["creative", "search"])
def test_adapters_are_compared_on_prompts_of_the_shipped_suite_that_none_was_trained_on(name: str) -> None:
    ours, shipped = load_suite(FOLDER / f"{name}.yaml"), load_suite(SUITES / f"{name}.yaml")
    assert set(texts(ours)) <= set(texts(shipped))
    trained = load_config(PpoConfig, FOLDER / "ppo.yaml").prompts
    assert not {prompt.text for prompt in trained} & set(texts(shipped))
    made = {
        f"{method}-{beta:g}": f"trained/real-ladder/{method}/beta-{beta:g}/adapter"
        for method in TUNED
        for beta in load_config(TUNED[method], FOLDER / f"{method}.yaml").beta
    }
    assert {arm: spec.path for arm, spec in ours.checkpoints.items()} == {"start": START} | made


def texts(suite: Suite) -> list[str]:
    return [prompt.text for prompt in suite.prompts]
