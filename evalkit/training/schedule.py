"""How the learning rate goes over a training."""

from __future__ import annotations


def annealing(step: int, steps: int, warm_up: int) -> float:
    """Factor of the learning rate at a step, counted from 0, in (0, 1]: a rise for `warm_up` steps, a fall to 0."""
    return min(1.0, (step + 1) / warm_up) * (1 - step / steps)
