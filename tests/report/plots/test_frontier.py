"""Quality against diversity: ladders in order, and the better corner where the page says it is."""

from __future__ import annotations

import dataclasses

from evalkit.metrics.summary import Estimate, Summary
from evalkit.records import Arm
from evalkit.report.content.content import ReportContent
from evalkit.report.plots.frontier import frontier
from tests.report.example import synthetic


def checkpoints(names: list[str]) -> Summary:
    made = synthetic([("base", "base", 1.0), *((name, "tuned", 1.0) for name in names)], prompts=20, samples=2)
    arms = tuple(dataclasses.replace(arm, checkpoint=arm.name) for arm in made.summary.arms)
    return dataclasses.replace(made.summary, arms=arms)


def test_a_ladder_is_joined_from_the_baseline_in_its_order() -> None:
    summary = checkpoints(["ppo-0.1", "ppo-0.5", "ppo-1"])
    line = next(trace for trace in frontier(summary, "reward", "vendi")["data"] if trace["mode"] == "lines")
    at = {e.arm: e.value for e in summary.estimates if e.metric == "vendi"}
    assert line["x"] == [at[name] for name in ("base", "ppo-0.1", "ppo-0.5", "ppo-1")]


def test_paths_of_one_checkpoint_are_lines_of_their_own(sweep: ReportContent) -> None:
    def cut(arm: Arm) -> Arm:
        if arm.name != "tuned T=0.7" or arm.sampling is None:
            return arm
        return dataclasses.replace(arm, sampling=dataclasses.replace(arm.sampling, temperature=1.3, min_p=0.1))

    summary = dataclasses.replace(sweep.summary, arms=tuple(map(cut, sweep.summary.arms)))
    at = {e.arm: e.value for e in summary.estimates if e.metric == "vendi"}
    base, heat, cut_off, points = frontier(summary, "reward", "vendi")["data"]
    assert base["mode"] == "markers+text"
    assert heat["x"] == [at[name] for name in ("tuned T=0.5", "tuned T=1", "tuned T=1.3")]
    assert cut_off["x"] == [at[name] for name in ("tuned T=1.3", "tuned T=0.7")]
    assert (points["mode"], len(points["x"])) == ("markers+text", 4)
    named = dataclasses.replace(
        summary, arms=tuple(_at(arm) for arm in summary.arms), estimates=tuple(map(_at_too, summary.estimates))
    )
    assert frontier(named, "reward", "vendi")["data"][-1]["text"] == ["T=0.5", "T=1", "T=0.7", "T=1.3"]


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


def _at(arm: Arm) -> Arm:
    return dataclasses.replace(arm, name=arm.name.replace(" ", "@"))


def _at_too(one: Estimate) -> Estimate:
    return dataclasses.replace(one, arm=one.arm.replace(" ", "@"))
