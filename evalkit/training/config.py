"""What the trainer is asked to do: typed YAML, with the errors of suites."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from evalkit.checkpoints.spec import NAME, CheckpointSpec, Texts
from evalkit.plumbing.typed_yaml import Part, read_part
from evalkit.plumbing.unread import Notice, say
from evalkit.suite.conversations import SuitePrompt
from evalkit.suite.prompts import PromptSource, check_prompts, read_prompts


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Betas = Annotated[
    tuple[Positive, ...],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]}),
]
Estimator = Literal["k1", "k2", "k3"]
Rollout = Literal["auto", "generate", "vllm"]
Divergence = Literal["reverse_kl", "forward_kl", "jensen_shannon"]
Distinctness = Literal["exact", "ngrams"]


def _asked_directly(spec: CheckpointSpec) -> CheckpointSpec:
    """What is learned is one answer to a prompt as it is."""
    if spec.ask is not None:
        raise ValueError("ask is for suites, not for training, where each prompt is put as it is; leave it out")
    return spec


def _without_chat_settings(spec: CheckpointSpec) -> CheckpointSpec:
    """Conversations are learned as the template writes them unasked: the folder that is written cannot say more."""
    if spec.chat_template_kwargs:
        raise ValueError("chat_template_kwargs is read where prompts are sampled, not by this trainer; leave it out")
    return spec


Policy = Annotated[CheckpointSpec, AfterValidator(_asked_directly)]
"""A checkpoint that is sampled from."""
FitModel = Annotated[Policy, AfterValidator(_without_chat_settings)]
"""A checkpoint that is fitted to given texts."""


class RewardSource(Part):
    """Where a completion's reward comes from: a reward model, or a utility that is stated."""

    model: str | None = None
    """Folder, hub id or `lab:NAME` of a reward model: a sequence-classification checkpoint with one label."""
    utility: Mapping[str, float] | None = None
    """Utility name -> weight, added up, as in {"lab:scholars": 1, words: -0.05}."""

    @model_validator(mode="after")
    def _is_one(self) -> RewardSource:
        if (self.model is None) == (self.utility is None):
            raise ValueError("a reward is either `model: PATH` or `utility: {name: weight}`")
        return self

    def __str__(self) -> str:
        return self.model or " + ".join(f"{weight:g} {name}" for name, weight in (self.utility or {}).items())


class Lora(Part):
    """Low-rank adapters in place of full fine-tuning (Hu et al. 2021); merged into the weights when saved."""

    rank: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    targets: Texts = ("all-linear",)
    """Names of the modules that get adapters; `all-linear` is every linear layer but the head."""


class Generation(Part):
    """How the policy is sampled while it trains: nothing is cut off, so that log-probs are those of the sampler."""

    max_tokens: int = Field(48, ge=1)
    """Longest completion."""
    temperature: float = Field(1.0, gt=0, le=2)
    """The distribution that is trained is the policy's at this temperature; it is written beside the checkpoint."""


class AdaptiveKl(Part):
    """Beta follows a target (Ziegler et al. 2019): the sequence's KL in nats, over a horizon of episodes."""

    target: Positive
    horizon: int = Field(10_000, ge=1)


class EntropyTarget(Part):
    """The weight of the entropy follows a target: nats a completion, over a horizon of episodes."""

    target: Positive
    horizon: int = Field(10_000, ge=1)


class Probe(Part):
    """A fixed set of prompts on which the policy's diversity is watched while it trains."""

    prompts: int = Field(16, ge=1)
    samples: int = Field(32, ge=2)
    every: int = Field(10, ge=1)
    """Updates between two looks."""


class Job(Part):
    """What every piece of work has."""

    name: str = Field(pattern=NAME)
    seed: int = Field(0, ge=0, lt=2**32)


class Training(Job):
    """What every trainer needs."""

    lora: Lora | None = None
    """Train adapters instead of all weights."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of forward passes: `auto` is bfloat16 on a GPU, float32 on a CPU; weights stay float32."""


class Fitting(Training):
    """What the trainers need that go over given items, epoch by epoch."""

    epochs: int = Field(1, ge=1)
    batch: int = Field(64, ge=1)
    """Items a step."""
    microbatch: int = Field(64, ge=1)
    """Sequences in one forward and backward pass: memory against speed, the result is the same."""
    learning_rate: Positive = 1e-5
    """It rises over the first steps and falls linearly to 0."""


class Prompted(Job):
    """Work on prompts."""

    prompts: tuple[SuitePrompt, ...] = ()
    """Prompts written here ..."""
    prompts_from: PromptSource | None = None
    """... or read from a file or a data set."""

    @model_validator(mode="after")
    def _has_prompts(self) -> Prompted:
        if bool(self.prompts) == (self.prompts_from is not None):
            raise ValueError("give either `prompts` with at least one prompt, or `prompts_from` a file or a data set")
        return self


