"""How a suite writes a checkpoint: where it is, of which kind, and how prompts are put to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from evalkit.checkpoints.asking import AskedAs
from evalkit.checkpoints.checkpoint import CONCURRENCY, TIMEOUT, EngineSettings
from evalkit.plumbing.as_text import as_text
from evalkit.plumbing.typed_yaml import Part
from evalkit.records import Kind

NOT_FOR_TEMPLATES = (
    "add_generation_prompt", "chat_template", "continue_final_message", "conversation", "documents", "max_length",
    "messages", "padding", "return_dict", "return_tensors", "tokenize", "tokenizer_kwargs", "tools", "truncation",
)  # fmt: skip
"""Settings of rendering that are no part of a template's own."""
NOT_FOR_ENGINES = {
    "model": "path", "tokenizer": "path", "revision": "revision", "dtype": "dtype",
    "trust_remote_code": "trust_remote_code", "tensor_parallel_size": "tensor_parallel",
    "pipeline_parallel_size": "pipeline_parallel", "data_parallel_size": "replicas",
    "gpu_memory_utilization": "gpu_memory", "max_num_seqs": "max_num_seqs", "quantization": "quantization",
    "seed": "", "generation_config": "", "logprobs_mode": "", "max_model_len": "", "enable_lora": "",
    "max_lora_rank": "", "max_loras": "", "lora_target_modules": "",
}  # fmt: skip
"""vLLM's options that evalkit sets itself -> the key of a checkpoint that says them, where there is one."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _as_texts(value: Any) -> Any:
    return as_text(_as_list(value))


def _told_apart(values: tuple[float, ...]) -> tuple[float, ...]:
    """Settings name their arms, so that two of them need two names."""
    called: dict[str, float] = {}
    for value in values:
        first = called.setdefault(f"{value:g}", value)
        if first != value:
            raise ValueError(f"{first:.15g} and {value:.15g} would both be called {value:g}; keep one of them")
    return values


def _listed(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [dict(item), {"type": "array", "items": dict(item)}]}


Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_as_texts),
    WithJsonSchema(_listed({"type": "string", "minLength": 1})),
]


def _place(value: Any) -> Any:
    """A list of one is a pool too: it can grow without becoming another checkpoint."""
    names = value if isinstance(value, list | tuple) else (value,)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"found {value!r}; it must be text (put it in quotes), or a list of servers' URLs")
    return value if isinstance(value, str) else tuple(names)


Place = Annotated[
    str | tuple[str, ...],
    PlainValidator(_place),
    PlainSerializer(lambda place: place),
    WithJsonSchema(_listed({"type": "string", "minLength": 1})),
]
"""Where a checkpoint is: one name, or the URLs of a pool of servers."""
Temperatures = Annotated[
    tuple[Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)], ...],
    BeforeValidator(_as_list),
    AfterValidator(_told_apart),
    Field(min_length=1),
    WithJsonSchema(_listed({"type": "number", "minimum": 0, "maximum": 2})),
]
TopPs = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], ...],
    BeforeValidator(_as_list),
    AfterValidator(_told_apart),
    Field(min_length=1),
    WithJsonSchema(_listed({"type": "number", "exclusiveMinimum": 0, "maximum": 1})),
]
MinPs = Annotated[
    tuple[Annotated[float, Field(ge=0, le=1)], ...],
    BeforeValidator(_as_list),
    AfterValidator(_told_apart),
    Field(min_length=1),
    WithJsonSchema(_listed({"type": "number", "minimum": 0, "maximum": 1})),
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
    transcript: str = "{role}: {content}"
    """How a turn of a conversation is written, in place of the template; what stands before `{content}` opens the
    assistant's answer, and the user's next turn ends it."""

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str) -> str:
        if "{prompt}" not in template:
            raise ValueError("the template must hold {prompt}, where the prompt goes")
        return template

    @field_validator("transcript")
    @classmethod
    def _has_a_turn(cls, transcript: str) -> str:
        if transcript.count("{content}") != 1:
            raise ValueError("the transcript must hold {content} once, where a turn's text goes, and may hold {role}")
        return transcript


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


class Price(Part):
    """What a million tokens cost; it changes no samples."""

    input: float = Field(ge=0, le=1e9, allow_inf_nan=False)
    """Of prompt tokens."""
    output: float = Field(ge=0, le=1e9, allow_inf_nan=False)
    """Of completion tokens."""
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """What so many tokens cost."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


