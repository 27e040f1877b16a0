"""What all tests of training share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Networks this small gain nothing from threads, and wait long for them where others work on the same cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="module")
def _no_gpu(request: pytest.FixtureRequest) -> Iterator[None]:
    """Exact truths are held on the processor, in float32, whatever the machine has; a module marked `gpu` takes GPUs."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("gpu") is None:
            patch.setattr(torch.cuda, "is_available", lambda: False)
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield
