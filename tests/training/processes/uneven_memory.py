"""Sampling from shards where one process has room for a single row and the other for all; run as `-m ... CHECKPOINT OUT`.

Writes how many responses each process got.
"""

from __future__ import annotations

import sys
from pathlib import Path

from evalkit.training import memory
from evalkit.training.rollout import sample
from tests.training import toy
from tests.training.processes.sharding import sharding_accelerator
from tests.training.processes.toy_ppo import setting

PROMPTS = 3

if __name__ == "__main__":
    checkpoint, out = map(Path, sys.argv[1:])
    accelerator = sharding_accelerator(cpu=True)
    rank = accelerator.process_index
    its = setting(checkpoint, accelerator)
    memory.memory_of = lambda _: 0 if rank == 0 else 2**40
    prompt_ids = [its.prompts.ids[rank]] * PROMPTS
    drawn = sample(its.state.policy, prompt_ids, toy.LONGEST, in_step=True)
    (out / f"{rank}.txt").write_text(str(len(drawn)))
