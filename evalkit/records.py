"""The nouns of evalkit, each a frozen dataclass: what is asked, of which checkpoints, and what they say.

What measuring makes of it is in `evalkit.metrics.summary`.

`Prompt` and `Sampling` are also what a user writes in a suite; the constraints beside their fields are
checked when `evalkit.suite.schema` reads one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import annotated_types as at

if TYPE_CHECKING:
    import numpy as np

    from evalkit.plumbing.tokenizer import Name as Tokenizer

Kind = Literal["base", "tuned"]
Match = Literal["exact", "numeric", "regex"]
Better = Literal["higher", "lower", "neither"]
Variant = Literal["whole", "useful", "matched", "pooled"]
"""Which of the completions a metric is computed on: all of a prompt's, those that are good enough, all cut to common
lengths, or one of every prompt."""
Side = Literal["quality", "diversity", "match", "neither"]
"""What a measure speaks of: how good answers are, how much they differ, how near they come to a stated distribution
or to people's texts, or none of these."""
FinishReason = Literal["stop", "length", "withheld"]
"""How a completion ended: by itself, cut at its longest, or held back by a provider that refused or filtered it."""
Role = Literal["system", "user", "assistant"]
CONFIDENCE = 0.95
"""The level of every interval that evalkit prints."""
NEUTRAL: Mapping[str, float] = {
    "top_k": 0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
}
"""Settings of sampling at which they change nothing; there no hash knows of them, so that older samples stay."""
RANKS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987)
"""At which ranks of a next-token distribution its log-prob is kept: even on a log scale, few enough to store."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "use_attribute_docstrings": True}

    role: Role
    content: Annotated[str, at.MinLen(1)]


@dataclass(frozen=True, slots=True)
class Opinion:
    """The question of opinion that a prompt puts, in one order of its choices."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "use_attribute_docstrings": True}

    question: str
    """Id of the question; prompts that put it in other orders name the same."""
    choices: tuple[str, ...]
    """The question's choices, in its own order."""
    answers: tuple[str, ...]
    """What this prompt has people answer for each of them, as in `B`: keys of the prompt's `choices`."""
    ordered: bool = False
    """Whether the choices are a scale: neighbours are nearer to each other than its ends."""
    groups: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Group of people -> the share of them that gave each of the choices."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question put to every arm."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "use_attribute_docstrings": True}

    id: Annotated[str, at.MinLen(1)]
    """Unique within the suite."""
    text: Annotated[str, at.MinLen(1)]
    """What is asked, before a frame or a chat template is put around it; of a conversation its transcript."""
    tags: tuple[str, ...] = ()
    """Words to group and filter by."""
    answer: str | None = None
    """The right answer, where there is one."""
    match: Match = "exact"
    """How a completion is compared with `answer`."""
    references: tuple[str, ...] = ()
    """Human texts that answer the prompt."""
    choices: Mapping[str, Annotated[float, at.Ge(0)]] = field(default_factory=dict)
    """Target distribution over choices: answer to probability, adding up to 1."""
    cluster: Annotated[str, at.MinLen(1)] | None = None
    """Prompts that belong together (paraphrases of one question) name the same; without one a prompt is by itself."""
    checks: tuple[str, ...] = ()
    """What its answers can be seen to be from their text alone, as in `one_line`, `max_words:40`, `language:en`."""
    messages: tuple[Message, ...] = ()
    """The turns of a conversation; empty where one user turn is all, which is then `text`."""
    valid: tuple[str, ...] | Annotated[str, at.MinLen(1)] = ()
    """The answers that are valid: all of them, as in `[Red, Grey|Gray]`, or what tells them, as in `matches:REGEX`."""
    opinion: Opinion | None = None
    """Which question of opinion it puts; made from a suite's `questions`, None for all other prompts."""

    @property
    def turns(self) -> tuple[Message, ...]:
        """What is asked, as turns: at least one, the last one the user's."""
        return self.messages or (Message("user", self.text),)

    def content(self) -> dict[str, Any]:
        """What was asked, for hashes of it: what may be missing only where it is there, not what it belongs to."""
        left_out = {"cluster"} | {
            name for name in ("checks", "messages", "valid", "opinion") if not getattr(self, name)
        }
        return {name: value for name, value in asdict(self).items() if name not in left_out}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn. All of it is passed to the engine: a checkpoint's generation_config never decides."""

    n: int
    temperature: float
    top_p: float
    min_p: float
    max_tokens: int
    stop: tuple[str, ...]
    seed: int
    top_k: int = 0
    """Only so many of the most likely tokens may be drawn; 0 for all."""
    presence_penalty: float = 0.0
    """Taken off the logit of each token that the completion has already."""
    frequency_penalty: float = 0.0
    """Taken off it once for each time that the completion has it."""
    repetition_penalty: float = 1.0
    """What the logit of each token of prompt or completion is divided by, or multiplied with where it is negative."""

    @property
    def is_raw(self) -> bool:
        """Whether completions are draws from the untempered model distribution: nothing cut or penalised."""
        return self.temperature == 1.0 and self.top_p == 1.0 and self.min_p == 0.0 and not self.departures

    @property
    def distribution(self) -> tuple[float, ...]:
        """All settings that make another distribution of a checkpoint's own."""
        return (self.temperature, self.top_p, self.min_p, *(getattr(self, name) for name in NEUTRAL))

    @property
    def departures(self) -> dict[str, float]:
        """Of top_k and the penalties, those that change what is drawn."""
        given = {name: getattr(self, name) for name in NEUTRAL}
        return {name: value for name, value in given.items() if value != NEUTRAL[name]}

    @property
    def is_penalised(self) -> bool:
        """Whether what has been said changes what is said next beyond what the model makes of it."""
        return bool(self.departures.keys() - {"top_k"})

    def content(self) -> dict[str, Any]:
        """All settings by name, for hashes and manifests: top_k and the penalties only where they change anything."""
        return {name: value for name, value in asdict(self).items() if name not in NEUTRAL} | self.departures


