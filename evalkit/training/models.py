"""The networks of training: a policy, and a classifier whose head says a value at every token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from evalkit.checkpoints.adapters import MERGE
from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.folder import check, context_length, locate, read_config
from evalkit.checkpoints.rendering import render
from evalkit.checkpoints.resolution import resolve
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import CheckpointError, InputError
from evalkit.records import Prompt
from evalkit.training.batch import Batch
from evalkit.training.bradley_terry import draw_head
from evalkit.training.config import Lora


class Sampler(Protocol):
    """Draws one response for each prompt from a policy's whole distribution, as `evalkit.training.rollout.sample`."""

    def __call__(
        self, policy: Policy, prompts: Sequence[Sequence[int]], max_tokens: int, temperature: float
    ) -> list[list[int]]: ...


@dataclass(frozen=True)
class Policy:
    """A causal language model to be trained, and how it is asked."""

    model: PreTrainedModel
    """Weights in float32; a peft model where there are adapters."""
    tokenizer: PreTrainedTokenizerBase
    checkpoint: Checkpoint
    spec: CheckpointSpec
    stops: frozenset[int]
    """Tokens that end a sequence."""
    sampler: Sampler | None = None
    """What draws its responses; None: `generate`."""

    @property
    def has_adapters(self) -> bool:
        return hasattr(self.model, "disable_adapter")

    @property
    def eos(self) -> int:
        """The token that ends a training text."""
        return cast(int, self.tokenizer.eos_token_id)

    def prompt_ids(self, prompts: tuple[Prompt, ...], max_tokens: int) -> list[tuple[int, ...]]:
        """Token ids of each prompt in its frame or chat template.

        Raises `InputError` where a prompt leaves no room for a completion of `max_tokens`.
        """
        room = context_length(self.checkpoint)
        rows = []
        for prompt in render(self.checkpoint, self.spec, prompts):
            if not prompt.token_ids:
                raise InputError(f"prompt {prompt.prompt_id!r} has no tokens: the policy's tokenizer drops all")
            if room is not None and len(prompt.token_ids) + max_tokens > room:
                raise InputError(
                    f"prompt {prompt.prompt_id!r} takes {len(prompt.token_ids)} tokens, which leaves no room for "
                    f"max_tokens {max_tokens} in the policy's context of {room}; shorten it or lower max_tokens"
                )
            rows.append(prompt.token_ids)
        return rows

    def response_ids(self, text: str) -> list[int]:
        """Token ids of a completion with its end of sequence, as they follow the rendered prompt."""
        joined = f" {text}" if self.spec.kind == "base" and not text[:1].isspace() else text
        ids = cast(list[int], self.tokenizer(joined, add_special_tokens=False)["input_ids"])
        return [*ids, self.eos]

    def texts(self, responses: list[list[int]]) -> list[str]:
        """Completions as text, without special tokens and surrounding white space."""
        return [text.strip() for text in self.tokenizer.batch_decode(responses, skip_special_tokens=True)]


class ValueNetwork(nn.Module):  # type: ignore[misc]
    """A sequence classifier of one label, read at every token: a critic, and at the last token a reward model."""

    def __init__(self, classifier: PreTrainedModel) -> None:
        super().__init__()
        self.classifier = classifier
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """[B, L] the head's output after every token, float32, whatever the body computes in."""
        body = getattr(self.classifier, self.classifier.base_model_prefix)
        hidden = body(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).last_hidden_state
        head = cast(nn.Linear, self.classifier.get_submodule("score"))
        with torch.autocast(hidden.device.type, enabled=False):
            values: Tensor = head(hidden.to(head.weight.dtype))
        return values.squeeze(-1).float() + self.offset

    def rescale(self, mean: float, deviation: float) -> None:
        """Shift and scale all outputs: (value - mean) / deviation."""
        with torch.no_grad():
            for parameter in self.classifier.get_submodule("score").parameters():
                parameter.div_(deviation)
            self.offset.sub_(mean).div_(deviation)


