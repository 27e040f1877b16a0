"""A whole training on the toy language; run as `python -m ... CHECKPOINT OUT`, by one process or by many.

Writes the exact log-probs, [prompts, 85], of the policy before and after it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor

from evalkit.training import policy_gradient
from tests.training import toy
from tests.training.processes.toy_ppo import Setting, setting


def log_probs(its: Setting) -> Tensor:
    return torch.stack([toy.response_log_probs(its.state.policy, ids) for ids in its.prompts.ids])


if __name__ == "__main__":
    checkpoint, out = map(Path, sys.argv[1:])
    its = setting(checkpoint, Accelerator(cpu=True))
    before = log_probs(its)
    for _ in policy_gradient.updates(its.config, its.state, its.prompts, its.sources):
        pass
    if its.state.accelerator.is_main_process:
        save_file({"before": before, "after": log_probs(its)}, out / "log_probs.safetensors")
