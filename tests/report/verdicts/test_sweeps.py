"""A sweep over temperature is told whole: no temperature stands for the others."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.metrics.summary import Difference, Estimate, Reading, Summary
from evalkit.records import Arm, Better
from evalkit.report.sections.cards import cards_of, equal_quality
from evalkit.report.verdicts.sweeps import sweeps
from evalkit.report.verdicts.verdict import verdict
from tests.report.example import arm, difference, estimate

P = 32
BETTERS: dict[str, Better] = {"reward": "higher", "distinct_k": "higher"}
SWAY = [0.3 * (place % 5) - 0.6 for place in range(P)]
HOT, COLD = 1.1, 0.5


def swept(levels: dict[str, dict[tuple[str, float], float]], baselines: dict[str, str] | None = None) -> Summary:
    """`levels`: measure -> (checkpoint, temperature) -> mean. Each arm is compared with base's of its temperature."""
    points = list(next(iter(levels.values())))
    names = {point: f"{point[0]}@T={point[1]:g}" for point in points}
    beside = baselines or {names[point]: f"base@T={point[1]:g}" for point in points}
    arms = tuple(arm(names[point], point[0], point[1], baseline=beside[names[point]]) for point in points)
    found: dict[tuple[str, str], Estimate] = {}
    for metric, by_point in levels.items():
        for rank, (point, level) in enumerate(by_point.items()):
            values = [level + sway + (0.05 if place >> rank % 5 & 1 else -0.05) for place, sway in enumerate(SWAY)]
            found[metric, names[point]] = estimate(metric, names[point], values, BETTERS[metric])
    compared: list[Difference] = [
        difference(own, found[metric, one.baseline], len(found))
        for (metric, name), own in found.items()
        for one in arms
        if one.name == name and one.baseline is not None
    ]
    return Summary("creative", tuple(map(str, range(P))), arms, tuple(found.values()), tuple(compared))


def levels(cold: float, hot: float) -> dict[tuple[str, float], float]:
    """A measure of which tuned has so much more than base at either temperature."""
    return {("base", COLD): 4.0, ("base", HOT): 6.0, ("tuned", COLD): 4.0 + cold, ("tuned", HOT): 6.0 + hot}


def test_an_arm_of_each_temperature_is_a_step() -> None:
    [found] = sweeps(swept({"distinct_k": levels(-1, -1)}))
    assert (found.checkpoint, found.baseline, found.is_like_with_like) == ("tuned", "base", True)
    assert found.arms == ("tuned@T=0.5", "tuned@T=1.1")
    assert found.baselines == ("base@T=0.5", "base@T=1.1")


def test_one_temperature_is_no_sweep(two_arms: object) -> None:
    assert sweeps(two_arms.summary) == []  # type: ignore[attr-defined]


def test_what_holds_at_every_temperature_is_said_once() -> None:
    told = verdict(swept({"distinct_k": levels(-1.0, -1.0)}))
    assert told.claim == (
        "Against base at the same temperature, tuned draws from a much narrower range at every temperature (0.5 and 1.1)."
    )
    assert told.about == ("tuned@T=0.5", "tuned@T=1.1")


def test_temperatures_that_differ_are_each_told() -> None:
    told = verdict(swept({"reward": levels(2.0, 2.0), "distinct_k": levels(-1.0, 1.0)}))
    assert told.claim == (
        "Against base at the same temperature, tuned gives much better answers at every temperature (0.5 and 1.1); it "
        "draws from a much narrower range (T = 0.5) and draws from a much wider range (T = 1.1)."
    )
    assert "at T = 0.5 and" in told.numbers
    assert "at T = 1.1" in told.numbers


def test_where_nothing_is_clear_at_a_temperature_that_is_said_beside_what_is() -> None:
    told = verdict(swept({"distinct_k": levels(0.0, -1.0)}))
    assert told.claim == (
        "Against base at the same temperature, tuned draws from a much narrower range (T = 1.1; no clear difference at 0.5)."
    )
    nothing = verdict(swept({"distinct_k": levels(0.0, 0.0)}))
    assert nothing.claim.endswith("neither clearly wider nor clearly narrower at every temperature (0.5 and 1.1).")


def test_what_is_wider_at_any_temperature_may_be_noise_where_no_quality_is_known() -> None:
    assert "noise is various too" in verdict(swept({"distinct_k": levels(-1.0, 1.0)})).numbers
    assert "noise" not in verdict(swept({"distinct_k": levels(-1.0, -1.0)})).headline
    both = {"distinct_k": levels(-1.0, 1.0), "reward": levels(2.0, 2.0)}
    assert "noise" not in verdict(swept(both)).headline


