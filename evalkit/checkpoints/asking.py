"""Ways of asking: how a suite says that a prompt is put otherwise than as it is, and what is then put.

`direct` puts a prompt as it is, for one answer. `list` asks for several answers in one completion; `verbalized` for
several with the probability of each, after "Verbalized Sampling" (Zhang et al. 2025, arXiv 2510.01171; the wording is
our own); `paraphrases` puts it in several wordings in turn; `template: off` asks a tuned checkpoint through a frame, as
base ones are asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, field_validator, model_validator

from evalkit.plumbing.typed_yaml import Part
from evalkit.records import Asking, Prompt, Way

PROMPT = "{prompt}"
"""Stands for the prompt in a wording."""
LIST = (
    "{prompt}\n\nGive {k} answers to this, each different from the others, as a numbered list from 1 to {k}. Write "
    "the {k} answers alone."
)
VERBALIZED = (
    "{prompt}\n\nGive {k} answers to this, each different from the others, as a numbered list from 1 to {k}. State "
    "behind each answer, in brackets, the probability with which you would give it, a number between 0 and 1, as in "
    "(probability: 0.07). Write the {k} answers with their probabilities alone."
)
WAYS: tuple[str, ...] = ("list", "verbalized", "paraphrases", "template")
Answers = Annotated[int, Field(ge=2, le=100)]


def _off(value: Any) -> Any:
    """YAML reads `off` as false."""
    return "off" if value is False else value


class Ask(Part):
    """A way of asking other than `direct`: exactly one of these."""

    list: Answers | None = None
    """So many answers in one completion."""
    verbalized: Answers | None = None
    """So many answers in one completion, each with the probability that the model states."""
    paraphrases: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    """Wordings around `{prompt}`, which are put in turn; `"{prompt}"` is the prompt as it is."""
    template: Annotated[Literal["off"] | None, BeforeValidator(_off)] = None
    """`off`: a tuned checkpoint is asked through its frame, as base ones are."""

    @field_validator("paraphrases")
    @classmethod
    def _hold_the_prompt(cls, wordings: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if wordings is None:
            return None
        for wording in wordings:
            if PROMPT not in wording:
                raise ValueError(f"the wording {wording!r} has no {PROMPT}, which stands for the prompt; put it in")
        if len(set(wordings)) < max(2, len(wordings)):
            raise ValueError("paraphrases must be two wordings or more, each another")
        return wordings

    @model_validator(mode="after")
    def _is_one_way(self) -> Ask:
        given = [name for name in WAYS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"found {' and '.join(given) or 'none'}; ask must be direct or one of {{list: k}}, {{verbalized: k}}, "
                "{paraphrases: [...]}, {template: off}; give each way a checkpoint entry of its own"
            )
        return self

    @property
    def way(self) -> Way:
        given = next(name for name in WAYS if getattr(self, name) is not None)
        return "plain" if given == "template" else cast(Way, given)

    @property
    def answers(self) -> int:
        """Answers that one completion is asked for."""
        return self.list or self.verbalized or 1

    @property
    def asking(self) -> Asking:
        """What an arm says of it."""
        return Asking(self.way, self.answers, len(self.paraphrases or ("",)))

    @property
    def wordings(self) -> tuple[str, ...]:
        """What is put around a prompt: one text, or those that take turns."""
        if self.paraphrases is not None:
            return self.paraphrases
        if self.answers == 1:
            return (PROMPT,)
        return ((LIST if self.list else VERBALIZED).replace("{k}", str(self.answers)),)

    def room(self, max_tokens: int, stop: Sequence[str]) -> tuple[int, tuple[str, ...]]:
        """What a completion gets where one answer gets these: so much for each, and no line break ends it."""
        if self.answers == 1:
            return max_tokens, tuple(stop)
        return max_tokens * self.answers, tuple(text for text in stop if text.strip())


def _read(value: Any) -> Any:
    if value == "direct":
        return None
    if value is None or isinstance(value, Mapping | Ask):
        return value
    raise ValueError(
        f"found {value!r}; ask must be direct or one of {{list: k}}, {{verbalized: k}}, {{paraphrases: [...]}}, "
        "{template: off}"
    )


def _with_direct(schema: dict[str, Any]) -> None:
    schema["anyOf"].append({"const": "direct"})


AskedAs = Annotated[Ask | None, BeforeValidator(_read), Field(json_schema_extra=_with_direct)]


def as_asked(ask: Ask | None, prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts as they are put: in each wording, under an id of its own where there are several."""
    if ask is None:
        return list(prompts)
    several = len(ask.wordings) > 1
    return [
        _worded(prompt, wording, wording_id(prompt.id, number) if several else prompt.id)
        for prompt in prompts
        for number, wording in enumerate(ask.wordings)
    ]


def wording_id(prompt: str, number: int) -> str:
    """What a prompt is called in its wording of this number, from 0."""
    return f"{prompt} (wording {number + 1})"


def _worded(prompt: Prompt, wording: str, called: str) -> Prompt:
    """Of a conversation the last turn, which is the user's, is put in that wording."""
    if wording == PROMPT:
        return replace(prompt, id=called)
    turns = prompt.messages
    if turns:
        turns = (*turns[:-1], replace(turns[-1], content=wording.replace(PROMPT, turns[-1].content)))
    return replace(prompt, id=called, text=wording.replace(PROMPT, prompt.text), messages=turns)
