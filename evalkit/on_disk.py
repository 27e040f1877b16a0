"""What a suite names on this machine is looked at: folders of checkpoints, reward models and encoders, from headers.

Nothing is loaded or fetched, and no server is asked: what only a run could find out is left to it, and named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evalkit.checkpoints import HUB_ID, check, locate, weights
from evalkit.errors import CheckpointError
from evalkit.suite import Suite
from evalkit.yaml_lines import read_yaml


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
    for loc, source, trusted in _named(suite):
        where = f"{document.place(*loc)}: {'.'.join(map(str, loc))}"
        if source.startswith(("http://", "https://")):
            notes.append(f"{where}: {source} is a server, which only a run asks")
        elif HUB_ID.match(source) and not Path(source).expanduser().exists():
            notes.append(f"{where}: there is no folder {source} here, so a run looks for it on the Hugging Face hub")
        else:
            try:
                check(locate(source), trusted)
            except CheckpointError as error:
                faults.append(f"{where}: {error}")
    return Looked(tuple(faults), tuple(notes))


def _named(suite: Suite) -> Iterator[tuple[tuple[int | str, ...], str, bool]]:
    """(place in the suite, folder or hub id or URL, whether its code is trusted) of each."""
    for name, spec in suite.checkpoints.items():
        yield ("checkpoints", name, "path"), spec.path, spec.trust_remote_code
        if spec.best_of is not None:
            yield ("checkpoints", name, "best_of", "reward"), spec.best_of.reward, False
    for index, measure in enumerate(suite.metrics):
        if measure.definition.identity is weights:
            yield ("metrics", index), str(dict(measure.params)["model"]), False
    if suite.encoder is not None:
        yield ("encoder",), suite.encoder, False
