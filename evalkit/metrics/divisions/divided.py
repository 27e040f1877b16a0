"""`classifier/NAME`, `judge/NAME`, `given/NAME`: a metric of meaning on classes that no embeddings tell.

NAME is any metric that goes by which completions say the same: distinct_k, simpson_classes, class_entropy,
semantic_entropy, utility_k, niches, qd_score. Its own parameters stay, but for the threshold of a cosine; those of who
divides come before them.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from evalkit.errors import MetricError
from evalkit.metrics.declaration import Definition, Need
from evalkit.metrics.divisions.classifier import PAIR_WEIGHTS, Label
from evalkit.metrics.divisions.greedy import UNREAD_SHARE
from evalkit.metrics.estimators.ngrams import Ints
from evalkit.metrics.judge_server import Judge
from evalkit.metrics.parameters import Value, shown
from evalkit.records import Given, Group

GIVEN = "given"
CLASSIFIER = "classifier"
JUDGE = "judge"
Parameters = Sequence[tuple[str, Value]]


@dataclass(frozen=True)
class Source:
    """Who divides completions into classes."""

    need: Need
    plain: str
    """What follows the plain words of a metric."""
    of: str
    """What its docstring says of who tells."""
    cost: str
    undefined: str
    parameters: tuple[inspect.Parameter, ...] = ()
    """What it can be told."""
    identity: Callable[..., Mapping[str, str]] | None = None

    @property
    def names(self) -> list[str]:
        return [parameter.name for parameter in self.parameters]


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _judge_identity(*, model: str, **_: object) -> Mapping[str, str]:
    return Judge(model, f"{JUDGE}/").identity()


SOURCES: Mapping[str, Source] = {
    CLASSIFIER: Source(
        "divided",
        "by a classifier",
        "What says the same is told by a sequence-pair classifier: `model` (a folder or hub id) gives more than "
        "`threshold` to the label that means so (`label`: its name or number; else the only one, or the second of two) "
        "in both orders, or with `both_orders` off in the order of sampling alone. Of each answer its first "
        "`max_tokens` tokens are read, all of them where that is 0. With `overlap` answers of up to five words are not "
        "asked about: they say the same where they share half of their words.",
        "one pass of the classifier for each pair of a class's first member and an answer that is in no class yet, at "
        "most k (k - 1) / 2, and one more where the pair says the same in the first order; known classes come from the "
        "cache.",
        f"Also where over {UNREAD_SHARE:.0%} of the pairs that were asked about are too long for the model, or in "
        "words that it does not know.",
        (
            _parameter("model", str),
            _parameter("label", Label, None),
            _parameter("threshold", float, 0.5),
            _parameter("both_orders", bool, True),
            _parameter("max_tokens", int, 0),
            _parameter("overlap", bool, False),
        ),
        PAIR_WEIGHTS,
    ),
    JUDGE: Source(
        "divided",
        "by a judge",
        "What says the same is told by a language model on the server at EVALKIT_JUDGE_URL, `model` by its name there, "
        "which says YES in both orders.",
        "a request for each pair of a class's first member and an answer that is in no class yet, at most k (k - 1) / "
        "2, and one more where it is answered YES; 8 at a time, each asked once a run.",
        f"Also where over {UNREAD_SHARE:.0%} of its answers are neither YES nor NO.",
        (_parameter("model", str),),
        _judge_identity,
    ),
    GIVEN: Source(
        "classes",
        "by classes of the file",
        "What says the same is told by the classes that came with the texts.",
        "O(k).",
        "Also for completions that came without classes.",
    ),
}


@dataclass(frozen=True)
class Division:
    """Who divides completions, with its parameters set."""

    source: str
    parameters: tuple[tuple[str, Value], ...] = ()

    @property
    def key(self) -> str:
        """What it is called in `Group.divisions`."""
        return "|".join([self.source, *(f"{name}:{shown(value)}" for name, value in self.parameters)])

    def measure(self, name: str) -> dict[str, dict[str, Value]]:
        """The metric `name` on its classes, as a suite writes it."""
        return {f"{self.source}/{name}": dict(self.parameters)}


def split_source(name: str) -> tuple[str, str]:
    """(who divides, the metric's own name) of `classifier/distinct_k`; ("", name) where nobody does."""
    head, slash, rest = name.partition("/")
    return (head, rest) if slash and head in SOURCES else ("", name)


def division_of(definition: Definition, params: Parameters) -> Division | None:
    """Who divides completions for a metric; None for one that goes by embeddings, or by no classes."""
    source, _ = split_source(definition.name)
    if not source:
        return None
    return Division(source, tuple((name, value) for name, value in params if name in SOURCES[source].names))


def classes_in(group: Group, key: str) -> Ints | None:
    """(k,) the class of each completion, from 0 in order of first appearance; None where they are not known."""
    if key == GIVEN:
        classes = (group.given or Given()).classes
    else:
        assert group.divisions is not None, "measure.py divides for metrics that need it"
        classes = group.divisions[key]
    return None if classes is None or len(classes) != len(group.completions) else numbered(classes)


def numbered(classes: Sequence[Any] | np.ndarray[Any, Any]) -> Ints:
    """The same division with its classes numbered from 0 in order of first appearance."""
    _, firsts, which = np.unique(np.asarray(classes), return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(firsts))[which], dtype=np.int64)


@cache
def divided(source: str, base: Definition) -> Definition:
    """A metric of meaning on the classes that `source` tells. Raises `MetricError` on what goes by no classes."""
    if not base.divides_by_meaning or base.kind != "metric" or "thinking" in base.needs:
        raise MetricError(
            f"metric {base.name} has no form {source}/{base.name}: only metrics that count which answers say the same "
            f"have, such as {source}/distinct_k and {source}/class_entropy"
        )
    who = SOURCES[source]
    own = {name: parameter for name, parameter in base.parameters.items() if name != "threshold"}
    return replace(
        base,
        name=f"{source}/{base.name}",
        function=_function(source, base, own),
        needs=(base.needs - {"embeddings"} - _unneeded(source, base)) | {who.need},
        traits=replace(base.traits, plain=f"{base.traits.plain} {who.plain}"),
        identity=who.identity,
        without_each=None,
        pool_at_most=None,
    )


def _function(source: str, base: Definition, own: Mapping[str, inspect.Parameter]) -> Callable[..., float]:
    who = SOURCES[source]

    def on_classes(group: Group, **parameters: Any) -> float:
        of_source = tuple((name, parameters[name]) for name in who.names)
        classes = classes_in(group, Division(source, of_source).key)
        if classes is None:
            return math.nan
        values = {name: parameters[name] for name in own}
        return float(base.function(group.having(classes=classes), **values))

    on_classes.__doc__ = _docstring(base, who)
    on_classes.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("group", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Group),
            *who.parameters,
            *own.values(),
        ]
    )
    return on_classes


def _docstring(base: Definition, who: Source) -> str:
    """That of the metric, with who tells, what that costs, and when it cannot be told."""
    first, *paragraphs = (inspect.getdoc(base.function) or "").split("\n\n")
    changed = {"Cost:": f"Cost: {who.cost}", "Undefined:": f"Undefined: {base.undefined} {who.undefined}"}
    rest = [changed.get(paragraph.split(" ", 1)[0], paragraph) for paragraph in paragraphs]
    return "\n\n".join([first, who.of, *rest])


def _unneeded(source: str, base: Definition) -> frozenset[Need]:
    """What does not count: words do in a classifier's rule for short answers, and in niches, which lie at a length."""
    counts = source == CLASSIFIER or base.name in ("niches", "qd_score")
    return frozenset() if counts else frozenset({"words"})
