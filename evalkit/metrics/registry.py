"""Metrics and scores: how one is declared, found, named and signed.

A metric is one function `(group, *, parameters) -> float` on one prompt's completions; a score is one function
`(groups, *, parameters) -> one array of k floats per group`, a number on every completion, whose per-prompt value is
their mean. NaN means "not defined here". Declaring one is the decorator; it is found by walking
`metrics.diversity` and `metrics.quality` and the entry points of group `evalkit.metrics`.

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
from typing import Any, Literal, NotRequired, Required, TypedDict, TypeVar, Unpack, get_args

import numpy as np

from evalkit.errors import MetricError
from evalkit.metrics.spelling import meanings
from evalkit.plumbing.tokenizer import SPACED
from evalkit.records import Better, Side, Traits, Variant

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
Value = int | float | str | bool | None
Function = TypeVar("Function", bound=Callable[..., Any])
PACKAGES = ("evalkit.metrics.diversity", "evalkit.metrics.quality")
VARIANTS: tuple[Variant, ...] = get_args(Variant)
_OF_TEXTS: frozenset[Need] = frozenset({"words", "embeddings"})
"""A metric that needs no more can be computed on other completions than all of one prompt's."""
VARIANT_WORDS: dict[Variant, str] = {"whole": "", "useful": "useful", "matched": "length-matched", "pooled": "pooled"}
_declared: dict[str, Definition] = {}


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

    @property
    def undefined(self) -> str:
        """What the docstring says of when it is NaN."""
        paragraphs = (inspect.getdoc(self.function) or "").split("\n\n")
        said = next((part for part in paragraphs if part.startswith("Undefined:")), "")
        return " ".join(said.removeprefix("Undefined:").split())

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
        found = inspect.signature(self.function, eval_str=True).parameters
        return {name: p for name, p in found.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}

    @property
    def symbols(self) -> tuple[str, ...]:
        """The parameters that a number behind the name may set: numbers that are called by one letter, as in papers."""
        numbers = (int, float)
        return tuple(k for k, p in self.parameters.items() if len(k) == 1 and {*_kinds(p.annotation)} & {*numbers})

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
        try:
            return self.definition.function(subject, **dict(self.params))
        except MetricError as error:
            if self.name in str(error) or str(error).startswith("prompt "):
                raise
            raise MetricError(f"metric {self}: {error}") from None

    def without_each(self, subject: Any) -> Any:
        """(k,) floats: its value without each completion; only where the definition has a way. Raises `MetricError`."""
        way = self.definition.without_each
        assert way is not None, f"{self.name} is taken anew without a completion"
        found, k = way(subject, **dict(self.params)), len(subject.completions)
        if np.shape(found) != (k,):
            raise MetricError(
                f"metric {self.name}: its without_each gave {np.shape(found)} numbers for {k} completions"
            )
        return found

    def fits(self, completions: int) -> bool:
        """Whether so many completions are enough: a parameter `k` asks for that many."""
        return int(dict(self.params).get("k") or 0) <= completions

    def check_fits(self, completions: int) -> None:
        """Refuse a `k` above the completions that there will be. Raises `MetricError`."""
        if not self.fits(completions):
            raise MetricError(
                f"metric {self}: k is {dict(self.params)['k']}; of {completions} completions it must be at most "
                f"{completions}: draw more, or ask a smaller k"
            )

    def identify(self) -> dict[str, str]:
        """What else the number depends on (a reward model's weights). Raises where that is not there."""
        identity = self.definition.identity
        return {} if identity is None else dict(identity(**dict(self.params)))

    @property
    def essentials(self) -> str:
        """Name, parameters, identity and version in one word, for the signatures of measures that build on this one."""
        return self.signature(0, "").replace("|k:0", "").replace("|", ",")

    def signature(
        self, k: int, encoder: str, baseline: str = "", also: Iterable[str] = (), tokenizer: str = SPACED
    ) -> str:
        """All that the number depends on besides the completions: parameters, tokenizer, encoder, baseline, k, version.

        `baseline`: fingerprint of the baseline checkpoint, if any. `also`: what else decides it, as `key:value`.
        `tokenizer`: signature of what split texts into words; a measure of meaning looks at words in short answers
        alone, and names it where it is not 13a.
        """
        name = self.name if self.variant == "whole" else f"{self.variant}/{self.name}"
        parts = [name, *(f"{key}:{_show(value)}" for key, value in self.params)]
        parts += [f"{key}:{value}" for key, value in self.identify().items()]
        if "words" in self.definition.needs and (tokenizer != SPACED or "embeddings" not in self.definition.needs):
            parts.append(f"tok:{tokenizer}")
        if "embeddings" in self.definition.needs:
            parts.append(f"enc:{encoder}")
        if baseline and self.definition.needs & {"baseline_logprobs", "baseline_group", "forward_logprobs"}:
            parts.append(f"baseline:{baseline[:12]}")
        return "|".join([*parts, *also, f"k:{k}", f"v:{self.definition.version}"])


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