@dataclass(frozen=True, slots=True)
class Thinking:
    """What in a completion is thinking: all before `end`."""

    start: str = ""
    """What it begins with, if it says so; empty: a text that says nothing of it begins with thinking."""
    end: str = ""
    """Empty where whoever made the texts gives the thinking apart."""


Way = Literal["list", "verbalized", "paraphrases", "plain"]
"""How a prompt is put, where it is not put as it is: for a list of answers, for a list with the probability of each, in
several wordings, or to a tuned checkpoint without its chat template."""
Fault = Literal["cut", "missing", "unread", "surplus"]
"""Why an answer that was asked for is not measured: its completion was cut at max_tokens, or ended before it, or holds
no list that can be told; or it was one more than the suite asks for."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How an arm's prompts are put, where they are not put as they are."""

    way: Way
    answers: int = 1
    """Answers that one completion is asked for."""
    wordings: int = 1
    """Wordings that a prompt is put in, in turn."""

    def draws(self, n: int) -> int:
        """Completions of each wording that n answers take, none of them with fewer than asked for."""
        return -(-n // (self.answers * self.wordings))


@dataclass(frozen=True, slots=True)
class Item:
    """Where an answer is from, of an arm whose prompts are put for several answers or in several wordings."""

    draw: int
    """Which completion of its prompt, in its wording."""
    wording: int = 0
    tokens: int = 0
    """Of the whole completion; 0 where the engine does not tell."""
    written: int = 1
    """Answers that the whole completion holds, also beyond those that were asked for."""
    probability: float | None = None
    """What the model itself states, 0 to 1; None where it states none."""
    fault: Fault | None = None
    """Why it is not measured; its text is then what could be told of it."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One checkpoint under one set of sampling settings: what is compared."""

    name: str
    checkpoint: str
    kind: Kind | None
    """None for texts made elsewhere."""
    sampling: Sampling | None
    """None for texts made elsewhere: how they were drawn is not known."""
    baseline: str | None
    """Name of the arm it is compared with; None for an arm that only serves as a baseline."""
    best_of: int = 1
    """Each completion is the one of so many draws that a reward model likes best."""
    engine: str = ""
    """Name and version of the engine that drew its completions; empty where that is not known."""
    tokenizer: str = ""
    """Hash of the checkpoint's vocabulary; empty where that is not known."""
    system: str = ""
    """The system message that its prompts are asked under, if any."""
    thinking: Thinking | None = None
    """How its thinking is told from its answers; None where it does not think."""
    asking: Asking | None = None
    """How its prompts are put; None where each is put as it is, for one answer."""

    @property
    def is_raw(self) -> bool:
        """Whether its answers are known to be draws from the untempered model distribution, with their log-probs.

        Those after thinking are not: the log-prob of an answer after one thinking is not that of the answer. Nor are
        answers of a list, or to one of several wordings.
        """
        is_raw = self.sampling is not None and self.sampling.is_raw
        return is_raw and self.best_of == 1 and self.thinking is None and self.is_independent

    @property
    def is_independent(self) -> bool:
        """Whether its answers to a prompt are independent draws of one distribution: not those of one list, each of
        which has seen the ones before it, nor those that were spread over several wordings.
        """
        return self.asking is None or self.asking.way == "plain"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt as one checkpoint sees it."""

    prompt_id: str
    text: str
    token_ids: tuple[int, ...]
    """Empty for a remote checkpoint, whose server tokenizes."""
    messages: tuple[tuple[str, str], ...] = ()
    """(role, content) pairs for a server that applies the chat template itself; else empty."""
    chat_template_kwargs: str = ""
    """JSON of what that server hands to its chat template besides; else empty."""

    @property
    def letters(self) -> int:
        """Of all that a server makes tokens of, but for what its chat template adds."""
        return sum(len(text) for _, text in self.messages) if self.messages else len(self.text)


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled text."""

    prompt_id: str
    sample_index: int
    """Which of the n draws it is, from 0."""
    text: str
    token_ids: tuple[int, ...]
    """With the end-of-sequence token, if it was drawn; empty when the engine does not tell."""
    logprobs: tuple[float, ...]
    """Natural log-probs of `token_ids`, untempered (temperature 1, no truncation); empty when unknown."""
    finish_reason: FinishReason
    thinking: str | None = None
    """What the model thought before it answered, where that is told apart; `text` is then the answer alone, and tokens
    and log-probs are those of both."""
    thinking_tokens: int | None = None
    """How many tokens of the completion are thinking; None where nobody counted."""
    item: Item | None = None
    """Where in what was drawn it stands, where the arm is asked for several answers or in several wordings."""

    @property
    def is_answer(self) -> bool:
        """Whether it came to an answer, which may be empty.

        Not where it was cut or withheld before it said a word, nor where an answer that was asked for could not be told
        or is not needed.
        """
        if self.item is not None and self.item.fault is not None:
            return False
        if self.text.strip() or self.finish_reason == "stop":
            return True
        return self.finish_reason == "length" and self.thinking is None


@dataclass(frozen=True)
class NextTokenDistributions:
    """The checkpoint's whole next-token distribution at each of a completion's T tokens, untempered (temperature 1)."""

    entropy: np.ndarray
    """(T,) float32, nats."""
    logprobs_at_ranks: np.ndarray
    """(T, R) float32, log-prob of the token at rank `RANKS[r]`, NaN where the vocabulary is smaller."""


@dataclass(frozen=True)
class Voices:
    """Which of the suite's V voices each of a prompt's completions sounds like, to a classifier that errs."""

    names: tuple[str, ...]
    predicted: np.ndarray
    """(k,) int64, index of the voice that the classifier predicts for each completion."""
    correction: np.ndarray
    """(V, V) float64, takes predicted shares to true ones; NaN where the classifier cannot tell voices."""
    baseline_predicted: np.ndarray | None
    """(k of the baseline,) int64, the same of the baseline arm's completions; None for the baseline arm itself."""
    classifier: str
    """Hash of what the classifier learned from, encoder and correction included."""


@dataclass(frozen=True)
class Given:
    """What the tool that made a prompt's k completions says of them, where they were made elsewhere."""

    scores: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name -> (k,) float64, NaN where it gives none."""
    prompt_scores: Mapping[str, float] = field(default_factory=dict)
    """Name -> one number for all of them together."""
    classes: np.ndarray | None = None
    """(k,) int64, which of them say the same, as it divides them; None where it does not."""
    by: str = ""
    """What the tool is called."""


@dataclass(frozen=True)
class Group:
    """All of one prompt's completions under one arm: what a metric or score is computed on."""

    prompt: Prompt
    completions: tuple[Completion, ...]
    embeddings: np.ndarray | None = None
    """(k, d) float32, rows of length 1; present for metrics that need "embeddings"."""
    reference_embeddings: np.ndarray | None = None
    """(number of `prompt.references`, d) float32, the same of the human texts; for metrics that need it."""
    baseline_logprobs: np.ndarray | None = None
    """(k,) float64, log-prob of each completion under the baseline; present for metrics that need it, where defined."""
    quality: np.ndarray | None = None
    """(k,) float64, the suite's quality score of each completion, NaN where undefined; for metrics that need it."""
    baseline: Group | None = None
    """The baseline arm's completions of the same prompt; present for metrics that need "baseline_group"."""
    forward_logprobs: np.ndarray | None = None
    """(k of `baseline`,) float64, log-prob of each of the baseline's completions under this arm's checkpoint."""
    other_prompt_logprobs: np.ndarray | None = None
    """(k, other prompts) float64, log-prob of each completion after other prompts than its own, under this arm's
    checkpoint; present for metrics that need it."""
    next_token_distributions: tuple[NextTokenDistributions, ...] | None = None
    """The next-token distributions along each completion; present for metrics that need "next_token_distributions"."""
    choice_logprobs: Mapping[str, float] | None = None
    """Exact log-prob that an answer begins with each of the prompt's `choices`, under this arm's checkpoint."""
    valid_logprobs: Mapping[str, float] | None = None
    """The same of each of the prompt's `valid` answers, where they are listed."""
    reference_logprobs: tuple[float, ...] | None = None
    """Log-prob of each of the prompt's `references` after the prompt, its end not counted, under this checkpoint."""

    voices: Voices | None = None
    """Who says what; present for metrics that need "voices"."""
    given: Given | None = None
    """What another tool says of the completions; None for those that evalkit sampled."""
    divisions: Mapping[str, np.ndarray | None] | None = None
    """Who divides -> (k,) int64, the class of each completion as it says which of them say the same, None where it
    cannot tell; present for metrics that need "divided"."""
    classes: np.ndarray | None = None
    """(k,) int64, the classes that metrics of meaning are to count, in place of what embeddings tell."""
    unfinished: tuple[Completion, ...] = ()
    """Completions that came to no answer, and answers that are not there: shown and counted, and not measured."""
    thoughts: Group | None = None
    """The thinking of its completions as texts; present for metrics that need "thinking", where all of them thought."""
    tokenizer: Tokenizer = "13a"
    """What splits texts into words: one for all groups that are compared."""

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Completion texts without surrounding white space."""
        return tuple(completion.text.strip() for completion in self.completions)

    @cached_property
    def words(self) -> tuple[tuple[str, ...], ...]:
        """Completion texts as word tokens, which every lexical metric counts."""
        from evalkit.plumbing.tokenizer import tokenizer

        return tuple(map(tokenizer(self.tokenizer), self.texts))

    def of(self, completions: tuple[Completion, ...], words: tuple[tuple[str, ...], ...]) -> Group:
        """The same prompt with other completions, whose words are known; all that was said of the old ones is gone."""
        made = Group(self.prompt, completions, tokenizer=self.tokenizer)
        # What `words` would find is put where it keeps it: tokenizing again is slow, and could split joined words more.
        vars(made)["words"] = words
        return made

    def only(self, kept: Sequence[int]) -> Group:
        """The completions at these places, with their words and embeddings."""
        made = self.of(tuple(self.completions[i] for i in kept), tuple(self.words[i] for i in kept))
        return made if self.embeddings is None else made.embedded(self.embeddings[list(kept)])

    def embedded(self, rows: np.ndarray) -> Group:
        """The same group with these embeddings, (k, d)."""
        return self.having(embeddings=rows)

    def having(self, **more: Any) -> Group:
        """The same completions with more said of them; their words are not looked for again."""
        made = replace(self, **more)
        vars(made).update({name: value for name, value in vars(self).items() if name in ("words", "texts")})
        return made


Unit = Literal["absolute", "relative", "standard_errors"]


@dataclass(frozen=True, slots=True)
class Margin:
    """How much may be lost: in the metric's unit, as a share of the baseline's mean, or in standard errors."""

    unit: Unit
    size: float
    """0 or more; below 1 for a share."""


Groups = Mapping[str, Sequence[Group]]
"""Arm name -> one group a prompt, in prompt order."""
