"""Updates on batches that are given; run as `python -m ... CHECKPOINT OUT KIND CHANGES`, by one process or by many.

Writes weights after each update, each process's advantages, and the updates' figures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors.torch import save_file
from torch import nn
from torch.distributed.tensor import DTensor

from evalkit.training import policy_gradient
from evalkit.training.experience import batch_statistics
from tests.training.processes.sharding import sharding_accelerator
from tests.training.processes.toy_ppo import Setting, episodes, save_weights, setting


def go(its: Setting, out: Path, updates: int) -> None:
    sharded = [isinstance(weight, DTensor) for model in networks(its) for weight in model.parameters()]
    assert all(sharded) if its.state.accelerator.is_fsdp2 else not any(sharded)
    rows = []
    for update in range(updates):
        played = episodes(its, shift=update)
        passed = policy_gradient.forward(its.config, its.state, played.batch)
        experience = policy_gradient.compute_advantages(its.config, its.state, played, passed)
        learned = policy_gradient.take_steps(its.config, its.state, experience, update)
        rows.append(batch_statistics(played, passed, experience, its.state.accelerator) | learned)
        save_weights(out / f"{update}.safetensors", its.state)
        rank = its.state.accelerator.process_index
        save_file({"advantages": experience.advantages.contiguous()}, out / f"advantages-{update}-{rank}.safetensors")
        (out / f"rows-{rank}.json").write_text(json.dumps(rows))


def networks(its: Setting) -> list[nn.Module]:
    also = [its.state.reference] if its.state.reference is not None else []
    return [its.state.policy.model, its.state.critic, *also]


if __name__ == "__main__":
    checkpoint, out, kind, changes = sys.argv[1:]
    opened: Any = {"ddp": Accelerator, "fsdp2": sharding_accelerator}[kind](cpu=True)
    given = json.loads(changes)
    go(setting(Path(checkpoint), opened, **given), Path(out), updates=2)
