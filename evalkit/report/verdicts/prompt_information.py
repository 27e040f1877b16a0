"""Does the answer still depend on the question? What prompt information says beside diversity, in sentences.

Diversity is within a prompt, prompt information between prompts, and either can be lost without the other: answers that
are as various as before and no longer to the question are a template that is filled at random. Whether an arm's
diversity changed is what all its measures say together (`verdicts.joint`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.analysis import effects
from evalkit.analysis.intervals import units
from evalkit.metrics.other_prompts import others_asked
from evalkit.metrics.registry import parse
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.plumbing.arrays import is_number
from evalkit.plumbing.prose import counted, listed
from evalkit.report.verdicts.joint import Joints, Outcome
from evalkit.report.wording import beside, deviations, interval_words, value_text, with_level

NAME = "prompt_information"
NEARLY = 0.98
"""Share of what could be told from which on more cannot be seen."""
COLLAPSED = 0.5
"""Share of the baseline's prompt information below which its loss is called a collapse."""
TOGETHER = 2
"""Arms of which nothing is clear from which on one sentence is about all of them."""
NEITHER = "neither how various answers are nor how much they depend on the question"
CLAIMS = 2
"""Arms that the top of the page tells of."""
Change = Literal["more", "less", "unclear"]


@dataclass(frozen=True, slots=True)
class Dependence:
    """How much the answers of one arm depend on the question, beside how various they are, against its baseline."""

    estimate: Estimate
    baseline: Estimate
    difference: Difference
    most: float
    """Nats that an answer could tell at most."""
    diversity: Outcome | None
    """What happened to diversity; None where nothing is known of it."""
    spread: str
    """That in standard deviations with its interval, in words."""

    @property
    def change(self) -> Change:
        """Clear only where Holm's p is."""
        if effects.outcome(self.difference, "neither") == "unclear":
            return "unclear"
        return "more" if (self.difference.value or 0.0) > 0 else "less"

    @property
    def is_template(self) -> bool:
        """Whether answers are not clearly less various, and most of what they told of their question is gone."""
        here, there = self.estimate.value or 0.0, self.baseline.value or 0.0
        return self.change == "less" and self.diversity in ("gained", "unclear") and here < COLLAPSED * there

    @property
    def is_full(self) -> bool:
        """Whether both arms tell all that can be told of so few prompts."""
        values = self.estimate.value, self.baseline.value
        return all(is_number(value) and value >= NEARLY * self.most for value in values)


def measured_in(summary: Summary) -> str | None:
    """The first form of the measure that any arm has a number of; None where there is none."""
    forms = [estimate.metric for estimate in summary.estimates if is_number(estimate.value)]
    return next((form for form in forms if form.split("|")[0] == NAME), None)


def prompts_compared(summary: Summary, measure: str) -> int:
    """After how many prompts an answer is read, its own among them: its log is all that an answer can tell."""
    others = others_asked(parse(measure).params)
    return max(1, min(1 + others, units(summary.clusters, len(summary.prompts))))


def dependences(summary: Summary, joints: Joints) -> list[Dependence]:
    """One for each arm whose prompt information and that of its baseline are known, in the summary's order."""
    measure = measured_in(summary)
    if measure is None:
        return []
    estimates = effects.estimates(summary)
    found = []
    for difference in summary.differences:
        if difference.metric != measure or not is_number(difference.value):
            continue
        joint = joints.get((difference.arm, "diversity"))
        found.append(
            Dependence(
                estimates[measure, difference.arm],
                estimates[measure, difference.baseline],
                difference,
                math.log(prompts_compared(summary, measure)),
                joint.outcome if joint else None,
                "{} ({})".format(*_in_words(joint.together.value, joint.together.low, joint.together.high))
                if joint
                else "",
            )
        )
    return found


def template_claims(summary: Summary, joints: Joints) -> list[str]:
    """For the top of the page, of arms whose answers depend clearly less on the question; templates first."""
    less = [found for found in dependences(summary, joints) if found.change == "less"]
    less.sort(key=lambda found: not found.is_template)
    claims = [sentence(found) for found in less[:CLAIMS]]
    if len(less) > CLAIMS:
        claims.append(f"So do those of {counted(len(less) - CLAIMS, 'more arm')}: under “Still to the question?”.")
    return claims


def sentences(found: Sequence[Dependence]) -> list[str]:
    """One for each arm; several of which nothing is clear have one together."""
    still = [one for one in found if one.change == "unclear" and one.diversity in ("unclear", None)]
    if len(still) < TOGETHER:
        return [sentence(one) for one in found]
    arms = listed([one.estimate.arm for one in still])
    is_known = all(one.diversity for one in still)
    what = f"{NEITHER} has" if is_known else "how much answers depend on the question has not"
    told = f"Of {arms} {what} clearly changed; their numbers are in the table."
    return [*(sentence(one) for one in found if one not in still), told]


def sentence(found: Dependence) -> str:
    """What is clear of one arm, with the numbers of both sides."""
    return f"{_claim(found)}: {_numbers(found)}."


def _claim(found: Dependence) -> str:
    arm, baseline = found.estimate.arm, found.baseline.arm
    if found.change == "less":
        depend = f"depend less on the question than those of {baseline}"
        template = "Template collapse: a" if found.is_template else "A"
        return {
            "gained": f"{template}nswers of {arm} are more various, and yet {depend}",
            "unclear": f"{template}nswers of {arm} are not clearly less various, and yet {depend}",
            "lost": f"Answers of {arm} are less various, and {depend} besides",
            None: f"Answers of {arm} {depend}",
        }[found.diversity]
    if found.change == "more":
        depend = f"depend more on the question than those of {baseline}"
        return {
            "gained": f"Answers of {arm} are more various, and {depend}",
            "unclear": f"Answers of {arm} {depend}, and are neither clearly more nor clearly less various",
            "lost": f"Answers of {arm} are less various, and {depend}: what was lost is not the question",
            None: f"Answers of {arm} {depend}",
        }[found.diversity]
    depend = f"it is not clear that they depend more or less on the question than those of {baseline}"
    return {
        "gained": f"Answers of {arm} are more various, and {depend}",
        "unclear": f"Of {arm} {NEITHER} has clearly changed",
        "lost": f"Answers of {arm} are less various, and {depend}",
        None: f"Of {arm} {depend}",
    }[found.diversity]


def _numbers(found: Dependence) -> str:
    most = beside(found.most, found.estimate, found.baseline)
    told = (
        f"prompt information {value_text(found.estimate)} against {value_text(found.baseline)} of at most {most} nats "
        f"(difference {value_text(found.difference, signed=True)}, {interval_words(found.difference)})"
    )
    return f"{told}, diversity {found.spread}" if found.spread else told


def _in_words(value: float, low: float, high: float) -> Sequence[str]:
    shown, interval = deviations(value, low, high)
    return f"{shown} standard deviations", with_level(interval)
