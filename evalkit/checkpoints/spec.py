"""How a suite writes a checkpoint: where it is, of which kind, and how prompts are put to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from evalkit.plumbing.typed_yaml import Part
from evalkit.records import Kind

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _listed(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [dict(item), {"type": "array", "items": dict(item)}]}


Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_as_list),
    WithJsonSchema(_listed({"type": "string", "minLength": 1})),
]


Temperatures = Annotated[
    tuple[Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)], ...],
    BeforeValidator(_as_list),
    Field(min_length=1),
    WithJsonSchema(_listed({"type": "number", "minimum": 0, "maximum": 2})),
]


class Example(Part):
    """One worked example of a few-shot frame."""

    prompt: str
    completion: str


class Frame(Part):
    """How a base checkpoint is asked: plain, or few-shot when there are examples."""

    template: str = "Prompt: {prompt}\nAnswer:"
    """Text around a prompt; `{prompt}` stands for it."""
    examples: tuple[Example, ...] = ()
    """Worked examples that go before the prompt, in the same template."""
    stop: Texts = ("\nPrompt:",)
    """Strings that end a completion, besides those of `sampling.stop`."""

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str) -> str:
        if "{prompt}" not in template:
            raise ValueError("the template must hold {prompt}, where the prompt goes")
        return template


class SamplingOverride(Part):
    """Sampling settings of one checkpoint that differ from the suite's."""

    temperature: Temperatures | None = None
    top_p: float | None = Field(None, gt=0, le=1)
    min_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=0)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_tokens: int | None = Field(None, ge=1)
    stop: Texts | None = None


class ThinkingMarks(Part):
    """How thinking is told from the answer after it."""

    end: str = Field(min_length=1)
    """Text that ends the thinking, as in `</think>`; the answer is what comes after its first place."""
    start: str | None = Field(None, min_length=1)
    """Text that thinking begins with; a completion with neither mark is then an answer without thinking. Left out,
    every completion begins with thinking, as where the chat template opens it."""


class BestOf(Part):
    """Choose among completions instead of training: an arm to compare a tuned checkpoint with."""

    n: int = Field(ge=2, le=1024)
    """Completions drawn for each one that is kept."""
    reward: str = Field(min_length=1)
    """Folder, hub id or `lab:NAME` of the reward model that chooses."""


class CheckpointSpec(Part):
    """A checkpoint, and how prompts are put to it."""

    path: str = Field(min_length=1)
    """Local folder, hub id, `lab:NAME`, or the URL of an OpenAI-compatible server (http://host:port/v1)."""
    kind: Kind
    """`base`: asked through a frame; `tuned`: asked through its chat template."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    model: str = ""
    """Name of the model on a server; empty: the only one it serves."""
    base: str | None = Field(None, min_length=1)
    """What a LoRA adapter changes, where its adapter_config.json does not say or says another place: folder, hub id or
    `lab:NAME`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision to compute in; `auto` is the one it is stored in."""
    frame: Frame = Frame()
    """For base checkpoints."""
    system: str | None = None
    """System message, for tuned checkpoints."""
    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint."""
    sampling: SamplingOverride = SamplingOverride()
    best_of: BestOf | None = None
    """Keep the best of several completions by a reward model."""
    thinking: ThinkingMarks | None = None
    """For a checkpoint that thinks before it answers; a server may tell both apart by itself."""
