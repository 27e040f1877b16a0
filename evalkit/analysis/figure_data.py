"""What a report shows besides the summary's numbers: for the eye; none of it is compared or gated.

Collected from the completions when they are measured (`collect_figure_data`), written as evidence.json, so that the
report can be made again without a model.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evalkit.checkpoints.training_log import Training
from evalkit.errors import RecordsError

FILE = "evidence.json"


@dataclass(frozen=True, slots=True)
class Shape:
    """How an arm's next-token distribution falls with rank: mean over tokens and completions, then over prompts."""

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
    """Choice -> probability that an answer begins with it; empty where log-probs are not known."""
    drawn: Mapping[str, int]
    """Choice -> completions that begin with it."""
    draws: int
    """All of its completions."""


@dataclass(frozen=True, slots=True)
class Outline:
    """An ellipse on a map, around the middle of an arm's completions, that holds half of them."""

    x: float
    y: float
    """Its middle."""
    long: float
    short: float
    """Its half axes; both 0 where half of the completions are one text."""
    turn: float
    """Of the long one from the x axis, in radians."""


@dataclass(frozen=True, slots=True)
class MappedTexts:
    """One arm's completions of one prompt as points, one for each different text among those shown."""

    arm: str
    texts: tuple[int, ...]
    """Which text each point is: its rank, from 0, among this arm's texts by count (`Counter.most_common`)."""
    counts: tuple[int, ...]
    """How many of the completions that are shown each stands for."""
    x: tuple[float, ...]
    y: tuple[float, ...]
    """Where each is on the map of this prompt, in the embeddings' own unit: rows have length 1."""
    around_x: tuple[float, ...]
    around_y: tuple[float, ...]
    """Where each is on the map of all prompts."""
    outline: Outline
    """On the map of this prompt."""
    drawn: int
    """Completions, shown or not."""
    different: int
    """Different texts among them."""
    distance: float
    """Mean distance of a completion from the mean of all, in all dimensions, shown or not."""
    distance_shown: float
    """The same on the map of this prompt, of those shown."""


@dataclass(frozen=True, slots=True)
class PromptMap:
    """One prompt's completions of all arms in two dimensions."""

    prompt: str
    stress: float
    """By how much distances on the map differ from true ones, as a share of these (root mean squares)."""
    arms: tuple[MappedTexts, ...]


@dataclass(frozen=True, slots=True)
class MappedArm:
    """One arm on the map of all prompts."""

    arm: str
    outline: Outline
    distance_shown: float
    """Mean distance, on this map, of a completion from the middle of its prompt's completions."""


@dataclass(frozen=True, slots=True)
class CompletionMap:
    """Embeddings of completions in two dimensions: each prompt by itself, and all around one centre."""

    prompts: tuple[PromptMap, ...]
    share: float | None
    """Of the variance, how much the map of all prompts shows; None where there is none."""
    arms: tuple[MappedArm, ...]
    step: int
    """Every n-th completion is shown, 1 being all."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the atlas."""

    words: tuple[str, ...]
    """What its texts say more often than others, the most distinctive first; empty where no word is."""
    x: int
    y: int
    """Its middle, in the units of the atlas's columns."""
    completions: tuple[int, ...]
    """How many of each arm's lie in it, in the order of the atlas's arms."""
    prompts: int
    """How many prompts these answer."""


@dataclass(frozen=True, slots=True)
class Atlas:
    """Every different text on one map: near is alike."""

    arms: tuple[str, ...]
    prompts: tuple[str, ...]
    """Ids. Columns name arms and prompts by their places here, from 0."""
    columns: tuple[tuple[str, int], ...]
    """What is packed: name and length of each column, in their order (`evalkit.analysis.atlas.draw`)."""
    packed: str
    """The columns (`evalkit.analysis.atlas.packing`)."""
    regions: tuple[Region, ...]
    placed: int
    """Texts that the map was made from; all others lie about these."""
    kept: float
    """Of the ten texts nearest to a text, the share that is among the ten nearest on the map."""
    near: float
    """The same among the nearest hundredth of the map."""
    listed: float
    """Of a text's five nearest others, the share that is among those listed as its neighbours."""


@dataclass(frozen=True, slots=True)
class Meanings:
    """Which of a prompt's completions say the same, in the notion of one of the suite's measures."""

    measure: str
    """The measure that counts these classes."""
    threshold: float | None
    """Least cosine of the embeddings of two longer answers that say the same; None where something else tells."""
    classes: Mapping[str, Mapping[str, tuple[int, ...]]]
    """Arm -> prompt id -> the class of each completion, in the group's order, from 0 in order of first appearance."""


@dataclass(frozen=True, slots=True)
class Accord:
    """A prompt on which the arms' answers are much alike."""

    prompt: str
    text: str
    """What it asks."""
    value: float
    """How alike they are there, as `Homogeneity.by_prompt` has it."""
    examples: tuple[tuple[str, str], ...]
    """(arm, one of its answers, shortened)."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A place in one of an arm's completions where a phrase is said."""

    arm: str
    phrase: str
    """As the summary has it."""
    prompt: str
    before: str
    said: str
    """As it is written there."""
    after: str


@dataclass(frozen=True, slots=True)
class FigureData:
    """All of it; a part that the suite did not measure is empty or None."""

    shapes: tuple[Shape, ...] = ()
    choices: tuple[ChoiceShares, ...] = ()
    trainings: tuple[Training, ...] = ()
    completion_map: CompletionMap | None = None
    meanings: Meanings | None = None
    accords: tuple[Accord, ...] = ()
    atlas: Atlas | None = None
    quotes: tuple[Quote, ...] = ()


def to_json(figure_data: FigureData) -> bytes:
    """The content of evidence.json."""
    return json.dumps(dataclasses.asdict(figure_data), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def read_figure_data(folder: Path) -> FigureData:
    """That of a run's folder. Raises `RecordsError`."""
    path = folder / FILE
    try:
        return TypeAdapter(FigureData).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise RecordsError(
            f"{folder} has no {FILE}: it is no finished run, or one of an older evalkit; give its `evalkit run` again"
        ) from None
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise RecordsError(f"{path} is not what evalkit wrote: {error.errors()[0]['msg']}") from None
