"""A config is checked before anything is loaded; a mistake names file, line, key, what was found and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.errors import SuiteError
from evalkit.training.config import (
    BestOfNConfig,
    DpoConfig,
    GrpoConfig,
    Job,
    PolicyGradientConfig,
    PpoConfig,
    RewardConfig,
    RewardSource,
    RlooConfig,
    SftConfig,
    load_config,
)
from evalkit.training.raters.config import PrefsSampleConfig, PrefsSimulateConfig

PPO = """\
name: tiny
policy: {path: "lab:base", kind: base}
reward: {model: "lab:reward"}
beta: [0.5, 0.1]
sampling: {max_tokens: 24}
batch: 64
minibatches: 4
samples: 2
prompts:
  - {id: one, text: "Write the first line of a story."}
  - {id: two, text: "Name a colour."}
"""
BASE = "policy: {path: x, kind: base}"
BEST = f"{BASE}\nreward: {{model: y}}\nprompts: [{{id: a, text: b}}]"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write PPO, with some of its text replaced, as ppo.yaml."""

    def written(*replacements: tuple[str, str]) -> Path:
        text = PPO
        for old, new in replacements:
            assert old in text, f"{old!r} is not in the config; the test would test nothing"
            text = text.replace(old, new)
        path = tmp_path / "ppo.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


GROUPS = (
    ("one completion a prompt", RlooConfig, "samples: 1", "samples: found 1; it must be greater than or equal to 2"),
    ("a group that does not fit", GrpoConfig, "samples: 5", "batch is 64; it must be a multiple of samples, 5"),
    ("no such scale", GrpoConfig, "scale: batch", "scale: found batch; it must be 'group' or 'none'"),
    ("a critic", RlooConfig, "critic: x", "unknown key 'critic'"),
    ("two places of a divergence", GrpoConfig, "divergence: forward_kl", "divergence forward_kl stands inside the reward"),
    ("two estimators", GrpoConfig, "estimator: k2", "estimator is of the KL inside the reward"),
    ("no such divergence", RlooConfig, "divergence: tv", "divergence: found tv; it must be 'reverse_kl', 'forward_kl' or"),
    ("an estimator of nothing", PpoConfig, "estimator: k3\ndivergence: jensen_shannon", "estimator k3 is one of the reverse"),
    ("a target without a start", RlooConfig, "entropy_target: {target: 3}", "give it a start value above 0"),
    ("distinct from nothing", PpoConfig, "samples: 1\ndistinctness: exact", "set samples to at least 2"),
    ("a negative bonus", PpoConfig, "entropy_bonus: -1", "entropy_bonus: found -1; it must be greater than or equal to 0"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "line", "said"), [row[1:] for row in GROUPS], ids=[row[0] for row in GROUPS])
def test_a_wrong_objective_is_told_with_file_line_and_key(
    write: Write, method: type[PolicyGradientConfig], line: str, said: str
) -> None:
    with pytest.raises(SuiteError) as told:
        load_config(method, write(("samples: 2", line if line.startswith("samples") else f"samples: 2\n{line}")))
    assert said in str(told.value)
    assert "ppo.yaml:" in str(told.value)


def test_a_config_is_read_whole(write: Write) -> None:
    config = load_config(PpoConfig, write())
    assert config.beta == (0.5, 0.1)
    assert config.reward.model == "lab:reward"
    assert config.sampling.max_tokens == 24
    assert [prompt.id for prompt in config.prompts] == ["one", "two"]


def test_one_beta_needs_no_list(write: Write) -> None:
    assert load_config(PpoConfig, write(("[0.5, 0.1]", "0.5"))).beta == (0.5,)


