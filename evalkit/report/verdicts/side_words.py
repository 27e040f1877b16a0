"""The words for each side of the trade, and what a joint statement makes of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.analysis import effects
from evalkit.analysis.effects import Outcome
from evalkit.metrics.registry import split_variant
from evalkit.plumbing.prose import listed
from evalkit.records import Side
from evalkit.report.verdicts.findings import Finding
from evalkit.report.verdicts.joint import Joint, JointDifference


@dataclass(frozen=True, slots=True)
class SideWords:
    """One side and the words for it; `{aims}` are the side's families, `{than}` is empty after the first clause."""

    side: Side
    gained: str
    lost: str
    unclear: str
    wider: str
    narrower: str
    """The comparatives alone."""
    within: str
    """What stands between a comparative and a family."""
    against: str
    """The same after `narrower`."""
    rose: str
    fell: str

    def clause(self, joint: Joint, than: str) -> str:
        """What became of this side."""
        if joint.disagree and joint.is_apart:
            return self._apart(joint, than)
        if joint.disagree:
            gained, lost = (self._of(joint, outcome) for outcome in ("gained", "lost"))
            return f"is {self.wider}{than} {self.within} {gained} and {self.narrower} {self.against} {lost}"
        aims = listed(part.family for part in joint.families)
        clear, outcome = joint.clear, joint.outcome
        if outcome == "unclear" or any(part.outcome != outcome for part in clear):
            return self.unclear.format(than=than, aims=aims) + self._though(clear)
        said = self.change(outcome, size_word(joint), than, aims)
        if len(clear) == len(joint.families):
            return said
        return f"{said}, clearly {self.within} {self._of(joint, outcome)}" if clear else f"{said}, taken together"

    def _apart(self, joint: Joint, than: str) -> str:
        """Each group of people by itself: `is better than base by the reward of A and worse by the reward of B`."""
        ways = {
            "gained": (self.wider, self.within),
            "lost": (self.narrower, self.against),
            "unclear": (f"neither clearly {self.wider} nor clearly {self.narrower}", self.within),
        }
        by_outcome = {way: [part.family for part in joint.families if part.outcome == way] for way in ways}
        said = [(*ways[way], listed(families)) for way, families in by_outcome.items() if families]
        parts = [
            f"{comparative}{than if first == 0 else ''} {by} {who}" for first, (comparative, by, who) in enumerate(said)
        ]
        return f"is {listed(parts)}"

    def change(self, outcome: Outcome, size: str, than: str, aims: str) -> str:
        """A clear gain or loss of the side as a whole."""
        return (self.gained if outcome == "gained" else self.lost).format(size=size, than=than, aims=aims)

    def tally(self, findings: Sequence[Finding]) -> str:
        """How many of the measures by themselves show what."""
        counts = Counter(finding.outcome for finding in findings)
        if len(counts) == 1:
            return self._unanimous(findings)
        verbs: tuple[tuple[Outcome, str], ...] = (("gained", self.rose), ("lost", self.fell))
        parts = [f"{counts[kind]} clearly {verb}" for kind, verb in verbs if counts[kind]]
        if counts["unclear"]:
            parts.append(f"{counts['unclear']} {'shows' if counts['unclear'] == 1 else 'show'} no clear difference")
        return f"of {len(findings)} {self._measures(findings)} {listed(parts)}"

    def _measures(self, findings: Sequence[Finding]) -> str:
        """In which form they speak: the tables have the plain one too, which may say something else."""
        matched = sum(split_variant(finding.difference.metric)[0] == "matched" for finding in findings)
        form = " at equal lengths" if matched == len(findings) else f" ({matched} at equal lengths)" if matched else ""
        return f"{self.side} measures{form}"

    def _unanimous(self, findings: Sequence[Finding]) -> str:
        every = f"{'both' if len(findings) == 2 else f'all {len(findings)}'} {self._measures(findings)}"
        if findings[0].outcome == "unclear":
            return f"{every} show no clear difference by themselves"
        return f"{every} clearly {self.rose if findings[0].outcome == 'gained' else self.fell}"

    def _though(self, clear: Sequence[JointDifference]) -> str:
        return f", though {self.by_themselves(clear)}" if clear else ""

    def by_themselves(self, clear: Sequence[JointDifference]) -> str:
        """What families say that are clear the same way: `better by reward`."""
        comparative, within = self._towards(clear)
        return f"{comparative} {within} {listed(part.family for part in clear)}"

    def held_back(self, joint: Joint) -> str:
        """The same of a side that is not clear as a whole, and which families are not: empty where none is clear."""
        clear = joint.clear
        if not clear:
            return ""
        _, within = self._towards(clear)
        others = [part.family for part in joint.families if part not in clear]
        but = f", but not clearly {within} {listed(others)}" if others else ""
        return f"{self.by_themselves(clear)}{but}"

    def _towards(self, clear: Sequence[JointDifference]) -> tuple[str, str]:
        return (self.wider, self.within) if clear[0].outcome == "gained" else (self.narrower, self.against)

    def _of(self, joint: Joint, outcome: str) -> str:
        return listed(part.family for part in joint.clear if part.outcome == outcome)


