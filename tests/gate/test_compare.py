"""`evalkit compare`: B minus A, paired by prompt, readable in any terminal; exit code 0 whatever is found."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from evalkit.analysis.intervals import mean_intervals
from evalkit.cli.main import main
from evalkit.gate.compare import compare_sides, read_named_side
from evalkit.gate.formats import compare as differences
from evalkit.metrics.declaration import Traits
from evalkit.metrics.summary import Part, Summary
from evalkit.metrics.word_use import WordChange, WordShift, WordUse
from tests.gate.test_baselines import write_run
from tests.sides import law, summary

NEW, OLD = law(0)
LENGTHS = np.full(60, 7.0)


def call(*args: object, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def run_of(tuned: Any, vendi: Any = OLD) -> Summary:
    return summary({"vendi": {"base": vendi, "tuned": tuned}, "length": {"base": LENGTHS, "tuned": LENGTHS}})


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "old", run_of(OLD))
    write_run(tmp_path / "new", run_of(NEW * 0.8))


def test_numbers_are_those_of_paired_differences() -> None:
    found = compare_sides(read_named_side("old"), read_named_side("new"))
    [pair] = found.pairs
    assert (pair.a, pair.b) == ("tuned", "tuned")
    vendi = pair.rows[0]
    assert vendi.difference is not None
    [mean] = mean_intervals((NEW * 0.8 - OLD)[None, :], 0.95)
    assert (vendi.difference.value, vendi.difference.low, vendi.difference.high) == (mean.value, mean.low, mean.high)
    assert vendi.difference.p_adjusted == pytest.approx(2 * vendi.difference.p)  # two differences: vendi and length
    assert [row.outcome for row in pair.rows] == ["lost", "unclear"]


def test_the_table_is_readable_where_there_is_no_terminal() -> None:
    result = call("compare", "old", "new", COLUMNS="40")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "A  old: tuned"
    [line] = [line for line in lines if line.startswith("vendi")]
    assert "▼ lost" in line
    assert "<0.001" in line.replace(" ", "")
    assert "\x1b" not in result.output
    assert "paired by prompt over 60 prompts" in lines[-1]


def test_a_narrow_terminal_gets_lines_instead_of_columns(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "44")
    differences.show(compare_sides(read_named_side("old"), read_named_side("new"), ["vendi"]))
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if line.startswith("  ")) <= 44
    assert [line.split()[0] for line in lines if line.startswith("  ")] == ["A", "B", "B", "Holm"]


@pytest.mark.parametrize(
    ("a", "b", "pair"),
    [
        ("old:base", "new:tuned", ("base", "tuned")),
        ("old:base", "new", ("base", "base")),
        ("old", "new:tuned", ("tuned", "tuned")),
        ("old", "old", ("base", "tuned")),
        ("old/summary.json:base", "v1:tuned", ("base", "tuned")),
    ],
)
def test_arms_are_those_named_or_those_that_fit(a: str, b: str, pair: tuple[str, str]) -> None:
    call("baseline", "save", "new", "v1")
    told = json.loads(call("compare", a, b, "--json").output)
    assert [(found["a"], found["b"]) for found in told["pairs"]] == [pair]


def test_arms_of_a_sweep_may_hold_colons(tmp_path: Path) -> None:
    write_run(tmp_path / "odd", summary({"vendi": {"base": OLD, "a:b": NEW}}))
    assert read_named_side("odd:a:b").arm == "a:b"


def test_json_has_all_numbers_and_no_word_of_prompts() -> None:
    told = json.loads(call("compare", "old", "new", "--json").output)
    [row] = [row for row in told["pairs"][0]["metrics"] if row["metric"] == "vendi"]
    assert row["outcome"] == "lost"
    assert row["a"]["signature"] == row["b"]["signature"] == "vendi|k:8|v:1.0"
    assert row["difference"]["high"] < 0
    assert "values" not in json.dumps(told)


def test_another_signature_is_shown_and_not_compared(tmp_path: Path) -> None:
    other = run_of(NEW)
    changed = tuple(dataclasses.replace(e, signature=e.signature.replace("v:1.0", "v:2")) for e in other.estimates)
    write_run(tmp_path / "changed", dataclasses.replace(other, estimates=changed))
    result = call("compare", "old", "changed", "--metric", "vendi")
    assert result.exit_code == 0
    assert "≠ not compared: vendi (measured in another way: v:2 versus v:1.0)" in result.output
    [row] = json.loads(call("compare", "old", "changed", "--metric", "vendi", "--json").output)["pairs"][0]["metrics"]
    assert row["difference"] is None
    assert row["b"]["value"] == pytest.approx(NEW.mean())


def test_only_common_prompts_are_paired(tmp_path: Path) -> None:
    write_run(tmp_path / "half", half())
    told = json.loads(call("compare", "old", "half", "--common-prompts", "--metric", "vendi", "--json").output)
    assert (told["prompts"], told["prompts_only_in_a"], told["prompts_only_in_b"]) == (30, 30, 0)
    assert told["left_out"] == {"only_in_a": [f"p{i}" for i in range(30, 60)], "only_in_b": [], "changed": []}
    assert told["pairs"][0]["metrics"][0]["a"]["value"] == pytest.approx(OLD[:30].mean())
    shown = call("compare", "old", "half", "--common-prompts").output
    assert "left out: 30 prompts only in old (p30, p31, p32, ...)" in shown


def test_prompts_that_differ_are_refused_and_the_option_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "half", half())
    result = call("compare", "old", "half")
    assert result.exit_code == 2
    assert "prompts: 30 only in old (p30, p31, p32, ...); --common-prompts goes by" in result.output


def half() -> Summary:
    return summary({"vendi": {"base": OLD[:30], "tuned": NEW[:30]}})


def test_a_metric_that_one_side_lacks_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "less", half())
    assert "≠ not compared: length (less has not got it)" in call("compare", "old", "less", "--common-prompts").output


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nowhere", "new"], "there is neither a run, a summary nor a baseline 'nowhere'"),
        (["old:other", "new"], "old has no arm 'other'; it has base, tuned"),
        (["old", "new", "--metric", "vendy"], "--metric names metric 'vendy' (did you mean 'vendi'?)"),
        (["old", "renamed"], "old has tuned, renamed has fresh, and none of the same name"),
        (["old", "apart"], "have none in common"),
        (["old", "reworded"], "the same names but other texts"),
        (["old"], "Missing argument 'B'"),
    ],
)
def test_wrong_use_is_a_line_and_exit_code_2(tmp_path: Path, args: list[str], words: str) -> None:
    write_run(tmp_path / "renamed", summary({"vendi": {"base": OLD, "fresh": NEW}}))
    apart = run_of(NEW)
    write_run(tmp_path / "apart", dataclasses.replace(apart, prompts=tuple(f"q{i}" for i in range(60))))
    write_run(tmp_path / "reworded", apart, identity={"prompts": "other"})
    result = call("compare", *args)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


def with_tags(tuned: Any) -> Summary:
    """The last twelve of 60 prompts have a tag of their own."""
    made = run_of(tuned)
    traits = Traits("diversity", "meaning", "different answers")
    estimates = [dataclasses.replace(e, traits=traits) if e.metric == "vendi" else e for e in made.estimates]
    parts = (Part("tag", "plain", made.prompts[:48]), Part("tag", "poem", made.prompts[48:]))
    return dataclasses.replace(made, estimates=tuple(estimates), parts=parts)


def test_where_b_differs_from_a_most_is_told_in_sentences(tmp_path: Path) -> None:
    write_run(tmp_path / "before", with_tags(OLD))
    write_run(tmp_path / "after", with_tags(np.where(np.arange(60) < 48, NEW, NEW - 2)))
    shown = call("compare", "before", "after").output
    assert "\nWhere it changed\n  On the 12 prompts tagged “poem” B lost" in shown
    assert "among 1 test of tags and topics" in shown
    told = json.loads(call("compare", "before", "after", "--json").output)["pairs"][0]["where_changed"]
    [change] = told["changes"]
    assert [(part["name"], part["stands_out"]) for part in change["parts"]] == [("plain", False), ("poem", True)]
    # The other way round the same prompts gained.
    assert "B gained" in call("compare", "after", "before").output
    assert "Where it changed" not in call("compare", "old", "new").output


def test_a_saved_baseline_knows_its_tags(tmp_path: Path) -> None:
    write_run(tmp_path / "before", with_tags(OLD))
    write_run(tmp_path / "after", dataclasses.replace(with_tags(np.where(np.arange(60) < 48, NEW, NEW - 2)), parts=()))
    call("baseline", "save", "before", "v1")
    assert "On the 12 prompts tagged “poem” B lost" in call("compare", "v1", "after").output


def test_words_stand_beside_the_baseline_of_their_own_run(tmp_path: Path) -> None:
    shift = WordShift("a tale of", 2.0, 4.0, 0.0, 0.0, 2.0, 0.1, 38, 4)
    change = WordChange("tuned", "base", 60, 100, 100, 50, 8, 1, (shift,), ())
    run = dataclasses.replace(run_of(NEW * 0.8), words=WordUse("words", 8, (change,)))
    write_run(tmp_path / "told", run)
    assert "B says more (per 1 000 words: B, A): “a tale of” 2.0, 0.10\n" in call("compare", "told", "told").output
    [pair] = json.loads(call("compare", "told", "told", "--json").output)["pairs"]
    assert pair["words"]["gained"][0]["phrase"] == "a tale of"
    assert "B says" not in call("compare", "old", "told").output
    [pair] = json.loads(call("compare", "told:tuned", "told:base", "--json").output)["pairs"]
    assert pair["words"] is None


def test_of_one_prompt_there_are_no_intervals_and_no_test(tmp_path: Path) -> None:
    one = summary({"vendi": {"base": OLD[:1], "tuned": NEW[:1]}})
    write_run(tmp_path / "one", one)
    footer = call("compare", "one", "one").output.splitlines()[-1]
    assert footer == (
        "B minus A, paired by prompt over 1 prompt; of one prompt there are no intervals; no difference was tested."
    )


def test_a_run_of_one_arm_is_told_how_its_arms_are_named_here(tmp_path: Path) -> None:
    write_run(tmp_path / "alone", summary({"vendi": {"base": OLD}}))
    result = call("compare", "alone", "alone")
    assert result.exit_code == 2
    assert "arm: alone has base, and none with a baseline: say which are compared, as in RUN:ARM" in result.output


def test_signatures_that_are_taken_against_other_prompts_read_as_a_sentence(tmp_path: Path) -> None:
    other = run_of(NEW)
    for folder, prompts in (("here", "against:ab"), ("there", "against:cd")):
        signed = tuple(dataclasses.replace(e, signature=f"{e.signature}|{prompts}") for e in other.estimates)
        write_run(tmp_path / folder, dataclasses.replace(other, estimates=signed))
    assert "(measured in another way: against:cd versus against:ab)" in call("compare", "here", "there").output
