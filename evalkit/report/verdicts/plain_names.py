"""What a measure counts, in everyday words: for the verdict and the cards, whose readers may be writers."""

from __future__ import annotations

import math

from evalkit.metrics.declaration import Traits
from evalkit.metrics.registry import split_variant

ALARMS = {
    "unpaired": "Not the same prompts",
    "few shared prompts": "Few shared prompts",
    "same texts": "The same texts",
    "duplicates": "Repeats beyond chance",
    "seeds": "The same random numbers twice",
    "withheld": "Answers withheld",
    "truncated": "Answers cut off",
    "empty": "Empty answers",
    "thinking": "Cut before an answer",
    "asking": "Answers that were not given",
    "dependent": "Answers that are not independent",
    "same answer": "One answer to many prompts",
    "opening": "One opening for all answers",
    "script": "Scripts differ",
    "length": "Lengths differ",
    "words": "Words cannot be told apart",
    "unread": "Texts that the encoder cannot read",
    "divided": "Answers of which it is not known whether they say the same",
    "ceiling": "As various as can be counted",
    "few prompts": "Few prompts",
    "paraphrases": "Prompts that may belong together",
    "over-optimisation": "Better by one score, worse by another",
    "unscored": "Answers without a score",
    "undefined": "Not measured",
    "left out": "Left out",
    "given": "Of the files",
    "voices": "Voices hard to tell apart",
}
"""Kind of an alarm -> what it says, as a heading."""


def named(measure: str, traits: Traits) -> str:
    """`different things said (distinct_k)`; a measure that is declared without plain words has its name alone."""
    variant, plain = split_variant(measure)
    name, *parameters = plain.split("|")
    metric = ", ".join([name, *(parameter.replace(":", " ", 1) for parameter in parameters)])
    metric += " at equal lengths" if variant == "matched" else ""
    return f"{traits.plain} ({metric})" if traits.plain else metric


def alarm_words(kind: str) -> str:
    """A heading for an alarm; an unknown kind is its own."""
    return ALARMS.get(kind, kind)


def pictured(traits: Traits) -> float:
    """Its place among the measures that a reader can picture; beyond all of them where it is none."""
    return math.inf if traits.picture is None else traits.picture