class CheckpointSpec(Part):
    """A checkpoint, and how prompts are put to it."""

    path: Place
    """Local folder, hub id, `lab:NAME`, or the URL of an OpenAI-compatible server (http://host:port/v1); a list of URLs
    is a pool of servers of one model."""
    kind: Kind
    """`base`: asked through a frame; `tuned`: asked through its chat template."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    model: str = ""
    """Name of the model on a server; empty: the only one it serves."""
    batch: bool = False
    """Ask a server through its batch interface: at a lower price and within a day, while nobody need wait."""
    base: str | None = Field(None, min_length=1)
    """What a LoRA adapter changes, where its adapter_config.json does not say or says another place: folder, hub id or
    `lab:NAME`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision to compute in; `auto` is the one it is stored in."""
    frame: Frame = Frame()
    """For base checkpoints."""
    system: str | None = None
    """System message, for tuned checkpoints."""
    system_into_user: bool = False
    """Put system turns before the first user turn's text, for chat templates that refuse them."""
    chat_template_kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """What the chat template is handed besides the turns, as in {enable_thinking: false}."""
    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint."""
    tensor_parallel: int = Field(1, ge=1)
    """GPUs that share each layer of one replica."""
    pipeline_parallel: int = Field(1, ge=1)
    """Groups of GPUs that share the layers of one replica out."""
    replicas: int | None = Field(None, ge=1)
    """How often it is loaded, each time on GPUs of its own; left out, as often as fits the machine or the cluster."""
    gpu_memory: float | None = Field(None, gt=0, le=1)
    """Share of a GPU's memory that vLLM may take."""
    max_num_seqs: int | None = Field(None, ge=1)
    """Completions that vLLM draws at the same time at most; fewer take less memory."""
    quantization: str | None = Field(None, min_length=1)
    """How vLLM quantises weights as it loads them, as in `fp8`; weights that are stored quantised need it not."""
    engine_options: dict[str, JsonValue] = Field(default_factory=dict)
    """Further options of vLLM's engine by name, as in {enable_expert_parallel: true}."""
    sampling: SamplingOverride = SamplingOverride()
    best_of: BestOf | None = None
    """Keep the best of several completions by a reward model."""
    thinking: ThinkingMarks | None = None
    """For a checkpoint that thinks before it answers; a server may tell both apart by itself."""
    ask: AskedAs = None
    """How a prompt is put: `direct`, or one of {list: k}, {verbalized: k}, {paraphrases: [...]}, {template: off}."""
    concurrency: int = Field(CONCURRENCY, ge=1, le=1024)
    """Requests in flight at once, to each of its servers."""
    timeout: float = Field(TIMEOUT, gt=0, le=86400)
    """Seconds that one request to a server may take before it is made anew."""
    price: Price | None = None
    """Of its tokens; the dry run and the report then say what they cost."""

    @property
    def is_framed(self) -> bool:
        """Whether it is asked through its frame: a base one, or a tuned one without its chat template."""
        return self.kind == "base" or (self.ask is not None and self.ask.template == "off")

    @property
    def source(self) -> str:
        """Where it is, in one name: of a pool its first server."""
        return self.path if isinstance(self.path, str) else self.path[0]

    @property
    def pool(self) -> tuple[str, ...]:
        """The URLs of a pool of servers; empty where the path is one name."""
        return () if isinstance(self.path, str) else self.path

    @property
    def engine(self) -> EngineSettings:
        """How it is loaded."""
        return EngineSettings(
            tensor_parallel=self.tensor_parallel,
            pipeline_parallel=self.pipeline_parallel,
            replicas=self.replicas,
            gpu_memory=self.gpu_memory,
            max_num_seqs=self.max_num_seqs,
            quantization=self.quantization,
            options=tuple(sorted((name, json.dumps(value)) for name, value in self.engine_options.items())),
        )

    @model_validator(mode="after")
    def _leaves_evalkit_its_options(self) -> CheckpointSpec:
        taken = next((name for name in self.engine_options if name in NOT_FOR_ENGINES), None)
        if taken is not None:
            key = NOT_FOR_ENGINES[taken]
            raise ValueError(f"engine_options.{taken} is evalkit's to say{f'; write {key}' if key else ''}")
        return self

    @model_validator(mode="after")
    def _has_a_chat_template(self) -> CheckpointSpec:
        if repeated := next((url for url in self.pool if self.pool.count(url) > 1), None):
            raise ValueError(f"path lists {repeated} twice; name each server of a pool once")
        taken = next((name for name in self.chat_template_kwargs if name in NOT_FOR_TEMPLATES), None)
        if taken is not None:
            raise ValueError(f"chat_template_kwargs.{taken} is evalkit's to say; only what the template itself reads")
        for name in ("chat_template_kwargs", "system_into_user"):
            if self.kind == "base" and getattr(self, name):
                raise ValueError(f"{name} is for tuned checkpoints; one of kind base is asked without a chat template")
        return self

    @model_validator(mode="after")
    def _can_be_asked_so(self) -> CheckpointSpec:
        if self.ask is None:
            return self
        if self.ask.template == "off":
            if self.kind == "base":
                raise ValueError(
                    "ask: {template: off} is for tuned checkpoints; one of kind base has none; leave it out"
                )
            for name in ("system", "chat_template_kwargs", "system_into_user"):
                if getattr(self, name):
                    raise ValueError(
                        f"{name} is said through the chat template, and ask: {{template: off}} leaves that out; leave "
                        "one of the two out"
                    )
        elif self.best_of is not None:
            raise ValueError(
                f"best_of keeps the best of single answers, and ask: {{{self.ask.way}: ...}} does not draw those; "
                "leave one of the two out"
            )
        return self
