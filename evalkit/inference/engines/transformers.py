"""Hugging Face transformers, in the process it is opened in (evalkit gives it a child process).

It draws from the same distribution as vLLM: settings act in vLLM's order (penalties, temperature, min_p, top_k, top_p),
the same tokens end a completion, and stop strings cut the text at the same place. Everything of generation_config.json
is ignored but the end-of-sequence tokens, as in vLLM.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

from evalkit.checkpoints.adapters import own_ends
from evalkit.checkpoints.checkpoint import Adapter, Checkpoint
from evalkit.checkpoints.dtype import dtype_of
from evalkit.inference.engines.adapters import Adapters
from evalkit.inference.engines.base import Pair, Progress
from evalkit.inference.engines.decoding import (
    GREEDY_BELOW,
    Continuation,
    Decoder,
    Numbers,
    closing_tokens,
    number_tokens,
)
from evalkit.inference.engines.teacher_forcing import BATCH_LOGITS, BATCH_TOKENS, TeacherForcing
from evalkit.plumbing.log_space import less, total
from evalkit.records import Completion, NextTokenDistributions, Rendered, Sampling

if TYPE_CHECKING:
    import torch

LOWEST_TEMPERATURE = 0.01
"""vLLM raises lower temperatures, but for 0, to this; a softmax below it overflows."""


class TransformersEngine:
    """Samples with `AutoModelForCausalLM.generate` on a GPU, or on the CPU where there is none."""

    name = "transformers"
    local = True
    shard_size = 256

    @staticmethod
    def missing() -> str | None:
        return None

    @staticmethod
    def refusal(adapter: Adapter) -> str | None:
        return None

    @staticmethod
    def version() -> str:
        return f"{installed_version('transformers')} (torch {installed_version('torch')})"

    def __init__(self, checkpoint: Checkpoint, max_length: int, *others: Checkpoint) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint.location,
            dtype=getattr(torch, dtype_of(checkpoint)),
            trust_remote_code=checkpoint.trust_remote_code,
        )
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.location, trust_remote_code=checkpoint.trust_remote_code)
        self._base_ends = _end_tokens(tokenizer.eos_token_id, model.generation_config.eos_token_id)
        self._ends = self._base_ends
        # `generate` fills what it is not told from the model's own configuration.
        model.generation_config = GenerationConfig()
        self._model = model.to(self._device).eval()
        self._tokenizer = tokenizer
        self._vocabulary = model.get_output_embeddings().weight.shape[0]
        self._teacher = TeacherForcing(self._model, self._device, self._vocabulary)
        self._adapters = Adapters(self._model)
        self.turn_to(checkpoint)

    def turn_to(self, checkpoint: Checkpoint) -> None:
        self._adapters.put_on(checkpoint.adapter)
        self._ends = list(dict.fromkeys([*self._base_ends, *own_ends(checkpoint)]))
        self._decoder = Decoder(self._tokenizer, checkpoint.shown)

    def sample(
        self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, progress: Progress
    ) -> list[Completion]:
        import torch

        draws = 1 if sampling.temperature < GREEDY_BELOW else sampling.n
        copies = sampling.n // draws
        rows = [prompt for prompt in prompts for _ in range(draws)]
        devices = [self._device] if self._device == "cuda" else []
        completions: dict[int, Completion] = {}
        with torch.random.fork_rng(devices=devices), torch.inference_mode():
            torch.manual_seed(seed)
            for batch in self._batches(rows, sampling.max_tokens):
                finished = self._sample_batch([rows[index] for index in batch], sampling)
                completions.update(zip(batch, finished, strict=True))
                progress(copies * len(finished), copies * sum(len(done.token_ids) for done in finished))
        return [
            replace(completions[prompt_index * draws + sample_index % draws], sample_index=sample_index)
            for prompt_index in range(len(prompts))
            for sample_index in range(sampling.n)
        ]

    def logprobs(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        return self._teacher.logprobs(pairs)

    def next_token_distributions(self, pairs: Sequence[Pair]) -> list[NextTokenDistributions]:
        return self._teacher.next_token_distributions(pairs)

    def prefix_logprobs(self, pairs: Sequence[Pair]) -> list[float]:
        logprobs = self._teacher.prefix_logprobs(pairs, self._closing)
        ends_in_digit = [
            index
            for index, (prompt, completion) in enumerate(pairs)
            if self._decoder.text(prompt, completion)[-1:].isdecimal()
        ]
        numbers = self._number_openings([pairs[index] for index in ends_in_digit]) if ends_in_digit else []
        for index, logprob in zip(ends_in_digit, numbers, strict=True):
            logprobs[index] = logprob
        return logprobs

    def _number_openings(self, pairs: Sequence[Pair]) -> list[float]:
        """Those of pairs that end with a digit: without what makes another number of it."""
        known = self._numbers
        closed = self._teacher.prefix_logprobs(pairs, known.closing)
        longer = self._teacher.branches(pairs, known.going_on) if known.going_on else [[] for _ in pairs]
        return [less(opening, total(parts)) for opening, parts in zip(closed, longer, strict=True)]

    @cached_property
    def _numbers(self) -> Numbers:
        return number_tokens(self._tokenizer, self._decoder, self._vocabulary)

    @cached_property
    def _closing(self) -> list[bool]:
        return closing_tokens(self._tokenizer, self._decoder, self._vocabulary)

    def close(self) -> None:
        del self._model, self._teacher, self._adapters

    def _batches(self, rows: Sequence[Rendered], max_tokens: int) -> Iterator[list[int]]:
        """Indices of rows in order of prompt length, cut so that cache and logits stay within their budgets."""
        lengths = [len(prompt.token_ids) for prompt in rows]
        order = sorted(range(len(rows)), key=lambda index: lengths[index])
        size = max(1, min(BATCH_TOKENS // (max(lengths, default=0) + max_tokens), BATCH_LOGITS // self._vocabulary))
        for start in range(0, len(order), size):
            yield order[start : start + size]

    def _sample_batch(self, batch: Sequence[Rendered], sampling: Sampling) -> list[Completion]:
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        ids, mask = _pad_left([prompt.token_ids for prompt in batch], self._device)
        distribution = SamplingDistribution(sampling, mask)
        watch = Watch([self._decoder.start(prompt.token_ids) for prompt in batch], self._ends, sampling.stop)
        config = GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            do_sample=sampling.temperature >= GREEDY_BELOW,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            eos_token_id=self._ends or None,
            pad_token_id=self._ends[0] if self._ends else 0,
        )
        output = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            logits_processor=LogitsProcessorList([distribution]),
            stopping_criteria=StoppingCriteriaList([watch]),
        )
        logprobs = distribution.logprobs(output)
        sampled = output[:, ids.shape[1] :].tolist()
        return [watch.completion(row, prompt, sampled[row], logprobs[row]) for row, prompt in enumerate(batch)]


class SamplingDistribution:
    """Makes raw logits those of the sampling distribution, and keeps the untempered log-prob of each token drawn."""

    def __init__(self, sampling: Sampling, prompts: torch.Tensor) -> None:
        self._sampling = sampling
        self._penalties = Penalties(sampling, prompts) if sampling.is_penalised else None
        self._raw: torch.Tensor | None = None
        self._drawn: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._keep_drawn(input_ids)
        scores = scores.float()
        self._raw = scores.log_softmax(-1)
        if self._penalties is not None:
            scores = self._penalties.taken_off(scores, input_ids)
        return scores if self._sampling.temperature < GREEDY_BELOW else self._cut(scores)

    def logprobs(self, output: torch.Tensor) -> list[list[float]]:
        """Raw log-probs of all drawn tokens: one list a row."""
        import torch

        self._keep_drawn(output)
        rows: list[list[float]] = torch.stack(self._drawn, dim=1).tolist()
        return rows

    def _keep_drawn(self, input_ids: torch.Tensor) -> None:
        # A token is known only once the next step, or the end, shows it.
        if self._raw is not None:
            self._drawn.append(self._raw.gather(-1, input_ids[:, -1:])[:, 0])

    def _cut(self, scores: torch.Tensor) -> torch.Tensor:
        scores = scores / max(self._sampling.temperature, LOWEST_TEMPERATURE)
        if self._sampling.min_p > 0:
            probs = scores.softmax(-1)
            scores = scores.masked_fill(probs < self._sampling.min_p * probs.amax(-1, keepdim=True), -float("inf"))
        if 0 < self._sampling.top_k < scores.shape[-1]:
            least = scores.topk(self._sampling.top_k, dim=-1).values[:, -1:]
            scores = scores.masked_fill(scores < least, -float("inf"))
        if self._sampling.top_p < 1:
            ordered, order = scores.sort(dim=-1)
            # The most likely token is kept whatever top_p is.
            cut = ordered.softmax(-1).cumsum(-1) <= 1 - self._sampling.top_p
            cut[:, -1] = False
            scores = scores.masked_fill(cut.scatter(-1, order, cut), -float("inf"))
        return scores


class Penalties:
    """Takes from logits what repetition costs, in vLLM's order: repetition, then frequency, then presence.

    Repetition sees the prompt too; frequency and presence see the completion alone, as in the OpenAI API.
    """

    def __init__(self, sampling: Sampling, prompts: torch.Tensor) -> None:
        """`prompts`: [rows, width] 1 where a token is the prompt's, 0 where it only fills the row up."""
        self._sampling = sampling
        self._prompts = prompts

    def taken_off(self, scores: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        """[rows, vocabulary] logits, of [rows, width + drawn] tokens so far."""
        import torch

        width = self._prompts.shape[1]
        drawn = torch.zeros_like(scores)
        drawn.scatter_add_(-1, input_ids[:, width:], torch.ones_like(input_ids[:, width:], dtype=scores.dtype))
        seen = drawn.scatter_add(-1, input_ids[:, :width], self._prompts.to(scores.dtype)) > 0
        by = torch.where(seen, self._sampling.repetition_penalty, 1.0)
        scores = torch.where(scores > 0, scores / by, scores * by)
        scores = scores - self._sampling.frequency_penalty * drawn
        return scores - self._sampling.presence_penalty * (drawn > 0).to(scores.dtype)


class Watch:
    """Sees where each row ends: at an end-of-sequence token, at a stop string, or not at all."""

    def __init__(self, texts: list[Continuation], ends: Sequence[int], stop: Sequence[str]) -> None:
        self._texts = texts
        self._ends = frozenset(ends)
        self._stop = stop
        self._lengths: dict[int, int] = {}
        """Row to the number of its tokens, for rows that have stopped."""
        self._step = 0

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        import torch

        self._step += 1
        for row, token in enumerate(input_ids[:, -1].tolist()):
            if row not in self._lengths and self._stops(row, token):
                self._lengths[row] = self._step
        done = [row in self._lengths for row in range(len(self._texts))]
        return torch.tensor(done, device=input_ids.device)

    def completion(self, row: int, prompt: Rendered, token_ids: Sequence[int], logprobs: Sequence[float]) -> Completion:
        length = self._lengths.get(row, len(token_ids))
        return Completion(
            prompt_id=prompt.prompt_id,
            sample_index=0,
            text=self._texts[row].text,
            token_ids=tuple(token_ids[:length]),
            logprobs=tuple(logprobs[:length]),
            finish_reason="stop" if row in self._lengths else "length",
        )

    def _stops(self, row: int, token: int) -> bool:
        if token in self._ends:
            return True
        text = self._texts[row]
        seen = len(text.text)
        text.add(token)
        return text.cut_at(self._stop, seen)


def _end_tokens(tokenizer_end: int | None, configured: int | Sequence[int] | None) -> list[int]:
    """The tokens that end a completion by vLLM's rule: the tokenizer's, and those that the configuration names."""
    named = [configured] if isinstance(configured, int) else list(configured or ())
    return list(dict.fromkeys([*([] if tokenizer_end is None else [tokenizer_end]), *named]))


def _pad_left(prompts: Sequence[Sequence[int]], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    width = max(map(len, prompts))
    ids = [[*[0] * (width - len(prompt)), *prompt] for prompt in prompts]
    mask = [[*[0] * (width - len(prompt)), *[1] * len(prompt)] for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
