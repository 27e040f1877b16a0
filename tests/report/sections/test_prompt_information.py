"""Whether answers still depend on the question, on the page: both numbers side by side, and no more than is clear."""

from __future__ import annotations

import dataclasses
import math

import pytest

from evalkit.metrics.summary import Summary
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.results.figures import figure_of
from evalkit.report.sections.prompt_information import chart, prompt_information_view
from evalkit.report.verdicts.joint import Joint, JointDifference, Joints, joint_statements
from evalkit.report.verdicts.prompt_information import dependences, sentence, template_claims
from evalkit.report.verdicts.verdict import verdict
from tests.report.told import with_information

HOSTILE = "<script>alert(1)</script>"


def diversity(outcome: str) -> Joints:
    """What all measures of diversity say of the tuned arm."""
    value = {"gained": 0.6, "lost": -0.6, "unclear": 0.05}[outcome]
    p = 0.9 if outcome == "unclear" else 0.001
    together = JointDifference("", value, value - 0.2, value + 0.2, p, p, 60, ("vendi",), 0.03)
    return {("tuned", "diversity"): Joint("tuned", "base", "diversity", together, (together,), (), (), None)}


def told(content: ReportContent, base: float, tuned: float) -> Summary:
    return with_information(content, {"base": base, "tuned": tuned}).summary


@pytest.mark.parametrize(
    ("base", "tuned", "outcome", "said", "is_claimed"),
    [
        (
            2.0,
            0.4,
            "unclear",
            "Template collapse: answers of tuned are not clearly less various, and yet depend less",
            True,
        ),
        (2.0, 0.4, "gained", "Template collapse: answers of tuned are more various, and yet depend less", True),
        (2.0, 1.6, "unclear", "Answers of tuned are not clearly less various, and yet depend less", True),
        (2.0, 0.4, "lost", "Answers of tuned are less various, and depend less on the question", True),
        (1.0, 2.0, "lost", "Answers of tuned are less various, and depend more", False),
        (1.0, 2.0, "unclear", "Answers of tuned depend more on the question", False),
        (1.0, 2.0, "gained", "Answers of tuned are more various, and depend more", False),
        (1.0, 1.0, "lost", "Answers of tuned are less various, and it is not clear that they depend", False),
        (1.0, 1.0, "gained", "Answers of tuned are more various, and it is not clear that they depend", False),
        (1.0, 1.0, "unclear", "Of tuned neither how various answers are nor", False),
    ],
)
def test_the_sentence_says_what_is_clear_of_both(
    two_arms: ReportContent, base: float, tuned: float, outcome: str, said: str, is_claimed: bool
) -> None:
    summary, joints = told(two_arms, base, tuned), diversity(outcome)
    [found] = dependences(summary, joints)
    assert sentence(found).startswith(said)
    assert "of at most 2.20 nats" in sentence(found)
    assert "standard deviations (95 % interval" in sentence(found)
    assert template_claims(summary, joints) == ([sentence(found)] if is_claimed else [])


def test_the_numbers_of_both_stand_in_one_sentence(two_arms: ReportContent) -> None:
    [found] = dependences(told(two_arms, 2.0, 0.4), diversity("unclear"))
    assert sentence(found) == (
        "Template collapse: answers of tuned are not clearly less various, and yet depend less on the question than those of "
        "base: prompt information 0.40 against 2.00 of at most 2.20 nats (difference −1.600, 95 % interval −1.606 to "
        "−1.594), diversity +0.05 standard deviations (95 % interval −0.15 to 0.25)."
    )


def test_without_diversity_it_speaks_of_the_question_alone(two_arms: ReportContent) -> None:
    [less] = dependences(told(two_arms, 2.0, 0.4), {})
    [unclear] = dependences(told(two_arms, 1.0, 1.0), {})
    assert sentence(less).startswith("Answers of tuned depend less on the question than those of base: prompt")
    assert sentence(unclear).startswith("Of tuned it is not clear that they depend more or less")
    assert "deviations" not in sentence(less)


