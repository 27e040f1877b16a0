"""How a metric or score is declared: the decorators, and what each declaration must and may say.

A metric is one function `(group, *, parameters) -> float` on one prompt's completions; a score is one function
`(groups, *, parameters) -> one array of k floats per group`, a number on every completion, whose per-prompt value is
their mean. NaN means "not defined here".
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, Required, TypedDict, TypeVar, Unpack, get_args

from evalkit.errors import MetricError
from evalkit.metrics.parameters import kinds
from evalkit.records import Better, Side, Variant

Need = Literal[
    "words",
    "token_ids",
    "logprobs",
    "baseline_logprobs",
    "baseline_group",
    "forward_logprobs",
    "other_prompt_logprobs",
    "next_token_distributions",
    "choices",
    "valid_logprobs",
    "opinions",
    "references",
    "embeddings",
    "reference_embeddings",
    "answer",
    "checks",
    "valid",
    "quality",
    "voices",
    "scores",
    "classes",
    "divided",
    "thinking",
    "stated",
    "thinking_tokens",
]


Kind = Literal["metric", "score", "arm_metric"]


Function = TypeVar("Function", bound=Callable[..., Any])


VARIANTS: tuple[Variant, ...] = get_args(Variant)


_OF_TEXTS: frozenset[Need] = frozenset({"words", "embeddings"})
"""A metric that needs no more can be computed on other completions than all of one prompt's."""


declared_here: dict[str, Definition] = {}
"""Name -> what was declared in the modules that were imported so far."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a measure's declaration says of it, for whoever reads its numbers without knowing the measure."""

    side: Side = "neither"
    family: str = ""
    """Measures of one family look at the same thing ("words", "meaning"): together they are one voice of their side."""
    plain: str = ""
    """What it counts in everyday words, to stand before a number; empty where its name must do."""
    picture: int | None = None
    """Its place among the measures of its side that a reader can picture, 1 first; None for all others."""
    moves_with_length: bool = False
    """Whether longer completions alone change it."""
    per_token: bool = False
    """Whether it counts a checkpoint's own tokens, so that only checkpoints with one tokenizer compare."""
    bounds: tuple[float | None, float | Literal["k"] | None] = (None, None)
    """Between what its values lie: numbers, "k" for the number of completions, None where nothing bounds them."""


