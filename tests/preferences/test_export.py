"""What is exported is read again, by evalkit and by the `datasets` package; what a form cannot say is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.preferences.annotation import Annotation, Comparison
from evalkit.preferences.annotation_files import write_annotation_rows
from evalkit.preferences.export import FORMS, export
from evalkit.preferences.files import read_preferences
from evalkit.preferences.from_annotations import as_preference, kept
from evalkit.preferences.pairs import Pair
from evalkit.preferences.read_annotations import read_annotations
from evalkit.records import Message, Prompt
from tests.preferences.annotations import honest, labelled

ROWS = labelled({("x", "1"): honest(ties=0.3), ("y", "2"): honest(-1)}, 12, repeats=0.4)
VOTES, LEFT_OUT = kept(ROWS)
TALK = Prompt(
    "talk",
    "User: Hi\n\nAssistant: ?\n\nUser: Go",
    messages=(Message("user", "Hi"), Message("assistant", "?"), Message("user", "Go")),
)


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def unheard(_: str) -> None:
    pass


@pytest.mark.parametrize("form", FORMS)
def test_what_is_exported_is_read_again(tmp_path: Path, form: str) -> None:
    path = tmp_path / "out.jsonl"
    export(path, VOTES, form)
    assert read_preferences([path], unheard) == [as_preference(row) for row in VOTES]
    if form == "annotations":
        assert read_annotations([path]) == VOTES


@pytest.mark.parametrize("form", ["trl-conversational", "annotations", "arena"])
def test_conversations_are_read_again(tmp_path: Path, form: str) -> None:
    rows = [replace(row, comparison=Comparison(replace(row.comparison.pair, prompt=TALK))) for row in VOTES[:4]]
    export(tmp_path / "out.jsonl", rows, form)
    assert read_preferences([tmp_path / "out.jsonl"], unheard) == [as_preference(row) for row in rows]
    export(tmp_path / "implicit.jsonl", rows, "trl-conversational", is_implicit=True)
    assert read_preferences([tmp_path / "implicit.jsonl"], unheard) == [as_preference(row) for row in rows]


def test_trl_s_forms_are_as_its_pages_have_them(tmp_path: Path) -> None:
    row = Annotation(Comparison(Pair(Prompt("sky", "The sky is"), " blue.", " green.")), "r", "g", "b", "a", 2.5, "")
    path = tmp_path / "out.jsonl"
    labels = {"prompt_id": "sky", "rater": "r", "group": "g", "seconds": 2.5, "order": "rejected_first"}
    said = {
        ("trl", False): {"prompt": "The sky is", "chosen": " green.", "rejected": " blue."},
        ("trl", True): {"chosen": "The sky is green.", "rejected": "The sky is blue."},
        ("trl-conversational", False): {
            "prompt": [{"role": "user", "content": "The sky is"}],
            "chosen": [{"role": "assistant", "content": " green."}],
            "rejected": [{"role": "assistant", "content": " blue."}],
        },
        ("trl-conversational", True): {
            name: [{"role": "user", "content": "The sky is"}, {"role": "assistant", "content": text}]
            for name, text in (("chosen", " green."), ("rejected", " blue."))
        },
    }
    for (form, is_implicit), expected in said.items():
        export(path, [row], form, is_implicit)
        assert json.loads(path.read_text()) == expected | labels


@pytest.mark.parametrize("form", FORMS)
def test_the_datasets_package_reads_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "out.jsonl"
    export(path, VOTES, form)
    rows = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == len(VOTES)
    assert {"rater", "group", "seconds", "order"} <= set(rows.column_names)
    assert rows["seconds"][:] == [row.seconds for row in VOTES]
    again = tmp_path / "again.jsonl"
    rows.to_json(again)
    if form.startswith("trl"):
        assert read_preferences([again], unheard) == [as_preference(row) for row in VOTES]


def test_the_command_says_what_it_left_out(tmp_path: Path) -> None:
    write_annotation_rows(tmp_path / "in.jsonl", [replace(ROWS[0], choice="skip"), *ROWS[1:]])
    result = call("prefs", "export", tmp_path / "in.jsonl", "--to", tmp_path / "out.jsonl")
    repeats = sum(row.is_repeat for row in ROWS)
    assert f"{repeats + 1} answers left out: 1 skipped and {repeats} repeated" in result.stderr
    assert "which TRL does not know" in result.stderr
    whole = call(
        "prefs", "export", tmp_path / "in.jsonl", "--to", tmp_path / "out.jsonl", "--keep", "repeat", "--quiet"
    )
    assert whole.stdout == f"{tmp_path / 'out.jsonl'}\n"
    assert len(read_preferences([tmp_path / "out.jsonl"], unheard)) == len(ROWS) - 1


def test_an_import_reads_annotations_too(tmp_path: Path) -> None:
    write_annotation_rows(tmp_path / "in.jsonl", ROWS)
    result = call("prefs", "import", tmp_path / "in.jsonl", "--to", tmp_path / "out.jsonl")
    assert f"Layout: annotations; pairs: {len(VOTES)}" in result.stdout
    assert read_preferences([tmp_path / "out.jsonl"], unheard) == [as_preference(row) for row in VOTES]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "trl"], "prompt 'talk' is a conversation, which the form 'trl' cannot say"),
        (["--format", "arena", "--implicit-prompt"], "--implicit-prompt: the form 'arena' has no prompt to leave out"),
        (["--format", "arena", "--keep", "skip"], "--keep skip: 1 answers are skipped"),
    ],
)
def test_what_a_form_cannot_say_is_refused(tmp_path: Path, words: list[str], message: str) -> None:
    talk = replace(VOTES[0], comparison=Comparison(replace(VOTES[0].comparison.pair, prompt=TALK)))
    write_annotation_rows(tmp_path / "in.jsonl", [talk, replace(VOTES[1], choice="skip")])
    result = call("prefs", "export", tmp_path / "in.jsonl", "--to", tmp_path / "out.jsonl", *words)
    assert (result.exit_code, message in result.output) == (2, True), result.output
    assert not (tmp_path / "out.jsonl").exists()
