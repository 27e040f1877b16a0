"""`evalkit prefs` does what the page on preferences says, and says a mistake in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.preferences.files import read_preferences
from evalkit.preferences.pairs import read_pairs, write_pairs
from evalkit.records import Prompt
from tests import ROOT
from tests.preferences.pairs import many

DOCS = ROOT / "docs" / "preferences.md"
SAMPLE, SIMULATE = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def test_the_page_on_preferences_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pairs.yaml").write_text(SAMPLE, encoding="utf-8")
    Path("raters.yaml").write_text(SIMULATE, encoding="utf-8")
    [sample, label_them] = re.findall(r"^\$ evalkit (.*)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)

    sampled = call(*sample.split())
    assert sampled.exit_code == 0, sampled.output
    pairs = read_pairs(["pairs.jsonl"])
    assert f"Pairs: pairs.jsonl ({len(pairs)})" in sampled.stdout
    assert {pair.prompt_id for pair in pairs} == {"lighthouse", "rain", "france"}
    assert all(pair.a == pair.a.strip() != pair.b for pair in pairs)
    assert {pair.prompt.answer for pair in pairs if pair.prompt_id == "france"} == {r"(?i)\bparis\b"}

    labelled = call(*label_them.split())
    assert labelled.exit_code == 0, labelled.output
    found = read_preferences(["preferences.jsonl"])
    assert f"Preferences: preferences.jsonl ({len(found)})" in labelled.stdout
    assert re.search(r"preferences of +terse +loose +crowd", labelled.stdout)
    assert {preference.group for preference in found} == {"terse", "loose", "crowd"}


def test_the_utility_on_the_page_works() -> None:
    [code] = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "somebodys.utilities"}
    exec(compile(code, "preferences.md", "exec"), names)
    assert names["mentions"]("rain")(Prompt("p", "Say."), "Rain on rain") == 2


def test_quiet_prints_the_path_alone(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", many(3))
    raters = tmp_path / "raters.yaml"
    raters.write_text("{name: x, pairs: pairs.jsonl, groups: {g: {values: {utility: {words: 1}}}}}", encoding="utf-8")
    out = tmp_path / "new" / "out.jsonl"
    result = call("prefs", "simulate", raters, "--out", out, "--quiet")
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    assert len(read_preferences([out])) == 3


@pytest.mark.parametrize(
    ("text", "arguments", "message", "code"),
    [
        (SIMULATE.replace("words: -0.2", "wrods: 1"), [], "group 'terse': there is no utility 'wrods'", 2),
        (SIMULATE.replace("pairs.jsonl", "no.jsonl"), [], "there is no file", 2),
        (SIMULATE.replace("noise: 0.5", "noise: 0"), [], "c.yaml:9: groups.terse.noise: found 0", 2),
        (SIMULATE, ["--out", "c.yaml/out.jsonl"], "c.yaml/out.jsonl could not be written", 5),
    ],
)
def test_a_mistake_is_a_line_and_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, arguments: list[str], message: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pairs(Path("pairs.jsonl"), many(2))
    Path("c.yaml").write_text(text, encoding="utf-8")
    result = call("prefs", "simulate", "c.yaml", "--out", "out.jsonl", *arguments)
    assert message in result.output
    assert result.exit_code == code
    assert "Traceback" not in result.output
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("lab:base", "lab:bass"), "checkpoint 'policy': 'lab:bass': the lab has no checkpoint 'bass'"),
        (("max_tokens: 40", "max_tokens: 4000"), "sampling.max_tokens is 4000: together more than its context"),
        (("kind: base", "kind: base, sampling: {temperature: [0.5, 1]}"), "policy.sampling lists several temperatures"),
        (("pairs: 16", "pairs: 0"), "pairs: found 0"),
    ],
)
def test_what_cannot_be_sampled_is_named_before_anything_is_loaded(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = tmp_path / "pairs.yaml"
    assert change[0] in SAMPLE
    path.write_text(SAMPLE.replace(*change), encoding="utf-8")
    result = call("prefs", "sample", path, "--out", tmp_path / "out.jsonl", "--engine", "transformers")
    assert message in result.output
    assert result.exit_code == 2
    assert "Traceback" not in result.output
