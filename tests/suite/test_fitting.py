"""A suite fits the checkpoints that it is run on: how they are asked, what is left out, and what is said of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.checkpoints.resolution import resolve
from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.gate.baselines import chosen_policy
from evalkit.inference.plan import make_plan
from evalkit.lab import CHECKPOINTS
from evalkit.plumbing.progress import Quiet
from evalkit.run import run_suite
from evalkit.suite.fitting import Fitted, closed_vocabulary, fit
from evalkit.suite.schema import Suite, load_suite, overrides
from tests import ROOT
from tests.conftest import WORDS

SUITES = ROOT / "suites"
FROM_THE_HUB = ("noveltybench",)
"""Those whose prompts are fetched; tests/suite/test_noveltybench.py reads them from here."""
SHIPPED = sorted(path.stem for path in SUITES.glob("*.yaml") if path.stem not in FROM_THE_HUB)
OF_PAIRS = [suite for suite in SHIPPED if suite != "asking"]
"""Those of a base and tuned checkpoints."""
BUILT_IN = [suite for suite in SHIPPED if suite not in ("open-ended", "valid-sets", "values")]
"""Those of the built-in checkpoints, whose words are too few for questions about lives, facts, or all that people ask."""


def spelling(folder: Path) -> Path:
    """The checkpoint with a tokenizer that can spell any text."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = {chr(code): code - 20 for code in range(32, 127)} | {"<s>": 0, "</s>": 1, "<unk>": 2}
    tokenizer["model"] = {"type": "BPE", "vocab": vocabulary, "merges": [], "unk_token": "<unk>"}
    tokenizer["pre_tokenizer"] = None
    tokenizer["added_tokens"] = []
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


@pytest.fixture
def real(make_folder: Callable[..., Path]) -> dict[str, str]:
    """Two checkpoints that can spell any text."""
    names = ("base", "tuned")
    return {name: str(spelling(make_folder(name, max_position_embeddings=8_192))) for name in names}


def fitted(suite: str, models: dict[str, str], **asked: Any) -> Fitted:
    loaded = load_suite(SUITES / f"{suite}.yaml", overrides(models, None, None, None, **asked))
    return fit(loaded, {name: resolve(name, spec) for name, spec in loaded.checkpoints.items()})


@pytest.mark.parametrize("suite", BUILT_IN)
def test_the_built_in_checkpoints_are_asked_as_ever(suite: str) -> None:
    asked = load_suite(SUITES / f"{suite}.yaml")
    found = fit(asked, {name: resolve(name, spec) for name, spec in asked.checkpoints.items()})
    assert found == Fitted(asked, {}, "")
    for name in asked.checkpoints:
        spec = asked.checkpoints[name]
        for sampling in asked.settings(name):
            assert sampling.max_tokens == asked.sampling.max_tokens * (spec.ask.answers if spec.ask else 1)
            assert sampling.stop == (("\nPrompt:",) if spec.is_framed else ())


@pytest.mark.parametrize("suite", OF_PAIRS)
def test_checkpoints_that_can_spell_are_given_room_and_an_end(suite: str, real: dict[str, str]) -> None:
    found = fitted(suite, real)
    asked = found.suite
    for base, tuned in zip(asked.settings("base"), asked.settings("tuned"), strict=True):
        assert base.max_tokens == tuned.max_tokens >= 16
        assert "\nPrompt:" in base.stop
        assert tuned.stop == (("\n\n",) if suite == "search" else ("\n",))
    examples = asked.checkpoints["base"].frame.examples
    texts = {prompt.text for prompt in asked.prompts}
    assert not texts & {example.prompt for example in examples}, "an example must not give an answer away"
    assert bool(examples) == (suite != "voices")
    assert all("\n" not in example.completion for example in examples)


def test_how_a_checkpoint_is_spelled_decides_nothing() -> None:
    spelled = fitted("creative", {"base": "lab:base", "tuned": "lab:tuned"})
    found = fitted("creative", {"base": str(CHECKPOINTS / "base"), "tuned": str(CHECKPOINTS / "ppo-0.2")})
    assert found.note == spelled.note == ""
    assert found.suite.settings("base") == spelled.suite.settings("base")
    assert "reward|model:lab:reward" in map(str, found.suite.metrics)


