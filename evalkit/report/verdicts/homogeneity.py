"""Are tuned checkpoints more like each other than base ones are? In a sentence."""

from __future__ import annotations

from evalkit.analysis import effects
from evalkit.metrics.summary import Contrast, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.report.wording import interval_words, value_text


def alike_claims(summary: Summary) -> list[str]:
    """For the top of the page, where it is clear; of one base alone it is no news that tuned ones lie together."""
    contrast = _contrast(summary)
    return [alike_sentence(summary)] if contrast and contrast.beside == "bases" and is_clear(contrast) else []


def alike_sentence(summary: Summary) -> str:
    """What the contrast says, also where it is not clear; empty where there is none."""
    contrast = _contrast(summary)
    if contrast is None or contrast.value is None:
        return ""
    between = "two base ones" if contrast.beside == "bases" else "one of them and the base"
    numbers = (
        f"answers of two of them to the same prompt have a mean cosine of {contrast.tuned:.2f}, those of {between} "
        f"{contrast.others:.2f} (difference {value_text(contrast, signed=True)}, {interval_words(contrast)})"
    )
    than = "base ones are" if contrast.beside == "bases" else "like the base"
    if not is_clear(contrast):
        return f"It is not clear that tuned checkpoints are more like each other than {than}: {numbers}."
    more = "more" if contrast.value > 0 else "less"
    return f"Tuned checkpoints are {more} like each other than {than}: {numbers}."


def is_clear(contrast: Contrast) -> bool:
    return is_number(contrast.p) and contrast.p < effects.ALPHA


def _contrast(summary: Summary) -> Contrast | None:
    return summary.homogeneity.contrast if summary.homogeneity else None
