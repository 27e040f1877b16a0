"""What is counted of a side's measures is said of the form in which they were counted."""

from __future__ import annotations

import pytest

from evalkit.analysis.effects import Outcome
from evalkit.metrics.declaration import Traits
from evalkit.metrics.summary import Difference
from evalkit.report.verdicts.findings import Finding
from evalkit.report.verdicts.side_words import SIDES

(DIVERSITY,) = (words for words in SIDES if words.side == "diversity")


def found(metric: str, outcome: Outcome) -> Finding:
    return Finding(Difference(metric, metric, "tuned", "base", -0.1, -0.2, 0.0, 0.01, 0.01), Traits(), outcome, 0.5)


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ([found("vendi", "lost"), found("self_bleu", "lost")], "both diversity measures clearly narrowed"),
        (
            [found("matched/vendi", "lost"), found("matched/self_bleu", "lost"), found("matched/distinct_n", "lost")],
            "all 3 diversity measures at equal lengths clearly narrowed",
        ),
        (
            [found("matched/vendi", "lost"), found("nats_per_byte", "unclear")],
            "of 2 diversity measures (1 at equal lengths) 1 clearly narrowed and 1 shows no clear difference",
        ),
    ],
)
def test_a_tally_says_which_of_its_measures_stand_at_equal_lengths(findings: list[Finding], said: str) -> None:
    assert DIVERSITY.tally(findings) == said
