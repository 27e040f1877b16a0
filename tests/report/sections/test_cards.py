"""The cards: the most important first, the rest folded, and what is left at equal quality."""

from __future__ import annotations

import dataclasses

from evalkit.metrics.declaration import Traits
from evalkit.metrics.registry import definitions
from evalkit.metrics.summary import Alarm, Reading
from evalkit.report.content.content import ReportContent
from evalkit.report.page import build_report
from evalkit.report.sections.cards import SHOWN, arm_cards, cards_of, equal_quality
from evalkit.report.verdicts.plain_names import ALARMS, named
from evalkit.report.verdicts.verdict import verdict
from tests.report.verdicts.test_ladders import FURTHER, made


def test_what_a_reader_can_picture_comes_first_and_the_rest_is_folded(two_arms: ReportContent) -> None:
    told = cards_of(verdict(two_arms.summary))
    gained, lost = told.cards
    assert [row.metric for row in gained.shown] == ["reward"]
    assert [row.metric for row in lost.shown] == ["vendi", "embedding_distance", "distinct_n|n:2"]
    assert len(lost.shown) == SHOWN
    assert len(lost.folded) == 6
    assert [row.metric for row in told.unclear] == ["accuracy"]
    assert [row.metric for row in told.changed] == ["length"]


def test_a_ladder_shows_its_ends_side_by_side() -> None:
    told = cards_of(verdict(made(FURTHER)))
    assert (told.arms, told.baseline) == ("ppo-1 to ppo-0.1", "base")
    assert [[cell.arm for cell in row.cells] for row in told.cards[0].shown] == [["ppo-1", "ppo-0.1"]]


def test_what_some_of_a_ladder_gain_and_others_lose_is_neither() -> None:
    told = cards_of(verdict(made(FURTHER | {"reward": {"base": 0.0, "ppo-0.1": -0.5, "ppo-1": 1.0}})))
    assert [card.kind for card in told.cards] == ["gained", "lost", "mixed"]
    assert told.cards[0].shown == ()
    assert [cell.value[0] for cell in told.cards[2].shown[0].cells] == ["+", "−"]


def test_every_arm_of_a_ladder_has_cards_of_its_own() -> None:
    told = verdict(made(FURTHER))
    assert [arm_cards(arm).arms for arm in told.arms] == ["ppo-0.1", "ppo-1"]
    assert "Arm by arm" in build_report(ReportContent("t", made(FURTHER)))


def test_at_equal_quality_a_sweep_is_read_by_the_easiest_measure(two_arms: ReportContent) -> None:
    def reading(metric: str, at: str) -> Reading:
        return Reading("tuned", "base", metric, at, "s", -3.2, -3.5, -2.9, 0.5, 0.9)

    readings = (reading("self_bleu", "reward"), reading("vendi", "reward"), reading("reward", "vendi"))
    summary = dataclasses.replace(two_arms.summary, readings=readings)
    found = equal_quality(summary, verdict(summary))
    assert found.sweeps == (
        "tuned against base: effective number of different answers (vendi) −3.2 (−3.5 to −2.9) at equal reward, 0.5 to 0.9.",
    )


def test_without_a_sweep_the_page_says_how_to_get_one(two_arms: ReportContent) -> None:
    assert "temperature: [0.7, 0.85, 1.0]" in build_report(two_arms)


def test_among_useful_answers_the_gap_is_shown(two_arms: ReportContent) -> None:
    summary = two_arms.summary
    more = tuple(dataclasses.replace(e, metric=f"useful/{e.metric}") for e in summary.estimates)
    gaps = tuple(dataclasses.replace(d, metric=f"useful/{d.metric}") for d in summary.differences)
    both = dataclasses.replace(summary, estimates=summary.estimates + more, differences=summary.differences + gaps)
    found = equal_quality(both, verdict(both))
    assert [row.metric for row in found.quality_filtered] == [
        "useful/vendi",
        "useful/embedding_distance",
        "useful/distinct_n|n:2",
    ]


def test_a_gap_without_a_number_is_not_called_unclear(two_arms: ReportContent) -> None:
    summary = two_arms.summary
    more = tuple(dataclasses.replace(e, metric=f"useful/{e.metric}") for e in summary.estimates)
    gaps = tuple(
        dataclasses.replace(d, metric=f"useful/{d.metric}", value=None, low=None, high=None, p=None, p_adjusted=None)
        for d in summary.differences
    )
    both = dataclasses.replace(summary, estimates=summary.estimates + more, differences=summary.differences + gaps)
    cells = [cell for row in equal_quality(both, verdict(both)).quality_filtered for cell in row.cells]
    assert {(cell.value, cell.beside) for cell in cells} == {("not defined", "")}


def test_cards_show_the_form_that_may_speak_and_name_what_has_no_say(two_arms: ReportContent) -> None:
    summary = two_arms.summary
    # Lengths differ: what moves with length speaks in its matched form, or not at all.
    with_form = [e for e in summary.estimates if e.metric in ("distinct_n|n:2", "self_bleu")]
    matched = tuple(dataclasses.replace(e, metric=f"matched/{e.metric}") for e in with_form)
    gaps = tuple(
        dataclasses.replace(d, metric=f"matched/{d.metric}")
        for d in summary.differences
        if d.metric in ("distinct_n|n:2", "self_bleu")
    )
    both = dataclasses.replace(summary, estimates=summary.estimates + matched, differences=summary.differences + gaps)
    told = cards_of(verdict(both))
    shown = [row.metric for card in told.cards for row in (*card.shown, *card.folded)]
    assert {"matched/distinct_n|n:2", "matched/self_bleu"} <= set(shown)
    assert not {"distinct_n|n:2", "self_bleu", "sequence_entropy"} & set(shown)
    assert "sequence_entropy" in told.silent
    page = build_report(dataclasses.replace(two_arms, summary=both))
    assert "No say, because lengths" in page


def test_every_metric_has_everyday_words() -> None:
    own = {name: d.traits for name, d in definitions().items() if d.function.__module__.startswith("evalkit.")}
    assert all(traits.plain for traits in own.values())
    assert named("pooled/distinct_n|n:3", own["distinct_n"]) == "share of word sequences not repeated (distinct_n, n 3)"
    assert named("someone_elses|k:4", Traits()) == "someone_elses, k 4"


def test_alarms_are_in_plain_words_and_an_unknown_kind_is_text(two_arms: ReportContent) -> None:
    alarms = (Alarm("tuned", "duplicates", "many"), Alarm("tuned", "<b>new</b>", "what"))
    page = build_report(dataclasses.replace(two_arms, summary=dataclasses.replace(two_arms.summary, alarms=alarms)))
    assert f"<strong>{ALARMS['duplicates']}</strong>" in page
    assert "<strong>&lt;b&gt;new&lt;/b&gt;</strong>" in page


def test_what_no_arm_has_a_number_of_is_not_called_unchanged(two_arms: ReportContent) -> None:
    blank = [
        dataclasses.replace(d, value=None, low=None, high=None, p=None, p_adjusted=None)
        if d.metric == "accuracy"
        else d
        for d in two_arms.summary.differences
    ]
    summary = dataclasses.replace(two_arms.summary, differences=tuple(blank))
    told = cards_of(verdict(summary))
    assert told.unclear == ()
    assert [row.metric for row in told.undefined] == ["accuracy"]
    page = build_report(dataclasses.replace(two_arms, summary=summary))
    assert "Undefined, so neither gained nor lost: right answers (accuracy)." in page