MISTAKES = [
    ("unknown key", ("batch: 64", "bacth: 64"), "ppo.yaml:6: unknown key 'bacth' (did you mean 'batch'?)"),
    ("unknown inner key", ("max_tokens: 24", "max_token: 24"), "ppo.yaml:5: unknown key 'sampling.max_token' (did you mean 'max_tokens'?)"),
    ("unknown key of a reward", ("model:", "modle:"), "ppo.yaml:3: unknown key 'reward.modle' (did you mean 'model'?)"),
    ("no reward", ("{model: \"lab:reward\"}", "{}"), "ppo.yaml:3: reward: a reward is either `model: PATH` or `utility: {name: weight}`"),
    ("two rewards", ("{model: \"lab:reward\"}", "{model: x, utility: {words: 1}}"), "ppo.yaml:3: reward: a reward is either `model: PATH` or"),
    ("a weight that is a word", ("{model: \"lab:reward\"}", "{utility: {words: much}}"), "ppo.yaml:3: reward.utility.words: found much; it must be a number"),
    ("negative beta", ("0.1]", "-0.1]"), "ppo.yaml:4: beta[1]: found -0.1; it must be greater than 0"),
    ("beta that is no number", ("0.1]", ".nan]"), "ppo.yaml:4: beta[1]"),
    ("no beta", ("[0.5, 0.1]", "[]"), "ppo.yaml:4: beta: "),
    ("beta twice", ("[0.5, 0.1]", "[0.5, 0.5]"), "beta lists a value twice"),
    ("a batch of no whole samples", ("samples: 2", "samples: 3"), "batch is 64; it must be a multiple of samples, 3"),
    ("a batch of no whole minibatches", ("minibatches: 4", "minibatches: 5"), "batch is 64; it must be a multiple of minibatches, 5"),
    ("a target for a ladder", ("batch: 64", "batch: 64\nadaptive: {target: 2}"), "adaptive moves beta by itself; it needs a single start value of beta, not a list"),
    ("unknown estimator", ("batch: 64", "batch: 64\nestimator: k4"), "ppo.yaml:7: estimator: found k4; it must be 'k1', 'k2' or 'k3'"),
    ("unknown dtype", ("batch: 64", "batch: 64\ndtype: float16"), "ppo.yaml:7: dtype: found float16"),
    ("temperature 0", ("max_tokens: 24", "max_tokens: 24, temperature: 0"), "ppo.yaml:5: sampling.temperature: found 0; it must be greater than 0"),
    ("a fraction of an update", ("batch: 64", "batch: 64\nupdates: 2.5"), "ppo.yaml:7: updates: found 2.5; it must be"),
    ("a learning rate in words", ("batch: 64", "batch: 64\nlearning_rate: fast"), "ppo.yaml:7: learning_rate: found fast; it must be a number"),
    ("lora of rank 0", ("batch: 64", "batch: 64\nlora: {rank: 0}"), "ppo.yaml:7: lora.rank: found 0; it must be greater than or equal to 1"),
    ("a name that is a path", ("name: tiny", "name: a/b"), "ppo.yaml:1: name: found a/b; it must match pattern"),
    ("equal ids", ("id: two", "id: one"), "ppo.yaml:11: prompt id 'one' is used twice (first at"),
    ("blank prompt", ("Name a colour.", "  "), "ppo.yaml:11: prompt 'two' is blank"),
    ("two sources of prompts", ("prompts:", "prompts_from: {file: x.jsonl}\nprompts:"), "give either `prompts` with at least one prompt, or `prompts_from`"),
    ("missing key", ("name: tiny\n", ""), "name: this key is missing; it must be given"),
    ("repeated key", ("batch: 64", "batch: 64\nbatch: 32"), "ppo.yaml:7: key 'batch' stands here again (first in line 6)"),
    ("not YAML", ("[0.5, 0.1]", "[0.5"), "not valid YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_named_with_its_place(write: Write, change: tuple[str, str], message: str) -> None:
    path = write(change)
    with pytest.raises(SuiteError) as caught:
        load_config(PpoConfig, path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_mistakes_are_named_at_once(write: Write) -> None:
    with pytest.raises(SuiteError) as caught:
        load_config(PpoConfig, write(("batch: 64", "batch: 0"), ("max_tokens: 24", "max_tokens: 0")))
    assert len(str(caught.value).splitlines()) == 2


def test_a_config_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"nowhere\.yaml: there is no such file"):
        load_config(PpoConfig, tmp_path / "nowhere.yaml")


def test_prompts_are_read_from_a_file_beside_the_config(write: Write, tmp_path: Path) -> None:
    (tmp_path / "asked.jsonl").write_text('{"id": "a", "text": "Name a tree."}\n', encoding="utf-8")
    path = write((PPO[PPO.index("prompts:") :], "prompts_from: {file: asked.jsonl}\n"))
    config = load_config(PpoConfig, path)
    assert [prompt.text for prompt in config.prompts] == ["Name a tree."]
    assert config.prompts_from is None


def test_a_missing_file_of_prompts_is_named_with_the_line_that_asks_for_it(write: Write) -> None:
    path = write((PPO[PPO.index("prompts:") :], "prompts_from: {file: asked.jsonl}\n"))
    with pytest.raises(SuiteError, match=r"ppo\.yaml:9: there is no file .*asked\.jsonl"):
        load_config(PpoConfig, path)


@pytest.mark.parametrize(
    ("model", "text", "field"),
    [
        (RewardConfig, "model: {path: x, kind: base}\npreferences: [a.jsonl, b.jsonl]", "preferences"),
        (SftConfig, "model: {path: x, kind: base}\ndata: [a.jsonl, b.jsonl]", "data"),
        (PrefsSimulateConfig, "pairs: [a.jsonl, b.jsonl]\ngroups: {all: {values: {utility: {words: 1}}}}", "pairs"),
    ],
)
def test_file_names_are_relative_to_the_config(
    tmp_path: Path, model: type[RewardConfig | SftConfig | PrefsSimulateConfig], text: str, field: str
) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(f"name: job\n{text}\n", encoding="utf-8")
    assert getattr(load_config(model, path), field) == (str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"))


@pytest.mark.parametrize(
    ("model", "text", "message"),
    [
        (RewardConfig, "preferences: a.jsonl", "model: this key is missing"),
        (RewardConfig, "model: {path: x, kind: base}\npreferences: a.jsonl\nheld_out: 1", "job.yaml:4: held_out: found 1; it must be less than 1"),
        (RewardConfig, "model: {path: x, kind: base}\npreferences: a.jsonl\nmargin: -1", "job.yaml:4: margin: found -1; it must be greater than or equal to 0"),
        (DpoConfig, f"{BASE}\npreferences: a.jsonl", "beta: this key is missing"),
        (DpoConfig, f"{BASE}\npreferences: a.jsonl\nbeta: [1, 1.0]", "beta lists a value twice"),
        (DpoConfig, f"{BASE}\npreferences: a.jsonl\nbeta: 0", "job.yaml:4: beta[0]: found 0; it must be greater than 0"),
        (DpoConfig, f"{BASE}\npreferences: a.jsonl\nbeta: 1\ndivergence: kl", "job.yaml:5: divergence: found kl; it must be 'reverse_kl', 'forward_kl' or 'jensen_shannon'"),
        (DpoConfig, f"{BASE}\npreferences: a.jsonl\nbeta: 1\ndivergence: forward_kl\nlength_normalised: true", "length_normalised goes with divergence reverse_kl alone, not with forward_kl"),
        (DpoConfig, f"{BASE}\npreferences: a.jsonl\nbeta: 1\nlength_normalized: true", "job.yaml:5: unknown key 'length_normalized' (did you mean 'length_normalised'?)"),
        (BestOfNConfig, f"{BEST}\nn: 1", "job.yaml:5: n[0]: found 1; it must be greater than or equal to 2"),
        (BestOfNConfig, f"{BEST}\nn: [4, 4]", "n lists a value twice"),
        (BestOfNConfig, f"{BEST}\nn: []", "job.yaml:5: n: "),
        (BestOfNConfig, f"{BEST}\nn: 4\nsamples: 1", "job.yaml:6: samples: found 1; it must be greater than or equal to 2"),
        (BestOfNConfig, f"{BASE}\nn: 4\nprompts: [{{id: a, text: b}}]", "reward: this key is missing"),
        (SftConfig, "model: {path: x, kind: chat}\ndata: a.jsonl", "job.yaml:2: model.kind: found chat; it must be 'base' or 'tuned'"),
        (PrefsSampleConfig, "policy: {path: x, kind: base}\npairs: 0\nprompts: [{id: a, text: b}]", "job.yaml:3: pairs: found 0; it must be greater than or equal to 1"),
        (PrefsSampleConfig, "policy: {path: x, kind: base}", "give either `prompts` with at least one prompt, or"),
        (PrefsSimulateConfig, "pairs: a.jsonl\ngroups: {}", "job.yaml:3: groups: "),
        (PrefsSimulateConfig, "pairs: a.jsonl\ngroups: {all: {raters: 2}}", "job.yaml:3: groups.all.values: this key is missing"),
        (PrefsSimulateConfig, "pairs: a.jsonl\ngroups: {all: {values: {utility: {words: 1}}, nose: 2}}", "job.yaml:3: unknown key 'groups.all.nose' (did you mean 'noise'?)"),
    ],
)  # fmt: skip
def test_mistakes_of_other_configs_are_named_with_their_place(
    tmp_path: Path,
    model: type[Job],
    text: str,
    message: str,
) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(f"name: job\n{text}\n", encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        load_config(model, path)
    assert message in str(caught.value)


def test_a_reward_is_shown_in_words() -> None:
    assert str(RewardSource(model="lab:reward")) == "lab:reward"
    assert str(RewardSource(utility={"words": -0.05, "accuracy": 1})) == "-0.05 words + 1 accuracy"


@pytest.mark.parametrize("config", [RewardConfig, SftConfig])
@pytest.mark.parametrize("setting", ["chat_template_kwargs: {enable_thinking: false}"])
def test_settings_of_chat_templates_that_a_trainer_would_not_read_are_refused(
    tmp_path: Path, config: type[RewardConfig | SftConfig], setting: str
) -> None:
    path = tmp_path / "train.yaml"
    data = "preferences: p.jsonl" if config is RewardConfig else "data: p.jsonl"
    path.write_text(f"name: t\nmodel: {{path: x, kind: tuned, {setting}}}\n{data}\n", encoding="utf-8")
    with pytest.raises(SuiteError, match=r"train.yaml:2: model: \w+ is read where prompts are sampled, not by this"):
        load_config(config, path)
