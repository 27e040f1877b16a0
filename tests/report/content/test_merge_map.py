"""One map of several runs' completions: drawn anew from their texts, or a word on why there is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.analysis import shown
from evalkit.analysis.figure_data import MappedTexts
from evalkit.report.content.content import ReportContent
from evalkit.report.content.merge import merge
from evalkit.report.content.read import read_content
from evalkit.report.page import build_report
from tests.finished import PROMPTS, finished_run

METRICS = ["distinct_n|n:1", "embedding_distance"]
Open = Callable[[str], ReportContent]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `one` and `two`, which share their base; `short` with fewer prompts; `plain` without embeddings."""
    folder = tmp_path_factory.mktemp("maps")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        finished_run(folder / "one", {"base": 8, "tuned": 2}, metrics=METRICS)
        finished_run(folder / "two", {"base": 8, "new": 3}, metrics=METRICS)
        finished_run(folder / "short", {"base": 8, "new": 3}, PROMPTS[:4], metrics=METRICS)
        finished_run(folder / "plain", {"base": 8, "new": 3})
    return folder


def merged(folder: Path, *names: str) -> ReportContent:
    return merge([folder / name for name in names], [read_content(folder / name) for name in names])


def of_encoder(content: ReportContent, name: str) -> ReportContent:
    """The same run, as if another encoder had been asked for and used."""
    estimates = tuple(
        dataclasses.replace(
            one, signature="|".join(f"enc:{name}" if p.startswith("enc:") else p for p in one.signature.split("|"))
        )
        for one in content.summary.estimates
    )
    summary = dataclasses.replace(content.summary, estimates=estimates)
    asked = content.provenance | {"suite": {**content.provenance["suite"], "encoder": name}}  # type: ignore[dict-item]
    return dataclasses.replace(content, summary=summary, provenance=asked)


def test_all_arms_are_on_one_map(folder: Path) -> None:
    content = merged(folder, "one", "two")
    found = content.figure_data.completion_map
    assert found is not None
    assert [arm.arm for arm in found.arms] == ["one/base", "one/tuned", "two/new"]
    assert [one.prompt for one in found.prompts] == list(content.summary.prompts)
    assert "Where the answers lie" in build_report(content)
    assert not any("map" in note for note in content.notes)


def test_it_is_of_the_prompts_that_all_runs_asked(folder: Path) -> None:
    found = merged(folder, "one", "short").figure_data.completion_map
    assert found is not None
    assert [one.prompt for one in found.prompts] == [prompt["id"] for prompt in PROMPTS[:4]]


def test_widths_are_those_of_the_run_s_own_map(folder: Path) -> None:
    """A place on the map depends on all arms; how far completions lie from their middle does not."""
    whole, own = (
        merged(folder, "one", "two").figure_data.completion_map,
        read_content(folder / "one").figure_data.completion_map,
    )
    assert whole is not None
    assert own is not None
    for one, other in zip(whole.prompts, own.prompts, strict=True):
        assert [texts.distance for texts in one.arms if texts.arm.startswith("one/")] == pytest.approx(
            [texts.distance for texts in other.arms], abs=2e-3
        )


def test_of_large_runs_it_has_the_completions_that_the_page_shows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = merged(folder, "one", "two")
    monkeypatch.setattr(shown, "MOST", 2 * len(PROMPTS) * len(whole.summary.arms))
    cut = merged(folder, "one", "two")
    assert {texts.drawn for texts in points(whole)} == {4}
    assert {texts.drawn for texts in points(cut)} == {2}
    assert cut.summary.homogeneity == whole.summary.homogeneity, "numbers are of all"


def points(content: ReportContent) -> list[MappedTexts]:
    assert content.figure_data.completion_map is not None
    return [texts for prompt in content.figure_data.completion_map.prompts for texts in prompt.arms]


def test_runs_without_embeddings_have_none_and_nothing_is_said(folder: Path) -> None:
    content = merged(folder, "one", "plain")
    assert content.figure_data.completion_map is None
    assert not any("map" in note for note in content.notes)


def test_encoders_that_are_not_the_same_give_none_and_the_page_says_so(folder: Path) -> None:
    other = of_encoder(read_content(folder / "two"), "mine")
    content = merge([folder / "one", folder / "two"], [read_content(folder / "one"), other])
    assert content.figure_data.completion_map is None
    [note] = [note for note in content.notes if "map" in note]
    assert "not the same" in note
    assert "mine in two" in note


def test_an_encoder_that_is_gone_gives_none_and_the_page_says_so(folder: Path) -> None:
    names = ["one", "two"]
    content = merge(
        [folder / name for name in names], [of_encoder(read_content(folder / name), "/gone") for name in names]
    )
    assert content.figure_data.completion_map is None
    [note] = [note for note in content.notes if "map" in note]
    assert "not at hand" in note
    assert "/gone" in note
