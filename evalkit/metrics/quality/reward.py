"""Reward by any sequence-classification checkpoint with one label: a reward model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.checkpoints.conversations import merged
from evalkit.checkpoints.folder import Weights, architectures_of, labels_of, locate, read_config
from evalkit.errors import MetricError
from evalkit.metrics.declaration import score
from evalkit.metrics.distinct_texts import DistinctTexts
from evalkit.plumbing.length_batches import by_length, in_parts
from evalkit.plumbing.models import Model, ask, batched
from evalkit.plumbing.transcript import transcript
from evalkit.records import Group, Prompt

BATCH_TOKENS = 8_192
"""Tokens in one batch, padding included."""
PAIRS = 512
"""Pairs that are asked together: enough to keep a device at work for seconds, few enough to be shared out."""
UNKNOWN_SHARE = 0.1
"""A completion with a larger share of tokens that the reward model's vocabulary lacks is not one it can judge."""
Asked = str | tuple[tuple[str, str], ...]
"""A prompt as text, or a conversation's (role, text)s."""
PromptCompletion = tuple[Asked, str]
"""(prompt, completion)."""


def check_reward_model(config: Mapping[str, Any], name: str) -> None:
    """Refuse what is no reward model, by its config.json. Raises `MetricError`."""
    architecture = architectures_of(config)
    if "SequenceClassification" not in architecture:
        raise MetricError(
            f"{name} cannot give rewards: it is a {architecture}, not a sequence-classification checkpoint"
        )
    labels = len(labels_of(config))
    if labels != 1:
        raise MetricError(f"{name} cannot give rewards: it has {labels} labels; a reward model has one")


@score(
    name="reward",
    unit="reward",
    better="higher",
    side="quality",
    family="reward",
    plain="score by the reward model",
    needs=(),
    version="1",
    cites="Ouyang et al. 2022, Training language models to follow instructions with human feedback",
    identity=Weights(check_reward_model),
)
def reward(groups: Sequence[Group], *, model: str) -> list[np.ndarray]:
    """Scalar that a reward model gives to prompt and completion.

    `model` is a folder, a hub id or `lab:NAME` of a sequence-classification checkpoint with one label. Both are
    written with the model's own chat template, or as "prompt, blank line, completion" where it has none. A prompt of
    several turns is written turn by turn; as a transcript where there is no template; where the template does not take
    a system turn, that begins the first user turn. One float64 array of k rewards per group. Several reward models side
    by side are several groups of raters.

    Range: that of the model; only differences mean something, and only under one model.

    Bias: none at any k, for the model's mean reward; what the model itself favours (length, style) is in it.

    Cost: one forward pass a distinct pair of prompt and completion, on all devices that there are; known scores come
    from the cache.

    Undefined: where the model cannot read a completion: nothing is truncated to fit, and no reward is given to words
    that it does not know (over a tenth of the completion's tokens).
    """
    texts = DistinctTexts(groups)
    rewards = np.empty(len(texts))
    batches = texts.batches(PAIRS, lambda prompt, text: (asked_of(prompt), text))

    def keep(number: int, answers: Sequence[float]) -> None:
        rewards[number * PAIRS : number * PAIRS + len(answers)] = answers

    ask(_named(model), "score", batches, keep)
    return texts.spread(rewards)


def rewards_of(
    model: str, pairs: Sequence[PromptCompletion], progress: Callable[[int], None] = lambda _: None
) -> list[float]:
    """What a reward model gives to each pair; NaN where it cannot read one.

    `progress` is called with the pairs done since its last call. Raises `CheckpointError`, `EngineError`.
    """
    batches = batched(pairs, PAIRS)
    rewards: dict[int, Sequence[float]] = {}

    def keep(number: int, answers: Sequence[float]) -> None:
        rewards[number] = answers
        progress(len(answers))

    ask(_named(model), "score", batches, keep)
    return [reward for number in range(len(batches)) for reward in rewards[number]]


def _named(model: str) -> Model:
    return Model(f"reward model {model}", f"{__name__}:RewardModel", (str(locate(model)), model))