SIDES = (
    SideWords(
        side="quality",
        gained="gives {size}better answers{than}",
        lost="gives {size}worse answers{than}",
        unclear="gives answers neither clearly better nor clearly worse{than}",
        wider="better",
        narrower="worse",
        within="by",
        against="by",
        rose="improved",
        fell="worsened",
    ),
    SideWords(
        side="diversity",
        gained="draws from a {size}wider range{than}",
        lost="draws from a {size}narrower range{than}",
        unclear="draws from a range neither clearly wider nor clearly narrower{than}",
        wider="wider",
        narrower="narrower",
        within="in",
        against="in",
        rose="widened",
        fell="narrowed",
    ),
    SideWords(
        side="match",
        gained="comes {size}nearer to {aims}{than}",
        lost="keeps {size}further from {aims}{than}",
        unclear="is neither clearly nearer to {aims} nor clearly further from it{than}",
        wider="nearer",
        narrower="further",
        within="to",
        against="from",
        rose="came nearer",
        fell="moved away",
    ),
)

MANY, FEW = 0.2, 0.05
"""Shares of all answers from which more of them are "much" more, and below which "slightly"."""
FORM = "task checks"
"""The family of measures that see whether an answer has the form that was asked for, and not whether it is good."""
OF_FORM = SideWords(
    side="quality",
    gained="keeps {size}more often to the form that was asked for{than}",
    lost="keeps {size}less often to the form that was asked for{than}",
    unclear="keeps to the form that was asked for neither clearly more nor clearly less often{than}",
    wider="better",
    narrower="worse",
    within="by",
    against="by",
    rose="improved",
    fell="worsened",
)


def words_for(joint: Joint) -> SideWords:
    """A side's words. Where form alone is known of quality, answers are called neither better nor worse."""
    if [part.family for part in joint.families] == [FORM]:
        return OF_FORM
    return next(words for words in SIDES if words.side == joint.side)


def size_word(joint: Joint) -> str:
    """How much: Cohen's words for a difference in standard deviations within the arms.

    Shares have words of their own, as a hundredth of all answers may be many deviations.
    """
    if joint.side == "quality" and joint.shift is not None:
        return "much " if abs(joint.shift) >= MANY else "slightly " if abs(joint.shift) < FEW else ""
    difference = min(joint.families, key=lambda part: abs(part.value)) if joint.is_apart else joint.together
    # Of both arms together it is at most 2, and d / sqrt(1 + d^2 / 4) of a distance d within them.
    within = abs(difference.value) / math.sqrt(max(1 - difference.value**2 / 4, 1e-12))
    return "much " if within >= effects.LARGE else "slightly " if within < effects.SMALL else ""
