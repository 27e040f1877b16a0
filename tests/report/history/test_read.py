"""Many runs as lines over time: read from their summaries alone, broken where numbers must not be compared."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.analysis.intervals import mean_intervals
from evalkit.cli.main import main
from evalkit.errors import RecordsError
from evalkit.metrics.summary import Estimate, Summary
from evalkit.records import Arm, Prompt
from evalkit.report.history.read import read_history
from tests.gate.test_baselines import write_run
from tests.gate.test_common_prompts import asking, questions
from tests.sides import law, summary

OLD, NEW = law(0)
PLAIN = summary({"vendi": {"base": OLD, "tuned": NEW}, "self_bleu": {"base": OLD, "tuned": NEW}})


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def night(folder: Path, day: int, of: Summary = PLAIN, prompts: str = "abc", **more: object) -> Path:
    started = f"2026-11-{day:02d}T02:00:00+01:00"
    return write_run(folder / f"night-{day}", of, **{"started": started, "identity": {"prompts": prompts}} | more)


def changed(of: Summary, change: Callable[[Estimate], Estimate]) -> Summary:
    return dataclasses.replace(of, estimates=tuple(change(e) for e in of.estimates))


def first(prompts: int) -> Summary:
    """Of a run that was stopped after so many prompts."""
    return summary({metric: {"base": OLD[:prompts], "tuned": NEW[:prompts]} for metric in ("vendi", "self_bleu")})


def newer(e: Estimate) -> Estimate:
    """vendi measured in another way."""
    return dataclasses.replace(e, signature=e.signature.replace("v:1.0", "v:1.1")) if e.metric == "vendi" else e


def test_runs_stand_in_the_order_of_their_times(tmp_path: Path) -> None:
    history = read_history([night(tmp_path, 3), night(tmp_path, 1), night(tmp_path, 2)])
    assert [run.name for run in history.runs] == ["night-1", "night-2", "night-3"]
    assert f"{history.runs[0].started:%d %H:%M}" == "01 01:00"
    [line, _] = next(trend for trend in history.trends if trend.metric == "vendi").lines
    assert line.values == (pytest.approx(OLD.mean()),) * 3
    assert line.breaks == ()


def test_a_line_breaks_where_its_signature_changed_and_the_page_says_so(tmp_path: Path) -> None:
    later = changed(PLAIN, newer)
    history = read_history([night(tmp_path, 1), night(tmp_path, 2, later), night(tmp_path, 3, later)])
    trends = {trend.metric: trend for trend in history.trends}
    assert [line.breaks for line in trends["vendi"].lines] == [(1,), (1,)]
    assert [line.breaks for line in trends["self_bleu"].lines] == [(), ()]
    [note] = trends["vendi"].notes
    assert note.startswith("From night-2 on all arms are measured in another way (v:1.1 versus v:1.0)")
    assert not trends["self_bleu"].notes


def test_it_breaks_over_a_gap_too(tmp_path: Path) -> None:
    gap = dataclasses.replace(PLAIN, estimates=tuple(e for e in PLAIN.estimates if e.metric != "vendi"))
    history = read_history([night(tmp_path, 1), night(tmp_path, 2, gap), night(tmp_path, 3, changed(PLAIN, newer))])
    [line, _] = next(trend for trend in history.trends if trend.metric == "vendi").lines
    assert line.values[1] is None
    assert line.breaks == (2,)


def test_other_prompts_break_every_line(tmp_path: Path) -> None:
    history = read_history([night(tmp_path, 1), night(tmp_path, 2, prompts="def")])
    assert {line.breaks for trend in history.trends for line in trend.lines} == {(1,)}
    assert history.notes[0].startswith("From night-2 on the 60 prompts are put in other words, or have other answers")


def test_a_run_that_was_stopped_early_stands_on_no_line_with_whole_ones(tmp_path: Path) -> None:
    """Its suite is the same; what was asked is not."""
    runs = [night(tmp_path, 1), night(tmp_path, 2, first(9), look={"index": 0}), night(tmp_path, 3)]
    history = read_history(runs)
    assert {line.breaks for trend in history.trends for line in trend.lines} == {(1, 2)}
    assert history.notes == (
        "From night-2 on 9 prompts are asked instead of 60 (51 left out, 0 new; this run was stopped early): every line "
        "breaks there.",
        "From night-3 on 60 prompts are asked instead of 9 (0 left out, 51 new; the run before was stopped early): "
        "every line breaks there.",
    )
    told = call("report", "--history", *runs, "--out", tmp_path / "h.html").output
    assert told.splitlines() == [*history.notes, f"Report: {tmp_path / 'h.html'}"]
    assert "9 prompts are asked instead of 60" in (tmp_path / "h.html").read_text(encoding="utf-8")


def test_the_same_prompts_in_another_order_break_nothing(tmp_path: Path) -> None:
    turned = dataclasses.replace(
        changed(PLAIN, lambda e: dataclasses.replace(e, values=e.values[::-1])), prompts=PLAIN.prompts[::-1]
    )
    history = read_history([night(tmp_path, 1), night(tmp_path, 2, turned)])
    assert {line.breaks for trend in history.trends for line in trend.lines} == {()}
    assert history.breaks == ()


def test_another_system_prompt_breaks_the_lines_of_its_arm(tmp_path: Path) -> None:
    def asked(system: str | None) -> dict[str, object]:
        specs = {"base": {"kind": "base", "system": None}, "tuned": {"kind": "tuned", "system": system}}
        return {"suite": {"name": "tiny", "checkpoints": specs}}

    history = read_history([night(tmp_path, 1, **asked(None)), night(tmp_path, 2, **asked("Be brief."))])
    assert {(line.arm, line.breaks) for trend in history.trends for line in trend.lines} == {
        ("base", ()), ("tuned", (1,))
    }  # fmt: skip
    [note] = history.breaks
    assert note.startswith("From night-2 on tuned is asked or drawn with system 'Be brief.' instead of None:")


def test_other_sampling_settings_break_the_lines_of_their_arm(tmp_path: Path) -> None:
    def cooler(arm: Arm) -> Arm:
        assert arm.sampling is not None
        return dataclasses.replace(arm, sampling=dataclasses.replace(arm.sampling, temperature=0.7, seed=9))

    base, tuned = PLAIN.arms
    cold = dataclasses.replace(PLAIN, arms=(base, cooler(tuned)))
    history = read_history([night(tmp_path, 1), night(tmp_path, 2, cold)])
    assert {(line.arm, line.breaks) for trend in history.trends for line in trend.lines} == {
        ("base", ()), ("tuned", (1,))
    }  # fmt: skip
    assert history.notes == (
        "From night-2 on tuned is asked or drawn with temperature 0.7 instead of 1.0: its lines break there.",
    )


def test_only_plain_metrics_are_drawn(tmp_path: Path) -> None:
    more = changed(PLAIN, lambda e: dataclasses.replace(e, metric=f"useful/{e.metric}") if e.arm == "tuned" else e)
    history = read_history([night(tmp_path, 1, more), night(tmp_path, 2, more)])
    assert {trend.metric for trend in history.trends} == {"vendi", "self_bleu"}


def test_the_command_reads_no_completions(tmp_path: Path) -> None:
    """The folders hold nothing but a summary and a manifest."""
    runs = [night(tmp_path, day) for day in (1, 2, 3)]
    result = call("report", "--history", *runs, "--out", tmp_path / "h.html")
    assert (result.exit_code, result.output) == (0, f"Report: {tmp_path / 'h.html'}\n")
    page = (tmp_path / "h.html").read_text(encoding="utf-8")
    assert "3 runs of tiny, from 1 November 2026 to 3 November 2026: 2 metrics of base and tuned." in page


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (["night-1"], "a history needs two runs or more"),
        (["night-1", "night-1"], "the same run is named twice: night-1"),
        (["night-1", "night-2"], "night-2 holds a run that is not complete"),
        (["night-1", "night-3"], "a history is of one suite, but"),
        (["night-1", "night-4"], "run.json is damaged (started: Input should be a valid datetime"),
        (["night-1", "nowhere"], "nowhere has no run.json"),
    ],
)
def test_what_is_no_history_is_a_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    night(Path(), 1)
    night(Path(), 2, state="running")
    night(Path(), 3, dataclasses.replace(PLAIN, suite="other"))
    night(Path(), 4, started="yesterday")
    result = call("report", "--history", *runs)
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert words in result.output


def test_a_damaged_summary_is_named(tmp_path: Path) -> None:
    runs = [night(tmp_path, day) for day in (1, 2)]
    (runs[1] / "summary.json").write_text(json.dumps({"schema": 2}), encoding="utf-8")
    with pytest.raises(RecordsError, match=r"night-2/summary\.json is not a summary"):
        read_history(runs)


def grown(prompts: int, *reworded: int) -> Summary:
    own = {"vendi": {"base": OLD[:prompts], "tuned": NEW[:prompts]}, "mauve": {"tuned": NEW[:prompts]}}
    return asking(summary(own), reworded)


def test_on_common_prompts_no_line_breaks_and_every_number_is_of_them_alone(tmp_path: Path) -> None:
    nights = [
        night(tmp_path, 1, grown(40)),
        night(tmp_path, 2, grown(45), prompts="def"),
        night(tmp_path, 3, grown(45, 3), prompts="ghi"),
    ]
    history = read_history(nights, common_prompts=True)
    kept = [place for place in range(40) if place != 3]
    [alone] = mean_intervals(NEW[kept][None, :], 0.95)
    trends = {trend.metric: trend for trend in history.trends}
    [_, tuned] = trends["vendi"].lines
    assert tuned.breaks == ()
    assert tuned.values == (pytest.approx(alone.value),) * 3
    assert (tuned.lows, tuned.highs) == ((alone.low,) * 3, (alone.high,) * 3)
    assert "mauve" not in trends  # it is of all the prompts of a run at once
    assert history.notes == (
        "All numbers are of the 39 prompts that all runs asked alike. Left out: 1 of night-1, 6 of night-2 and 6 of "
        "night-3 (p3, p40, p41, ...); without night-1 the others would share 5 more.",
        "Left out too, because they are of all the prompts of a run at once: mauve.",
    )
    assert read_history(nights).notes[0].startswith("From night-2 on 45 prompts are asked instead of 40")


def test_clusters_hold_for_the_common_prompts_of_all_runs(tmp_path: Path) -> None:
    clusters = tuple(f"c{place // 5}" for place in range(45))
    runs = [night(tmp_path, 1, grown(40)), night(tmp_path, 2, dataclasses.replace(grown(45), clusters=clusters))]
    [_, tuned] = next(t for t in read_history(runs, common_prompts=True).trends if t.metric == "vendi").lines
    [alone] = mean_intervals(NEW[None, :40], 0.95, clusters[:40])
    assert tuned.lows == (alone.low, alone.low)


def test_where_all_runs_asked_the_same_common_prompts_change_nothing(tmp_path: Path) -> None:
    runs = [night(tmp_path, 1, grown(40)), night(tmp_path, 2, grown(40))]
    assert read_history(runs, common_prompts=True) == read_history(runs)


def test_runs_without_a_common_prompt_are_a_line_that_names_who_costs_them(tmp_path: Path) -> None:
    runs = [night(tmp_path, 1, grown(40)), night(tmp_path, 2, grown(40)), night(tmp_path, 3, grown(40, *range(40)))]
    result = call("report", "--history", "--common-prompts", *runs)
    assert result.exit_code == 2
    assert result.output.strip() == (
        "evalkit: prompts: none is asked alike by all 3 runs; without night-3 the others would share 40 more"
    )


def test_a_run_that_does_not_say_what_it_asked_is_named(tmp_path: Path) -> None:
    result = call("report", "--history", "--common-prompts", night(tmp_path, 1), night(tmp_path, 2, grown(40)))
    assert result.exit_code == 2
    assert "night-1 does not say what its prompts ask" in result.output


def test_an_older_run_says_it_by_its_prompts(tmp_path: Path) -> None:
    asked = tuple(Prompt(f"p{place}", f"Question {place}?") for place in range(40))
    folders = [questions(tmp_path / name, asked[:size], NEW[:size]) for name, size in (("a", 40), ("b", 30))]
    for folder in folders:
        manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        manifest["started"] = "2026-11-01T02:00:00+01:00"
        (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert "of the 30 prompts that all runs asked alike" in read_history(folders, common_prompts=True).notes[0]


def test_common_prompts_go_with_a_history_alone(tmp_path: Path) -> None:
    result = call("report", "--common-prompts", night(tmp_path, 1), night(tmp_path, 2))
    assert result.exit_code == 2
    assert "--common-prompts goes with --history" in result.output
