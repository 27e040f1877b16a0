"""What the matrix products alone allow: seconds of our PPO update in bench/ppo.py's setting, and of its products.

    python -m bench.ppo_products [--rounds N] [--dtype float32|bfloat16]

One update is watched, and every matrix product noted with the shapes and layouts of its operands: those of the draws,
of scoring, and of the passes forward and backward. Then updates and the bare products, on fresh tensors of the same
shapes and layouts, take turns. On one thread, where nothing runs side by side; no way to write the same update in torch
that does those products takes less than they do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench.ppo import write_setting
from bench.ppo_evalkit import open_trainer, read_config
from evalkit.training.models import load_policy
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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the passes")
    asked = parser.parse_args()
    asked.threads = 1
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        setting = json.loads(write_setting(Path(scratch), asked).read_text(encoding="utf-8"))
        setting["updates"] += 1
        config = read_config(setting)
        policy = load_policy("policy", config.policy)
        _, steps = open_trainer(config, policy, PromptSet(config.prompts, [tuple(row) for row in setting["prompts"]]))
        with Watch() as watch:
            next(steps)
        report(*take_turns(lambda: next(steps), watch.products, asked.rounds))


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


def report(updates: list[float], bare: list[dict[Product, float]]) -> None:
    sums = [sum(each.values()) for each in bare]
    print(f"\nupdate {statistics.median(updates):.2f} s, its matrix products {statistics.median(sums):.2f} s (medians)")
    dearest = sorted(bare[-1].items(), key=lambda item: -item[1])[:5]
    for (function, layouts), seconds in dearest:
        print(f"  {seconds:5.2f} s  {function}  {' x '.join(str(list(shape)) for shape, _, _ in layouts)}")
    ratio = statistics.median(whole / part for whole, part in zip(updates, sums, strict=True))
    print(f"update / products: {ratio:.2f} (median of the rounds); bound {TARGET}")


if __name__ == "__main__":
    main()
