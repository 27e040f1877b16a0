"""Summaries of a known law, to be gated."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from evalkit.gate.sides import Side
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.arrays import Array
from evalkit.records import Arm, Better, Sampling
from evalkit.suite.gate_policy import Allowance, Policy, Rule
from tests.report.example import traits_of

SAMPLING = Sampling(n=8, temperature=1.0, top_p=1.0, min_p=0.0, max_tokens=9, stop=(), seed=0)
BETTERS: dict[str, Better] = {"self_bleu": "lower", "length": "neither"}


def summary(values: Mapping[str, Mapping[str, Array]], suite: str = "tiny", samples: int = 8) -> Summary:
    """Metric -> arm -> one value a prompt; the first arm is the baseline of the others."""
    arms = list(next(iter(values.values())))
    made = [Arm(name, name, "base", SAMPLING, None if name == arms[0] else arms[0]) for name in arms]
    estimates = [
        _estimate(metric, arm, own, samples) for metric, by_arm in values.items() for arm, own in by_arm.items()
    ]
    prompts = estimates[0].values
    return Summary(suite, tuple(f"p{i}" for i in range(len(prompts))), tuple(made), tuple(estimates), ())


def _estimate(metric: str, arm: str, values: Array, samples: int) -> Estimate:
    """Without an interval: a gate makes its own, and a bootstrap would make hundreds of trials slow."""
    defined = values[~np.isnan(values)]
    return Estimate(
        metric=metric,
        signature=f"{metric}|k:{samples}|v:1.0",
        arm=arm,
        value=float(defined.mean()) if len(defined) else None,
        low=None,
        high=None,
        confidence=0.95,
        prompts=len(defined),
        samples=samples,
        better=BETTERS.get(metric.split("|")[0], "higher"),
        values=tuple(None if math.isnan(value) else float(value) for value in values),
        traits=traits_of(metric),
    )


def side(values: Mapping[str, Array], place: str = "new", arm: str = "tuned") -> Side:
    """A side with a base that nobody asks about and one arm."""
    base = np.zeros(len(next(iter(values.values()))))
    return Side(summary({metric: {"base": base, arm: own} for metric, own in values.items()}), place)


def law(
    seed: int, prompts: int = 60, mean: float = 10.0, spread: float = 1.0, noise: float = 0.2
) -> tuple[Array, Array]:
    """Two draws of one law: prompts differ by `spread`, draws of one prompt by `noise`."""
    rng = np.random.default_rng(seed)
    own = rng.normal(mean, spread, prompts)
    return own + noise * rng.normal(size=prompts), own + noise * rng.normal(size=prompts)


def allowing(metrics: str = "vendi", better: str | None = None, **allowance: float) -> Policy:
    return Policy(rules=(Rule(metrics=(metrics,), allow=Allowance(**allowance), better=better),))  # type: ignore[arg-type]


def with_hole(values: Array, *places: int) -> Array:
    holed = values.copy()
    holed[list(places)] = math.nan
    return holed
