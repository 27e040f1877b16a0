"""Verdicts to be told, one of them hostile."""

from __future__ import annotations

from evalkit.gate.decide import GateDecision, GateOutcome, Judgement

HOSTILE = "ve|ndi`</code><script>alert(1)</script>\n::error::100%, a:b @someone \x00\ud800 **x** [y](z)"


def judgement(
    metric: str = "vendi", outcome: GateOutcome = "regression", arm: str = "tuned", note: str = ""
) -> Judgement:
    return Judgement(
        metric=metric,
        arm=arm,
        against=arm,
        outcome=outcome,
        unit="relative",
        allowed=0.05,
        change=-0.123,
        low=-0.14,
        high=-0.105,
        p_within=1.0,
        p_beyond=0.001,
        prompts=60,
        units=60,
        needed=137 if outcome == "inconclusive" else None,
        note=note,
    )


def verdict(*judgements: Judgement) -> GateDecision:
    return GateDecision(judgements[0].outcome, judgements, 0.95, "reports/new", "v1")


MIXED = verdict(
    judgement("vendi"),
    judgement("self_bleu|n:3", "inconclusive"),
    judgement("distinct_n", "pass"),
    judgement("ead_n", "pass"),
)
ATTACK = verdict(judgement(HOSTILE, "regression", HOSTILE, HOSTILE), judgement(HOSTILE, "inconclusive", HOSTILE))