def test_a_baseline_of_one_temperature_is_named() -> None:
    points = {("base", 1.0): 6.0, ("tuned", COLD): 4.0, ("tuned", 1.0): 5.0}
    beside = dict.fromkeys(("base@T=1", "tuned@T=0.5", "tuned@T=1"), "base@T=1")
    told = verdict(swept({"distinct_k": points}, beside))
    assert told.claim.startswith("Against base@T=1, tuned draws from a much narrower range")


def test_the_gap_at_equal_quality_stands_beside_the_claim() -> None:
    reading = Reading("tuned", "base", "distinct_k", "reward", "s", -0.8, -0.9, -0.7, 0.5, 0.9)
    summary = dataclasses.replace(
        swept({"reward": levels(2.0, 2.0), "distinct_k": levels(-1.0, -1.0)}), readings=(reading,)
    )
    assert "At equal reward (0.5 to 0.9) tuned has distinct_k −0.80 against base" in verdict(summary).numbers


def test_the_cards_of_a_sweep_have_both_ends() -> None:
    told = cards_of(verdict(swept({"distinct_k": levels(-1.0, 1.0)})))
    assert (told.arms, told.baseline) == ("tuned@T=0.5 to tuned@T=1.1", "base@T=0.5 to base@T=1.1")
    assert [card.kind for card in told.cards if card.shown] == ["mixed"]


def test_what_is_clear_between_the_ends_alone_is_shown_with_its_reason() -> None:
    points = {("base", t): 5.0 for t in (0.5, 0.8, 1.1)} | {
        ("tuned", 0.5): 5.0,
        ("tuned", 0.8): 4.0,
        ("tuned", 1.1): 5.0,
    }
    [row] = next(card.shown for card in cards_of(verdict(swept({"distinct_k": points}))).cards if card.kind == "lost")
    assert [(cell.arm, cell.is_clear) for cell in row.cells] == [
        ("tuned@T=0.5", False), ("tuned@T=0.8", True), ("tuned@T=1.1", False),
    ]  # fmt: skip


def test_settings_other_than_temperature_make_a_sweep_too() -> None:
    points = {(name, heat): 5.0 - (name == "tuned") for name in ("base", "tuned") for heat in (0.5, 0.8, 1.1)}
    summary = swept({"distinct_k": points})

    def cut(one: Arm) -> Arm:
        assert one.sampling is not None
        heat, min_p = (0.5, 0.1) if one.sampling.temperature == 0.8 else (one.sampling.temperature, 0.0)
        return dataclasses.replace(one, sampling=dataclasses.replace(one.sampling, temperature=heat, min_p=min_p))

    summary = dataclasses.replace(summary, arms=tuple(map(cut, summary.arms)))
    [found] = sweeps(summary)
    assert found.arms == ("tuned@T=0.8", "tuned@T=0.5", "tuned@T=1.1")
    assert found.is_like_with_like
    assert verdict(summary).claim == (
        "Against base at the same setting, tuned draws from a much narrower range at every setting "
        "(T = 0.5 with min_p = 0.1, T = 0.5 and T = 1.1)."
    )


def test_of_many_settings_their_number_is_said() -> None:
    heats = tuple(0.4 + 0.1 * step for step in range(8))
    told = verdict(
        swept({"distinct_k": {(name, heat): 5.0 - (name == "tuned") for name in ("base", "tuned") for heat in heats}})
    )
    assert told.claim.endswith("draws from a much narrower range at all 8 temperatures tried.")
    one_is_alike = {
        (name, heat): 5.0 - (name == "tuned" and heat != heats[2]) for name in ("base", "tuned") for heat in heats
    }
    told = verdict(swept({"distinct_k": one_is_alike}))
    assert told.claim.endswith("a much narrower range (7 of 8 temperatures; no clear difference at 0.6).")


def test_who_gave_several_temperatures_is_not_told_to_give_some() -> None:
    summary = swept({"reward": levels(2.0, 2.0), "distinct_k": levels(-1.0, -1.0)})
    assert equal_quality(summary, verdict(summary)).is_swept


@pytest.mark.parametrize("systems", [("", "Be a pirate."), ("Be brief.", "Be a pirate.")])
def test_arms_that_are_told_different_things_show_it(systems: tuple[str, str]) -> None:
    def with_system(one: Arm) -> Arm:
        return dataclasses.replace(one, kind="tuned", system=systems[one.checkpoint == "tuned"])

    summary = swept({"distinct_k": levels(-1.0, -1.0)})
    told = verdict(dataclasses.replace(summary, arms=tuple(map(with_system, summary.arms))))
    named = f"base “{systems[0]}”" if systems[0] else "base none"
    assert f"System messages differ: {named} and tuned “Be a pirate.”." in told.numbers
    assert all("System messages differ" in one.numbers for one in told.arms)
    assert "System messages" not in verdict(summary).headline
