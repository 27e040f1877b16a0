"""What a suite names on this machine is looked at: folders of checkpoints, reward models and encoders, from headers.

Nothing is loaded or fetched, and no server is asked: what only a run could find out is left to it, and named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evalkit.checkpoints.folder import HUB_ID, Weights, is_url
from evalkit.checkpoints.providers import model_in, provider_of
from evalkit.checkpoints.resolution import find_weights
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.errors import InputError
from evalkit.metrics.embeddings.encoder import find_encoder
from evalkit.metrics.registry import Measure, parse
from evalkit.plumbing.yaml_lines import read_yaml
from evalkit.suite.schema import Suite


@dataclass(frozen=True)
class Looked:
    """What was found, each a line with the suite's file and line."""

    faults: tuple[str, ...]
    notes: tuple[str, ...]
    """What could not be looked at."""


def look(suite: Suite, path: Path) -> Looked:
    """Look at all that `suite`, read from `path`, names."""
    document = read_yaml(path)
    faults, notes = [], []
    for loc, source, look_at in _named(suite):
        where = f"{document.line_of(*loc)}: {'.'.join(map(str, loc))}"
        if HUB_ID.match(source) and not Path(source).expanduser().exists():
            notes.append(f"{where}: there is no folder {source} here, so a run looks for it on the Hugging Face hub")
            continue
        try:
            note = look_at(source)
        except InputError as error:
            faults.append(f"{where}: {error}")
        else:
            notes += [f"{where}: {note}"] * bool(note)
    return Looked(tuple(faults), tuple(notes))


Look = Callable[[str], str]
"""Looks at what a name stands for, and says what could not be looked at. Raises `InputError`."""


def _named(suite: Suite) -> Iterator[tuple[tuple[int | str, ...], str, Look]]:
    """(place in the suite, folder or hub id or URL, how it is looked at) of each."""
    for name, spec in suite.checkpoints.items():
        for url in spec.pool or (spec.source,):
            yield ("checkpoints", name, "path"), url, partial(_checkpoint, spec)
        if spec.best_of is not None:
            measure = parse({"reward": {"model": spec.best_of.reward}})
            yield ("checkpoints", name, "best_of", "reward"), spec.best_of.reward, partial(_model, measure)
    measures: list[tuple[tuple[int | str, ...], Measure]] = [
        (("metrics", index), measure) for index, measure in enumerate(suite.metrics)
    ]
    if suite.quality is not None and suite.quality not in suite.metrics:
        measures.append((("quality",), suite.quality))
    for loc, measure in measures:
        if isinstance(measure.definition.identity, Weights):
            yield loc, str(dict(measure.params)["model"]), partial(_model, measure)
    if suite.encoder is not None:
        yield ("encoder",), suite.encoder, _encoder


def _checkpoint(spec: CheckpointSpec, source: str) -> str:
    if provider_of(source):
        model_in(source)
        return f"{source} is a provider's, whom only a run asks"
    if is_url(source):
        return f"{source} is a server, which only a run asks"
    find_weights(spec)
    return ""


def _model(measure: Measure, source: str) -> str:
    """Of a measure by a model: whether it is of the kind that the measure needs."""
    assert isinstance(measure.definition.identity, Weights)
    measure.definition.identity.find(source)
    return ""


def _encoder(source: str) -> str:
    find_encoder(source)
    return ""