def definitions() -> dict[str, Definition]:
    """Every metric and score there is, by name."""
    _load_all()
    return dict(sorted(_declared.items()))


def parse(asked: str | Mapping[str, Mapping[str, Value] | None]) -> Measure:
    """Read `distinct_n`, `distinct_n|n:3` or `{distinct_n: {n: 3}}`, each also with a variant: `pooled/distinct_n`.

    Names are read as people type them (`evalkit.metrics.spelling`): `distinct-3` is the same measure.
    Raises `MetricError` on an unknown name, variant, parameter or a value of the wrong type.
    """
    said, given = _parse_text(asked) if isinstance(asked, str) else _parse_mapping(asked)
    variant, name = split_variant(said)
    definition, numbered = _recognise(name)
    return in_variant(Measure(definition, tuple(_fill(definition, _joined(said, given, numbered)))), variant)


def respell(text: str) -> str:
    """The text with the declared name: `Self-BLEU` becomes `self_bleu`, `pooled/distinct-2` `pooled/distinct_n|n:2`.

    Parameters that are not said stay unsaid. Raises `MetricError` on an unknown name.
    """
    said, given = _parse_text(text)
    variant, name = split_variant(said)
    definition, numbered = _recognise(name)
    prefix = "" if variant == "whole" else f"{variant}/"
    return "|".join([prefix + definition.name, *(f"{k}:{v}" for k, v in _joined(said, given, numbered).items())])


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
    """The metric or score of this name, however it is spelled. Raises `MetricError`."""
    return _recognise(name)[0]


def _recognise(said: str) -> tuple[Definition, Mapping[str, str]]:
    """What is meant by a name, and the parameter that a number behind it sets."""
    known = definitions()
    if said in known:
        return known[said], {}
    found = meanings(said, {name: definition.symbols for name, definition in known.items()})
    if not found:
        raise MetricError(f"there is no metric {said!r}{_nearest(said, known)}; known: {', '.join(known)}")
    if len(found) > 1:
        names = " or ".join("|".join([one.name, *(f"{k}:{v}" for k, v in one.given.items())]) for one in found)
        raise MetricError(f"metric {said!r} could be {names}; write it out")
    return known[found[0].name], found[0].given


def _joined(said: str, given: Mapping[str, Value], numbered: Mapping[str, str]) -> dict[str, Value]:
    for key, number in numbered.items():
        if key in given:
            raise MetricError(f"metric {said!r} says {key} twice: {number} in its name, and {given[key]}")
    return {**numbered, **given}


def _declare(
    kind: Kind, declared: Declared, identity: Callable[..., Mapping[str, str]] | None, any_k: bool
) -> Callable[[Function], Function]:
    name, traits = declared["name"], _traits(declared)

    def register(function: Function) -> Function:
        known = _declared.get(name)
        if known is not None and known.function.__module__ != function.__module__:
            raise MetricError(
                f"metric {name!r} is declared by both {known.function.__module__} and {function.__module__}"
            )
        _check_without_each(name, function, declared.get("without_each"))
        _declared[name] = Definition(
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
        )
        return function

    return register


