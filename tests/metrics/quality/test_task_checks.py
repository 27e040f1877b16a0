"""task_checks as a measure: on files, in runs, and in what is known of prompts without checks."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from evalkit.analysis.completion_scores import score_completions
from evalkit.errors import MetricError, SuiteError
from evalkit.inference.suite_checks import check_measures
from evalkit.lab.world import load
from evalkit.metrics.registry import parse
from evalkit.plumbing.progress import Quiet
from evalkit.records import Completion, Group, Prompt
from evalkit.runs.asked import version_of
from evalkit.suite.schema import load_suite
from tests import ROOT

SUITES = ROOT / "suites"
GRAMMAR = load()
CHECKED = parse("task_checks")


def group_of(prompt: Prompt, texts: Sequence[str]) -> Group:
    return Group(prompt, tuple(Completion(prompt.id, slot, text, (), (), "stop") for slot, text in enumerate(texts)))


def group(checks: tuple[str, ...], *texts: str) -> Group:
    return group_of(Prompt("p", "Name a colour.", checks=checks), texts)


def test_every_completion_has_its_share_and_a_prompt_without_checks_none() -> None:
    first, second = CHECKED([group(("max_words:1", "mentions:red"), "Red", "A red one", "Blue sky"), group((), "Red")])
    assert first.tolist() == [1, 0.5, 0]
    assert np.isnan(second).all()


def test_other_checks_are_another_score_in_the_cache() -> None:
    texts = ("Red", "A red one")
    [one] = score_completions(CHECKED, [group(("max_words:1",), *texts)], Quiet())
    [two] = score_completions(CHECKED, [group(("mentions:red",), *texts)], Quiet())
    assert one.tolist() == [1, 0]
    assert two.tolist() == [1, 1]


def test_it_needs_prompts_with_checks() -> None:
    with pytest.raises(MetricError, match="needs prompts with `checks`; none has any"):
        check_measures([CHECKED], [Prompt("p", "Name a colour.")])


def test_a_suite_s_checks_stand_before_those_of_its_prompts(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    prompts = [{"id": "a", "text": "A?", "checks": ["max_words:3", "no_echo"]}, {"id": "b", "text": "B?"}]
    suite = {
        "name": "s",
        "checkpoints": {"base": {"path": "lab:base", "kind": "base"}},
        "metrics": ["task_checks"],
        "checks": ["one_line", "no_echo"],
        "prompts": prompts,
    }
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    assert [prompt.checks for prompt in load_suite(path).prompts] == [
        ("one_line", "no_echo", "max_words:3"),
        ("one_line", "no_echo"),
    ]
    path.write_text(path.read_text(encoding="utf-8").replace("max_words:3", "max_word:3"), encoding="utf-8")
    with pytest.raises(SuiteError, match=r"suite\.yaml:\d+: prompt 'a': check 'max_word:3': there is no check"):
        load_suite(path)


def test_checks_are_read_from_files(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "A?", "checks": ["one_line"]}, {"id": "b", "text": "B?"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    (tmp_path / "rows.csv").write_text('id,text,checks\na,A?,"[""one_line""]"\nb,B?,\n', encoding="utf-8")
    for name in ("rows.jsonl", "rows.csv"):
        path = tmp_path / "suite.yaml"
        suite = {
            "name": "s",
            "checkpoints": {"base": {"path": "lab:base", "kind": "base"}},
            "metrics": ["task_checks"],
            "prompts_from": {"file": name},
        }
        path.write_text(yaml.safe_dump(suite), encoding="utf-8")
        assert [prompt.checks for prompt in load_suite(path).prompts] == [("one_line",), ()]


def test_prompts_without_checks_are_the_prompts_they_were() -> None:
    """The value is of the version before there were checks."""
    prompts = [Prompt("a", "A?", answer="b"), Prompt("c", "C?", choices={"x": 1.0})]
    assert version_of(prompts) == "8f1b6d44fbb5564767549bff8629c1d5"
    assert version_of([Prompt("a", "A?", checks=("one_line",))]) != version_of([Prompt("a", "A?")])


def test_texts_of_the_lab_have_the_form_that_the_creative_suite_asks_for() -> None:
    """Its grammar answers every prompt in a line; a check that says otherwise would be wrong."""
    prompts = [prompt for prompt in load_suite(SUITES / "creative.yaml").prompts if prompt.text in GRAMMAR.by_text]
    rng = random.Random(0)
    shares = []
    for prompt in prompts:
        texts = [GRAMMAR.sample(prompt.text, rng) for _ in range(40)]
        shares += CHECKED([group_of(prompt, texts)])[0].tolist()
    assert len(prompts) == 64
    assert np.mean(shares) > 0.99
    assert np.mean(np.array(shares) == 0) == 0
