"""Arms of one checkpoint that differ in one setting make a path, whatever else was drawn."""

from __future__ import annotations

from dataclasses import replace

from evalkit.analysis.decoding.paths import paths_of, reference_of, start_of
from evalkit.records import Arm
from tests.analysis.comparison.worlds import arm


def drawn(temperature: float, min_p: float = 0.0, top_p: float = 1.0, checkpoint: str = "tuned", top_k: int = 0) -> Arm:
    made = arm(f"{checkpoint} {temperature} {min_p} {top_p} {top_k}", checkpoint, temperature)
    assert made.sampling is not None
    return replace(made, sampling=replace(made.sampling, min_p=min_p, top_p=top_p, top_k=top_k))


def lines(*arms: Arm) -> list[tuple[str, tuple[float, ...]]]:
    return [(path.setting, path.values) for path in paths_of(arms)]


def test_a_path_rises_with_its_setting_and_is_named_by_what_it_holds() -> None:
    [path] = paths_of([drawn(1.4), drawn(0.6), drawn(1.0)])
    assert (path.checkpoint, path.setting, path.values) == ("tuned", "temperature", (0.6, 1.0, 1.4))
    assert path.arms == ("tuned 0.6 0.0 1.0 0", "tuned 1.0 0.0 1.0 0", "tuned 1.4 0.0 1.0 0")
    assert (path.held["min_p"], path.held["top_p"], path.held["top_k"]) == (0.0, 1.0, 0)


def test_paths_may_share_an_arm() -> None:
    found = lines(drawn(0.6), drawn(1.0), drawn(1.4), drawn(1.0, 0.1), drawn(1.0, 0.2), drawn(1.0, top_p=0.9))
    assert found == [("temperature", (0.6, 1.0, 1.4)), ("top_p", (0.9, 1.0)), ("min_p", (0.0, 0.1, 0.2))]


def test_two_paths_over_one_setting_are_no_path_over_the_other() -> None:
    cuts = (0.0, 0.1, 0.2)
    found = lines(*(drawn(temperature, cut) for temperature in (1.0, 1.5) for cut in cuts))
    assert found == [("min_p", cuts), ("min_p", cuts)]


def test_two_settings_are_a_path_where_nothing_else_is_drawn() -> None:
    assert lines(drawn(1.0), drawn(1.0, 0.1)) == [("min_p", (0.0, 0.1))]
    assert lines(drawn(1.0), drawn(1.0, checkpoint="base")) == []


def test_what_else_differs_parts_paths() -> None:
    best = [replace(drawn(t), name=f"best {t}", best_of=4) for t in (0.5, 1.0)]
    assert [path.arms for path in paths_of([drawn(0.5), drawn(1.0), *best])] == [
        ("tuned 0.5 0.0 1.0 0", "tuned 1.0 0.0 1.0 0"),
        ("best 0.5", "best 1.0"),
    ]
    assert lines(drawn(0.5, top_k=20), drawn(1.0)) == []
    assert lines(replace(drawn(0.5), sampling=None), drawn(1.0)) == []


def test_the_reference_is_the_baseline_as_it_is_and_the_start_is_drawn_alike() -> None:
    base = [drawn(0.5, checkpoint="base"), drawn(1.0, 0.1, checkpoint="base"), drawn(1.0, checkpoint="base")]
    assert reference_of(base) == base[2]
    assert reference_of(base[:2]) == base[0]
    tuned = [drawn(0.7), drawn(1.0)]
    assert start_of(tuned, base[2]) == tuned[1]
    assert start_of(tuned, base[0]) == tuned[0]
