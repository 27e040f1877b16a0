"""A verdict in the terminal says each thing once."""

from __future__ import annotations

import pytest

from evalkit.gate.formats.terminal import show
from tests.gate.formats.verdicts import judgement, verdict


def test_one_remark_on_several_measures_stands_once(capsys: pytest.CaptureFixture[str]) -> None:
    alike = "the difference is the same on every prompt"
    names = ("vendi", "self_bleu", "distinct_k")
    show(verdict(*(judgement(name, "inconclusive", note=alike) for name in names), judgement("ead_n", "pass")), "p")
    out = " ".join(capsys.readouterr().out.split())
    assert out.count(alike) == 1
    assert f"vendi, self_bleu and distinct_k: {alike}" in out
