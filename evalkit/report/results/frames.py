"""What a report shows, as tidy pandas frames: one observation a row, columns and dtypes as stated here.

`docs/python.md` says what the columns hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.analysis.effects import betters, outcome
from evalkit.metrics.registry import split_variant
from evalkit.metrics.summary import Summary
from evalkit.plumbing.frames import Columns, frame
from evalkit.records import Arm, Completion
from evalkit.report.content.content import ReportContent

if TYPE_CHECKING:
    import pandas as pd

INTERVAL = {"value": "float64", "low": "float64", "high": "float64"}
MEASURED = {"arm": "string", "metric": "string", "variant": "string"}
ESTIMATES: Columns = {
    **MEASURED, **INTERVAL, "prompts": "int64", "samples": "int64", "side": "string", "better": "string",
    "unit": "string", "signature": "string",
}  # fmt: skip
DIFFERENCES: Columns = {
    **MEASURED, "baseline": "string", **INTERVAL, "p": "float64", "p_adjusted": "float64", "outcome": "string",
    "signature": "string",
}  # fmt: skip
VALUES: Columns = {**MEASURED, "prompt_id": "string", "value": "float64"}
COMPLETIONS: Columns = {
    "arm": "string", "prompt_id": "string", "prompt": "string", "slot": "int64", "completion": "string",
    "tokens": "Int64", "logprob": "float64", "finish_reason": "string",
}  # fmt: skip
SCORES: Columns = {
    "arm": "string", "prompt_id": "string", "slot": "int64", "score": "string", "value": "float64",
}  # fmt: skip
CURVES: Columns = {
    "arm": "string", "curve": "string", "measure": "string", "k": "int64", **INTERVAL, "prompts": "int64",
    "unit": "string", "signature": "string",
}  # fmt: skip
ALARMS: Columns = {"arm": "string", "kind": "string", "message": "string"}


def estimates(content: ReportContent) -> pd.DataFrame:
    """A row a measure and arm: mean over prompts with its 95 % interval."""
    units = {measure: text.unit for measure, text in content.metrics.items()}
    rows = []
    for e in content.summary.estimates:
        variant, plain = split_variant(e.metric)
        counts, about = (e.prompts, e.samples), (e.traits.side, e.better, units.get(e.metric, units.get(plain)))
        rows.append((e.arm, e.metric, variant, e.value, e.low, e.high, *counts, *about, e.signature))
    return frame(ESTIMATES, rows)


def differences(summary: Summary) -> pd.DataFrame:
    """A row a measure and arm with a baseline: arm minus baseline, paired by prompt."""
    directions = betters(summary)
    rows = []
    for d in summary.differences:
        effect = outcome(d, directions.get(d.metric, "neither"))
        interval = (d.value, d.low, d.high)
        rows.append(
            (d.arm, d.metric, split_variant(d.metric)[0], d.baseline, *interval, d.p, d.p_adjusted, effect, d.signature)
        )
    return frame(DIFFERENCES, rows)


def values(summary: Summary) -> pd.DataFrame:
    """A row a measure, arm and prompt: what the estimates are means of."""
    return frame(
        VALUES,
        (
            (e.arm, e.metric, split_variant(e.metric)[0], prompt, value)
            for e in summary.estimates
            for prompt, value in zip(summary.prompts, e.values, strict=True)
        ),
    )


def completions(content: ReportContent) -> pd.DataFrame:
    """A row a completion."""
    arms = {arm.name: arm for arm in content.summary.arms}
    return frame(
        COMPLETIONS,
        (
            (name, group.prompt.id, group.prompt.text, c.sample_index, c.text, *_drawn(c, arms[name]))
            for name, groups in content.groups.items()
            for group in groups
            for c in group.completions
        ),
    )


def _drawn(completion: Completion, arm: Arm) -> tuple[int | None, float | None, str | None]:
    """Tokens, log-prob and why it ended, as far as that is known: of texts made elsewhere it is not."""
    tokens = len(completion.token_ids) or None
    logprob = sum(completion.logprobs) if completion.logprobs else None
    return tokens, logprob, None if arm.sampling is None else completion.finish_reason


def scores(content: ReportContent) -> pd.DataFrame:
    """A row a score and completion."""
    return frame(
        SCORES,
        (
            (arm, group.prompt.id, completion.sample_index, score, value)
            for score, by_arm in content.scores.items()
            for arm, by_prompt in by_arm.items()
            for group, group_scores in zip(content.groups[arm], by_prompt, strict=True)
            for completion, value in zip(group.completions, group_scores, strict=True)
        ),
    )


def curves(summary: Summary) -> pd.DataFrame:
    """A row an arm, curve and k."""
    return frame(
        CURVES,
        (
            (c.arm, c.name, c.measure, *point, c.prompts, c.unit, c.signature)
            for c in summary.curves
            for point in zip(c.ks, c.values, c.lows, c.highs, strict=True)
        ),
    )


def alarms(summary: Summary) -> pd.DataFrame:
    """A row a finding that makes numbers untrustworthy."""
    return frame(ALARMS, ((alarm.arm, alarm.kind, alarm.message) for alarm in summary.alarms))
