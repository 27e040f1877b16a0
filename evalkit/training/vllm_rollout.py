"""Responses drawn by vLLM while a policy trains: its weights go over in memory before each draw.

vLLM says nothing of what is learned: log-probs of the responses are the trainer's own, whoever drew them. It must draw
from the same distribution, which is looked at once, when it starts: it began with random weights, so that log-probs
equal to the trainer's say that all weights arrived, and that both compute the same model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from accelerate import Accelerator
from torch import Tensor

from evalkit.errors import EngineError, InputError
from evalkit.inference.engines.vllm import SEQUENCES, VllmEngine
from evalkit.inference.engines.vllm_policy import SharedWeights
from evalkit.plumbing.child_process import Remote, open_child
from evalkit.plumbing.progress import Listener
from evalkit.training.batch import pack
from evalkit.training.config import PolicyGradientConfig
from evalkit.training.handover import checkpoint_weights, shared_weights
from evalkit.training.models import Policy, Sampler, response_logits, token_log_probs

TARGET = "evalkit.inference.engines.vllm_policy:VllmPolicy"
INSTEAD = "set rollout to generate, which draws with transformers"
LARGE = 50_000_000
"""Parameters from which on `auto` takes vLLM: it spends some 60 microseconds of Python on each token, which is more
than all of a small model's."""
LONG = 32
"""Tokens of a response from which on `auto` does: handing the weights over takes as long as a few tokens."""
SAME = {"float32": 0.01, "bfloat16": 0.2}
"""Nats a token by which the engine's log-probs may differ from the trainer's, in the mean. Random weights differ by
more than 1, and models that are not quite the same by tenths."""


@contextmanager
def open_sampler(
    config: PolicyGradientConfig,
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    accelerator: Accelerator,
    tell: Listener,
) -> Iterator[Sampler | None]:
    """What draws the responses of a training, as `rollout` of its config says; None is transformers' `generate`.

    Raises `InputError` where vLLM was asked for and cannot be had, `EngineError` where it fails on this model.
    """
    if config.rollout == "generate" or (config.rollout == "auto" and not _pays(config, policy, accelerator)):
        yield None
        return
    if config.rollout == "vllm":
        _check(accelerator)
    with ExitStack() as opened:
        try:
            sampler = opened.enter_context(_vllm_sampler(config, policy, prompts, accelerator))
        except EngineError as error:
            if config.rollout == "vllm":
                raise EngineError(f"rollout: vllm: {error}; {INSTEAD}") from None
            tell.note(f"rollouts by generate, for vLLM cannot draw from this policy: {error}")
            sampler = None
        yield sampler


def _pays(config: PolicyGradientConfig, policy: Policy, accelerator: Accelerator) -> bool:
    """Whether vLLM is there and faster, as far as that was measured: in one process, on a CPU."""
    return (
        VllmEngine.missing() is None
        and accelerator.device.type == "cpu"
        and accelerator.num_processes == 1
        and policy.model.num_parameters() >= LARGE
        and config.sampling.max_tokens >= LONG
    )


def _check(accelerator: Accelerator) -> None:
    if (missing := VllmEngine.missing()) is not None:
        raise InputError(f"rollout: vllm: {missing}; or {INSTEAD}")
    if accelerator.is_fsdp2:
        raise InputError(f"rollout: vllm: each engine takes whole weights, which FSDP2 cuts into shards; {INSTEAD}")


@contextmanager
def _vllm_sampler(
    config: PolicyGradientConfig, policy: Policy, prompts: Sequence[Sequence[int]], accelerator: Accelerator
) -> Iterator[VllmSampler]:
    """An engine of this process's own. Raises `EngineError`."""
    dtype = "bfloat16" if accelerator.mixed_precision == "bf16" else "float32"
    longest = max(prompts, key=len)
    sequences = min(SEQUENCES, config.batch // accelerator.num_processes)
    with (
        shared_weights(policy, dtype) as weights,
        open_child(
            TARGET,
            policy.checkpoint,
            weights,
            len(longest) + config.sampling.max_tokens,
            sequences,
            title=f"engine vllm of the policy {policy.spec.path}",
            environment=_environment(accelerator),
        ) as engine,
    ):
        sampler = VllmSampler(engine, weights)
        sampler.check(policy, longest)
        yield sampler


def _environment(accelerator: Accelerator) -> dict[str, str]:
    """What the engine's process needs: the trainer's device or its cores, which they use by turns."""
    if accelerator.device.type == "cuda":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        index = accelerator.device.index or 0
        return {"CUDA_VISIBLE_DEVICES": visible.split(",")[index] if visible else str(index)}
    return {
        "CUDA_VISIBLE_DEVICES": "",
        # Else vLLM binds its threads to cores, however busy, and leaves work beside matrix products to a single one.
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        # Threads that wait actively would take the trainer's cores while it learns.
        "OMP_WAIT_POLICY": "PASSIVE",
    }


class VllmSampler:
    """Draws with an engine in a child process, each time with the policy's weights of now."""

    def __init__(self, engine: Remote, weights: SharedWeights) -> None:
        self._engine = engine
        self._weights = weights.views()

    def __call__(
        self, policy: Policy, prompts: Sequence[Sequence[int]], max_tokens: int, temperature: float
    ) -> list[list[int]]:
        """One response for each prompt, as `rollout.sample` gives; seeded from torch's generator."""
        self._write(policy)
        seed = int(torch.randint(2**31, ()))
        drawn: list[list[int]] = self._engine.call(
            "sample", list(prompts), max_tokens, temperature, sorted(policy.stops), seed
        )
        return drawn

    def log_probs(self, policy: Policy, tokens: Sequence[int]) -> Tensor:
        """[len(tokens) - 1] those of all tokens but the first, as the engine computes them."""
        self._write(policy)
        return torch.tensor(self._engine.call("log_probs", list(tokens)))

    def check(self, policy: Policy, prompt: Sequence[int]) -> None:
        """Raises `EngineError` where the engine does not compute what the trainer does."""
        tokens = [*prompt, min(policy.stops)]
        batch = pack([tokens[:1]], [tokens[1:]]).to(policy.model.device)
        with torch.no_grad():
            own = token_log_probs(response_logits(policy.model, batch), batch.responses)[0].cpu()
        gap = float((self.log_probs(policy, tokens) - own).abs().mean())
        dtype = str(next(iter(self._weights.values())).dtype).removeprefix("torch.")
        if not gap <= SAME[dtype]:
            raise EngineError(
                f"vLLM computes another {type(policy.model).__name__} than transformers does: with the same weights "
                f"its log-probs differ by {gap:.3f} nats a token, where {SAME[dtype]} is rounding"
            )

    def _write(self, policy: Policy) -> None:
        """Put the policy's weights into the memory that the engine reads."""
        for name, weight in checkpoint_weights(policy.model).items():
            self._weights[name].copy_(weight)
