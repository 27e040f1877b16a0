"""Decoding paths in sentences: no more is said than is known, and whatever was picked is said to be picked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.metrics.decoding import Crossing, Decoding, DecodingPath, GivenBack, Ranged, Recovery, Span, Trade
from evalkit.metrics.summary import Summary
from evalkit.report.content.content import ReportContent
from evalkit.report.verdicts.decoding import (
    crossing_sentence,
    decoding_claims,
    path_words,
    recovery_sentence,
    sentences,
)
from evalkit.report.verdicts.verdict import verdict

HELD = {"top_p": 1.0, "min_p": 0.0, "top_k": 0.0, "repetition_penalty": 1.0}
OVER_HEAT = DecodingPath("tuned", "temperature", (0.6, 1.0, 1.4), ("t@T=0.6", "t@T=1", "t@T=1.4"), HELD)
OVER_MIN_P = DecodingPath(
    "tuned", "min_p", (0.0, 0.1), ("t@T=1.4", "t@T=1.4,min_p=0.1"), {"temperature": 1.4, "top_p": 1.0}
)
MET = Crossing(0, "vendi", "s", (1.27,), (Span(1.19, 1.36),), "", 60)
BACK = GivenBack("t@T=1.4", Ranged(0.62, 0.41, 0.83), Ranged(-0.02, -0.08, 0.04), False)
RECOVERY = Recovery("tuned", "t@T=1", "base", "vendi", "s", Ranged(5.8, 5.2, 6.4), (BACK,), "t@T=1.4", (), None, 60)


def of(*crossings: Crossing, trades: tuple[Trade, ...] = (), recoveries: tuple[Recovery, ...] = ()) -> Decoding:
    return Decoding(
        0.95, "reward", {"tuned": "base"}, {"tuned": "t@T=1"}, (OVER_HEAT, OVER_MIN_P), crossings, trades, recoveries
    )


def test_a_path_is_called_by_what_changes_and_what_is_held() -> None:
    assert path_words(replace(OVER_HEAT, held={**HELD, "temperature": 1.0} | {"min_p": 0.1})).endswith(
        "min_p = 0.1 and T = 1"
    )
    assert path_words(OVER_HEAT) == "over temperature"
    assert path_words(OVER_MIN_P) == "over min_p at T = 1.4"


@pytest.mark.parametrize(
    ("crossing", "words"),
    [
        (MET, "Over temperature tuned has the vendi of base at T = 1.27 (95 % interval 1.19 to 1.36)."),
        (replace(MET, spans=(Span(1.19, None),)), "at T = 1.27 (95 % interval 1.19 and beyond)."),
        (replace(MET, spans=(Span(None, 1.3),)), "(95 % interval up to 1.3)."),
        (replace(MET, spans=(Span(None, None),)), "(95 % interval of any value tried)."),
        (replace(MET, at=(0.7, 1.27), spans=(Span(0.65, 0.75), Span(1.19, 1.36))),
         "at T = 0.7 and T = 1.27 (95 % interval 0.65 to 0.75 or 1.19 to 1.36)."),
        (replace(MET, spans=(Span(1.27, 1.27),)), "at T = 1.27 (no 95 % interval)."),
        (replace(MET, at=(), spans=(), elsewhere="less"),
         "tuned never has the vendi of base: behind it at all settings tried (0.6 to 1.4)."),
        (replace(MET, at=(), spans=(Span(1.33, None),), elsewhere="less"),
         "behind it at all settings tried (0.6 to 1.4); chance leaves open that it does at T 1.33 and beyond."),
        (replace(MET, path=1, at=(0.05,), spans=(Span(0.04, 0.06),)), "Over min_p at T = 1.4 tuned has the vendi of base at min_p = 0.05"),
    ],
)  # fmt: skip
def test_where_a_path_meets_the_baseline_is_said_with_its_interval(crossing: Crossing, words: str) -> None:
    assert words in crossing_sentence(of(crossing), crossing)


def test_the_same_diversity_is_said_to_cost_what_it_costs() -> None:
    trade = Trade(0, "reward", "vendi", "s", 1.27, Ranged(0.53, 0.44, 0.62), Ranged(-0.2, -0.3, -0.1))
    [said] = sentences(of(MET, trades=(trade,)), "vendi")
    assert said.endswith(
        "There its reward is +0.53 (95 % interval 0.44 to 0.62) against base; what the same diversity costs, counted from "
        "t@T=1, is −0.20 (95 % interval −0.30 to −0.10)."
    )
    unknown = replace(trade, against_baseline=Ranged(0.53, None, None))
    assert "+0.530 (no interval) against base" in sentences(of(MET, trades=(unknown,)), "vendi")[0]
    nowhere = replace(trade, against_baseline=Ranged(None, None, None), setting=None)
    assert "There" not in sentences(of(MET, trades=(nowhere,)), "vendi")[0]


def test_a_setting_that_was_picked_is_told_with_intervals_for_all() -> None:
    hot = GivenBack("hot", Ranged(0.9, 0.7, 1.1), Ranged(-0.5, -0.6, -0.4), True)
    assert recovery_sentence(of(), replace(RECOVERY, settings=(BACK, hot))) == (
        "By vendi t@T=1 is less diverse than base (5.8, 95 % interval 5.2 to 6.4). Of that t@T=1.4 gives back most "
        "without clearly lower reward: 62 % (41 to 83 %), with reward −0.02 (−0.08 to 0.04); both intervals hold for all "
        "2 settings at once; none gives back all of it."
    )
    assert "at once" not in recovery_sentence(of(), RECOVERY), "nothing was picked among one"


def test_what_is_as_good_and_what_gives_back_all_is_named_too() -> None:
    hot = GivenBack("hot", Ranged(1.2, 1.0, 1.4), Ranged(-0.5, -0.6, -0.4), True)
    told = recovery_sentence(of(), replace(RECOVERY, settings=(BACK, hot), as_good=tuple("abcde"), full="hot"))
    assert (
        "; a, b, c and 2 more may give back no less; hot gives back all of it, with reward −0.50 (−0.60 to −0.40)."
        in told
    )
    assert "none gives back" not in recovery_sentence(of(), replace(RECOVERY, full="t@T=1.4"))


def test_where_nothing_was_lost_or_given_back_that_is_said() -> None:
    nothing = replace(RECOVERY, settings=(), free=None)
    assert recovery_sentence(of(), nothing) == (
        "By vendi t@T=1 is not clearly less diverse than base: nothing is to be given back."
    )
    assert (
        "no setting tried clearly gives back any of it without clearly lower reward; none gives back all of it."
        in recovery_sentence(of(), replace(RECOVERY, free=None))
    )


def test_what_is_nowhere_met_is_said_once_for_all_paths() -> None:
    never = [Crossing(path, "vendi", "s", (), (), "less", 60) for path in (0, 1)]
    assert sentences(of(*never), "vendi") == [
        "Over temperature (0.6 to 1.4) and over min_p at T = 1.4 (0 to 0.1) tuned never has the vendi of base: behind it at "
        "all settings tried."
    ]


def test_the_headline_has_what_gives_back_most_where_that_is_clear(sweep: ReportContent) -> None:
    def told(*recoveries: Recovery) -> Summary:
        return replace(sweep.summary, decoding=of(recoveries=recoveries))

    assert decoding_claims(told(replace(RECOVERY, metric="self_bleu"), RECOVERY)) == [recovery_sentence(of(), RECOVERY)]
    assert decoding_claims(told(replace(RECOVERY, settings=(), free=None))) == []
    assert decoding_claims(sweep.summary) == []
    assert recovery_sentence(of(), RECOVERY) in verdict(told(RECOVERY)).besides


def test_where_everything_costs_the_headline_has_what_the_same_diversity_costs(sweep: ReportContent) -> None:
    trade = Trade(0, "reward", "vendi", "s", 1.27, Ranged(0.53, 0.44, 0.62), Ranged(-0.2, -0.3, -0.1))
    costly = replace(RECOVERY, free=None)

    def claims(one: Trade) -> list[str]:
        return decoding_claims(replace(sweep.summary, decoding=of(MET, trades=(one,), recoveries=(costly,))))

    [claim] = claims(trade)
    assert claim.startswith("Over temperature tuned has the vendi of base at T = 1.27")
    assert "+0.53" in claim
    assert claims(replace(trade, against_baseline=Ranged(0.53, None, None))) == []