def test_what_a_checkpoint_states_itself_goes_before(real: dict[str, str]) -> None:
    suite = load_suite(SUITES / "creative.yaml", overrides(real, None, None, None))
    base = suite.checkpoints["base"]
    own = base.model_copy(
        update={
            "frame": base.frame.model_copy(update={"template": "Q: {prompt}\nA:"}),
            "sampling": base.sampling.model_copy(update={"max_tokens": 7}),
        }
    )
    suite = suite.model_copy(update={"checkpoints": suite.checkpoints | {"base": own}})
    found = fit(suite, {name: resolve(name, spec) for name, spec in suite.checkpoints.items()})
    assert found.suite.checkpoints["base"].frame == own.frame
    assert found.suite.settings("base")[0].max_tokens == 7
    assert set(found.longer) == {"tuned"}


def test_longer_prompts_are_sampled_apart_and_all_once(real: dict[str, str]) -> None:
    plan = make_plan(load_suite(SUITES / "creative.yaml", overrides(real, 4, None, None)), "transformers")
    for name in real:
        shards = plan.shards_of(name)
        rooms = {prompt.prompt_id: shard.sampling for shard in shards for prompt in shard.prompts}
        assert len(rooms) == sum(len(shard.prompts) for shard in shards) == 64
        assert rooms["describe-sea"].max_tokens == 256
        assert "\n" not in rooms["describe-sea"].stop
        assert rooms["describe-forest"].max_tokens == 160
        assert "\n" in rooms["describe-forest"].stop
        assert rooms["describe-sea"].n == rooms["describe-forest"].n == 4


def test_a_plan_that_is_cut_into_blocks_ends_each_where_no_shard_goes_on(real: dict[str, str]) -> None:
    plan = make_plan(load_suite(SUITES / "creative.yaml", overrides(real, 2, None, None)), "transformers", blocks=8)
    assert plan.block_ends[-1] == 64
    assert len(plan.block_ends) >= 8
    for end in plan.block_ends:
        part = plan.first(end)
        assert {p.prompt_id for shard in part.shards for p in shard.prompts} == {p.id for p in part.suite.prompts}


def test_a_reward_that_can_read_nothing_is_left_out_with_one_note(real: dict[str, str]) -> None:
    found = fitted("creative", real)
    assert "reward" not in {measure.name for measure in found.suite.measures}
    assert str(found.suite.quality_measure) == "task_checks"
    assert found.note.count("lab:reward") == 1
    assert "--reward MODEL" in found.note
    assert "Skywork/Skywork-Reward-V2-Qwen3-0.6B" in found.note


