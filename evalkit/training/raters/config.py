"""What is asked of those who make preferences: pairs of completions, and simulated raters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from evalkit.checkpoints.spec import NAME, Texts
from evalkit.plumbing.typed_yaml import Part
from evalkit.training.config import Generation, Job, Policy, Positive, Prompted, RewardSource


class PrefsSampleConfig(Prompted):
    """Pairs of completions to be compared."""

    policy: Policy
    pairs: int = Field(4, ge=1, le=50_000)
    """Pairs a prompt."""
    sampling: Generation = Generation()


class DivPo(Part):
    """The most diverse of the good completions against the least diverse of the bad ones (Lanchantin et al. 2025)."""

    threshold: float = Field(0.3, ge=0, lt=0.5)
    """Good is a reward within this share of the pool's range below its highest, bad within it above the lowest."""
    diversity: Literal["probability", "word_frequency"] = "probability"
    """Diverse is what the policy holds for improbable, a token, or what has words that the pool's others lack."""


class PrefsChooseConfig(Prompted):
    """Preferences between a policy's own completions, chosen by a reward."""

    policy: Policy
    reward: RewardSource
    pairs: int = Field(1, ge=1, le=5_000)
    """Pairs a prompt, each from a pool of its own."""
    samples: int = Field(16, ge=2, le=1_000)
    """Completions in a pool."""
    sampling: Generation = Generation()
    divpo: DivPo | None = None
    """Left out, the completion of the highest reward is chosen and that of the lowest rejected."""


class RaterGroup(Part):
    """Raters who share values: a stated utility, and noise."""

    raters: int = Field(1, ge=1)
    share: Positive = 1.0
    """Weight of this group among the preferences."""
    values: RewardSource
    noise: Positive = 1.0
    """Scale of the noise: P(a over b) = sigmoid((u(a) - u(b)) / noise)."""


class SimulatedLabelling(Part):
    """How simulated raters are asked, where they write annotations as people do."""

    overlap: int = Field(3, ge=1)
    """Raters of a group who see each pair; all of a smaller group."""
    repeats: float = Field(0.1, ge=0, le=1)
    """Share of answers that the same rater is asked for once more, the sides swapped."""
    seconds: Positive = 8.0
    """Median time of an answer."""


class PrefsSimulateConfig(Job):
    """Simulated raters who compare pairs."""

    pairs: Texts
    """JSONL files of `prompt` and `completions` (two each), as `evalkit prefs sample` writes them."""
    groups: dict[Annotated[str, Field(pattern=NAME)], RaterGroup] = Field(min_length=1)
    every_group: bool = False
    """Let every group label every pair, instead of dealing the pairs out by share."""
    annotations: SimulatedLabelling | None = None
    """Write annotations (who answered what, in which order, how fast, and again) instead of preferences."""
