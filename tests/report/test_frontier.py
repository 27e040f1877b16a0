"""Quality against diversity: labels that can be read, ladders in order, and the better corner where the page says it is."""

from __future__ import annotations

import dataclasses

import pytest

from evalkit.records import Summary
from evalkit.report import placing
from evalkit.report.content import ReportContent
from evalkit.report.frontier import frontier

from .example import synthetic


def checkpoints(names: list[str]) -> Summary:
    made = synthetic([("base", "base", 1.0), *((name, "tuned", 1.0) for name in names)], prompts=20, samples=2)
    arms = tuple(dataclasses.replace(arm, checkpoint=arm.name) for arm in made.summary.arms)
    return dataclasses.replace(made.summary, arms=arms)


def covered(points: list[placing.Point], sides: list[str]) -> float:
    """Area of labels under other labels."""
    boxes = [placing.box_of(point, side) for point, side in zip(points, sides, strict=True)]
    return sum(box.shared(other) for place, box in enumerate(boxes) for other in boxes[:place])


@pytest.mark.parametrize("arms", [5, 10])
def test_labels_of_a_crowded_frontier_do_not_cover_each_other(arms: int) -> None:
    steps = range(arms)
    points = [placing.Point(60 + 270 / arms * i, 280 - 10 * i, f"ppo-{1 / (i + 1):.2g}") for i in steps]
    assert covered(points, placing.sides(points, 400, 340)) == 0
    assert covered(points, ["middle right"] * arms) > 0


def test_labels_stay_in_the_plot_and_off_the_points() -> None:
    points = [placing.Point(0, 340, "corner"), placing.Point(395, 5, "other corner"), placing.Point(70, 330, "near")]
    for place, (point, side) in enumerate(zip(points, placing.sides(points, 400, 340), strict=True)):
        box = placing.box_of(point, side)
        assert box.left >= -placing.MARGIN
        assert box.right <= 400 + placing.MARGIN
        assert box.bottom >= 0
        assert box.top <= 340
        for other in points[:place] + points[place + 1 :]:
            assert box.shared(placing.Box(other.x - 5, other.y - 5, other.x + 5, other.y + 5)) == 0


def test_a_label_keeps_clear_of_the_bars_of_an_interval() -> None:
    bars = (placing.Box(0, 149, 400, 151), placing.Box(199, 100, 201, 200))
    [side] = placing.sides([placing.Point(200, 150, "base", bars)], 400, 340)
    assert side == "top right"


def test_a_ladder_is_joined_from_the_baseline_in_its_order() -> None:
    summary = checkpoints(["ppo-0.1", "ppo-0.5", "ppo-1"])
    line = next(trace for trace in frontier(summary, "reward", "vendi")["data"] if trace["mode"] == "lines")
    at = {e.arm: e.value for e in summary.estimates if e.metric == "vendi"}
    assert line["x"] == [at[name] for name in ("base", "ppo-0.1", "ppo-0.5", "ppo-1")]


def test_the_better_corner_is_marked_whatever_the_sign(sweep: ReportContent) -> None:
    for measure in ("vendi", "self_bleu"):
        layout = frontier(sweep.summary, "reward", measure)["layout"]
        assert layout["annotations"][0]["text"] == "better and more diverse ↗"
        assert all(shape["path"].endswith("L 1,1 Z") for shape in layout["shapes"])


def test_every_interval_lies_on_the_axes(sweep: ReportContent) -> None:
    ends = sorted(frontier(sweep.summary, "reward", "self_bleu")["layout"]["xaxis"]["range"])
    for estimate in sweep.summary.estimates:
        if estimate.metric == "self_bleu":
            assert estimate.low is not None
            assert estimate.high is not None
            assert ends[0] < estimate.low < estimate.high < ends[1]
