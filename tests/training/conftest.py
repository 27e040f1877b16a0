"""What all tests of training share."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Networks this small gain nothing from threads, and wait long for them where others work on the same cores."""
    torch.set_num_threads(1)
