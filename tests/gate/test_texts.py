"""Files of completions that other tools wrote are sides of a comparison, whatever models they name."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from evalkit.cli.main import main
from evalkit.gate.baselines import read_side
from evalkit.gate.compare import compare_sides, read_named_side
from evalkit.gate.sides import choose_pairs
from tests import ROOT

DATA = ROOT / "tests" / "data" / "exchange"


def test_two_logs_are_compared_by_their_only_arms() -> None:
    old, new = str(DATA / "lm-eval-plain.jsonl"), str(DATA / "lm-eval-chat.jsonl")
    assert choose_pairs(read_side(new), read_side(old), []) == [("lm-eval-chat", "lm-eval-plain")]
    [pair] = compare_sides(read_named_side(old), read_named_side(new), ["score/exact_match/strict"]).pairs
    assert pair.rows[0].difference is not None
    assert pair.rows[0].difference.value == -1.0


SHORT = ["Blue.", "Red.", "Green.", "Grey.", "White.", "Black.", "Brown.", "Pink."]


def inspect_log(path: Path, said: Callable[[random.Random], str], score: float = 1.0, seed: int = 0) -> str:
    """A log in Inspect's layout: 30 prompts, 4 epochs of one-word answers."""
    draws = random.Random(seed)
    samples = [
        {
            "id": f"q{prompt}", "epoch": epoch, "input": f"Name colour {prompt}.", "target": "Blue",
            "output": {"choices": [{"message": {"role": "assistant", "content": said(draws)}, "stop_reason": "stop"}]},
            "scores": {"liked": {"value": score + draws.gauss(0, 0.5)}},
        }
        for epoch in range(1, 5)
        for prompt in range(30)
    ]  # fmt: skip
    log = {"version": 2, "status": "success", "eval": {"model": path.stem, "task": "colours"}, "samples": samples}
    path.write_text(json.dumps(log), encoding="utf-8")
    return str(path)


def gate(*words: str) -> tuple[int, str]:
    told = CliRunner().invoke(main, ["gate", *words], catch_exceptions=False)
    return told.exit_code, told.output


def test_two_logs_of_short_answers_come_to_a_verdict_in_one_command(tmp_path: Path) -> None:
    old = inspect_log(tmp_path / "old.json", lambda draws: draws.choice(SHORT))
    new = inspect_log(tmp_path / "new.json", lambda draws: draws.choice(SHORT), seed=1)
    narrow = inspect_log(tmp_path / "narrow.json", lambda _: "Blue.", score=2, seed=2)
    code, told = gate(new, "--baseline", old)
    assert code == 3, told
    assert "prompts like these would settle it" in told
    assert "not judged: self_repetition of new (0 against 0)" in " ".join(told.split())
    assert gate(narrow, "--baseline", old)[0] == 1


def test_questions_of_lm_eval_are_paired_by_their_hash_however_they_were_rendered(tmp_path: Path) -> None:
    old = DATA / "lm-eval-plain.jsonl"
    rows = [json.loads(line) for line in (DATA / "lm-eval-chat.jsonl").read_text().splitlines()]
    for row in rows:
        row["arguments"]["gen_args_0"]["arg_0"] = "<user>" + row["arguments"]["gen_args_0"]["arg_0"]
        row["doc_id"] = int(row["doc_id"]) + 10
    rendered, other = tmp_path / "rendered.jsonl", tmp_path / "other.jsonl"
    rendered.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    other.write_text("\n".join(json.dumps(row | {"doc_hash": "0" * 64}) for row in rows[:1]), encoding="utf-8")
    code, told = gate(str(rendered), "--baseline", str(old))
    assert code in (1, 3), told
    code, told = gate(str(other), "--baseline", str(old))
    assert code == 2
    assert "they have none in common" in " ".join(told.split())


def test_spreadsheets_come_to_a_verdict_paired_by_their_ids(tmp_path: Path) -> None:
    draws = random.Random(3)
    for name, words in (("old", SHORT), ("new", SHORT[:1])):
        lines = [f"{prompt},Name {prompt}.,{draws.choice(words)}" for prompt in range(12) for _ in range(4)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["prompt_id,prompt,completion", *lines]), encoding="utf-8")
    code, told = gate(str(tmp_path / "new.csv"), "--baseline", str(tmp_path / "old.csv"))
    assert code == 1, told
