"""What a run exports, `evalkit score` reads back with the same values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.plumbing.progress import Quiet
from evalkit.runs.exchange.read import read_texts
from evalkit.runs.export import ENDINGS, WRITERS, _inspect_log, export_run
from evalkit.runs.summary import read_summary
from evalkit.score import score_files
from tests.finished import finished_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("export") / "run", {"base": 8, "tuned": 3})


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "[Well]?"}]
    prompts = ({"id": "chat", "messages": turns}, {"id": "text", "text": "[1] Well?"})
    folder = tmp_path_factory.mktemp("chats") / "run"
    return finished_run(folder, {"base": 8, "tuned": 3}, prompts, metrics=["distinct_n|n:1", "length"])


@pytest.mark.parametrize("to", ["jsonl", "csv", "parquet", "inspect", "trl"])
def test_an_export_is_read_back_with_the_same_values_and_no_note_of_its_own_keys(
    run: Path, tmp_path: Path, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = export_run(run, to, tmp_path / f"texts.{to}")
    for path, content in files.items():
        path.write_bytes(content)
    metrics = ["distinct_n|n:1", "length", "score/accuracy"]
    found = score_files(list(files), metrics, None, Quiet()).summary
    assert "not read" not in capsys.readouterr().err
    values = {(e.metric, e.arm): e.values for e in found.estimates if "/" not in e.metric.replace("score/", "")}
    asked = {(e.metric, e.arm): e.values for e in read_summary(run / "summary.json").estimates}
    for arm in ("base", "tuned"):
        assert values["distinct_n|n:1", arm] == asked["distinct_n|n:1", arm]
        assert values["length", arm] == asked["length", arm]
        assert values["score/accuracy", arm] == asked["accuracy", arm]


@pytest.mark.parametrize("to", ["jsonl", "csv", "parquet", "inspect", "trl"])
def test_a_conversation_is_read_back_as_the_same_prompt(chats: Path, tmp_path: Path, to: str) -> None:
    files = export_run(chats, to, tmp_path / f"texts.{to}")
    for path, content in files.items():
        path.write_bytes(content)
    scored = score_files(list(files), ["length"], None, Quiet())
    assert b'"turns":[["system","Be brief."],["user","[Well]?"]]' in scored.page
    if to in ("jsonl", "csv", "parquet"):
        assert scored.summary.asked == read_summary(chats / "summary.json").asked


def test_an_inspect_log_is_one_an_arm_with_the_keys_that_inspect_requires(run: Path) -> None:
    files = export_run(run, "inspect", Path("log.json"))
    assert [path.name for path in files] == ["log-base.json", "log-tuned.json"]
    log = json.loads(next(iter(files.values())))
    assert log["eval"].keys() >= {"created", "task", "dataset", "model", "config"}
    assert {sample["epoch"] for sample in log["samples"]} == {1, 2, 3, 4}


NASTY = ["", "a\nb\r\nc", 'say "hi", ok; x\ty', "nul\0in", "\u202eRTL שלום 👩‍👧", "<script>&amp;", "x" * 200_000, "=1+1", "NA",
         '[{"role": "assistant", "content": "y"}]', "[{'role': 'user'}]", "\x1c\x85\u2028", "\ufeff"]  # fmt: skip


@pytest.mark.parametrize("thinking", [None, 'First,\n"then".'])
@pytest.mark.parametrize("to", ["jsonl", "csv", "parquet", "trl", "inspect"])
def test_nasty_texts_are_read_back_as_they_were(tmp_path: Path, to: str, thinking: str | None) -> None:
    rows = [
        {"prompt_id": f"p{place}", "prompt": text or "A", "completion": text, "arm": 'a,\n"b"', "sample": 0,
         "finish_reason": "length", **({} if thinking is None else {"thinking": thinking}), "settings": None,
         "scores": {"s": place / 3}}
        for place, text in enumerate(NASTY)
    ]  # fmt: skip
    path = tmp_path / f"o{ENDINGS[to]}"
    path.write_bytes(_inspect_log(rows, "suite", "") if to == "inspect" else WRITERS[to](rows))
    found = read_texts([path], lambda _: None).rows
    assert [(row.prompt, row.completion, row.thinking, row.finish_reason, row.scores) for row in found] == [
        (row["prompt"], row["completion"], thinking, "length", row["scores"]) for row in rows
    ]


def test_half_a_character_does_not_stop_an_export() -> None:
    row = {
        "prompt_id": "p",
        "prompt": "A",
        "completion": "x\ud800",
        "arm": "a",
        "sample": 0,
        "settings": None,
        "scores": {},
    }
    for write in WRITERS.values():
        assert write([row])
