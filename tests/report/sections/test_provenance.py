"""Where the numbers come from: facts in words, a command that a shell takes, signatures, and files to take away."""

from __future__ import annotations

import dataclasses
import shlex

import pytest

from evalkit.plumbing.arrays import JSON
from evalkit.plumbing.times import moment
from evalkit.report.content.content import ReportContent, RunOrigin
from evalkit.report.page import build_report
from evalkit.report.sections.provenance import provenances, signatures, took
from tests.report.test_page import Page

MANIFEST: dict[str, JSON] = {
    "evalkit": "0.1.0",
    "state": "complete",
    "command": ["evalkit", "run", "a suite.yaml", "--model", "tuned=it's here"],
    "started": "2026-11-24T12:46:17+01:00",
    "ended": "2026-11-24T13:48:20+01:00",
    "suite": {"name": "creative", "description": "Lines.", "sampling": {"seed": 7}},
    "identity": {
        "prompts": "4c37",
        "checkpoints": {
            "base": {"name": "base", "kind": "base", "source": "org/base", "revision": "main", "fingerprint": "a34f"}
        },
    },
    "versions": {"torch": "2.9", "numpy": "2.3"},
    "machine": {"system": "Linux", "processor": "x86_64", "python": "3.11"},
    "shards": [{"seed": 1}, {"seed": 2}],
    "tokens": {"base": 1200, "tuned": 34},
}


def of(manifest: dict[str, JSON], content: ReportContent) -> ReportContent:
    return dataclasses.replace(content, provenance=manifest)


def test_a_clock_that_was_set_back_makes_no_negative_time(two_arms: ReportContent) -> None:
    [told] = provenances(of(MANIFEST | {"ended": "2026-11-24T09:00:00+00:00"}, two_arms))
    assert dict(told.facts)["Took"] == "not known, for the clock was set back"


def test_the_manifest_is_told_in_words(two_arms: ReportContent) -> None:
    [told] = provenances(of(MANIFEST, two_arms))
    facts = dict(told.facts)
    assert facts["Started"] == "24 November 2026, 11:46:17 UTC"
    assert facts["Took"] == "1 h 2 min"
    assert facts["Tokens"] == "1,234 in all completions: base 1,200 and tuned 34"
    assert facts["Seed"] == "7; from it each of 2 shards has its own, which the manifest lists"
    assert facts["Machine"] == "Linux, x86_64"
    assert facts["Versions"] == "torch 2.9, numpy 2.3"
    [row] = told.checkpoints
    assert (row.name, row.source, row.fingerprint) == ("base", "org/base at main", "a34f")


def test_the_command_comes_back_from_a_shell_as_it_was_given(two_arms: ReportContent) -> None:
    [told] = provenances(of(MANIFEST, two_arms))
    assert shlex.split(told.command) == MANIFEST["command"]
    assert told.command in Page(build_report(of(MANIFEST, two_arms))).text


@pytest.mark.parametrize(
    "manifest",
    [
        {"file": "texts.jsonl", "metrics": ["length"], "samples": 4},
        {"command": None, "identity": 3, "tokens": {"base": "many"}, "started": "once", "suite": [], "shards": 7},
        {"identity": {"checkpoints": {"x": None, "y": {"name": ["odd"]}}}, "machine": None, "started": "9999-99-99"},
        {"checkpoints": "none", "versions": [1]},
    ],
)
def test_a_manifest_of_other_keys_is_shown_as_it_is(two_arms: ReportContent, manifest: dict[str, JSON]) -> None:
    page = Page(build_report(of(manifest, two_arms)))
    for key in manifest:
        assert key in page.text


def test_an_adapter_is_named_with_its_base(two_arms: ReportContent) -> None:
    row = {"name": "step", "kind": "base", "source": "out/step", "fingerprint": "ab", "base": "org/base",
           "base_fingerprint": "0123456789abcdef"}  # fmt: skip
    [told] = provenances(of(MANIFEST | {"identity": {"checkpoints": {"step": row}}}, two_arms))
    assert told.checkpoints[0].source == "out/step, a LoRA adapter of org/base (fingerprint 0123456789ab)"


def test_settings_that_change_what_is_drawn_stand_with_the_arms(two_arms: ReportContent) -> None:
    assert "top_k, penalties" not in Page(build_report(two_arms)).text
    base, tuned = two_arms.summary.arms
    assert tuned.sampling is not None
    cut = dataclasses.replace(tuned.sampling, top_k=20, repetition_penalty=1.2)
    arms = (base, dataclasses.replace(tuned, sampling=cut))
    summary = dataclasses.replace(two_arms.summary, arms=arms)
    text = " ".join(Page(build_report(dataclasses.replace(two_arms, summary=summary))).text.split())
    assert "top_k, penalties" in text
    assert "top_k 20, repetition_penalty 1.2" in text


def test_of_several_runs_each_has_its_own(two_arms: ReportContent) -> None:
    runs = [RunOrigin("<b>one</b>", "reports/one", 60, MANIFEST), RunOrigin("two", "reports/two", 40, {})]
    page = Page(build_report(dataclasses.replace(two_arms, runs=runs, notes=["<i>A note.</i>"])))
    assert "2 runs in one report" in page.text
    assert "<i>A note.</i>" in page.text
    assert not {"b", "i"} & set(page.tags)
    assert page.text.count("The whole manifest of") == 2


def test_signatures_name_their_arms_only_where_these_differ(two_arms: ReportContent) -> None:
    summary = two_arms.summary
    first, *rest = summary.estimates
    odd = dataclasses.replace(summary, estimates=(dataclasses.replace(first, signature="other"), *rest))
    assert {row.arms for row in signatures(summary)} == {""}
    assert [(row.signature, row.arms) for row in signatures(odd)][:2] == [
        ("other", "base"), (rest[0].signature, "tuned")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (59.7, "1 min 0 s"), (3599, "59 min 59 s"), (90061, "25 h 1 min")]
)
def test_durations_are_said_as_one_would(seconds: float, words: str) -> None:
    assert took(seconds) == words


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-24T12:00:00", 7, None, "0001-01-01T00:00:00+23:00"])
def test_what_is_no_moment_is_none(text: JSON) -> None:
    assert moment(text) is None
