"""What a report shows besides the summary's numbers: for the eye; none of it is compared or gated.

Gathered from the completions when they are measured (`evalkit.gathering`), written as evidence.json, so that the
report can be made again without a model.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evalkit.errors import RecordsError

FILE = "evidence.json"


@dataclass(frozen=True, slots=True)
class Shape:
    """How an arm's next-token law falls with rank: mean over tokens and completions, then over prompts."""

    arm: str
    ranks: tuple[int, ...]
    values: tuple[float | None, ...]
    """Probability of the token at each rank; None beyond the vocabulary."""
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ChoiceShares:
    """What one arm makes of one prompt's choices."""

    prompt: str
    arm: str
    exact: Mapping[str, float]
    """Choice -> probability that an answer begins with it; empty where the law was not read."""
    drawn: Mapping[str, int]
    """Choice -> completions that begin with it."""
    draws: int
    """All of its completions."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it; a part that the suite did not measure is empty."""

    shapes: tuple[Shape, ...] = ()
    choices: tuple[ChoiceShares, ...] = ()


def to_json(evidence: Evidence) -> bytes:
    """The content of evidence.json."""
    return json.dumps(dataclasses.asdict(evidence), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def read_evidence(folder: Path) -> Evidence:
    """That of a run's folder. Raises `RecordsError`."""
    path = folder / FILE
    try:
        return TypeAdapter(Evidence).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise RecordsError(
            f"{folder} has no {FILE}: it is no finished run, or one of an older evalkit; give its `evalkit run` again"
        ) from None
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise RecordsError(f"{path} is not what evalkit wrote: {error.errors()[0]['msg']}") from None
