"""What measuring comes to: estimates and differences, curves and readings of them, alarms, and the summary of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from evalkit.metrics.declaration import Traits
from evalkit.metrics.decoding import Decoding
from evalkit.metrics.word_use import WordUse
from evalkit.records import Arm, Better, Side

SCHEMA = 3
"""Of summary.json; 1 had no bar, curves, crossovers and readings, 2 no traits of measures and no clusters."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric's mean over prompts under one arm, with its interval."""

    metric: str
    signature: str
    arm: str
    value: float | None
    low: float | None
    high: float | None
    confidence: float
    prompts: int
    """Prompts on which the metric is defined; groups of them where it has one value a group."""
    samples: int
    """Completions a prompt."""
    better: Better
    values: tuple[float | None, ...]
    """One a prompt, in the order of `Summary.prompts`; None where undefined."""
    traits: Traits = field(default_factory=Traits)
    errors: tuple[float | None, ...] = ()
    """Standard error of each of `values`, over the prompt's completions; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Arm minus baseline, paired by prompt."""

    metric: str
    signature: str
    arm: str
    baseline: str
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    """Holm over all differences of the same variant in the summary."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What k of an arm's completions show, for k = 1, 2, 4, ...: mean over prompts, each with its interval."""

    name: str
    """What rises with k: "classes", "distinct_ngrams", "pass_at", "best_of"; or changes along it: "branching"."""
    measure: str
    """What it is made from: a score, an equivalence, an n-gram order."""
    unit: str
    signature: str
    arm: str
    ks: tuple[int, ...]
    """Numbers of completions, or token positions from 1."""
    values: tuple[float | None, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]
    confidence: float
    prompts: int
    """Prompts on which it is defined."""


@dataclass(frozen=True, slots=True)
class Crossover:
    """Beyond how many completions the baseline's curve is above the arm's, although the arm's may start above.

    A k of 0 says that the baseline is above from the first completion on; None, that it is not above at `largest`, or,
    with a `low` of 0 and a `high` of None, that it cannot be told whether it is above at all. Summaries of an earlier
    evalkit have a number there too: go by the interval.
    """

    name: str
    measure: str
    signature: str
    arm: str
    baseline: str
    k: float | None
    low: float | None
    high: float | None
    """Ends of the interval, in the same terms."""
    largest: int
    """The largest k at which the two differ at all: nothing is known of larger ones."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Two temperature sweeps, read where they are equal on one axis: checkpoint minus baseline on the other axis."""

    checkpoint: str
    baseline: str
    metric: str
    """What differs ..."""
    at_equal: str
    """... where these are equal."""
    signature: str
    value: float | None
    """Mean gap over the range that both sweeps reach; None where they have no common range."""
    low: float | None
    high: float | None
    start: float | None
    end: float | None
    """The common range, in the unit of `at_equal`."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two arms' answers to the same prompt are, or an arm's own: mean cosine, mean over prompts."""

    arm: str
    other: str
    """The same as `arm` where it is about an arm's own answers, no answer with itself."""
    value: float | None
    low: float | None
    high: float | None
    prompts: int
    """Prompts on which it is defined."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Pairs of tuned checkpoints minus other pairs, both under the same settings, paired by prompt."""

    beside: Literal["bases", "base"]
    """The other pairs: of base checkpoints, or of a tuned one and the base one where there is no second."""
    tuned: float
    """How alike two tuned checkpoints' answers are: mean over pairs, then over prompts."""
    others: float
    """The same of the other pairs."""
    value: float | None
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class Homogeneity:
    """How alike the arms' answers are to each other."""

    signature: str
    confidence: float
    cells: tuple[Likeness, ...]
    """Each pair of arms once, in the summary's order, an arm with itself first."""
    by_prompt: tuple[float | None, ...]
    """Mean over pairs of different checkpoints, in the order of `Summary.prompts`; of arms where there is only one."""
    contrast: Contrast | None
    """None where there are no two tuned checkpoints, or nothing to hold them against."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the prompts, as a tag or a topic puts them together."""

    kind: Literal["tag", "topic"]
    """A tag is the suite's; a topic was found among prompts that no tag divides."""
    name: str
    """The tag, or the words that are more frequent in the topic's prompts than in others."""
    prompts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartChange:
    """How one measure changed on a part of the prompts, and on the rest: means of paired differences."""

    kind: Literal["tag", "topic"]
    name: str
    prompts: int
    """Those on which both arms have a value."""
    value: float | None
    low: float | None
    high: float | None
    """Of what stands out an interval that holds for 95 of 100 of those that do (Benjamini & Yekutieli 2005)."""
    rest: float | None
    rest_low: float | None
    rest_high: float | None
    p: float | None
    """Of "it changed as much there as elsewhere"."""
    p_adjusted: float | None
    """Benjamini and Yekutieli's, over all parts, measures and arms."""
    stands_out: bool
    """Whether it changed more or less there than elsewhere, beyond chance."""


