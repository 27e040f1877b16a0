"""A plan decides everything before anything is sampled: arms, baselines, shards, and keys that forget nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from evalkit.errors import InputError, MetricError
from evalkit.inference.arms import plan_arms
from evalkit.inference.engines.transformers import TransformersEngine
from evalkit.inference.plan import Plan, make_plan
from evalkit.suite.schema import Suite

Make = Callable[..., Plan]
PROMPTS = [{"id": f"p{i}", "text": f"hello world {'be ' * i}"} for i in range(5)]


@pytest.fixture
def plan(make_folder: Callable[..., Path]) -> Make:
    folder = make_folder()

    def make(sampling: dict[str, Any] | None = None, **changes: Any) -> Plan:
        suite = {
            "name": "tiny",
            "checkpoints": {"base": {"path": str(folder), "kind": "base"}},
            "sampling": {"n": 100, "max_tokens": 8} | (sampling or {}),
            "metrics": ["length"],
            "prompts": PROMPTS,
        }
        return make_plan(Suite.model_validate(suite | changes), "transformers")

    return make


def keys(made: Plan) -> list[str]:
    return [shard.key for shard in made.shards]


def test_shards_cover_every_prompt_of_every_arm_once(plan: Make) -> None:
    made = plan({"temperature": [0.5, 1.0]})
    for arm in made.arms:
        asked = [prompt.prompt_id for shard in made.shards_of(arm.name) for prompt in shard.prompts]
        assert asked == [prompt["id"] for prompt in PROMPTS]
    assert len(set(keys(made))) == len(made.shards)
    assert len({shard.seed for shard in made.shards}) == len(made.shards)


def test_an_arm_says_what_drew_it(plan: Make) -> None:
    made = plan()
    assert {arm.engine for arm in made.arms} == {loaded.engine_text for loaded in made.checkpoints.values()}
    assert made.arms[0].engine.startswith("transformers ")
    assert made.shards[0].arm == made.arms[0]


def test_the_same_suite_has_the_same_plan(plan: Make) -> None:
    assert plan().shards == plan().shards


@pytest.mark.parametrize(
    "sampling",
    [
        {"seed": 1},
        {"temperature": 0.9},
        {"top_p": 0.9},
        {"min_p": 0.1},
        {"max_tokens": 9},
        {"stop": "x"},
        {"n": 99},
        {"top_k": 20},
        {"presence_penalty": 0.5},
        {"frequency_penalty": 0.5},
        {"repetition_penalty": 1.1},
    ],
    ids=str,
)
def test_every_sampling_parameter_decides_the_key(plan: Make, sampling: dict[str, Any]) -> None:
    assert not set(keys(plan())) & set(keys(plan(sampling)))


def test_weights_dtype_rendering_and_kind_decide_the_key(plan: Make, make_folder: Callable[..., Path]) -> None:
    folder = make_folder("other")
    here = {"path": str(folder), "kind": "base"}
    seen = set(keys(plan()))
    assert set(keys(plan(checkpoints={"base": here}))) == seen  # a copy elsewhere is the same checkpoint
    for change in ({"dtype": "float32"}, {"frame": {"template": "{prompt}"}}, {"kind": "tuned"}):
        assert not seen & set(keys(plan(checkpoints={"base": here | change})))
    save_file({"w": np.ones(12, dtype=np.float32)}, folder / "model.safetensors")
    assert not seen & set(keys(plan(checkpoints={"base": here})))


def test_the_engine_s_version_decides_the_key(plan: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(plan())
    monkeypatch.setattr(TransformersEngine, "version", staticmethod(lambda: "another"))
    assert not set(before) & set(keys(plan()))


def test_a_token_id_more_or_less_decides_the_key(plan: Make) -> None:
    changed = [PROMPTS[0] | {"text": "hello hello"}, *PROMPTS[1:]]
    assert keys(plan()) != keys(plan(prompts=changed))


def test_arms_of_the_same_weights_have_shards_of_their_own(plan: Make, make_folder: Callable[..., Path]) -> None:
    twin = {"path": str(make_folder("twin")), "kind": "base"}
    made = plan(checkpoints={"a": twin, "b": twin})
    assert len(set(keys(made))) == len(made.shards)
    assert keys(made)[: len(made.shards) // 2] == keys(plan(checkpoints={"a": twin}))


def arms_of(temperatures: dict[str, Any], baseline: str | None = None) -> list[tuple[str, str | None]]:
    checkpoints = {
        name: {"path": "x", "kind": "base", "sampling": {"temperature": t}} for name, t in temperatures.items()
    }
    suite = {"name": "s", "checkpoints": checkpoints, "metrics": ["length"], "prompts": PROMPTS, "baseline": baseline}
    return [(arm.name, arm.baseline) for arm in plan_arms(Suite.model_validate(suite))]


def test_each_arm_is_compared_with_the_baseline_at_its_own_temperature() -> None:
    assert arms_of({"base": [1.0, 0.5], "tuned": [0.5, 1.0]}) == [
        ("base@T=1", None),
        ("base@T=0.5", "base@T=1"),
        ("tuned@T=0.5", "base@T=0.5"),
        ("tuned@T=1", "base@T=1"),
    ]


def test_an_arm_without_a_counterpart_is_compared_with_the_baseline_s_first() -> None:
    assert arms_of({"base": [1.0], "tuned": [0.7]}) == [("base", None), ("tuned", "base")]


def test_the_baseline_is_the_one_the_suite_names() -> None:
    assert arms_of({"tuned": [1.0], "base": [1.0]}, "base") == [("tuned", "base"), ("base", None)]


def test_a_prompt_without_room_to_answer_is_refused(plan: Make) -> None:
    with pytest.raises(
        InputError, match=r"prompt 'p0' takes 7 tokens for checkpoint 'base' and sampling.max_tokens is 60"
    ):
        plan({"max_tokens": 60})


def test_a_metric_that_the_prompts_cannot_feed_is_refused(plan: Make) -> None:
    with pytest.raises(MetricError, match="metric accuracy needs prompts with `answer`"):
        plan(metrics=["accuracy"])


@pytest.mark.parametrize(
    ("model", "told"),
    [("lab:base", "lab:base cannot give rewards: it is a LlamaForCausalLM"), (".", "has no config.json")],
)
@pytest.mark.parametrize("place", ["metric", "best of"])
def test_what_is_no_reward_model_is_refused_before_anything_is_sampled(
    plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, model: str, told: str
) -> None:
    """Whatever the checkpoints are: a reward that none of them could be read by is refused for what it is, too."""
    monkeypatch.chdir(tmp_path)
    best_of = {"best_of": {"n": 2, "reward": model}} if place == "best of" else {}
    metrics = [{"reward": {"model": model}}] if place == "metric" else ["length"]
    with pytest.raises(InputError, match=re.escape(told)):
        plan(metrics=metrics, checkpoints={"base": {"path": str(tmp_path / "model"), "kind": "base", **best_of}})
