"""Metrics and scores: how one is declared, found, named and signed.

A metric is one function `(group, *, parameters) -> float` on one prompt's completions; a score is one function
`(groups, *, parameters) -> one array of k floats per group`, a number on every completion, whose per-prompt value is
their mean. NaN means "not defined here". Declaring one is the decorator; it is found by walking `evalkit.diversity`
and `evalkit.quality` and the entry points of group `evalkit.metrics`.

A `Measure` is a definition with its parameters, in one variant: an immutable value whose text parses back
(`distinct_n|n:3`, `pooled/distinct_n|n:3`). Its signature says all that the number depends on; two numbers are
comparable exactly when their signatures are equal (after sacreBLEU, Post 2018).
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal, TypeVar, get_args

from evalkit.errors import MetricError
from evalkit.records import Better, Variant

Need = Literal[
    "words",
    "token_ids",
    "logprobs",
    "baseline_logprobs",
    "baseline_group",
    "forward_logprobs",
    "laws",
    "choices",
    "references",
    "embeddings",
    "reference_embeddings",
    "answer",
    "checks",
    "quality",
    "voices",
]
Kind = Literal["metric", "score", "arm_metric"]
Value = int | float | str | bool
Function = TypeVar("Function", bound=Callable[..., Any])
PACKAGES = ("evalkit.diversity", "evalkit.quality")
VARIANTS: tuple[Variant, ...] = get_args(Variant)
_OF_TEXTS: frozenset[Need] = frozenset({"words", "embeddings"})
"""A metric that needs no more can be computed on other completions than all of one prompt's."""
VARIANT_WORDS: dict[Variant, str] = {"whole": "", "useful": "useful", "matched": "length-matched", "pooled": "pooled"}
_declared: dict[str, Definition] = {}


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
    identity: Callable[..., Mapping[str, str]] | None
    """Called with the parameters: what else the number depends on (a reward model's weights)."""
    any_k: bool = False
    """Whether its expected value is the same at every k, so that figures at different k compare."""

    @property
    def undefined(self) -> str:
        """What the docstring says of when it is NaN."""
        paragraphs = (inspect.getdoc(self.function) or "").split("\n\n")
        said = next((part for part in paragraphs if part.startswith("Undefined:")), "")
        return " ".join(said.removeprefix("Undefined:").split())

    @property
    def is_quality(self) -> bool:
        """Whether it says how good a completion is; a score of diversity says how far it is from its neighbours."""
        return self.kind == "score" and not self.function.__module__.startswith("evalkit.diversity.")

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants that it has a meaning in. Only what is counted on words alone can be matched in length."""
        if self.kind != "metric" or not self.needs <= _OF_TEXTS:
            return ("whole",)
        return tuple(variant for variant in VARIANTS if variant != "matched" or self.needs <= {"words"})

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The keyword-only parameters, which a suite may set."""
        found = inspect.signature(self.function, eval_str=True).parameters
        return {name: p for name, p in found.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]


@dataclass(frozen=True, slots=True)
class Measure:
    """A definition with all its parameters set; `str` gives the short form that `parse` reads back."""

    definition: Definition
    params: tuple[tuple[str, Value], ...]
    variant: Variant = "whole"

    @property
    def name(self) -> str:
        return self.definition.name

    def __str__(self) -> str:
        defaults = {name: p.default for name, p in self.definition.parameters.items()}
        prefix = "" if self.variant == "whole" else f"{self.variant}/"
        return "|".join([prefix + self.name, *(f"{k}:{_show(v)}" for k, v in self.params if v != defaults[k])])

    def __call__(self, subject: Any) -> Any:
        return self.definition.function(subject, **dict(self.params))

    def fits(self, completions: int) -> bool:
        """Whether so many completions are enough: a parameter `k` asks for that many."""
        return int(dict(self.params).get("k", 0)) <= completions

    def identify(self) -> dict[str, str]:
        """What else the number depends on (a reward model's weights). Raises where that is not there."""
        identity = self.definition.identity
        return {} if identity is None else dict(identity(**dict(self.params)))

    @property
    def essentials(self) -> str:
        """Name, parameters, identity and version in one word, for the signatures of measures that build on this one."""
        return self.signature(0, "").replace("|k:0", "").replace("|", ",")

    def signature(self, k: int, encoder: str, baseline: str = "", also: Iterable[str] = ()) -> str:
        """All that the number depends on besides the completions: parameters, tokenizer, encoder, baseline, k, version.

        `baseline`: fingerprint of the baseline checkpoint, if any. `also`: what else decides it, as `key:value`.
        """
        name = self.name if self.variant == "whole" else f"{self.variant}/{self.name}"
        parts = [name, *(f"{key}:{_show(value)}" for key, value in self.params)]
        parts += [f"{key}:{value}" for key, value in self.identify().items()]
        if "words" in self.definition.needs:
            parts.append("tok:13a")
        if "embeddings" in self.definition.needs:
            parts.append(f"enc:{encoder}")
        if baseline and self.definition.needs & {"baseline_logprobs", "baseline_group", "forward_logprobs"}:
            parts.append(f"baseline:{baseline[:12]}")
        return "|".join([*parts, *also, f"k:{k}", f"v:{self.definition.version}"])


def metric(
    *,
    name: str,
    unit: str,
    better: Better,
    needs: Iterable[Need],
    version: str,
    cites: str,
    any_k: bool = False,
    identity: Callable[..., Mapping[str, str]] | None = None,
) -> Callable[[Function], Function]:
    """Declare a function of one `Group` as a metric. `any_k`: its expected value does not depend on k."""
    return _declare("metric", name, unit, better, needs, version, cites, identity, any_k)


