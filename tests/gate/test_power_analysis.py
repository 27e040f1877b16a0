"""A pilot's own completions are measured in halves, and the plan says what finds the loss and what it costs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from evalkit.analysis.estimates import AskedSuite, summarise
from evalkit.analysis.measure import Measurements, measure_groups
from evalkit.analysis.sampled_arms import SampledArms
from evalkit.cli.main import main
from evalkit.errors import InputError, RecordsError
from evalkit.gate.power_analysis import plan_size
from evalkit.metrics.registry import Measure
from evalkit.metrics.text_sets import words_of
from evalkit.plumbing.progress import Quiet
from evalkit.records import Arm, Completion, Group, Sampling
from evalkit.runs.folder import open_store
from evalkit.runs.summary import to_json
from evalkit.suite.gate_policy import DEFAULT
from evalkit.suite.schema import Suite, load_suite

PROMPTS, N = 24, 16
SAMPLING = Sampling(n=N, temperature=1.0, top_p=1.0, min_p=0.0, max_tokens=9, stop=(), seed=0)
ARMS = [Arm("base", "base", "base", SAMPLING, None), Arm("tuned", "tuned", "tuned", SAMPLING, "base")]
SUITE = """\
name: tiny
checkpoints:
  base: {path: "lab:base", kind: base}
  tuned: {path: "lab:tuned", kind: tuned}
metrics: [distinct_n, ngram_entropy, kl_reverse, length]
prompts:
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    rows = "".join(f'  - {{id: p{i}, text: "Write about number {i}."}}\n' for i in range(PROMPTS))
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE + rows, encoding="utf-8")
    return path


@pytest.fixture
def pilot(tmp_path: Path, suite: Path) -> Path:
    """A run of two arms that say five random words of a vocabulary that differs a little between prompts."""
    rng = np.random.default_rng(0)
    asked = load_suite(suite)
    groups = {arm.name: [_group(asked, i, rng) for i in range(PROMPTS)] for arm in ARMS}
    folder = tmp_path / "pilot"
    with open_store(folder, lambda _: None) as store:
        for arm, members in groups.items():
            store.put(f"key{arm}", [completion for group in members for completion in group.completions])
        measures = [m for m in asked.metrics if m.name != "kl_reverse"]
        measured = measure_groups(measures, SampledArms(ARMS, groups, N), Quiet()).measured
        summary = summarise(AskedSuite("tiny", [p.id for p in asked.prompts]), ARMS, measured, [])
        store.write("summary.json", to_json(summary).encode())
        shards = [{"arm": arm.name, "key": f"key{arm.name}"} for arm in ARMS]
        store.write_json("run.json", {"state": "complete", "shards": shards, "suite": {}, "identity": {}})
    return folder


def _group(suite: Suite, index: int, rng: np.random.Generator) -> Group:
    words = rng.integers(0, 8 + index // 4, size=(N, 5))
    made = [
        Completion(f"p{index}", slot, " ".join(f"w{word}" for word in row), (1,) * 6, (), "stop")
        for slot, row in enumerate(words)
    ]
    return Group(suite.prompts[index], tuple(made))


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def test_a_plan_names_prompts_completions_and_tokens(suite: Path, pilot: Path) -> None:
    plans = plan_size(load_suite(suite), str(pilot), DEFAULT, 0.1, 0.9, [], Quiet())
    assert [(one.metric, one.pair) for one in plans.planned] == [
        ("distinct_n", ("tuned", "base")), ("ngram_entropy", ("tuned", "base")),
    ]  # fmt: skip
    assert plans.family == 2
    for planned in plans.planned:
        by_k = {split.samples: split.prompts for split in planned.splits}
        assert list(by_k.values()) != []
        assert by_k[8] >= by_k[16] >= by_k[32]
        # Six tokens a completion of five words; a prompt has five too (its stop is one), read at the same rate.
        assert all(split.tokens == split.prompts * (6 + 6 * split.samples) for split in planned.splits)
    assert plans.common is not None


def test_halves_are_counted_as_the_whole_run_is(suite: Path, pilot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = suite.read_text(encoding="utf-8").replace("prompts:\n", "tokenizer: char\nprompts:\n")
    suite.write_text(asked, encoding="utf-8")
    seen: list[str] = []

    def measured(measures: list[Measure], sampled: SampledArms, *rest: Any) -> Measurements:
        seen.extend(words_of({arm: own}) for arm, own in sampled.groups.items())
        return measure_groups(measures, sampled, *rest)

    monkeypatch.setattr("evalkit.gate.power_analysis.measure_groups", measured)
    plan_size(load_suite(suite), str(pilot), DEFAULT, 0.2, 0.8, [], Quiet())
    assert set(seen) == {"char"}


def test_a_larger_loss_and_less_power_need_fewer_prompts(suite: Path, pilot: Path) -> None:
    def prompts(loss: float, power: float) -> int:
        common = plan_size(load_suite(suite), str(pilot), DEFAULT, loss, power, [], Quiet()).planned[0].splits
        return min(split.prompts for split in common)

    assert prompts(0.08, 0.9) > prompts(0.1, 0.9) > prompts(0.1, 0.7)


def test_the_table_is_printed_with_what_is_enough_for_all(suite: Path, pilot: Path) -> None:
    result = call("power", suite, "--pilot", pilot)
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert "To find a loss of 10 % with a chance of 90 %" in text
    once = re.search(r"Enough for every measure: (\d+) prompts x \d+ completions", text)
    blocks = re.search(r"In blocks .*: (\d+) prompts keep that chance; .* (\d+) % of them are asked", text)
    assert once
    assert blocks
    assert 1.1 < int(blocks[1]) / int(once[1]) < 1.4
    assert 40 < int(blocks[2]) < 65


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--loss", "0.05"], "the policy allows distinct_n to lose 0.05; ask for a larger loss"),
        (["--arm", "tuned=nobody"], "has no arm 'nobody'; it has base, tuned"),
        (["--loss", "2"], "Invalid value for '--loss'"),
    ],
)
def test_what_cannot_be_planned_is_exit_code_2(suite: Path, pilot: Path, options: list[str], message: str) -> None:
    result = call("power", suite, "--pilot", pilot, *options)
    assert result.exit_code == 2
    assert message in result.output