def load_policy(name: str, spec: CheckpointSpec, lora: Lora | None = None) -> Policy:
    """A checkpoint as a policy, in evaluation mode: dropout would make the ratio of a policy to itself differ from 1.

    Raises `CheckpointError`.
    """
    checkpoint = resolve(name, spec, remembered={})  # a server is refused, whatever it would tell
    if checkpoint.is_remote:
        raise CheckpointError(f"checkpoint {name!r} is a server; training needs its weights")
    if checkpoint.adapter is not None:
        raise CheckpointError(f"checkpoint {name!r} is a LoRA adapter; training starts from whole weights; {MERGE}")
    folder = Path(checkpoint.location)
    architectures = _architectures(folder)
    if "SequenceClassification" in architectures:
        raise CheckpointError(f"checkpoint {name!r} is a {architectures}; a policy is a causal language model")
    tokenizer = _tokenizer(folder, spec.trust_remote_code)
    if tokenizer.eos_token_id is None:
        raise CheckpointError(f"checkpoint {name!r}: its tokenizer has no end-of-sequence token, so nothing ever ends")
    model = _load(AutoModelForCausalLM, folder, trust_remote_code=spec.trust_remote_code)
    stops = _stops(model, tokenizer)
    model.generation_config = plain_generation(tokenizer, sorted(stops))
    model = with_adapters(model, lora, task_type="CAUSAL_LM")
    return Policy(model.eval(), tokenizer, checkpoint, spec, stops)


def load_reward_model(source: str, policy: Policy) -> ValueNetwork:
    """A reward model that reads the policy's own tokens. Raises `CheckpointError`."""
    folder = locate(source)
    check(folder)
    architectures = _architectures(folder) or "checkpoint of unknown architecture"
    if "SequenceClassification" not in architectures:
        raise CheckpointError(f"{source} is a {architectures}; a reward model is a sequence-classification checkpoint")
    labels = AutoConfig.from_pretrained(folder).num_labels
    if labels != 1:
        raise CheckpointError(f"{source} has {labels} labels; a reward model has one")
    _check_same_tokens(source, _tokenizer(folder), policy)
    return _value_network(_load(AutoModelForSequenceClassification, folder), source)


def fresh_value_network(spec: CheckpointSpec, seed: int) -> ValueNetwork:
    """A language model with its output layer replaced by a value, drawn from N(0, 1 / (d + 1)) (Ziegler et al. 2019).

    Raises `CheckpointError` for an architecture that has no classifier.
    """
    folder = locate(spec.source, spec.revision)
    model = _load(
        AutoModelForSequenceClassification, folder, "score.", num_labels=1, trust_remote_code=spec.trust_remote_code
    )
    network = _value_network(model, spec.source)
    torch.manual_seed(seed)
    draw_head(cast(nn.Linear, model.get_submodule("score")))
    return network


def plain_generation(tokenizer: PreTrainedTokenizerBase, eos: int | list[int]) -> GenerationConfig:
    """Sampling from the model's own distribution, until one of `eos`.

    Engines apply a checkpoint's generation config silently: another one would cut off or punish tokens.
    """
    return GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=eos,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
    )