class PolicyGradientConfig(Training, Prompted):
    """What PPO, RLOO and GRPO share: a policy samples, is rewarded, and is held near its own start (the reference)."""

    policy: Policy
    """The causal language model that is trained; its frozen copy is the reference."""
    reward: RewardSource
    gold: RewardSource | None = None
    """The reward that one would really want, only watched: over-optimisation shows where it falls."""
    beta: Betas
    """Weight of the divergence; a list makes a checkpoint of each, a ladder."""
    adaptive: AdaptiveKl | None = None
    divergence: Divergence = "reverse_kl"
    """What holds the policy near the reference; each has an optimum of its own, `evalkit.training.divergences`."""
    estimator: Estimator = "k1"
    """Of the reverse KL inside the reward. Only k1 has the right optimum; k2 and k3 collapse diversity."""
    entropy_bonus: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Weight of the policy's entropy, nats a completion, in the objective."""
    entropy_target: EntropyTarget | None = None
    """Let the weight of the entropy follow a target."""
    distinctness: Distinctness | None = None
    """Multiply rewards by how far a completion is from the others of its prompt (`evalkit.training.distinctness`)."""
    normalise: bool = True
    """Shift and scale rewards to mean 0, standard deviation 1 over the reference's samples, once, before training."""
    missing_eos: float | None = -1.0
    """Reward of a completion that does not end by itself, in normalised units; null scores it like any other."""
    sampling: Generation = Generation()
    rollout: Rollout = "auto"
    """What draws the responses: transformers' `generate`, or vLLM beside the trainer; `auto` is the faster one."""
    updates: int = Field(100, ge=1)
    """Batches of episodes."""
    batch: int = Field(256, ge=1)
    """Episodes in a batch, over all processes."""
    samples: int = Field(1, ge=1)
    """Episodes of each prompt in a batch; `batch` must be a multiple."""
    epochs: int = Field(4, ge=1)
    """Passes over each batch."""
    minibatches: int = Field(4, ge=1)
    """Optimiser steps a pass."""
    microbatch: int = Field(64, ge=1)
    """Sequences in one forward and backward pass: memory against speed, the result is the same."""
    learning_rate: Positive = 1e-5
    """Of the policy; it falls linearly to 0."""
    clip: Positive = 0.2
    clip_high: Positive | None = None
    """How far above 1 the ratio may go before it is clipped; default: `clip` (DAPO's clip-higher; Yu et al. 2025)."""
    max_grad_norm: Positive = 1.0
    target_kl: Positive | None = None
    """Stop a batch's passes when the policy has moved this far from the batch's sampler (nats a token)."""
    probe: Probe = Probe()
    save_every: int = Field(20, ge=1)
    """Updates between two states to resume from."""

    @property
    def method(self) -> str:
        """The command that trains so."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _fits(self) -> PolicyGradientConfig:
        if self.batch % self.samples:
            raise ValueError(f"batch is {self.batch}; it must be a multiple of samples, {self.samples}")
        if self.batch % self.minibatches:
            raise ValueError(f"batch is {self.batch}; it must be a multiple of minibatches, {self.minibatches}")
        if len(set(self.beta)) < len(self.beta):
            raise ValueError("beta lists a value twice")
        if self.adaptive and len(self.beta) > 1:
            raise ValueError("adaptive moves beta by itself; it needs a single start value of beta, not a list")
        if self.divergence != "reverse_kl" and self.estimator != "k1":
            raise ValueError(
                f"estimator {self.estimator} is one of the reverse KL; leave it out with {self.divergence}"
            )
        if self.entropy_target and not self.entropy_bonus:
            raise ValueError("entropy_target moves entropy_bonus by a factor; give it a start value above 0")
        if self.distinctness and self.samples < 2:
            raise ValueError("distinctness compares a prompt's completions with each other; set samples to at least 2")
        return self


class PpoConfig(PolicyGradientConfig):
    """Proximal policy optimisation: a value network says what was to be expected."""

    critic: str | None = None
    """Checkpoint that the value network starts from; default: the reward model, or the policy where there is none."""
    critic_learning_rate: Positive | None = None
    """Of the value network; default: the policy's."""
    value_clip: Positive = 0.2
    value_weight: Positive = 0.1
    gae_lambda: float = Field(0.95, ge=0, le=1)
    whiten: bool = True

    @property
    def method(self) -> str:
        return "ppo"


class RlooConfig(PolicyGradientConfig):
    """REINFORCE leave-one-out: the other completions of the prompt say what was to be expected."""

    samples: int = Field(4, ge=2)
    """Completions of each prompt in a batch; `batch` must be a multiple."""
    epochs: int = Field(1, ge=1)

    @property
    def method(self) -> str:
        return "rloo"


class GrpoConfig(PolicyGradientConfig):
    """Group-relative policy optimisation: rewards are compared within the completions of a prompt."""

    samples: int = Field(8, ge=2)
    """Completions of each prompt in a batch, its group; `batch` must be a multiple."""
    epochs: int = Field(1, ge=1)
    scale: Literal["group", "none"] = "group"
    """Divide rewards by their standard deviation within the group. It moves the optimum; `none` does not (Liu 2025)."""
    kl: Literal["loss", "reward"] = "loss"
    """`loss`: estimate k3 as a loss of its own, as published; `reward`: k1 inside the reward, as in PPO."""

    @property
    def method(self) -> str:
        return "grpo"

    @model_validator(mode="after")
    def _has_one_kl(self) -> GrpoConfig:
        if self.kl == "loss" and self.divergence != "reverse_kl":
            raise ValueError(f"divergence {self.divergence} stands inside the reward; set kl to reward")
        if self.kl == "loss" and self.estimator != "k1":
            raise ValueError("estimator is of the KL inside the reward; leave it out, or set kl to reward")
        return self