class Declared(TypedDict):
    """What every declaration says."""

    name: Required[str]
    unit: Required[str]
    better: Required[Better]
    side: Required[Side]
    """What it speaks of; "neither" exactly where no direction is better."""
    needs: Required[Iterable[Need]]
    version: Required[str]
    cites: Required[str]
    family: NotRequired[str]
    """With which others it is one voice of its side; left out, it is one by itself."""
    plain: NotRequired[str]
    """What it counts, in everyday words that fit before a number."""
    picture: NotRequired[int]
    """Its place among the measures of its side that a reader can picture, 1 first."""
    moves_with_length: NotRequired[bool]
    """Whether longer completions alone change it."""
    per_token: NotRequired[bool]
    """Whether it counts a checkpoint's own tokens."""
    least: NotRequired[Mapping[str, int]]
    """The smallest value that a parameter may have."""
    bounds: NotRequired[tuple[float | None, float | Literal["k"] | None]]
    """Between what its values lie; "k" is the number of completions, None no bound."""
    without_each: NotRequired[Callable[..., Any]]
    """(group, **parameters) -> (k,) its value without each of the k completions, where there is a faster way than k
    values: what across prompts makes intervals. Takes the same parameters."""
    of_draws: NotRequired[bool | str]
    """Whether it estimates something from independent draws, so that it says nothing of answers that are none; the name
    of a parameter where it does unless that is 0 or "none"."""
    pool_at_most: NotRequired[int]
    """Completions of different prompts that it is taken on together at most: for costs that grow with their square."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric or score as its module declares it."""

    name: str
    kind: Kind
    function: Callable[..., Any]
    unit: str
    better: Better
    needs: frozenset[Need]
    version: str
    cites: str
    traits: Traits
    identity: Callable[..., Mapping[str, str]] | None
    """Called with the parameters: what else the number depends on (a reward model's weights)."""
    any_k: bool = False
    """Whether its expected value is the same at every k, so that figures at different k compare."""
    least: tuple[tuple[str, int], ...] = ()
    """Parameter -> the smallest value that it may have."""
    without_each: Callable[..., Any] | None = None
    """Its value without each completion, in one go; None where it must be taken anew."""
    pool_at_most: int | None = None
    """Completions of different prompts that it is taken on together; None: all there are."""
    of_draws: bool | str = False
    """Whether it estimates something from independent draws; a parameter's name where that is as it is set."""

    @property
    def undefined(self) -> str:
        """What the docstring says of when it is NaN."""
        paragraphs = (inspect.getdoc(self.function) or "").split("\n\n")
        paragraph = next((part for part in paragraphs if part.startswith("Undefined:")), "")
        return " ".join(paragraph.removeprefix("Undefined:").split())

    @property
    def is_quality(self) -> bool:
        """Whether it says how good a completion is; a score of diversity says how far it is from its neighbours."""
        return self.kind == "score" and self.traits.side == "quality"

    @property
    def divides_by_meaning(self) -> bool:
        """Whether it goes by which completions say the same, at a `threshold` of their embeddings' cosine."""
        return "embeddings" in self.needs and "threshold" in self.parameters

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants that it has a meaning in: all of them for what is computed from texts alone."""
        return VARIANTS if self.kind == "metric" and self.needs <= _OF_TEXTS else ("whole",)

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The keyword-only parameters, which a suite may set."""
        parameters = inspect.signature(self.function, eval_str=True).parameters
        return {name: p for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}

    @property
    def parameter_words(self) -> str:
        """`n=2, k`: each with its default, where it has one."""
        parameters = self.parameters.values()
        return ", ".join(f"{p.name}={p.default}" if p.default is not p.empty else p.name for p in parameters)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The parameters that a number behind the name may set: numbers that are called by one letter, as in papers."""
        numbers = (int, float)
        return tuple(k for k, p in self.parameters.items() if len(k) == 1 and {*kinds(p.annotation)} & {*numbers})

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]


def metric(
    *,
    any_k: bool = False,
    identity: Callable[..., Mapping[str, str]] | None = None,
    **declared: Unpack[Declared],
) -> Callable[[Function], Function]:
    """Declare a function of one `Group` as a metric. `any_k`: its expected value does not depend on k."""
    return _declare("metric", declared, identity, any_k)


def score(
    *, identity: Callable[..., Mapping[str, str]] | None = None, **declared: Unpack[Declared]
) -> Callable[[Function], Function]:
    """Declare a function of a sequence of `Group`s as a score on every completion."""
    return _declare("score", declared, identity, any_k=True)


def arm_metric(**declared: Unpack[Declared]) -> Callable[[Function], Function]:
    """Declare a function of all of an arm's `Group`s as a figure of the whole arm.

    It gives one influence value a prompt, whose mean is the figure and whose spread tells its interval.
    """
    return _declare("arm_metric", declared, None, any_k=False)


def _declare(
    kind: Kind, declared: Declared, identity: Callable[..., Mapping[str, str]] | None, any_k: bool
) -> Callable[[Function], Function]:
    name, traits = declared["name"], _traits(declared)

    def register(function: Function) -> Function:
        known = declared_here.get(name)
        if known is not None and known.function.__module__ != function.__module__:
            raise MetricError(
                f"metric {name!r} is declared by both {known.function.__module__} and {function.__module__}"
            )
        _check_without_each(name, function, declared.get("without_each"))
        declared_here[name] = Definition(
            name,
            kind,
            function,
            declared["unit"],
            declared["better"],
            frozenset(declared["needs"]),
            declared["version"],
            declared["cites"],
            traits,
            identity,
            any_k,
            tuple(declared.get("least", {}).items()),
            declared.get("without_each"),
            declared.get("pool_at_most"),
            declared.get("of_draws", False),
        )
        return function

    return register


def _check_without_each(name: str, function: Callable[..., Any], without_each: Callable[..., Any] | None) -> None:
    if without_each is None:
        return
    of_metric, of_other = _keyword_only(function), _keyword_only(without_each)
    if of_metric != of_other:
        raise MetricError(
            f"metric {name!r} is declared with a without_each of parameters {', '.join(of_other) or 'none'}; it must "
            f"have those of the metric: {', '.join(of_metric) or 'none'}"
        )


def _keyword_only(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters
    return [name for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]


def _traits(declared: Declared) -> Traits:
    """What the declaration says that goes into summaries. Raises `MetricError`."""
    name, side = declared["name"], declared.get("side")
    if side not in get_args(Side):
        allowed = ", ".join(map(repr, get_args(Side)))
        raise MetricError(f"metric {name!r} is declared with side={side!r}; its declaration must say one of {allowed}")
    if (side == "neither") != (declared["better"] == "neither"):
        raise MetricError(
            f"metric {name!r} is declared with better={declared['better']!r} and side={side!r}: a measure with a "
            "better direction is on a side, and one without is on neither"
        )
    low, high = declared.get("bounds", (None, None))
    return Traits(
        side,
        declared.get("family", name),
        declared.get("plain", ""),
        declared.get("picture"),
        declared.get("moves_with_length", False),
        declared.get("per_token", False),
        # As a summary reads them back, so that a report made again is the same.
        (None if low is None else float(low), high if high is None or high == "k" else float(high)),
    )