def test_of_many_arms_the_top_tells_of_two_and_counts_the_rest(sweep: ReportContent) -> None:
    arms = [arm.name for arm in sweep.summary.arms]
    summary = with_information(sweep, {arm: 0.4 if place else 2.0 for place, arm in enumerate(arms)}).summary
    claims = template_claims(summary, joint_statements(summary))
    assert len(claims) == 3
    assert claims[-1] == "So do those of 2 more arms: under “Still to the question?”."
    assert set(claims) <= set(verdict(summary).besides)


def test_arms_of_which_nothing_is_clear_have_one_sentence(sweep: ReportContent) -> None:
    arms = [arm.name for arm in sweep.summary.arms]
    summary = with_information(sweep, {arm: 0.4 if place == 1 else 2.0 for place, arm in enumerate(arms)}).summary
    view = prompt_information_view(summary, {})
    assert view is not None
    [less, still] = view.says
    assert less.startswith("Answers of tuned T=0.5 depend less on the question than those of base: ")
    assert still == (
        "Of tuned T=0.7, tuned T=1 and tuned T=1.3 how much answers depend on the question has not clearly changed; their "
        "numbers are in the table."
    )
    joints = {(arm, "diversity"): diversity("unclear")["tuned", "diversity"] for arm in arms}
    both = prompt_information_view(summary, joints)  # type: ignore[arg-type]
    assert both is not None
    assert both.says[1].startswith(
        "Of tuned T=0.7, tuned T=1 and tuned T=1.3 neither how various answers are nor how much they depend on the "
        "question has clearly changed"
    )


def test_a_table_has_both_numbers_of_every_arm_and_the_chart_is_it(two_arms: ReportContent) -> None:
    summary = told(two_arms, 2.0, 0.4)
    view, figure = prompt_information_view(summary, diversity("unclear")), chart(summary)
    assert view is not None
    assert figure is not None
    assert (view.compared, view.most) == (9, "2.20")
    assert [row.arm for row in view.rows] == ["base", "tuned"]
    for row, point in zip(view.rows, figure["data"], strict=True):
        assert float(row.information[0]) == pytest.approx(point["y"][0], abs=0.006)
        assert float(row.diversity[0]) == pytest.approx(point["x"][0], abs=0.06)
        assert " to " in row.information[1]
        assert " to " in row.diversity[1]
    assert view.rows[0].information_change == view.rows[0].diversity_change == ("", "")
    assert view.rows[1].information_change[0].startswith("−1.6")
    assert view.rows[1].diversity_change[0].startswith("−")
    [line] = figure["layout"]["shapes"]
    assert line["y0"] == pytest.approx(math.log(9))
    assert figure_of(with_information(two_arms, {"base": 2.0}), "prompt-information", None, None).data


def test_arms_that_tell_all_that_can_be_told_are_said_to(two_arms: ReportContent) -> None:
    view = prompt_information_view(told(two_arms, 2.19, 2.18), diversity("lost"))
    assert view is not None
    assert view.says[-1].startswith("Answers of tuned and of the baseline tell nearly all that can be told")


def test_few_questions_are_compared_with_all_there_are(two_arms: ReportContent) -> None:
    summary = told(two_arms, 1.0, 0.4)
    few = dataclasses.replace(summary, clusters=tuple(f"question {row % 4}" for row in range(len(summary.prompts))))
    view = prompt_information_view(few, {})
    assert view is not None
    assert (view.compared, view.most) == (4, "1.39")


def test_a_page_has_the_section_only_with_numbers_and_names_are_text(two_arms: ReportContent) -> None:
    assert 'id="information"' not in build_report(two_arms)
    summary = told(two_arms, 2.0, 0.4)
    renamed = [dataclasses.replace(arm, name=HOSTILE) if arm.name == "tuned" else arm for arm in summary.arms]
    estimates = [dataclasses.replace(e, arm=HOSTILE) if e.arm == "tuned" else e for e in summary.estimates]
    differences = [dataclasses.replace(d, arm=HOSTILE) for d in summary.differences]
    hostile = dataclasses.replace(
        summary, arms=tuple(renamed), estimates=tuple(estimates), differences=tuple(differences)
    )
    page = build_report(dataclasses.replace(two_arms, summary=hostile, groups={}, rendered={}, scores={}))
    assert 'id="information"' in page
    assert HOSTILE not in page