def test_what_cannot_be_had_without_a_reward_goes_with_it(real: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(
        "name: s\ncheckpoints:\n  base: {path: 'lab:base', kind: base}\nmetrics:\n  - reward: {model: 'lab:reward'}\n"
        '  - win_rate\n  - useful/distinct_n\n  - length\nquality_bar: 0.5\nprompts: [{id: a, text: "A?"}]\n',
        encoding="utf-8",
    )
    asked = load_suite(path, overrides({"base": real["base"]}, None, None, None))
    found = fit(asked, {"base": resolve("base", asked.checkpoints["base"])})
    assert [str(measure) for measure in found.suite.metrics] == ["length"]
    assert "left out with it: win_rate, useful/distinct_n" in found.note


def test_one_lab_checkpoint_is_enough_to_keep_its_reward(real: dict[str, str]) -> None:
    found = fitted("creative", {"mine": real["tuned"]})
    assert found.note == ""
    assert "reward|model:lab:reward" in map(str, found.suite.metrics)


def test_a_gate_s_rules_for_what_is_left_out_are_dropped_and_said(real: dict[str, str]) -> None:
    found = fitted("search", real)
    assert found.suite.gate is not None
    assert [rule.metrics for rule in found.suite.gate.rules] == [("accuracy",)]
    assert "what the suite's gate asks of it is not asked" in found.note
    assert "what the suite's gate" not in fitted("creative", real).note


def test_a_reward_of_the_command_line_takes_the_place_of_the_suite_s(real: dict[str, str]) -> None:
    found = fitted("search", real, rewards=(real["tuned"],), judge="strict")
    names = [str(measure) for measure in found.suite.metrics]
    assert names[:2] == ["accuracy", f"reward|model:{real['tuned']}"]
    assert names[-1] == "judge|model:strict"
    assert found.suite.gate is not None
    assert [rule.metrics for rule in found.suite.gate.rules] == [("accuracy",), ("reward",)]


def suite_of(text: str, folder: Path, **asked: Any) -> Suite:
    path = folder / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    return load_suite(path, overrides({}, None, None, None, **asked))


TWO_RATERS = """\
name: s
checkpoints: {base: {path: "lab:base", kind: base}}
quality: {reward: {model: "lab:reward"}}
quality_bar: 0.5
metrics:
  - reward: {model: "lab:reward-friends"}
  - distinct_n
  - judge: {model: old, pairs: 3}
gate:
  rules:
    - {metrics: "reward|model:lab:reward", allow: {absolute: 1}}
    - {metrics: distinct_n, allow: {relative: 0.1},
       trade: {metric: "reward|model:lab:reward-friends", gain: 1, allow: {relative: 0.2}}}
prompts: [{id: a, text: "A?"}]
"""


def test_rewards_of_the_command_line_are_known_to_quality_and_gate(tmp_path: Path) -> None:
    suite = suite_of(TWO_RATERS, tmp_path, rewards=("org/one", "org/two"), judge="new")
    assert [str(measure) for measure in suite.metrics] == [
        "reward|model:org/one",
        "reward|model:org/two",
        "distinct_n",
        "judge|model:new|pairs:3",
    ]
    assert str(suite.quality_measure) == "reward|model:org/two"
    assert suite.quality_bar is None
    assert suite.gate is not None
    first, second = suite.gate.rules
    assert first.metrics == ("reward|model:org/two",)
    assert second.trade is not None
    assert second.trade.metric == "reward|model:org/one"


def test_a_closed_list_of_words_is_seen_in_the_tokenizer(
    make_folder: Callable[..., Path], real: dict[str, str]
) -> None:
    closed = resolve("base", spec_of(make_folder("closed")))
    assert closed_vocabulary(closed) == frozenset(WORDS)
    assert closed_vocabulary(resolve("base", spec_of(Path(real["base"])))) is None


def spec_of(folder: Path) -> CheckpointSpec:
    return CheckpointSpec(path=str(folder), kind="base")


def test_a_copy_of_a_lab_checkpoint_is_a_lab_checkpoint(tmp_path: Path) -> None:
    copy = shutil.copytree(CHECKPOINTS / "base", tmp_path / "elsewhere")
    found = fitted("creative", {"base": str(copy)})
    assert found.longer == {}
    assert found.note == ""


class Notes(Quiet):
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def note(self, text: str) -> None:
        self.heard.append(text)


def test_a_run_says_once_what_is_left_out_and_its_page_says_it_too(tmp_path: Path) -> None:
    """The lab's weights behind another tokenizer: they write nonsense, and that is enough."""
    folders = {"base": "base", "tuned": "ppo-0.2"}
    copies = {name: str(spelling(shutil.copytree(CHECKPOINTS / it, tmp_path / name))) for name, it in folders.items()}
    suite = load_suite(SUITES / "search.yaml", overrides(copies, 4, None, 3))
    short = suite.open_vocabulary.model_copy(update={"max_tokens": 8, "frame": Frame()})
    tell = Notes()
    run = run_suite(suite.model_copy(update={"open_vocabulary": short}), "transformers", tmp_path / "run", tell)
    told = [text for text in tell.heard if "lab:reward" in text]
    assert len(told) == 1
    assert [alarm.message for alarm in run.summary.alarms if alarm.kind == "left out"] == told
    assert "--reward MODEL" in run.report.read_text(encoding="utf-8")
    assert not [estimate for estimate in run.summary.estimates if estimate.metric.startswith("reward")]
    policy, _ = chosen_policy(str(run.folder), None)
    assert [rule.metrics for rule in policy.rules] == [("accuracy",)]


def test_a_way_of_asking_for_several_answers_is_given_room_for_each(real: dict[str, str]) -> None:
    every = fitted("asking", {"": real["tuned"]}).suite
    asked = {name: every.settings(name)[0] for name in every.checkpoints}
    assert {name: one.max_tokens for name, one in asked.items()} == {
        name: 400 if name in ("list-5", "verbalized-5") else 80 for name in asked
    }
    assert (asked["direct"].stop, asked["list-5"].stop) == (("\n",), ())
    assert asked["no-template"].stop == ("\n", "\nPrompt:")
    assert every.checkpoints["no-template"].frame.examples