def test_a_run_of_other_prompts_is_no_pilot(suite: Path, pilot: Path) -> None:
    asked = load_suite(suite)
    fewer = asked.model_copy(update={"prompts": asked.prompts[:5]})
    with pytest.raises(RecordsError, match="is of other prompts than the suite"):
        plan_size(fewer, str(pilot), DEFAULT, 0.1, 0.9, [], Quiet())


def test_a_folder_without_its_shards_is_refused(suite: Path, pilot: Path) -> None:
    manifest = json.loads((pilot / "run.json").read_text())
    (pilot / "run.json").write_text(json.dumps(manifest | {"shards": manifest["shards"][:1]}))
    with pytest.raises(RecordsError, match="has not four completions or more of every prompt"):
        plan_size(load_suite(suite), str(pilot), DEFAULT, 0.1, 0.9, [], Quiet())
    (pilot / "run.json").write_text(json.dumps({key: manifest[key] for key in ("state", "suite", "identity")}))
    with pytest.raises(RecordsError, match="arm 'base' has not four completions or more"):
        plan_size(load_suite(suite), str(pilot), DEFAULT, 0.1, 0.9, [], Quiet())


def test_a_policy_that_allows_no_shares_leaves_nothing_to_plan(suite: Path, pilot: Path) -> None:
    rule = DEFAULT.rules[0].model_copy(update={"allow": DEFAULT.rules[1].allow})
    with pytest.raises(InputError, match="there is nothing to plan"):
        plan_size(load_suite(suite), str(pilot), DEFAULT.model_copy(update={"rules": (rule,)}), 0.1, 0.9, [], Quiet())


def test_halves_of_a_best_of_arm_are_refused(suite: Path, pilot: Path) -> None:
    path = pilot / "summary.json"
    fields = json.loads(path.read_text())
    fields["arms"][1]["best_of"] = 4
    path.write_text(json.dumps(fields))
    with pytest.raises(InputError, match="keeps the best of several draws"):
        plan_size(load_suite(suite), str(pilot), DEFAULT, 0.1, 0.9, [], Quiet())


def test_one_arm_stands_for_two_releases(suite: Path, pilot: Path) -> None:
    plans = plan_size(load_suite(suite), str(pilot), DEFAULT, 0.1, 0.9, [("tuned", "tuned")], Quiet())
    assert plans.planned[0].pair == ("tuned", "tuned")
    assert plans.planned[0].chosen is not None
    assert replace(plans.planned[0].chosen, tokens=0).prompts >= 5


def test_prompts_that_belong_together_are_planned_by_the_cluster(suite: Path, pilot: Path) -> None:
    alone = plan_size(load_suite(suite), str(pilot), DEFAULT, 0.1, 0.9, [], Quiet())
    text = suite.read_text(encoding="utf-8")
    for place in range(PROMPTS):
        text = text.replace(f"{{id: p{place},", f"{{id: p{place}, cluster: q{place // 4},")
    suite.write_text(text, encoding="utf-8")
    together = plan_size(load_suite(suite), str(pilot), DEFAULT, 0.1, 0.9, [], Quiet())
    assert (alone.clusters, together.clusters) == (PROMPTS, PROMPTS // 4)
    # Neighbours in the suite are alike here, so that four of them say little more than one.
    assert together.common is not None
    assert alone.common is not None
    assert together.common.prompts > alone.common.prompts
    result = call("power", suite, "--pilot", pilot)
    assert re.search(r"prompts \(in \d+ clusters as large as the pilot's\) x", " ".join(result.output.split()))
