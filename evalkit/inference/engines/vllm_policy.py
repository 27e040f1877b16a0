"""vLLM as the sampler of a policy that is being trained, in the child process of a trainer.

Its weights come from memory that the trainer shares, anew before every call: it starts with random ones, and no
checkpoint is read. A process of its own, for vLLM changes much in the one it runs in (on a CPU the number of threads
and the cores they run on, the random generators, torch's process groups), which a trainer could not bear.

On a GPU its weights and cache are given back between calls (vLLM's sleep mode): the trainer needs that memory.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.inference.engines.vllm import cpu_settings, finish_reason, prepare_environment, run_requests, set_seed

GPU_MEMORY = 0.3
"""Of a GPU, what the engine takes where the checkpoint's `gpu_memory` does not say: the rest is the trainer's."""
LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher tells the trainer of its processes: the engine is none of them."""


@dataclass(frozen=True)
class SharedWeights:
    """Where a trainer's weights lie: one after the other in a file that is memory of both processes."""

    path: str
    dtype: str
    """Of every one: the engine's."""
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    """Name, as in a checkpoint's files, and shape."""

    def views(self) -> dict[str, Tensor]:
        """Each weight as a tensor in that memory."""
        counts = [torch.Size(shape).numel() for _, shape in self.shapes]
        flat = torch.from_file(self.path, shared=True, size=sum(counts), dtype=getattr(torch, self.dtype))
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes, flat.split(counts), strict=True)}


class VllmPolicy:
    """Draws from the distribution of whatever weights the trainer has written."""

    def __init__(self, checkpoint: Checkpoint, weights: SharedWeights, max_length: int, sequences: int) -> None:
        """`max_length`: tokens of prompt and response; `sequences`: how many are drawn at the same time at most."""
        self._on_gpu = torch.cuda.is_available()
        for name in LAUNCHED:
            os.environ.pop(name, None)
        prepare_environment(self._on_gpu)
        from vllm import LLM

        self._llm = LLM(
            model=checkpoint.location,
            trust_remote_code=checkpoint.trust_remote_code,
            dtype=weights.dtype,
            load_format="dummy",
            max_model_len=max_length,
            max_num_seqs=sequences,
            generation_config="vllm",
            seed=0,
            **(
                {"gpu_memory_utilization": checkpoint.settings.gpu_memory or GPU_MEMORY, "enable_sleep_mode": True}
                if self._on_gpu
                else cpu_settings(checkpoint, weights.dtype, max_length, sequences)
            ),
        )
        self._weights = weights.views()
        self._sleep()

    def sample(
        self, prompts: Sequence[Sequence[int]], max_tokens: int, temperature: float, stops: Sequence[int], seed: int
    ) -> list[list[int]]:
        """A response to each prompt from the whole distribution, with the token that ended it."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=temperature,
            top_p=1.0,
            top_k=0,
            min_p=0.0,
            max_tokens=max_tokens,
            stop_token_ids=list(stops),
            ignore_eos=True,  # `stops` are all that end a response
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self._wake()
        self._llm.collective_rpc(set_seed, args=(seed,))
        samples = [output.outputs[0] for output in run_requests(self._llm, prompts, params)]
        self._sleep()
        for sample in samples:
            finish_reason(sample.finish_reason)
        return [list(sample.token_ids) for sample in samples]

    def log_probs(self, tokens: Sequence[int]) -> list[float]:
        """Those of all tokens of a sequence but the first."""
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, flat_logprobs=True, detokenize=False)
        self._wake()
        [output] = run_requests(self._llm, [tokens], params)
        self._sleep()
        return list(output.prompt_logprobs.logprobs[1 - len(tokens) :])

    def close(self) -> None:
        del self._llm

    def _wake(self) -> None:
        """Take memory again and the weights as they are now; what was cached is of other weights."""
        if self._on_gpu:
            # One after the other: the cache is not there yet while weights lie in memory twice.
            self._llm.wake_up(tags=["weights"])
        self._llm.collective_rpc(_load, args=(self._weights,))
        if self._on_gpu:
            self._llm.wake_up(tags=["kv_cache"])
        self._llm.reset_prefix_cache()

    def _sleep(self) -> None:
        if self._on_gpu:
            self._llm.sleep(level=2)  # weights are dropped, not kept aside: others come


def _load(worker: Any, weights: dict[str, Tensor]) -> None:
    """Put weights in the place of a worker's.

    Its model's own `load_weights` is not enough where layers were repacked after loading, as on a CPU. vLLM's that know
    no weights from memory (before 0.14) repack none of a plain model's on a GPU.
    """
    if "weights_iterator" in inspect.signature(worker.model_runner.reload_weights).parameters:
        worker.reload_weights(weights_iterator=iter(weights.items()))
    else:
        worker.model_runner.model.load_weights(iter(weights.items()))