def asked_of(prompt: Prompt) -> Asked:
    """What a reward model reads of a prompt: its turns, where there are several."""
    return tuple((turn.role, turn.content) for turn in prompt.messages) or prompt.text


class RewardModel:
    """A reward model in memory; lives in a child process."""

    def __init__(self, folder: str, name: str) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        check_reward_model(read_config(Path(folder)), name)
        self._name = name
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = (
            AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=torch.float32 if self._device == "cpu" else "auto"
            )
            .to(self._device)
            .eval()
        )
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._config = self._model.config.get_text_config()
        self._named_padding = self._config.pad_token_id

    def score(self, pairs: Sequence[PromptCompletion]) -> list[float]:
        """One reward for each pair of prompt and completion, NaN for those that the model cannot read."""
        import torch

        tokens = [self._tokens(pair) for pair in pairs]
        readable = [index for index, ids in enumerate(tokens) if self._can_read(pairs[index], ids)]
        rewards = [math.nan] * len(tokens)
        with torch.inference_mode():
            for batch in by_length([len(tokens[index]) for index in readable], BATCH_TOKENS):
                rows = [readable[index] for index in batch]
                for row, value in zip(rows, in_parts([tokens[row] for row in rows], self._score_batch), strict=True):
                    rewards[row] = value
        return rewards

    def _tokens(self, pair: PromptCompletion) -> list[int]:
        prompt, completion = pair
        turns = (("user", prompt),) if isinstance(prompt, str) else prompt
        if not self._tokenizer.chat_template:
            return list(self._tokenizer(f"{transcript(turns)}\n\n{completion}")["input_ids"])
        text = self._in_chat(turns, completion)
        # The template has written the special tokens; the tokenizer would add a second BOS.
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _in_chat(self, turns: Sequence[tuple[str, str]], completion: str) -> str:
        from jinja2 import TemplateError

        try:
            text = self._applied(turns, completion)
        except TemplateError as error:
            if turns[0][0] == "system":
                return self._in_chat(merged(turns), completion)
            raise MetricError(
                f"reward model {self._name}: its chat template refuses the prompt {turns[0][1][:60]!r}: {error}"
            ) from None
        is_left_out = turns[0][0] == "system" and turns[0][1].strip() not in text
        return self._in_chat(merged(turns), completion) if is_left_out else text

    def _applied(self, turns: Sequence[tuple[str, str]], completion: str) -> str:
        messages = [{"role": role, "content": content} for role, content in (*turns, ("assistant", completion))]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False))

    def _can_read(self, pair: PromptCompletion, tokens: Sequence[int]) -> bool:
        limit = getattr(self._config, "max_position_embeddings", None)
        if limit is not None and len(tokens) > limit:
            return False
        unknown = self._tokenizer.unk_token_id
        if unknown is None:
            return True
        # What the completion adds to the prompt: on its own it might be cut into other tokens.
        of_prompt = self._tokens((pair[0], ""))
        return tokens.count(unknown) - of_prompt.count(unknown) <= UNKNOWN_SHARE * (len(tokens) - len(of_prompt))

    def _score_batch(self, batch: Sequence[Sequence[int]]) -> list[float]:
        import torch

        width = max(map(len, batch))
        pad = self._padding(batch)
        ids = torch.tensor([[*tokens, *[pad] * (width - len(tokens))] for tokens in batch], device=self._device)
        lengths = torch.tensor([len(tokens) for tokens in batch], device=self._device)
        mask = (torch.arange(width, device=self._device) < lengths[:, None]).long()
        rewards: list[float] = self._model(input_ids=ids, attention_mask=mask).logits[:, 0].double().tolist()
        return rewards

    def _padding(self, batch: Sequence[Sequence[int]]) -> int:
        """The token that fills rows up. Decoders read the reward at the last token that is not the padding token.

        A checkpoint that names one was trained to be read so. For any other, one that the batch does not hold makes
        the last real token the one that is read, whatever it is.
        """
        if self._named_padding is not None:
            return int(self._named_padding)
        used = set().union(*batch)
        unused = next(token for token in range(len(used) + 1) if token not in used)
        self._config.pad_token_id = unused
        return unused
