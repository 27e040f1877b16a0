"""What the matrix products alone allow: seconds of our PPO update, and of the products in it.

    python -m bench.ppo_products [--rounds N] [--dtype float32|bfloat16] [--threads N]
    python -m bench.ppo_products POLICY [--batch N] ...

The update is that of the 1 M Llama in bench/ppo.py's setting, or that of a real checkpoint in bench/update.py's, whose
responses are then tokens at random: what drawing them costs depends on who draws.

One update is watched, and every matrix product noted with the shapes and layouts of its operands: those of the draws,
of scoring, and of the passes forward and backward. Then updates and the bare products, on fresh tensors of the same
shapes and layouts, take turns. No way to write the same update in torch that does those products takes less than they
do. Bare ones find their operands in the caches, which those of an update do not: at the end one update is profiled,
and what its products take in place is told too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from bench import ppo, update
from bench.ppo_evalkit import open_trainer, read_config
from evalkit.training import policy_gradient
from evalkit.training.models import Policy, load_policy
from evalkit.training.scoring import PromptSet

TARGET = 1.15
aten = torch.ops.aten
PRODUCTS: dict[Any, Callable[..., Tensor]] = {
    aten.mm.default: torch.mm,
    aten.bmm.default: torch.bmm,
    aten.addmm.default: torch.addmm,
    aten.baddbmm.default: torch.baddbmm,
}
Layout = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]
"""Shape, strides and type of a tensor."""
Product = tuple[Any, tuple[Layout, ...]]


class Watch(TorchDispatchMode):  # type: ignore[misc]
    """Notes the matrix products of what runs under it."""

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[Product] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in PRODUCTS:
            layouts = tuple((tuple(t.shape), t.stride(), t.dtype) for t in args if isinstance(t, Tensor))
            self.products[function, layouts] += 1
        return function(*args, **(kwargs or {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", nargs="?", type=Path, help="a folder with a causal language model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the passes")
    parser.add_argument("--batch", type=int, default=8, help="episodes of 64 + 256 tokens, where there is a policy")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as scratch:
        setting = json.loads(write_setting(Path(scratch), asked).read_text(encoding="utf-8"))
        setting |= {"updates": asked.rounds + 3, "rollouts": ["generate"]}
        config = read_config(setting)
        policy = load_policy("policy", config.policy)
        _, steps = open_trainer(config, policy, PromptSet(config.prompts, [tuple(row) for row in setting["prompts"]]))
        products = watched(lambda: next(steps))
        report(*take_turns(lambda: next(steps), products, asked.rounds), in_place(lambda: next(steps)))


def write_setting(folder: Path, asked: argparse.Namespace) -> Path:
    if asked.policy is None:
        return ppo.write_setting(folder, asked)
    asked.method, asked.prompt, asked.response = "ppo", 64, 256
    policy_gradient.sample = at_random
    return update.write_setting(folder, asked)


def at_random(policy: Policy, prompts: Sequence[Any], tokens: int, *_: Any, **__: Any) -> list[list[int]]:
    last = int(policy.model.config.vocab_size) - 1  # which ends a response
    responses: list[list[int]] = torch.randint(last, (len(prompts), tokens)).tolist()
    return responses


def watched(work: Callable[[], Any]) -> Counter[Product]:
    """The products of an update; all in this thread, which is the only one that is watched."""
    side_by_side = policy_gradient.on_split_cores
    policy_gradient.on_split_cores = lambda first, second, _: (first(), second())
    with Watch() as watch:
        work()
    policy_gradient.on_split_cores = side_by_side
    return watch.products


def in_place(work: Callable[[], Any]) -> float:
    """Seconds that products take inside an update, of all threads together."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        work()
    names = {f"aten::{function.overloadpacket.__name__}" for function in PRODUCTS}
    return sum(float(each.self_cpu_time_total) for each in profiled.key_averages() if each.key in names) / 1e6


def take_turns(
    update: Callable[[], Any], products: Counter[Product], rounds: int
) -> tuple[list[float], list[dict[Product, float]]]:
    """Seconds of updates and of the products of one; the first turn warms up."""
    updates, bare = [], []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        update()
        updates.append(time.perf_counter() - started)
        bare.append({product: seconds_of(product, count) for product, count in products.items()})
        print(f"update {updates[-1]:.2f} s  products {sum(bare[-1].values()):.2f} s", flush=True)
    return updates[1:], bare[1:]


def seconds_of(product: Product, count: int) -> float:
    function, layouts = product
    operands = [laid_out(*layout) for layout in layouts]
    work = PRODUCTS[function]
    started = time.perf_counter()
    for _ in range(count):
        work(*operands)
    return time.perf_counter() - started


def laid_out(shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    size = 1 + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    return torch.randn(size).to(dtype).as_strided(shape, strides)


def report(updates: list[float], bare: list[dict[Product, float]], placed: float) -> None:
    sums = [sum(each.values()) for each in bare]
    print(f"\nupdate {statistics.median(updates):.2f} s, its matrix products {statistics.median(sums):.2f} s (medians)")
    dearest = sorted(bare[-1].items(), key=lambda item: -item[1])[:5]
    for (function, layouts), seconds in dearest:
        print(f"  {seconds:5.2f} s  {function}  {' x '.join(str(list(shape)) for shape, _, _ in layouts)}")
    ratio = statistics.median(whole / part for whole, part in zip(updates, sums, strict=True))
    print(f"in place, in one more update: {placed:.2f} s of all threads together")
    print(f"update / products: {ratio:.2f} (median of the rounds); bound {TARGET}")


if __name__ == "__main__":
    main()
