"""The sentences about where it changed say what the numbers say, and nothing where nothing stands out."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.metrics.summary import MeasureChange, PartChange, PromptChange, WhereChanged
from evalkit.records import Better
from evalkit.report.verdicts.where_changed import arm_stories, family_words, part_sentence

Ends = tuple[float, float, float]
LOST: Ends = (-0.31, -0.40, -0.22)
UNCLEAR: Ends = (-0.02, -0.06, 0.02)


def part(here: Ends, rest: Ends, name: str = "poem", kind: str = "tag", stands_out: bool = True) -> PartChange:
    return PartChange(kind, name, 12, *here, *rest, 1e-5, 1e-4, stands_out)  # type: ignore[arg-type]


def change(
    *parts: PartChange, prompts: tuple[PromptChange, ...] = (), better: Better = "higher", metric: str = "distinct_n"
) -> MeasureChange:
    return MeasureChange(
        metric, "tuned", "base", better, "diversity", "word pairs not repeated", -0.2, -0.3, -0.1, parts, prompts, 120
    )


def where(*changes: MeasureChange) -> WhereChanged:
    return WhereChanged(0.95, changes, 3, 0.03, 120, 0.02)


def prompt(name: str, value: float) -> PromptChange:
    return PromptChange(name, value, value - 0.1, value + 0.1, 0.001)


WHAT = "word pairs not repeated (distinct_n)"
HEAD = "On the 12 prompts tagged “poem” tuned"
SENTENCES = {
    "twice the rest's": (
        LOST,
        (-0.15, -0.18, -0.12),
        f"{HEAD} lost 0.31 (95 % interval 0.22 to 0.40) in {WHAT}, about twice the rest’s 0.15.",
    ),
    "a little more": (
        LOST,
        (-0.25, -0.28, -0.22),
        f"{HEAD} lost 0.31 (95 % interval 0.22 to 0.40) in {WHAT}, more than the rest’s 0.25.",
    ),
    "less": (
        (-0.05, -0.07, -0.03),
        (-0.25, -0.28, -0.22),
        f"{HEAD} lost 0.05 (95 % interval 0.03 to 0.07) in {WHAT}, less than the rest’s 0.25.",
    ),
    "the other way": (
        (0.31, 0.22, 0.40),
        (-0.15, -0.18, -0.12),
        f"{HEAD} gained 0.31 (95 % interval 0.22 to 0.40) in {WHAT}, while the rest lost 0.15 (95 % interval 0.12 to 0.18).",
    ),
    "there alone": (
        LOST,
        UNCLEAR,
        f"{HEAD} lost 0.31 (95 % interval 0.22 to 0.40) in {WHAT}, while the rest did not clearly change "
        "(−0.02, 95 % interval −0.06 to 0.02).",
    ),
    "not there": (
        UNCLEAR,
        LOST,
        f"{HEAD} did not clearly change in {WHAT} (−0.02, 95 % interval −0.06 to 0.02), while the rest lost 0.31 "
        "(95 % interval 0.22 to 0.40).",
    ),
    "further, and unsure how far": (
        (-0.5, -1.1, 0.1),
        (-0.05, -0.07, -0.03),
        f"{HEAD} changed otherwise in {WHAT} than on the rest: −0.5, 95 % interval −1.1 to 0.1, against −0.05, "
        "95 % interval −0.07 to −0.03.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SENTENCES)
def test_a_sentence_says_what_happened_there_and_elsewhere(case: str) -> None:
    here, rest, said = SENTENCES[case]
    assert part_sentence(change(), part(here, rest)) == said


def test_of_a_measure_that_falls_when_things_get_better_rising_is_said() -> None:
    rose = part((0.31, 0.22, 0.40), (0.1, 0.08, 0.12), "sea, waves", "topic")
    assert part_sentence(change(better="lower"), rose) == (
        "On the 12 prompts about “sea, waves” tuned went up by 0.31 (95 % interval 0.22 to 0.40) in word pairs not "
        "repeated (distinct_n, lower is better), about 3 times the rest’s 0.10."
    )


def test_only_what_stands_out_is_told_and_the_rest_in_one_sentence() -> None:
    told = change(part(LOST, UNCLEAR), part(LOST, UNCLEAR, "story", stands_out=False))
    silent = change(*[dataclasses.replace(one, stands_out=False) for one in told.parts], metric="vendi")
    [story] = arm_stories(where(told, silent))
    assert [each.part.name for each in story.parts] == ["poem"]
    assert story.lines == (
        story.parts[0].text,
        "In word pairs not repeated (vendi) nothing stands out: no tag (of 2) changed clearly more or less than the rest "
        "and none of 120 prompts changed clearly by itself.",
    )


def test_single_prompts_are_counted_by_which_way_they_went() -> None:
    prompts = (prompt("p7", -0.6), prompt("p3", -0.5), prompt("p9", 0.4))
    [story] = arm_stories(where(change(prompts=prompts)))
    assert story.lines == (
        "Of 120 prompts, each by itself, 2 clearly lost and 1 clearly gained under tuned in word pairs not repeated "
        "(distinct_n); most clearly on p7 (−0.60), p3 (−0.50) and p9 (+0.40).",
    )
    assert ([one.prompt for one in story.prompts[0].lost], story.nothing) == (["p7", "p3"], "")
    [turned] = arm_stories(where(change(prompts=prompts, better="lower")))
    assert [one.prompt for one in turned.prompts[0].lost] == ["p9"]


def test_where_nothing_could_be_tested_nothing_is_said() -> None:
    assert arm_stories(None) == []
    assert arm_stories(WhereChanged(0.95, (change(),), 0, 0.03, 0, 0.02)) == []


def test_it_is_said_among_how_many_tests_what_stands_out_was_found() -> None:
    assert family_words(where(change())) == (
        "named is what stands out among 3 tests of tags and topics (Benjamini and Yekutieli, 3 %) and 120 tests of single "
        "prompts (Benjamini and Hochberg, 2 %): these shares of what is named may be there by chance"
    )