def score(
    *,
    name: str,
    unit: str,
    better: Better,
    needs: Iterable[Need],
    version: str,
    cites: str,
    identity: Callable[..., Mapping[str, str]] | None = None,
) -> Callable[[Function], Function]:
    """Declare a function of a sequence of `Group`s as a score on every completion."""
    return _declare("score", name, unit, better, needs, version, cites, identity, any_k=True)


def arm_metric(
    *,
    name: str,
    unit: str,
    better: Better,
    needs: Iterable[Need],
    version: str,
    cites: str,
) -> Callable[[Function], Function]:
    """Declare a function of all of an arm's `Group`s as a figure of the whole arm.

    It gives one influence value a prompt, whose mean is the figure and whose spread tells its interval.
    """
    return _declare("arm_metric", name, unit, better, needs, version, cites, None, any_k=False)


def definitions() -> dict[str, Definition]:
    """Every metric and score there is, by name."""
    _load_all()
    return dict(sorted(_declared.items()))


def parse(asked: str | Mapping[str, Mapping[str, Value] | None]) -> Measure:
    """Read `distinct_n`, `distinct_n|n:3` or `{distinct_n: {n: 3}}`, each also with a variant: `pooled/distinct_n`.

    Raises `MetricError` on an unknown name, variant, parameter or a value of the wrong type.
    """
    said, given = _parse_text(asked) if isinstance(asked, str) else _parse_mapping(asked)
    variant, name = split_variant(said)
    definition = define(name)
    return in_variant(Measure(definition, tuple(_fill(definition, given))), variant)


def in_variant(measure: Measure, variant: Variant) -> Measure:
    """The same measure in another variant. Raises `MetricError` where that has no meaning."""
    if variant not in measure.definition.variants:
        allowed = ", ".join(measure.definition.variants)
        raise MetricError(f"metric {measure.name} has no variant {variant!r}; it has: {allowed}")
    return replace(measure, variant=variant)


def split_variant(measure: str) -> tuple[Variant, str]:
    """`pooled/distinct_n|n:3` apart: its variant and the rest. A path in a parameter is no variant."""
    head, slash, rest = measure.partition("/")
    for variant in VARIANTS:
        if slash and head == variant:
            return variant, rest
    return "whole", measure


def label(measure: str) -> str:
    """`distinct_n|n:3` as a person would say it: `distinct_n (n 3)`; a variant goes before it."""
    variant, plain = split_variant(measure)
    name, *parameters = plain.split("|")
    said = ", ".join(parameter.replace(":", " ", 1) for parameter in parameters)
    return f"{VARIANT_WORDS[variant]} {name} ({said})".strip() if said else f"{VARIANT_WORDS[variant]} {name}".strip()


def define(name: str) -> Definition:
    """The metric or score of this name. Raises `MetricError`."""
    known = definitions()
    if name not in known:
        raise MetricError(f"there is no metric {name!r}{_nearest(name, known)}; known: {', '.join(known)}")
    return known[name]


def _declare(
    kind: Kind,
    name: str,
    unit: str,
    better: Better,
    needs: Iterable[Need],
    version: str,
    cites: str,
    identity: Callable[..., Mapping[str, str]] | None,
    any_k: bool,
) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        known = _declared.get(name)
        if known is not None and known.function.__module__ != function.__module__:
            raise MetricError(
                f"metric {name!r} is declared by both {known.function.__module__} and {function.__module__}"
            )
        _declared[name] = Definition(
            name, kind, function, unit, better, frozenset(needs), version, cites, identity, any_k
        )
        return function

    return register


@cache
def _load_all() -> None:
    for package in PACKAGES:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)
    for plugin in entry_points(group="evalkit.metrics"):
        plugin.load()


def _parse_text(asked: str) -> tuple[str, dict[str, str]]:
    name, *pairs = asked.strip().split("|")
    given = {}
    for pair in pairs:
        key, colon, value = pair.partition(":")
        if not colon:
            raise MetricError(f"metric {asked!r}: {pair!r} is not of the form parameter:value")
        given[key] = value
    return name, given


def _parse_mapping(asked: Mapping[str, Mapping[str, Value] | None]) -> tuple[str, Mapping[str, Value]]:
    if len(asked) != 1:
        raise MetricError(f"a metric with parameters is one key, as in {{distinct_n: {{n: 3}}}}; found {sorted(asked)}")
    [(name, given)] = asked.items()
    return name, given or {}


def _fill(definition: Definition, given: Mapping[str, Value]) -> Iterable[tuple[str, Value]]:
    parameters = definition.parameters
    for key in given:
        if key not in parameters:
            allowed = ", ".join(parameters) or "none"
            raise MetricError(
                f"metric {definition.name} has no parameter {key!r}{_nearest(key, parameters)}; it has: {allowed}"
            )
    for key, parameter in parameters.items():
        if key in given:
            yield key, _convert(definition.name, key, given[key], parameter.annotation)
        elif parameter.default is inspect.Parameter.empty:
            raise MetricError(
                f"metric {definition.name} needs a value for {key!r}, as in {{{definition.name}: {{{key}: ...}}}}"
            )
        else:
            yield key, parameter.default


def _convert(metric_name: str, key: str, value: Value, wanted: type) -> Value:
    try:
        if isinstance(value, bool) or (wanted is str and not isinstance(value, str)):
            raise ValueError
        converted: Value = wanted(value)
        if wanted is int and float(value) != converted:
            raise ValueError
        return converted
    except (TypeError, ValueError):
        raise MetricError(f"metric {metric_name}: {key} is {value!r}; it must be of type {wanted.__name__}") from None


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _show(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
