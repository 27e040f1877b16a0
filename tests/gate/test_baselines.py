"""Baselines come back as they were saved; a file that is not as it was saved is refused in a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.errors import InputError, RecordsError
from evalkit.gate.baselines import load, policy_of_run, read_side, save, saved
from evalkit.metrics.summary import Summary
from evalkit.runs.summary import to_json
from tests.sides import law, summary, with_hole

OLD = law(0)[1]
SUMMARY = summary(
    {"vendi": {"base": OLD * 0 + 1, "tuned": OLD}, "self_bleu": {"base": OLD, "tuned": with_hole(OLD, 4)}}
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run, seen from the folder that baselines are saved in."""
    monkeypatch.chdir(tmp_path)
    return write_run(tmp_path / "run", SUMMARY)


def write_run(folder: Path, of: Summary, **manifest: object) -> Path:
    folder.mkdir()
    (folder / "summary.json").write_text(to_json(of), encoding="utf-8")
    fields = {"state": "complete", "identity": {"prompts": "abc"}, "suite": {"name": "tiny"}} | manifest
    (folder / "run.json").write_text(json.dumps(fields), encoding="utf-8")
    return folder


def test_a_baseline_comes_back_with_every_value(run: Path) -> None:
    path = save(str(run), "v1.0")
    assert path == Path("baselines/v1.0.json")
    for found in (read_side("v1.0"), read_side(str(path)), load("v1.0").side):
        assert found.summary == replace(SUMMARY, differences=())
        assert found.suite_version == "abc"
    assert [one.name for one in saved()] == ["v1.0"]


def test_it_is_small_and_an_estimate_is_a_line(run: Path) -> None:
    lines = save(str(run), "v1").read_text(encoding="utf-8").splitlines()
    assert sum('"metric":"vendi"' in line for line in lines) == 2
    # A value is a double in full, about 18 characters, and a comma.
    assert sum(map(len, lines)) < 4 * 60 * 20 + 3000


def test_a_summary_alone_is_a_side_too(run: Path) -> None:
    assert read_side(str(run / "summary.json")).summary == SUMMARY
    assert read_side(str(run)).suite_version == "abc"


def edit(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda _: "", "not JSON (empty, cut short, or another file)", id="empty"),
        pytest.param(lambda text: text[: len(text) // 2], "not JSON (empty, cut short", id="truncated"),
        pytest.param(lambda _: "[1, 2]", "neither a summary nor a baseline", id="a list"),
        pytest.param(
            lambda _: '{"a": 1}',
            "not a summary that evalkit wrote: it lacks the key `schema`, which tells how to read it",
            id="foreign",
        ),
        pytest.param(lambda _: "[" * 100_000, "not JSON", id="nested without end"),
        pytest.param(lambda text: text + "\n<<<<<<< HEAD", "not JSON", id="a merge conflict"),
        pytest.param(edit('"vendi"', '"vendy"'), "is not as it was saved (its checksum differs)", id="tampered"),
        pytest.param(edit('"evalkit_baseline":1', '"evalkit_baseline":7'), "has format 7", id="from the future"),
        pytest.param(edit('"evalkit_baseline":1', '"evalkit_baseline":null'), "has format None", id="no format"),
    ],
)
def test_a_damaged_baseline_is_refused_in_a_line(run: Path, damage: Callable[[str], str], message: str) -> None:
    path = save(str(run), "v1")
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(RecordsError) as error:
        read_side("v1")
    assert message in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        pytest.param(replace(SUMMARY.estimates[0], value=2.0), "it was changed by hand", id="a better mean"),
        pytest.param(replace(SUMMARY.estimates[0], value=None), "it was changed by hand", id="no mean"),
        pytest.param(replace(SUMMARY.estimates[0], values=(1.0,)), "has 1 values for 60 prompts", id="values gone"),
        pytest.param(SUMMARY.estimates[1], "stands there twice", id="twice"),
    ],
)
def test_a_summary_whose_numbers_do_not_belong_together_is_refused(run: Path, damaged: object, message: str) -> None:
    bad = replace(SUMMARY, estimates=(damaged, *SUMMARY.estimates[1:]))  # type: ignore[arg-type]
    (run / "summary.json").write_text(to_json(bad), encoding="utf-8")
    with pytest.raises(RecordsError, match=message):
        read_side(str(run))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_values_that_are_no_numbers_are_refused(run: Path, number: str) -> None:
    text = (run / "summary.json").read_text(encoding="utf-8")
    first = str(SUMMARY.estimates[1].values[0])
    (run / "summary.json").write_text(text.replace(first, number, 1), encoding="utf-8")
    with pytest.raises(RecordsError, match="not the mean of its values"):
        read_side(str(run))


def test_prompts_that_repeat_or_are_none_are_refused(run: Path) -> None:
    for prompts in ((), ("p0",) * 60):
        (run / "summary.json").write_text(to_json(replace(SUMMARY, prompts=prompts)), encoding="utf-8")
        with pytest.raises(RecordsError, match="nothing to pair by"):
            read_side(str(run))


def test_a_run_that_never_ended_is_refused(run: Path, tmp_path: Path) -> None:
    running = write_run(tmp_path / "running", SUMMARY, state="running")
    with pytest.raises(RecordsError, match="is not complete"):
        read_side(str(running))
    (run / "summary.json").unlink()
    with pytest.raises(RecordsError, match=r"holds no summary\.json"):
        read_side(str(run))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"suite": 3}', '{"identity": null}'])
def test_a_broken_manifest_is_refused(run: Path, text: str) -> None:
    (run / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(RecordsError, match=r"run\.json"):
        read_side(str(run))


def test_what_is_nowhere_is_named_with_what_there_is(run: Path) -> None:
    save(str(run), "v1")
    with pytest.raises(InputError, match="nor a baseline 'v2'; saved baselines: v1"):
        read_side("v2")
    with pytest.raises(InputError, match=r"there is no baseline '\.\./x'; saved: v1"):
        load("../x")
    with pytest.raises(InputError, match="a baseline is named with letters"):
        save(str(run), "../x")


def test_the_policy_of_a_suite_is_found_in_its_run(run: Path, tmp_path: Path) -> None:
    assert policy_of_run(str(run)) is None
    gate = {"rules": [{"metrics": ["vendi"], "allow": {"absolute": 0.1}}]}
    other = write_run(tmp_path / "other", SUMMARY, suite={"gate": gate})
    policy = policy_of_run(str(other))
    assert policy is not None
    assert policy.rules[0].metrics == ("vendi",)
    broken = write_run(tmp_path / "broken", SUMMARY, suite={"gate": {"rules": []}})
    with pytest.raises(RecordsError, match=r"suite\.gate is no policy"):
        policy_of_run(str(broken))