class RewardConfig(Fitting):
    """A reward model from pairwise preferences (Bradley-Terry)."""

    model: FitModel
    """The language model that it starts from."""
    preferences: Texts
    """Files of preferences in any layout that `evalkit prefs import` reads, relative to this file."""
    groups: bool = False
    """Also train a reward model for each rater group, on that group's preferences alone."""
    held_out: float = Field(0.1, gt=0, lt=1)
    """Share of prompts kept from training, on which accuracy and calibration are measured."""
    margin: float = Field(0.0, ge=0)
    centring: float = Field(0.0, ge=0)
    """Weight of (r_chosen + r_rejected)^2, which keeps rewards around 0 (Eisenstein et al. 2023)."""
    reference_samples: int = Field(512, ge=0)
    """Completions of the language model itself on which the reward is brought to standard deviation 1; 0: not done."""
    max_tokens: int = Field(48, ge=1)
    """Longest completion among the reference samples."""


class SftConfig(Fitting):
    """Supervised fine-tuning on prompts and completions."""

    model: FitModel
    data: Texts
    """JSONL files of `prompt` and `completion` (or preferences, whose `chosen` is taken), relative to this file."""
    held_out: float = Field(0.05, gt=0, lt=1)
    """Share of prompts kept from training, on which the loss is watched."""


class DpoConfig(Fitting):
    """Direct preference optimisation of a policy, held near its own start (the reference) by beta."""

    policy: FitModel
    """The causal language model that is trained; as it is at the start it is the reference."""
    preferences: Texts
    """Files of preferences in any layout that `evalkit prefs import` reads, relative to this file."""
    beta: Betas
    """Weight of the divergence; a list makes a checkpoint of each, a ladder."""
    divergence: Divergence = "reverse_kl"
    """What holds the policy near the reference (Wang et al. 2023)."""
    length_normalised: bool = False
    """Divide each log-ratio by its completion's tokens (Lambert et al. 2024), which has another optimum."""
    held_out: float = Field(0.1, gt=0, lt=1)
    """Share of prompts kept from training, on which loss and accuracy are measured."""
    learning_rate: Positive = 1e-6

    @model_validator(mode="after")
    def _fits(self) -> DpoConfig:
        if len({f"{beta:g}" for beta in self.beta}) < len(self.beta):
            raise ValueError("beta lists a value twice")
        if self.length_normalised and self.divergence != "reverse_kl":
            raise ValueError(f"length_normalised goes with divergence reverse_kl alone, not with {self.divergence}")
        return self


class BestOfNConfig(Fitting, Prompted):
    """Fine-tuning of a policy on its own best completions: best-of-n, distilled."""

    policy: FitModel
    """The causal language model that is sampled, and that is trained."""
    reward: RewardSource
    """What chooses the best."""
    n: Annotated[tuple[Annotated[int, Field(ge=2)], ...], BeforeValidator(_listed), Field(min_length=1)]
    """Completions of which one is kept; a list makes a checkpoint of each, a ladder."""
    samples: int = Field(64, ge=2, le=50_000)
    """Kept completions of each prompt: `n` times as many are sampled."""
    sampling: Generation = Generation()
    missing_eos: float | None = None
    """Reward of a completion that does not end by itself, in the reward's own units; null scores it like any other."""
    held_out: float = Field(0.05, gt=0, lt=1)
    """Share of each prompt's kept completions that is not trained on, on which the loss is watched."""

    @model_validator(mode="after")
    def _fits(self) -> BestOfNConfig:
        if len(set(self.n)) < len(self.n):
            raise ValueError("n lists a value twice")
        return self


Config = TypeVar("Config", bound=Job)


def load_config(model: type[Config], path: Path, notice: Notice = say) -> Config:
    """Read and check a config; prompts are read in, file names become relative to the working directory.

    `notice` is told of columns that are not read. Raises `SuiteError` with file, line and key.
    """
    config, document = read_part(model, path, "config")
    changed: dict[str, object] = {
        field: tuple(str(path.parent / name) for name in getattr(config, field))
        for field in ("preferences", "data", "pairs")
        if isinstance(getattr(config, field, None), tuple)
    }
    if isinstance(config, Prompted):
        if config.prompts_from is not None:
            yaml_line = document.line_of("prompts_from")
            prompts = read_prompts(config.prompts_from, path.parent, yaml_line, notice)
            check_prompts(prompts, lambda _: yaml_line)
            changed |= {"prompts": prompts, "prompts_from": None}
        else:
            check_prompts(config.prompts, lambda index: document.line_of("prompts", index))
    return config.model_copy(update=changed)