@dataclass(frozen=True, slots=True)
class PromptChange:
    """A single prompt on which a measure changed, beyond what other completions would make of it."""

    prompt: str
    value: float
    low: float
    high: float
    """In the same way."""
    p_adjusted: float
    """Benjamini and Hochberg's, over all prompts, measures and arms."""


@dataclass(frozen=True, slots=True)
class MeasureChange:
    """Where one measure changed between an arm and its baseline."""

    metric: str
    arm: str
    baseline: str
    better: Better
    side: Side
    plain: str
    """What it counts in everyday words; empty where its name must do."""
    value: float | None
    low: float | None
    high: float | None
    """Over all prompts, as in `Difference`."""
    parts: tuple[PartChange, ...]
    """Those that have prompts enough and leave enough others, the same of all measures and arms."""
    prompts: tuple[PromptChange, ...]
    """Those that are clear by themselves; the surest large change first."""
    tested: int
    """Prompts that could be tested by themselves."""


@dataclass(frozen=True, slots=True)
class WhereChanged:
    """On which prompts diversity and quality changed most."""

    confidence: float
    changes: tuple[MeasureChange, ...]
    part_tests: int
    """How many differences between a part and the rest were tested together ..."""
    part_level: float
    """... and which share of those named may be named wrongly."""
    prompt_tests: int
    prompt_level: float
    """The same of single prompts."""


@dataclass(frozen=True, slots=True)
class LossPart:
    """What was lost, or a part of it: mean over prompts, positive where the arm is less diverse than its baseline."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    """Holm over all parts of the summary; a total's over all totals."""


@dataclass(frozen=True, slots=True)
class Share:
    """What part of the loss one of its parts is, 1 for all of it; beyond 0 to 1 where the other part is a gain."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LossSplit:
    """The diversity that an arm lost, split: quality_control + narrowing = total, on every prompt and in the mean.

    All at equal numbers of completions, on the prompts where both arms have enough good ones. The loss and its parts
    are None where none of their completions is bad there.
    """

    metric: str
    signature: str
    arm: str
    baseline: str
    total: LossPart
    """D(baseline) - D(arm) of all completions."""
    quality_control: LossPart
    """What bad answers add to the baseline, less what they add to the arm."""
    narrowing: LossPart
    """D(baseline) - D(arm) of good completions alone."""
    share: Share | None
    """quality_control over total; None where the total is not clearly a loss."""
    baseline_all: float | None
    baseline_good: float | None
    arm_all: float | None
    arm_good: float | None
    """The four diversities that all of this is made of, means over the same prompts."""
    baseline_bad: float | None
    arm_bad: float | None
    """Shares of completions that are bad, on the same prompts."""
    fewer_bad: LossPart
    """The first less the second: whether bad answers are gone, or there still and only less various."""
    prompts: int
    """Prompts that take part."""
    left_out: int
    """Prompts with too few good completions of one of the two arms, or on which the measure is not defined."""
    total_by_prompt: tuple[float | None, ...]
    narrowing_by_prompt: tuple[float | None, ...]
    """In the order of `Summary.prompts`; None where a prompt takes no part, or nothing is split.

    The other part is what they differ by.
    """


@dataclass(frozen=True, slots=True)
class Bar:
    """What a completion must reach to be called useful."""

    measure: str
    at_least: float
    source: str
    """Who set it: the suite, or the arm whose median it is."""
    passing: Mapping[str, float]
    """Arm -> share of its completions that pass."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that makes numbers untrustworthy, in words."""

    arm: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything a report or a gate reads; written as summary.json."""

    suite: str
    prompts: tuple[str, ...]
    arms: tuple[Arm, ...]
    estimates: tuple[Estimate, ...]
    differences: tuple[Difference, ...]
    alarms: tuple[Alarm, ...] = ()
    bar: Bar | None = None
    curves: tuple[Curve, ...] = ()
    crossovers: tuple[Crossover, ...] = ()
    readings: tuple[Reading, ...] = ()
    clusters: tuple[str, ...] = ()
    """The cluster of each of `prompts`, which is then the unit of resampling; empty: each is its own."""
    asked: tuple[str, ...] = ()
    """Of each of `prompts` a hash of what it asks; empty where that is not known."""
    homogeneity: Homogeneity | None = None
    """None below two arms, and where nothing embedded their answers."""
    decoding: Decoding | None = None
    """None where no checkpoint beside the baseline is drawn with several settings."""
    parts: tuple[Part, ...] = ()
    """Tags, and where arms are compared topics too, of prompts enough to be spoken of."""
    where_changed: WhereChanged | None = None
    """None where no arm is compared."""
    words: WordUse | None = None
    """None where there is neither an arm with a baseline nor a list of phrases, and in what an older evalkit wrote."""
    splits: tuple[LossSplit, ...] = ()
    """What each compared arm lost, split; empty where no quality says which completions are good."""
    schema: int = SCHEMA