def _check_without_each(name: str, function: Callable[..., Any], found: Callable[..., Any] | None) -> None:
    if found is None:
        return
    asked, given = (
        [key for key, p in inspect.signature(one).parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
        for one in (function, found)
    )
    if asked != given:
        raise MetricError(
            f"metric {name!r} is declared with a without_each of parameters {', '.join(given) or 'none'}; it must have "
            f"those of the metric: {', '.join(asked) or 'none'}"
        )


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


@cache
def _load_all() -> None:
    for package in PACKAGES:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)
    for plugin in entry_points(group="evalkit.metrics"):
        plugin.load()


def _parse_text(asked: str) -> tuple[str, dict[str, str]]:
    name, *pairs = asked.strip().split("|")
    given: dict[str, str] = {}
    for pair in pairs:
        key, colon, value = pair.partition(":")
        if not colon:
            raise MetricError(f"metric {asked!r}: {pair!r} is not of the form parameter:value")
        if key in given:
            raise MetricError(f"metric {asked!r} says {key} twice: {given[key]} and {value}; say it once")
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
            value = _convert(definition.name, key, given[key], parameter.annotation)
            least = dict(definition.least).get(key)
            if least is not None and isinstance(value, int | float) and not value >= least:
                raise MetricError(f"metric {definition.name}: {key} is {_show(value)}; it must be {least} or more")
            yield key, value
        elif parameter.default is inspect.Parameter.empty:
            raise MetricError(
                f"metric {definition.name} needs a value for {key!r}, as in {{{definition.name}: {{{key}: ...}}}}"
            )
        else:
            yield key, parameter.default


def _convert(metric_name: str, key: str, value: Value, wanted: Any) -> Value:
    """The value in the first kind of an annotation (`int`, `bool | None`) that it can be read as.

    Text and YAML are read alike: `none` and `null` are None, `true` and `no` are bools, where one is wanted.
    """
    kinds = _kinds(wanted)
    for kind in kinds:
        try:
            return _READERS[kind](value)
        except (KeyError, TypeError, ValueError):
            continue
    names = " or ".join("none" if kind is type(None) else getattr(kind, "__name__", repr(kind)) for kind in kinds)
    raise MetricError(f"metric {metric_name}: {key} is {_written(value)}; it must be of type {names}")


def _kinds(annotation: Any) -> tuple[type, ...]:
    """The types of an annotation, the narrowest first: None before bool before numbers before text."""
    kinds = get_args(annotation) or (annotation,)
    return tuple(sorted(kinds, key=lambda kind: list(_READERS).index(kind) if kind in _READERS else len(_READERS)))


def _read_none(value: Value) -> None:
    if value is not None and str(value).lower() not in ("none", "null", "~"):
        raise ValueError


def _read_bool(value: Value) -> bool:
    return value if isinstance(value, bool) else _BOOLS[str(value).lower()]


def _read_number(kind: type[int] | type[float]) -> Callable[[Value], int | float]:
    def read(value: Value) -> int | float:
        if value is None or isinstance(value, bool):
            raise ValueError
        converted = kind(value)
        if converted != float(value) and not isinstance(converted, float):
            raise ValueError
        return converted

    return read


def _read_text(value: Value) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
"""As YAML has them."""
_READERS: dict[type, Callable[[Value], Value]] = {
    type(None): _read_none,
    bool: _read_bool,
    int: _read_number(int),
    float: _read_number(float),
    str: _read_text,
}


def _nearest(name: str, known: Iterable[str]) -> str:
    begun = [one for one in known if len(name) > 2 and one.startswith(name.casefold())]
    close = begun or difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _written(value: Value) -> str:
    return "none" if value is None else repr(value)


def _show(value: Value) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def is_by_prompt(metric: str) -> bool:
    """Whether its value on a prompt is of that prompt alone, so that others can be left out."""
    if split_variant(metric)[0] == "pooled":
        return False
    try:
        return parse(metric).definition.kind != "arm_metric"
    except MetricError:
        return True
