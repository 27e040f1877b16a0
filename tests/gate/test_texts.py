"""Files of completions that other tools wrote are sides of a comparison, whatever models they name."""

from __future__ import annotations

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
