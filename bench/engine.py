"""What evalkit's vLLM engine adds to raw `LLM.generate`: wall time on the same requests, the same log-probs wanted.

    python bench/engine.py [CHECKPOINT_FOLDER] [--prompts N] [--samples N] [--max-tokens N] [--rounds N]

All take turns over several rounds (a machine's other work hits all); the best round of each counts. `evalkit` is the
whole way that a run takes, but for the pipe to its child process; `evalkit, engine in a child process` is that way too,
with a second engine that holds its own weights and waits while the others have their turn.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.folder import context_length, locate
from evalkit.inference.engines.base import open_engine
from evalkit.inference.engines.vllm import VllmEngine
from evalkit.records import Rendered, Sampling

TARGET = 1.10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default="lab:base", help="a folder, a hub id, or lab:NAME")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()

    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    folder = str(locate(asked.checkpoint))
    checkpoint = Checkpoint("bench", "base", folder, folder, folder, None, "", "auto")
    context = context_length(checkpoint) or 4096
    prompts = make_prompts(folder, asked.prompts)
    length = min(context, max(len(prompt.token_ids) for prompt in prompts) + asked.max_tokens)
    sampling = Sampling(asked.samples, 1.0, 1.0, 0.0, asked.max_tokens, (), 0)
    print(f"{Path(folder).name}: {asked.prompts} prompts x {asked.samples} samples, at most {asked.max_tokens} tokens")

    started = time.perf_counter()
    engine = VllmEngine(checkpoint, length)
    print(f"{'engine start (with imports)':<42} {time.perf_counter() - started:6.2f} s")
    with open_engine("vllm", checkpoint, length) as remote:
        raw, flat, ours, child = best(
            [
                lambda: generate(engine, prompts, sampling, flat=False),
                lambda: generate(engine, prompts, sampling, flat=True),
                lambda: tokens(engine.sample(prompts, sampling, 1, ignore)),
                lambda: tokens(remote.sample(prompts, sampling, 1, ignore)),
            ],
            asked.rounds,
            [
                "LLM.generate(logprobs=0)",
                "LLM.generate(logprobs=0, flat_logprobs=True)",
                "evalkit",
                "evalkit, engine in a child process",
            ],
        )
    print(f"evalkit / LLM.generate: {ours / raw:.2f} ({ours / flat:.2f} with flat log-probs); bound {TARGET}")
    print(
        f"evalkit in a child / LLM.generate: {child / raw:.2f} ({child / flat:.2f} with flat log-probs); bound {TARGET}"
    )


def make_prompts(folder: str, count: int) -> list[Rendered]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [f"Write the first line of story number {index} ." for index in range(count)]
    return [Rendered(f"p{i}", text, tuple(tokenizer(text)["input_ids"])) for i, text in enumerate(texts)]


def generate(engine: VllmEngine, prompts: list[Rendered], sampling: Sampling, flat: bool) -> int:
    """The same requests as plain vLLM takes them; number of tokens."""
    from vllm import SamplingParams
    from vllm.utils.torch_utils import set_random_seed

    llm = engine._llm
    set_random_seed(1)
    llm.reset_prefix_cache()
    params = SamplingParams(n=sampling.n, max_tokens=sampling.max_tokens, logprobs=0, flat_logprobs=flat)
    requests = [{"prompt_token_ids": list(prompt.token_ids)} for prompt in prompts]
    outputs = llm.generate(requests, params, use_tqdm=False)
    return sum(len(sample.token_ids) for output in outputs for sample in output.outputs)


def best(ways: list[Callable[[], int]], rounds: int, names: list[str]) -> list[float]:
    """Seconds per token of each way's best round; the ways take turns."""
    rates = [float("inf")] * len(ways)
    for _ in range(rounds + 1):  # the first round warms up
        for place, way in enumerate(ways):
            started = time.perf_counter()
            drawn = way()
            rates[place] = min(rates[place], (time.perf_counter() - started) / drawn)
    for name, rate in zip(names, rates, strict=True):
        print(f"{name:<42} {1 / rate:6.0f} tokens/s")
    return rates


def tokens(completions: list) -> int:  # type: ignore[type-arg]
    return sum(len(one.token_ids) for one in completions)


def ignore(completions: int, drawn: int) -> None:
    pass


if __name__ == "__main__":
    main()
