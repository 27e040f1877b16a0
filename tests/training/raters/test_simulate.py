"""Raters follow their stated distribution, and chance is tied to the pair."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.cli.main import main
from evalkit.errors import InputError
from evalkit.plumbing.progress import Quiet
from evalkit.preferences.files import Preference
from evalkit.preferences.pairs import Pair, read_pairs, write_pairs
from evalkit.preferences.read_annotations import read_annotations
from evalkit.records import Prompt
from evalkit.training.raters.config import PrefsSimulateConfig, SimulatedLabelling
from evalkit.training.raters.simulate import agreement, annotate_pairs, label_pairs, simulate
from evalkit.training.raters.values import value_pairs
from tests import ROOT
from tests.preferences.pairs import Notes, config, many

Z = 4.5
"""Standard deviations that a frequency may be off: a chance of 1 in 150 000."""


def label(asked: PrefsSimulateConfig, pairs: Sequence[Pair]) -> list[Preference]:
    return label_pairs(asked, pairs, value_pairs(asked.groups, pairs, Quiet()), Notes())


def assert_frequency(count: int, trials: int, probability: float) -> None:
    """Within Z standard deviations of a binomial."""
    assert abs(count - trials * probability) <= Z * math.sqrt(trials * probability * (1 - probability))


@pytest.mark.parametrize("noise", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("words", [1, 2, 4])
def test_raters_follow_bradley_and_terry(words: int, noise: float) -> None:
    asked = config({"g": {"values": {"utility": {"words": 1}}, "noise": noise}})
    found = label(asked, many(4000, a="a " * words, b="b"))
    wins = sum(preference.chosen.startswith("a") for preference in found)
    assert_frequency(wins, 4000, 1 / (1 + math.exp(-(words - 1) / noise)))


def test_gaps_too_wide_for_exp_are_certain() -> None:
    asked = config({"g": {"values": {"utility": {"words": 1e6}}}})
    assert {preference.chosen for preference in label(asked, many(50, a="a a", b="b"))} == {"a a"}
    assert {preference.chosen for preference in label(asked, many(50, a="a", b="b b"))} == {"b b"}


def test_pairs_are_assigned_by_share_and_evenly_among_raters() -> None:
    found = label(config({"few": {"share": 1, "raters": 2}, "more": {"share": 3, "raters": 5}}), many(6000))
    by_group = Counter(preference.group for preference in found)
    assert by_group.total() == 6000
    assert_frequency(by_group["more"], 6000, 3 / 4)
    by_rater = Counter(preference.rater for preference in found)
    assert sorted(by_rater) == ["few-1", "few-2", "more-1", "more-2", "more-3", "more-4", "more-5"]
    for name, size in (("few", 2), ("more", 5)):
        for number in range(1, size + 1):
            assert_frequency(by_rater[f"{name}-{number}"], by_group[name], 1 / size)


def test_every_group_labels_every_pair_where_asked() -> None:
    found = label(config({"b": {}, "a": {}}, every_group=True), many(5))
    assert [(p.prompt_id, p.group) for p in found] == [(f"p{i}", group) for i in range(5) for group in "ab"]


def test_groups_err_independently() -> None:
    found = label(config({"a": {}, "b": {}}, every_group=True), many(4000))
    same = sum(first.chosen == second.chosen for first, second in zip(found[::2], found[1::2], strict=True))
    assert_frequency(same, 4000, 1 / 2)


def test_equal_pairs_are_compared_independently() -> None:
    pair = Pair(Prompt("p", "Say."), "a", "b")
    found = label(config({"g": {}}), [pair] * 2000)
    assert_frequency(sum(preference.chosen == "a" for preference in found), 2000, 1 / 2)


def test_the_seed_decides() -> None:
    first, again, other = (label(config({"a": {}, "b": {}}, seed=seed), many(100)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_the_order_of_pairs_and_groups_changes_no_label(rng: random.Random) -> None:
    pairs = [*many(20), *many(20, a="a a", b="b"), *many(5)]
    groups = {"a": {"share": 2}, "b": {"noise": 3, "raters": 4}, "c": {}}
    shuffled, order = rng.sample(pairs, len(pairs)), rng.sample(list(groups), len(groups))
    first = label(config(groups), pairs)
    second = label(config({name: groups[name] for name in order}), shuffled)
    assert Counter(first) == Counter(second)


def test_another_groups_values_change_no_label_of_this_one() -> None:
    pairs = many(200, a="a a")
    first, second = (
        label(config({"a": {}, "b": {"values": {"utility": {"words": weight}}}}), pairs) for weight in (1, -9)
    )
    assert [p for p in first if p.group == "a"] == [p for p in second if p.group == "a"]
    assert first != second


def test_agreement_is_one_with_the_own_values_but_for_noise() -> None:
    groups = {
        "long": {"values": {"utility": {"words": 1}}, "noise": 1e-3},
        "short": {"values": {"utility": {"words": -1}}, "noise": 1e-3},
        "none": {"values": {"utility": {"words": 0}}},
    }
    asked, pairs = config(groups, every_group=True), many(30, a="a a")
    values = value_pairs(asked.groups, pairs, Quiet())
    found = agreement(label_pairs(asked, pairs, values, Notes()), values)
    assert list(found) == ["long", "short", "none"]
    assert found["long"]["long"] == found["short"]["short"] == 1
    assert found["long"]["short"] == found["short"]["long"] == 0
    assert math.isnan(found["long"]["none"])


def test_noise_brings_agreement_down_to_the_sigmoid() -> None:
    asked, pairs = config({"g": {"noise": 2}}), many(4000, a="a a")
    values = value_pairs(asked.groups, pairs, Quiet())
    own = agreement(label_pairs(asked, pairs, values, Notes()), values)["g"]["g"]
    assert_frequency(round(own * 4000), 4000, 1 / (1 + math.exp(-1 / 2)))


def test_pairs_that_a_group_cannot_judge_are_left_out_and_counted() -> None:
    asked, pairs, notes = config({"g": {}}), many(3), Notes()
    values = {"g": {(pair.prompt_id, text): 0.0 for pair in pairs for text in "ab"} | {("p1", "b"): math.nan}}
    found = label_pairs(asked, pairs, values, notes)
    assert [preference.prompt_id for preference in found] == ["p0", "p2"]
    assert notes.notes == ["group g cannot judge 1 of its pairs; they are left out"]
    with pytest.raises(InputError, match="no preferences came out"):
        label_pairs(asked, pairs, {"g": dict.fromkeys(values["g"], math.inf)}, Quiet())


def test_a_simulation_votes_on_what_others_have_compared(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Say."},
        {"role": "assistant", "content": "What?"},
        {"role": "user", "content": "A."},
    ]
    rows = [{"prompt": turns, "chosen": [{"role": "assistant", "content": "a"}],
             "rejected": [{"role": "assistant", "content": text}]} for text in ("b", "c")]  # fmt: skip
    path = tmp_path / "votes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    first, second = read_pairs([path])
    assert (first.a, first.b, second.b) == ("a", "b", "c")
    assert first.prompt == second.prompt
    assert [turn.role for turn in first.prompt.messages] == ["user", "assistant", "user"]


def test_a_simulation_reads_the_pairs_of_its_config(tmp_path: Path) -> None:
    write_pairs(tmp_path / "one.jsonl", many(3))
    write_pairs(tmp_path / "two.jsonl", [Pair(Prompt("other", "Say."), "a", "b")])
    asked = config({"g": {}}, pairs=[str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl")])
    assert [preference.prompt_id for preference in simulate(asked, Quiet())] == ["p0", "p1", "p2", "other"]


def test_annotations_have_an_overlap_drawn_sides_and_swapped_repeats() -> None:
    asked = config({"a": {"raters": 5}, "b": {"raters": 2}}, every_group=True)
    pairs = many(400, a="a a")
    labelling = SimulatedLabelling(overlap=3, repeats=0.25, seconds=4)
    rows = annotate_pairs(asked, labelling, pairs, value_pairs(asked.groups, pairs, Quiet()), Notes())
    votes = [row for row in rows if not row.is_repeat]
    assert Counter(row.group for row in votes) == {"a": 1200, "b": 800}
    assert_frequency(len(rows) - len(votes), len(votes), 0.25)
    assert_frequency(sum(row.first == "a" for row in votes), len(votes), 0.5)
    assert_frequency(sum(row.choice == "a" for row in rows), len(rows), 1 / (1 + math.exp(-1)))
    assert_frequency(sum(row.seconds < 4 for row in rows), len(rows), 0.5)
    for before, row in itertools.pairwise(rows):
        if row.is_repeat:
            assert (row.rater, row.comparison) == (before.rater, before.comparison)
            assert row.first != before.first


def test_a_simulation_writes_annotations_where_it_is_asked_to(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", many(4, a="a a"))
    raters = tmp_path / "raters.yaml"
    [stated] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "agreement.md").read_text(encoding="utf-8"), re.DOTALL)
    raters.write_text(stated, encoding="utf-8")
    out = tmp_path / "annotations.jsonl"
    told = CliRunner().invoke(main, ["prefs", "simulate", str(raters), "--out", str(out)], catch_exceptions=False)
    assert f"Annotations: {out}" in told.stdout
    rows = read_annotations([out])
    assert len([row for row in rows if not row.is_repeat]) == 4 * 2 * 3
    told = CliRunner().invoke(main, ["prefs", "stats", str(out)], catch_exceptions=False)
    assert "24 answers of" in told.stdout
