"""Metrics and scores: found, named and signed.

What is declared is found by walking `metrics.diversity` and `metrics.quality` and the entry points of group
`evalkit.metrics`.

A `Measure` is a definition with its parameters, in one variant: an immutable value whose text parses back
(`distinct_n|n:3`, `pooled/distinct_n|n:3`). Its signature says all that the number depends on; two numbers are
comparable exactly when their signatures are equal (after sacreBLEU, Post 2018).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from evalkit.errors import MetricError
from evalkit.metrics.declaration import VARIANTS, Definition, declared_here
from evalkit.metrics.divisions.divided import divided, split_source
from evalkit.metrics.of_thinking import PREFIX, of_thinking
from evalkit.metrics.parameters import Value, fill, shown
from evalkit.metrics.spelling import meanings
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.tokenizer import SPACED
from evalkit.records import Variant

PACKAGES = ("evalkit.metrics.diversity", "evalkit.metrics.quality")
VARIANT_WORDS: dict[Variant, str] = {"whole": "", "useful": "useful", "matched": "length-matched", "pooled": "pooled"}


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
        return "|".join([prefix + self.name, *(f"{k}:{shown(v)}" for k, v in self.params if v != defaults[k])])

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
        values, k = way(subject, **dict(self.params)), len(subject.completions)
        if np.shape(values) != (k,):
            raise MetricError(
                f"metric {self.name}: its without_each gave {np.shape(values)} numbers for {k} completions"
            )
        return values

    def fits(self, completions: int) -> bool:
        """Whether so many completions are enough: a parameter `k` asks for that many."""
        return int(dict(self.params).get("k") or 0) <= completions

    @property
    def assumes_independence(self) -> bool:
        """Whether it estimates something from independent draws, as its parameters are set."""
        by = self.definition.of_draws
        return by if isinstance(by, bool) else dict(self.params)[by] not in (0, "none")

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
        parts = [name, *(f"{key}:{shown(value)}" for key, value in self.params)]
        parts += [f"{key}:{value}" for key, value in self.identify().items()]
        if "words" in self.definition.needs and (tokenizer != SPACED or "embeddings" not in self.definition.needs):
            parts.append(f"tok:{tokenizer}")
        if "embeddings" in self.definition.needs:
            parts.append(f"enc:{encoder}")
        if baseline and self.definition.needs & {"baseline_logprobs", "baseline_group", "forward_logprobs"}:
            parts.append(f"baseline:{baseline[:12]}")
        return "|".join([*parts, *also, f"k:{k}", f"v:{self.definition.version}"])


def definitions() -> dict[str, Definition]:
    """Every metric and score there is, by name."""
    _load_all()
    return dict(sorted(declared_here.items()))


def parse(measure: str | Mapping[str, Mapping[str, Value] | None]) -> Measure:
    """Read `distinct_n`, `distinct_n|n:3` or `{distinct_n: {n: 3}}`, each also with a variant: `pooled/distinct_n`.

    Names are read as people type them (`evalkit.metrics.spelling`): `distinct-3` is the same measure.
    Raises `MetricError` on an unknown name, variant, parameter or a value of the wrong type.
    """
    if not isinstance(measure, str | Mapping):
        raise MetricError(f"found {measure!r}; a metric is named by a text, or by {{name: {{parameter: value}}}}")
    typed, given = _parse_text(measure) if isinstance(measure, str) else _parse_mapping(measure)
    variant, name = split_variant(typed)
    definition, numbered = _recognise(name)
    return in_variant(Measure(definition, tuple(fill(definition, _joined(typed, given, numbered)))), variant)


def respell(text: str) -> str:
    """The text with the declared name: `Self-BLEU` becomes `self_bleu`, `pooled/distinct-2` `pooled/distinct_n|n:2`.

    Parameters that are not given stay so. Raises `MetricError` on an unknown name.
    """
    typed, given = _parse_text(text)
    variant, name = split_variant(typed)
    definition, numbered = _recognise(name)
    prefix = "" if variant == "whole" else f"{variant}/"
    return "|".join([prefix + definition.name, *(f"{k}:{v}" for k, v in _joined(typed, given, numbered).items())])


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
    in_brackets = ", ".join(parameter.replace(":", " ", 1) for parameter in parameters)
    words = f"{VARIANT_WORDS[variant]} {name}".strip()
    return f"{words} ({in_brackets})" if in_brackets else words


def define(name: str) -> Definition:
    """The metric or score of this name, however it is spelled. Raises `MetricError`."""
    return _recognise(name)[0]


def _recognise(typed: str) -> tuple[Definition, Mapping[str, str]]:
    """What is meant by a name, and the parameter that a number behind it sets."""
    if typed.startswith(PREFIX):
        definition, numbered = _recognise(typed.removeprefix(PREFIX))
        return of_thinking(definition), numbered
    source, name = split_source(typed)
    if source:
        definition, numbered = _recognise(name)
        return divided(source, definition), numbered
    known = definitions()
    if typed in known:
        return known[typed], {}
    possible = meanings(typed, {name: definition.symbols for name, definition in known.items()})
    if not possible:
        raise MetricError(f"there is no metric {typed!r}{did_you_mean(typed, known)}; known: {', '.join(known)}")
    if len(possible) > 1:
        names = " or ".join("|".join([meant.name, *(f"{k}:{v}" for k, v in meant.given.items())]) for meant in possible)
        raise MetricError(f"metric {typed!r} could be {names}; write it out")
    return known[possible[0].name], possible[0].given


def _joined(typed: str, given: Mapping[str, Value], numbered: Mapping[str, str]) -> dict[str, Value]:
    for key, number in numbered.items():
        if key in given:
            raise MetricError(f"metric {typed!r} says {key} twice: {number} in its name, and {given[key]}")
    return {**numbered, **given}


@cache
def _load_all() -> None:
    for package in PACKAGES:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)
    for plugin in entry_points(group="evalkit.metrics"):
        plugin.load()


def _parse_text(typed: str) -> tuple[str, dict[str, str]]:
    name, *pairs = typed.strip().split("|")
    given: dict[str, str] = {}
    for pair in pairs:
        key, colon, value = pair.partition(":")
        if not colon:
            raise MetricError(f"metric {typed!r}: {pair!r} is not of the form parameter:value")
        if key in given:
            raise MetricError(f"metric {typed!r} says {key} twice: {given[key]} and {value}; say it once")
        given[key] = value
    return name, given


def _parse_mapping(typed: Mapping[str, Mapping[str, Value] | None]) -> tuple[str, Mapping[str, Value]]:
    if len(typed) != 1:
        raise MetricError(f"a metric with parameters is one key, as in {{distinct_n: {{n: 3}}}}; found {sorted(typed)}")
    [(name, given)] = typed.items()
    return name, given or {}


def is_by_prompt(metric: str) -> bool:
    """Whether its value on a prompt is of that prompt alone, so that others can be left out."""
    if split_variant(metric)[0] == "pooled":
        return False
    try:
        return parse(metric).definition.kind != "arm_metric"
    except MetricError:
        return True
