"""PPO with forward passes in bfloat16 on the processor; `test_gpu.py` has the same on a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from evalkit.checkpoints.training_log import read_curves
from tests.training.whole_training import endings, train, write_config


@pytest.mark.slow
def test_it_nearly_reaches_the_optimum_and_keeps_weights_in_float32(tmp_path: Path) -> None:
    made = train(write_config(tmp_path, dtype="bfloat16"), tmp_path / "out")
    for ending in endings(tmp_path / "toy", made):
        assert ending.distance < 0.05
    rows = read_curves(made)
    assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-3), "policy and reference round alike"
    assert {tensor.dtype for tensor in load_file(made / "model.safetensors").values()} == {torch.float32}
    assert json.loads((made / "training.json").read_text(encoding="utf-8"))["reached"]["kl"] > 0.1
