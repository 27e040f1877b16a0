"""A summary is what the gate and the report read: complete, strict JSON, and it comes back as it was."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from evalkit.analysis.estimates import AskedSuite, Measured, summarise
from evalkit.errors import RecordsError
from evalkit.metrics.declaration import Traits
from evalkit.metrics.summary import Alarm, Bar, Crossover, Curve, Reading, Summary
from evalkit.records import Arm, Sampling
from evalkit.runs.summary import read_summary, to_json

SAMPLING = Sampling(n=8, temperature=1.0, top_p=1.0, min_p=0.0, max_tokens=9, stop=("x",), seed=0)
ARMS = [Arm("base", "base", "base", SAMPLING, None), Arm("tuned", "tuned", "tuned", SAMPLING, "base")]
PROMPTS = [f"p{i}" for i in range(30)]
RNG = np.random.default_rng(0)
BASE = RNG.normal(size=30)
MEASURED = [
    Measured("m", "m|k:8|v:1", "higher", {"base": BASE, "tuned": BASE + 1 + 0.1 * RNG.normal(size=30)}, 8),
    Measured("same", "same|k:8|v:1", "lower", {"base": BASE, "tuned": BASE}, 8),
    Measured("gone", "gone|k:8|v:1", "neither", {"base": np.full(30, math.nan), "tuned": BASE}, 8),
]


@pytest.fixture
def summary() -> Summary:
    return summarise(AskedSuite("tiny", PROMPTS), ARMS, MEASURED, [Alarm("tuned", "kind", "words")])


def test_differences_are_paired_by_prompt(summary: Summary) -> None:
    [difference] = [d for d in summary.differences if d.metric == "m"]
    assert (difference.arm, difference.baseline) == ("tuned", "base")
    assert difference.value == pytest.approx(1, abs=0.1)
    # Unpaired, the interval would be about +-0.5: the prompts' own spread has gone out of it.
    assert difference.high is not None
    assert difference.low is not None
    assert difference.high - difference.low < 0.1
    assert difference.p is not None
    assert difference.p < 1e-6


def test_p_values_are_corrected_over_all_differences(summary: Summary) -> None:
    by_metric = {d.metric: d for d in summary.differences}
    assert by_metric["m"].p_adjusted == pytest.approx(2 * by_metric["m"].p)  # two defined tests
    assert by_metric["same"].p_adjusted == 1
    assert by_metric["gone"].p_adjusted is None


def test_what_is_undefined_is_null_and_never_a_number(summary: Summary) -> None:
    [gone] = [e for e in summary.estimates if (e.metric, e.arm) == ("gone", "base")]
    assert (gone.value, gone.low, gone.high, gone.prompts) == (None, None, None, 0)
    assert set(gone.values) == {None}


def test_the_file_has_the_keys_that_are_promised(summary: Summary) -> None:
    fields = json.loads(to_json(summary))
    assert fields["schema"] == 3
    assert fields["suite"] == "tiny"
    assert fields["prompts"] == PROMPTS
    assert {"name", "checkpoint", "kind", "sampling"} <= fields["arms"][0].keys()
    estimate = {
        "metric",
        "signature",
        "arm",
        "value",
        "low",
        "high",
        "confidence",
        "prompts",
        "samples",
        "better",
        "values",
    }
    assert estimate <= fields["estimates"][0].keys()
    assert len(fields["estimates"][0]["values"]) == len(PROMPTS)
    assert {"metric", "signature", "arm", "baseline", "value", "low", "high", "p", "p_adjusted"} <= fields[
        "differences"
    ][0].keys()


def test_a_summary_comes_back_as_it_was(summary: Summary, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text(to_json(summary), encoding="utf-8")
    assert read_summary(path) == summary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a summary that evalkit wrote"),
        ("[]", "is not a summary that evalkit wrote"),
        ("{}", "is not a summary that evalkit wrote"),
        (
            '{"schema": true}',
            "is not a summary that evalkit wrote: schema is true; it must be a whole number, 1, 2 or 3",
        ),
        (
            '{"schema": null}',
            "is not a summary that evalkit wrote: schema is null; it must be a whole number, 1, 2 or 3",
        ),
        ('{"schema": 4}', "has schema 4; this evalkit reads 1, 2 and 3: upgrade evalkit"),
        ('{"schema": 1, "suite": "x"}', "is not a summary that evalkit wrote: prompts"),
    ],
)
def test_a_file_that_is_no_summary_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "summary.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecordsError) as caught:
        read_summary(path)
    assert message in str(caught.value)


def test_few_prompts_are_an_alarm(summary: Summary) -> None:
    assert [alarm.kind for alarm in summary.alarms] == ["kind"]
    short = [dataclasses.replace(one, values={arm: v[:19] for arm, v in one.values.items()}) for one in MEASURED]
    found = summarise(AskedSuite("tiny", PROMPTS[:19]), ARMS, short, [])
    assert [alarm.kind for alarm in found.alarms] == ["few prompts"]
    assert "only 19 prompts" in found.alarms[0].message


def test_of_one_prompt_no_interval_is_spoken_of() -> None:
    alone = [dataclasses.replace(one, values={arm: v[:1] for arm, v in one.values.items()}) for one in MEASURED]
    [alarm] = summarise(AskedSuite("tiny", PROMPTS[:1]), ARMS, alone, []).alarms
    assert alarm.message == (
        "only one prompt: there is no interval, and no difference can be told from chance; ask 20 or more"
    )


def test_one_arm_alone_has_no_differences() -> None:
    alone = [dataclasses.replace(one, values={"base": one.values["base"]}) for one in MEASURED]
    assert summarise(AskedSuite("tiny", PROMPTS), ARMS[:1], alone, []).differences == ()


def test_each_variant_is_a_family_of_its_own_for_holm() -> None:
    one = MEASURED[0]
    more = [dataclasses.replace(one, measure=f"{variant}/m") for variant in ("useful", "pooled")]
    alone = summarise(AskedSuite("tiny", PROMPTS), ARMS, [one], [])
    beside = summarise(AskedSuite("tiny", PROMPTS), ARMS, [one, *more], [])
    assert [d.p_adjusted for d in beside.differences] == [alone.differences[0].p_adjusted] * 3


def test_what_is_compared_comes_back_as_it_was(summary: Summary, tmp_path: Path) -> None:
    curve = Curve("best_of", "reward", "reward", "s", "base", (1, 2), (0.5, None), (0.4, None), (0.6, None), 0.95, 30)
    crossover = Crossover("best_of", "reward", "s", "tuned", "base", 1.5, 0.0, None, 2)
    reading = Reading("tuned", "base", "m", "reward", "s", -0.1, -0.2, 0.0, 1.0, 2.0)
    bar = Bar("reward", 0.5, "the median of base", {"base": 0.5, "tuned": 0.9})
    full = dataclasses.replace(summary, bar=bar, curves=(curve,), crossovers=(crossover,), readings=(reading,))
    path = tmp_path / "summary.json"
    path.write_text(to_json(full), encoding="utf-8")
    assert read_summary(path) == full


def without_traits(summary: Summary) -> Summary:
    """Those of a measure that an older summary names are looked up, and nobody has declared these."""
    unknown = MEASURED[0].traits
    estimates = (dataclasses.replace(estimate, traits=unknown) for estimate in summary.estimates)
    return dataclasses.replace(summary, estimates=tuple(estimates))


def test_a_summary_of_schema_1_is_read_without_what_came_later(summary: Summary, tmp_path: Path) -> None:
    fields = json.loads(to_json(summary)) | {"schema": 1}
    for later in ("bar", "curves", "crossovers", "readings", "clusters"):
        del fields[later]
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    assert without_traits(read_summary(path)) == without_traits(summary)


def test_a_summary_of_schema_2_is_read_without_clusters(summary: Summary, tmp_path: Path) -> None:
    fields = json.loads(to_json(summary)) | {"schema": 2}
    del fields["clusters"]
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    assert without_traits(read_summary(path)) == without_traits(summary)


def test_clusters_are_kept_widen_intervals_and_are_what_few_prompts_counts(tmp_path: Path) -> None:
    together = {arm: np.repeat(own[:10], 3) for arm, own in MEASURED[0].values.items()}
    same = [dataclasses.replace(MEASURED[0], values=together)]
    clusters = [str(place // 3) for place in range(30)]
    alone, clustered = (summarise(AskedSuite("tiny", PROMPTS, named), ARMS, same, []) for named in ((), clusters))
    assert [alarm.kind for alarm in alone.alarms] == []
    assert "only 10 clusters of 30 prompts" in clustered.alarms[0].message
    assert [e.value for e in clustered.estimates] == pytest.approx([e.value for e in alone.estimates])
    cut = dataclasses.replace(MEASURED[0], values={arm: own[:10] for arm, own in MEASURED[0].values.items()})
    ten = summarise(AskedSuite("tiny", PROMPTS[:10]), ARMS, [cut], [])
    for found, wanted in zip((*clustered.estimates, *clustered.differences), (*ten.estimates, *ten.differences),
                             strict=True):  # fmt: skip
        assert (found.low, found.high) == (pytest.approx(wanted.low), pytest.approx(wanted.high))
    assert clustered.differences[0].p == pytest.approx(ten.differences[0].p)
    path = tmp_path / "summary.json"
    path.write_text(to_json(clustered), encoding="utf-8")
    assert read_summary(path) == clustered
    path.write_text(to_json(dataclasses.replace(clustered, clusters=clustered.clusters[1:])), encoding="utf-8")
    with pytest.raises(RecordsError, match="29 clusters named for 30 prompts"):
        read_summary(path)


def test_known_bounds_go_into_intervals_and_differences() -> None:
    right = dataclasses.replace(MEASURED[0], values={"base": np.ones(30), "tuned": np.ones(30)}, bounds=(0.0, 1.0))
    found = summarise(AskedSuite("tiny", PROMPTS), ARMS, [right], [])
    unseen = 1 - 0.025 ** (1 / 30)
    assert (found.estimates[0].low, found.estimates[0].high) == (pytest.approx(1 - unseen), 1.0)
    assert (found.differences[0].low, found.differences[0].high) == (pytest.approx(-unseen), pytest.approx(unseen))
    assert found.differences[0].p == 1


@pytest.mark.parametrize(("value", "heard"), [(7.9, True), (7.0, False)])
def test_a_count_of_nearly_all_completions_is_an_alarm(value: float, heard: bool) -> None:
    arms = (Arm("base", "base", "base", None, None),)
    counted = Measured(
        "distinct_k",
        "s",
        "higher",
        {"base": np.full(24, value)},
        8,
        Traits("diversity", "meaning", bounds=(1, "k")),
        (1.0, 8.0),
    )
    told = summarise(AskedSuite("s", [str(row) for row in range(24)]), arms, [counted], [])
    assert [alarm.kind for alarm in told.alarms] == ["ceiling"] * heard
    assert all("draw 32 or more" in alarm.message for alarm in told.alarms)
    assert all(e.high is not None and e.high <= 8 for e in told.estimates)