def response_logits(model: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
    """[B, R, V] logits that each response token was drawn from, float32, divided by the temperature."""
    width = batch.ids.shape[1] - batch.prompt_width
    out = model(
        input_ids=batch.ids[:, :-1],
        attention_mask=batch.mask[:, :-1],
        position_ids=batch.positions[:, :-1],
        logits_to_keep=width,
        use_cache=False,
    )
    logits: Tensor = out.logits
    if logits.shape[1] > width:
        # Only where the model does not know `logits_to_keep`: the gradient of a slice is another tensor of this size.
        logits = logits[:, -width:]
    logits = logits.float()
    return logits if temperature == 1.0 else logits / temperature


class _TokenLogProbs(torch.autograd.Function):  # type: ignore[misc]
    """Log-softmax at one token a row, with a gradient that is made in the place of the saved log-probs."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, tokens: Tensor) -> Tensor:
        log_probs = logits.log_softmax(dim=-1)
        ctx.save_for_backward(log_probs, tokens)
        return log_probs.gather(-1, tokens[..., None])[..., 0]

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        log_probs, tokens = ctx.saved_tensors
        # Torch refuses a second pass backward over tensors that have changed.
        gradient = log_probs.exp_().mul_(-slope[..., None])
        return gradient.scatter_add_(-1, tokens[..., None], slope[..., None]), None


def token_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    """[B, R] log-prob of each token, from [B, R, V] float32 logits.

    The same as cross entropy with its sign turned, in less than half the time on a CPU: no transposed copies, and no
    dense gradient that is 0 nearly everywhere. Its gradient can be asked for once.
    """
    log_probs: Tensor = _TokenLogProbs.apply(logits, tokens)
    return log_probs


def response_values(network: nn.Module, batch: Batch) -> Tensor:
    """[B, R] values of the states before each response token."""
    values: Tensor = network(batch.ids[:, :-1], batch.mask[:, :-1], batch.positions[:, :-1])
    return values[:, batch.prompt_width - 1 :]


def sequence_scores(network: nn.Module, batch: Batch) -> Tensor:
    """[B] the head's output at each sequence's last token."""
    values: Tensor = network(batch.ids, batch.mask, batch.positions)
    last = batch.ids.shape[1] - 1 - batch.mask.flip(1).long().argmax(dim=1)
    return values.gather(1, last[:, None])[:, 0]


def with_adapters(model: PreTrainedModel, lora: Lora | None, **settings: Any) -> PreTrainedModel:
    """The model, wrapped where adapters are trained in place of its weights; `settings` are more of peft's own.

    Raises `InputError` where the targets name no module.
    """
    if lora is None:
        return model
    from peft import LoraConfig, get_peft_model

    targets = "all-linear" if lora.targets == ("all-linear",) else list(lora.targets)
    adapters = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=targets, **settings)
    try:
        return cast(PreTrainedModel, get_peft_model(model, adapters))
    except ValueError as error:
        raise InputError(f"lora.targets: {str(error).splitlines()[0]}") from None


@contextmanager
def without_adapters(policy: Policy, model: nn.Module) -> Iterator[nn.Module]:
    """The policy as it was before training: the reference, where only adapters are trained."""
    with cast(Any, policy.model).disable_adapter():
        yield model


def _load(auto: Any, folder: Path, new: str | None = None, **settings: Any) -> PreTrainedModel:
    """A network with the weights of `folder`, in float32; only those whose name begins with `new` may be missing there.

    Raises `CheckpointError`.
    """
    try:
        with quiet_transformers():
            model, loading = auto.from_pretrained(
                # Weights in bfloat16 would move ratios by a tenth and lose small steps. On a CPU the plain attention's
                # backward pass takes half the time of the fused one's.
                folder,
                dtype=torch.float32,
                attn_implementation="sdpa" if torch.cuda.is_available() else "eager",
                output_loading_info=True,
                **settings,
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{folder} cannot be loaded: {_first_line(error)}") from None
    missing = sorted(name for name in loading["missing_keys"] if new is None or not name.startswith(new))
    if missing:
        raise CheckpointError(
            f"{folder} lacks weights of a {type(model).__name__} ({len(missing)}, the first {missing[0]}); "
            "do config.json and *.safetensors belong together?"
        )
    return cast(PreTrainedModel, model)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from telling of what is found out here, and from bars of its own."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _architectures(folder: Path) -> str:
    return ", ".join(read_config(folder).get("architectures") or ())


def _tokenizer(folder: Path, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder}: no tokenizer could be loaded: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _value_network(classifier: PreTrainedModel, source: str) -> ValueNetwork:
    if not isinstance(getattr(classifier, "score", None), nn.Linear):
        raise CheckpointError(f"{source}: a {type(classifier).__name__} has no `score` head to read at every token")
    return ValueNetwork(classifier.eval())


def _check_same_tokens(source: str, tokenizer: PreTrainedTokenizerBase, policy: Policy) -> None:
    mine, its = policy.tokenizer.get_vocab(), tokenizer.get_vocab()
    # Tokens that the reward model alone has, such as a padding token of its own, are never read.
    differing = next((token for token in mine if mine[token] != its.get(token)), None)
    if differing is not None:
        raise CheckpointError(
            f"{source} has another tokenizer than the policy ({len(its)} tokens against {len(mine)}; {differing!r} is "
            f"{its.get(differing)} against {mine.get(differing)}); train a reward model from the policy's own "
            "base with `evalkit train reward`"
        )


def _stops(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    named = getattr(model.generation_config, "eos_token_id", None)
    several = named if isinstance(named, list) else [] if named is None else [named]
    return frozenset([*several, cast(int, tokenizer.eos_token_id)])
