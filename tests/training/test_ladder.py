"""A ladder of checkpoints: made whole, gone on with to the same curve after any end, and ready to be compared."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner
from torch import Tensor
from transformers import AutoModelForCausalLM

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.checkpoints.training_log import read_curves
from evalkit.cli.main import main
from evalkit.errors import EvalkitError, InputError, StoreError
from evalkit.plumbing.progress import Quiet
from evalkit.records import Prompt
from evalkit.run import run_suite
from evalkit.suite.schema import Suite, load_suite
from evalkit.training import ladder as ladder
from evalkit.training.batch import pack
from evalkit.training.config import (
    DpoConfig,
    GrpoConfig,
    PolicyGradientConfig,
    PpoConfig,
    RewardSource,
    RlooConfig,
    load_config,
)
from evalkit.training.ladder import critic_of, train_ladder
from evalkit.training.models import Policy, load_policy, response_values
from evalkit.training.raters.config import PrefsSampleConfig, PrefsSimulateConfig
from evalkit.training.scoring import PromptSet, Scale, Scorer
from evalkit.training.state import read_state
from tests import ROOT
from tests.training import toy

UPDATES = 12
CONFIG: dict[str, Any] = {
    "name": "toy",
    "reward": {"utility": {"pattern:a": 1.0}},
    "gold": {"utility": {"words": -1.0}},
    "beta": [0.5, 0.2],
    "sampling": {"max_tokens": toy.LONGEST},
    "updates": UPDATES,
    "batch": 32,
    "epochs": 2,
    "minibatches": 2,
    "learning_rate": 3e-3,
    "probe": {"prompts": 2, "samples": 4, "every": 5},
    "save_every": 4,
    "prompts": [{"id": "short", "text": "</s> a"}, {"id": "long", "text": "</s> b c d"}],
}
LADDER = ("beta-0.5", "beta-0.2")


def write(folder: Path, **changes: object) -> Path:
    """CONFIG, with some keys changed, on the toy's checkpoint, as a file."""
    source = folder.parent / "toy"
    if not source.exists():
        toy.checkpoint(source)
    policy = {"path": str(source), "kind": "base", "frame": {"template": "{prompt}"}}
    folder.mkdir(exist_ok=True)
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump({"policy": policy} | CONFIG | changes), encoding="utf-8")
    return path


def config_of(folder: Path, **changes: object) -> PpoConfig:
    return load_config(PpoConfig, write(folder, **changes))


def curves(out: Path, checkpoint: str = LADDER[0]) -> list[dict[str, object]]:
    """The rows of a checkpoint, but for the time that they took."""
    return [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in read_curves(out / f"{checkpoint}.work")
    ]


def facts(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ladder")


@pytest.fixture(scope="module")
def unbroken(home: Path) -> Path:
    """A training that nothing disturbed."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        folders = train_ladder(config_of(home / "unbroken"), home / "unbroken" / "out", Quiet(), ["evalkit", "train"])
    assert folders == [home / "unbroken" / "out" / checkpoint for checkpoint in LADDER]
    return home / "unbroken" / "out"


def test_a_ladder_is_a_checkpoint_for_each_beta_with_all_that_is_known_of_it(unbroken: Path) -> None:
    assert {path.name for path in unbroken.iterdir() if not path.name.startswith(".")} == {
        "train.json", "training.html", *LADDER, *(f"{checkpoint}.work" for checkpoint in LADDER),
    }  # fmt: skip
    assert facts(unbroken, "train.json")["state"] == "complete"
    for checkpoint, beta in zip(LADDER, CONFIG["beta"], strict=True):
        assert read_curves(unbroken / checkpoint) == read_curves(unbroken / f"{checkpoint}.work")
        told = facts(unbroken / checkpoint, "training.json")
        assert (told["beta"], told["temperature"], told["updates"], told["episodes"]) == (beta, 1.0, 12, 12 * 32)
        assert {"kl", "reward", "entropy", "gold"} <= set(told["reached"])
        card = (unbroken / checkpoint / "README.md").read_text(encoding="utf-8")
        for said in (
            f"reward - {beta:g} KL(policy || start)",
            str(told["reached"]["kl"]),
            str(told["reached"]["entropy"]),
            "temperature 1",
        ):
            assert said in card
        AutoModelForCausalLM.from_pretrained(unbroken / checkpoint)
        left = {path.name for path in (unbroken / f"{checkpoint}.work").iterdir()}
        assert "state.safetensors" not in left, "nothing goes on from it, and it is six checkpoints large"
        assert "curves.jsonl" in left
    held = [facts(unbroken / checkpoint, "training.json") for checkpoint in LADDER]
    assert held[0]["reward_mean"] == held[1]["reward_mean"], "a beta must mean the same at every checkpoint"
    assert held[0]["reached"]["kl"] < held[1]["reached"]["kl"]


def test_the_curves_have_a_row_an_update_and_the_probe_at_its_turn(unbroken: Path) -> None:
    rows = curves(unbroken)
    assert [row["update"] for row in rows] == list(range(UPDATES))
    assert [row["episodes"] for row in rows] == [32 * (i + 1) for i in range(UPDATES)]
    probed = [row["update"] for row in rows if "probe_distinct_texts" in row]
    assert probed == [0, 5, 10, 11]
    first = rows[0]
    assert first["kl"] == pytest.approx(0, abs=1e-5)
    assert first["kl_k1"] == pytest.approx(0, abs=1e-5)
    for row in rows:
        assert row["kl"] >= 0  # type: ignore[operator]
        assert 0 <= row["eos_rate"] <= 1  # type: ignore[operator]
        assert row["gold"] <= 0  # type: ignore[operator]


def evalkit(home: Path, *arguments: object) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(home / "cache")}
    command = [sys.executable, "-m", "evalkit", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_curves_and_weights(home: Path, unbroken: Path) -> None:
    config, out = write(home / "killed"), home / "killed" / "out"
    process = evalkit(home, "train", "ppo", config, "--out", out)
    while len(curves(out)) < 6:  # a state is written after 4
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert facts(out, "train.json")["state"] == "running"
    again = evalkit(home, "train", "ppo", config, "--out", out)
    said, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    assert str(out / "training.html") in said
    assert facts(out, "train.json")["state"] == "complete"
    for checkpoint in LADDER:
        assert curves(out, checkpoint) == curves(unbroken, checkpoint)
        assert facts(out / checkpoint, "training.json") == facts(unbroken / checkpoint, "training.json")
        weights = [(folder / checkpoint / "model.safetensors").read_bytes() for folder in (out, unbroken)]
        assert weights[0] == weights[1]


def test_a_complete_training_is_not_done_again(home: Path, unbroken: Path) -> None:
    times = {path: path.stat().st_mtime_ns for checkpoint in LADDER for path in (unbroken / checkpoint).iterdir()}
    assert train_ladder(config_of(unbroken.parent), unbroken, Quiet()) == [
        unbroken / checkpoint for checkpoint in LADDER
    ]
    assert times == {
        path: path.stat().st_mtime_ns for checkpoint in LADDER for path in (unbroken / checkpoint).iterdir()
    }


def test_another_config_on_the_same_folder_is_refused(home: Path, unbroken: Path) -> None:
    other = write(home / "other", seed=1, updates=3)
    result = CliRunner().invoke(main, ["train", "ppo", str(other), "--out", str(unbroken)], catch_exceptions=False)
    assert result.exit_code == 2
    assert f"{unbroken} holds another training (different: seed, updates); choose another folder" in result.output
    assert "Traceback" not in result.output
    assert facts(unbroken, "train.json")["state"] == "complete"


class Notes(Quiet):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(("estimator", "warned"), [("k1", False), ("k2", True), ("k3", True)])
def test_an_estimator_that_collapses_diversity_is_warned_of(tmp_path: Path, estimator: str, warned: bool) -> None:
    tell = Notes()
    config = config_of(tmp_path / "run", estimator=estimator, updates=1, beta=0.5)
    [folder] = train_ladder(config, tmp_path / "run" / "out", tell)
    found = [note for note in tell.notes if "WARNING" in note]
    assert bool(found) == warned
    assert not warned or f"estimator {estimator} inside the reward" in found[0]
    assert facts(folder, "training.json")["estimator"] == estimator


OTHERS: list[tuple[str, dict[str, object], str]] = [
    ("rloo", {"samples": 4, "entropy_bonus": 0.1}, "reward - 0.5 KL(policy || start) + 0.1 entropy"),
    ("grpo", {"samples": 4}, "reward / deviation of the group - 0.5 KL (k3, as a loss)"),
    (
        "grpo",
        {"samples": 4, "scale": "none", "kl": "reward", "divergence": "forward_kl", "distinctness": "ngrams"},
        "reward x distinctness (ngrams) - 0.5 KL(start || policy)",
    ),
]


@pytest.mark.parametrize(("method", "changes", "objective"), OTHERS)
def test_the_other_methods_make_the_same_folder_from_the_same_config(
    tmp_path: Path, method: str, changes: dict[str, object], objective: str
) -> None:
    path = write(tmp_path / "run", updates=2, beta=0.5, **changes)
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["train", method, str(path), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = facts(out / "beta-0.5", "training.json")
    assert told["method"] == method.upper()
    assert told["objective"] == objective
    assert all(told[name] == value for name, value in changes.items())
    card = (out / "beta-0.5" / "README.md").read_text(encoding="utf-8")
    assert objective in card
    assert f"evalkit train {method}" in card
    rows = read_curves(out / "beta-0.5")
    assert [row["update"] for row in rows] == [0, 1]
    assert all(row["explained_variance"] is None for row in rows)
    page = (out / "training.html").read_text(encoding="utf-8")
    assert "Explained variance" not in page
    assert not [name for name in tensors_at(out) if name.startswith("critic")]


def tensors_at(out: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(out / "beta-0.5" / "model.safetensors", "pt") as file:
        return list(file.keys())


ADAPTIVE = {"beta": 0.5, "adaptive": {"target": 0.05, "horizon": 200}}


def test_a_reward_that_is_no_number_ends_it_and_the_last_state_is_good(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_ladder(config_of(whole, **ADAPTIVE), whole / "out", Quiet())
    config = config_of(broken, **ADAPTIVE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder, "open_scorer", spoiled_after(7, ladder.open_scorer))
        with pytest.raises(EvalkitError, match=r"update 6: a loss or gradient is not a finite .*last saved state"):
            train_ladder(config, broken / "out", Quiet())
    state = read_state(broken / "out" / "beta-0.5.work" / "state.safetensors")
    assert state is not None
    assert state[1]["updates"] == 4
    train_ladder(config, broken / "out", Quiet())
    assert curves(broken / "out") == curves(whole / "out")
    assert len({row["beta"] for row in curves(whole / "out")}) == UPDATES, "beta, too, must be gone on with"


def test_where_memory_runs_out_it_goes_on_with_a_smaller_microbatch(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_ladder(config_of(whole), whole / "out", Quiet())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder, "open_scorer", greedy_after(7, ladder.open_scorer))
        with pytest.raises(EvalkitError, match=r"memory ran out .*lower microbatch"):
            train_ladder(config_of(broken), broken / "out", Quiet())
    train_ladder(config_of(broken, microbatch=4), broken / "out", Quiet())
    for found, row in zip(curves(broken / "out"), curves(whole / "out"), strict=True):
        assert found == pytest.approx(row, rel=1e-3, abs=1e-4)


def greedy_after(calls: int, open_scorer: Callable[..., Scorer]) -> Callable[..., Scorer]:
    """Scorers that ask for more memory than there is after so many calls; the first one is for the reward's scale."""

    def opened(source: RewardSource, policy: Policy, prompts: PromptSet, rows: int) -> Scorer:
        scorer, left = open_scorer(source, policy, prompts, rows), [calls]

        def scores(prompt_index: Sequence[int], responses: Sequence[list[int]]) -> Tensor:
            left[0] -= 1
            return scorer(prompt_index, responses) if left[0] >= 0 else torch.empty(2**50)

        return scores

    return opened


def spoiled_after(calls: int, open_scorer: Callable[..., Scorer]) -> Callable[..., Scorer]:
    """Scorers whose rewards are no numbers after so many calls; the first call is for the reward's scale."""

    def opened(source: RewardSource, policy: Policy, prompts: PromptSet, rows: int) -> Scorer:
        scorer, left = open_scorer(source, policy, prompts, rows), [calls]

        def scores(prompt_index: Sequence[int], responses: Sequence[list[int]]) -> Tensor:
            left[0] -= 1
            found = scorer(prompt_index, responses)
            return found if left[0] >= 0 else found * math.nan

        return scores

    return opened


class Filling(Quiet):
    """A listener in whose time the disk fills: no file can grow beyond a size once so many updates are done."""

    def __init__(self, updates: int, size: int) -> None:
        self.left, self.size = updates, size

    def advance(self, amount: int, tokens: int = 0) -> None:
        self.left -= 1
        if self.left == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.mark.parametrize(
    ("updates", "size", "what"),
    [(6, 300_000, r"state\.safetensors could not be written"), (7, 1, r"curves\.jsonl could not be written")],
)
def test_a_disk_that_fills_in_the_middle_costs_only_what_came_after_the_last_state(
    tmp_path: Path, unbroken: Path, updates: int, size: int, what: str
) -> None:
    config, out = config_of(tmp_path / "run", beta=0.5), tmp_path / "run" / "out"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(StoreError, match=what) as caught:
            train_ladder(config, out, Filling(updates, size))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.exit_code == 5
    state = read_state(out / "beta-0.5.work" / "state.safetensors")
    assert state is not None
    assert state[1]["updates"] == 4
    train_ladder(config, out, Quiet())
    assert curves(out) == curves(unbroken)


@pytest.mark.parametrize("normalise", [True, False])
def test_a_policy_that_never_ends_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, normalise: bool
) -> None:
    monkeypatch.setattr(ladder, "sample", lambda policy, prompts, *_: [[0, 0, 0]] * len(prompts))
    config = config_of(tmp_path / "run", normalise=normalise)
    with pytest.raises(
        InputError,
        match=r"none of 512 completions of the policy ends within max_tokens 3, .* or set missing_eos to null",
    ):
        train_ladder(config, tmp_path / "run" / "out", Quiet())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward": {"model": "nowhere"}}, "there is no folder 'nowhere'"),
        ({"reward": {"utility": {"wrods": 1.0}}}, "there is no utility 'wrods' (did you mean 'words'?)"),
        ({"sampling": {"max_tokens": 30}}, "prompt 'long' takes 4 tokens, which leaves no room for max_tokens 30"),
        ({"reward": {"utility": {"accuracy": 1.0}}}, "utility 'accuracy' needs prompts with an `answer`"),
        ({"lora": {"targets": ["query_key"]}}, "lora.targets: "),
        ({"critic": "lab:base"}, "a reward model is a sequence-classification checkpoint"),
        ({"beta": -1}, "toy.yaml:2: beta[0]: found -1; it must be greater than 0"),
    ],
)
def test_what_cannot_be_trained_is_a_line_and_exit_code_2(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = write(tmp_path / "run", **change)
    result = CliRunner().invoke(
        main, ["train", "ppo", str(path), "--out", str(tmp_path / "out")], catch_exceptions=False
    )
    assert message in result.output
    assert "Traceback" not in result.output
    assert result.exit_code == 2


def test_the_config_of_the_docs_trains(tmp_path: Path) -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "ppo.md").read_text(encoding="utf-8"), re.DOTALL)
    small = {"updates": 1, "batch": 8, "beta": [1, 0.3], "probe": {"prompts": 1, "samples": 2}}
    (tmp_path / "ppo.yaml").write_text(yaml.safe_dump(yaml.safe_load(text) | small), encoding="utf-8")
    config = load_config(PpoConfig, tmp_path / "ppo.yaml")
    for folder in train_ladder(config, tmp_path / "out", Quiet()):
        assert {"kl", "gold"} <= set(facts(folder, "training.json")["reached"])


def test_the_experiment_on_estimators_changes_the_estimator_alone() -> None:
    folder = ROOT / "suites" / "experiments"
    configs = [load_config(PpoConfig, folder / f"kl-{name}.yaml") for name in ("k1", "k2", "k3")]
    assert [config.estimator for config in configs] == ["k1", "k2", "k3"]
    assert len({config.model_copy(update={"name": "", "estimator": "k1"}).model_dump_json() for config in configs}) == 1
    suite = load_suite(folder / "kl-estimators.yaml")
    assert suite.prompts == configs[0].prompts
    compared = [spec.path for name, spec in suite.checkpoints.items() if name != "base"]
    assert compared == [f"trained/{config.name}/beta-{config.beta[0]:g}" for config in configs]


def test_adapters_are_trained_beside_the_reference_and_merged_when_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "forget_state", lambda path: None)
    config = config_of(tmp_path / "run", lora={"rank": 2, "alpha": 4}, beta=0.5, updates=4)
    [folder] = train_ladder(config, tmp_path / "run" / "out", Quiet())
    rows = read_curves(tmp_path / "run" / "out" / "beta-0.5.work")
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-5)
    assert float(rows[-1]["kl"] or 0) > 1e-4
    state = read_state(tmp_path / "run" / "out" / "beta-0.5.work" / "state.safetensors")
    assert state is not None
    assert all("lora_" in name for name in state[0] if name.startswith("policy/"))
    assert not list(folder.glob("adapter_*")), "the checkpoint itself is whole weights"
    assert (folder / "adapter" / "adapter_config.json").is_file()
    AutoModelForCausalLM.from_pretrained(folder)


def exact_kl(home: Path, checkpoint: Path) -> float:
    """Nats a completion, the mean over the prompts, by enumeration."""
    config = config_of(home)
    base, tuned = (
        load_policy("policy", spec)
        for spec in (config.policy, config.policy.model_copy(update={"path": str(checkpoint)}))
    )
    found = 0.0
    for ids in base.prompt_ids(config.prompts, toy.LONGEST):
        reference, policy = toy.response_log_probs(base, ids), toy.response_log_probs(tuned, ids)
        found += float((policy.exp() * (policy - reference)).sum()) / len(config.prompts)
    return found


@pytest.mark.slow
def test_a_checkpoint_of_the_ladder_is_compared_by_a_run(home: Path, unbroken: Path, tmp_path: Path) -> None:
    checkpoints = {
        "before": {"path": str(home / "toy"), "kind": "base", "frame": {"template": "{prompt}"}},
        **{checkpoint: {"path": str(unbroken / checkpoint), "kind": "tuned"} for checkpoint in LADDER},
    }
    suite = Suite.model_validate(
        {
            "name": "toy",
            "checkpoints": checkpoints,
            "sampling": {"n": 256, "max_tokens": toy.LONGEST},
            "metrics": ["sequence_entropy", "length", "kl_reverse"],
            "prompts": CONFIG["prompts"],
        }
    )
    summary = run_suite(suite, "transformers", tmp_path / "report", Quiet()).summary
    values = {(found.metric, found.arm): found.value for found in summary.estimates}
    for checkpoint in LADDER:
        measured = values["kl_reverse", checkpoint]
        assert measured is not None
        # The error of 512 log-ratios, whose deviation is about 1.5, is 0.07.
        assert measured == pytest.approx(exact_kl(unbroken.parent, unbroken / checkpoint), abs=0.2)
    assert (tmp_path / "report" / "report.html").exists()


def test_without_a_reward_model_values_begin_at_the_rewards_mean_on_their_scale_and_can_leave_it(
    tmp_path: Path,
) -> None:
    spec = CheckpointSpec(path=toy.checkpoint(tmp_path), kind="base", frame=Frame(template="{prompt}"))
    config = PpoConfig.model_validate(
        {
            "name": "toy",
            "policy": spec,
            "reward": {"utility": {"words": 1}},
            "beta": 1.0,
            "prompts": (Prompt("p", "a"),),
        }
    )
    critic = critic_of(config, load_policy("policy", spec), Scale(mean=3.0, deviation=2.0))
    batch = pack([[0, 1], [2]], [[1, toy.EOS], [3, 2]])
    values = response_values(critic, batch)
    assert values.eq(0).all()
    (values - 1).square().sum().backward()
    torch.optim.SGD(critic.parameters(), lr=0.1).step()
    assert response_values(critic, batch).abs().min() > 0


@pytest.mark.parametrize("script", sorted((ROOT / "suites" / "experiments").glob("*.py")), ids=lambda path: path.stem)
def test_the_scripts_of_experiments_find_what_they_import(script: Path) -> None:
    module = runpy.run_path(str(script), run_name="imported")
    assert callable(module["main"])


OBJECTIVES = {"grpo": GrpoConfig, "rloo": RlooConfig, "distinct": RlooConfig, "dpo": DpoConfig, "pairs": PrefsSampleConfig,
              "votes": PrefsSimulateConfig}  # fmt: skip


def test_the_experiment_on_objectives_changes_the_objective_alone() -> None:
    folder = ROOT / "suites" / "experiments"
    configs = {
        path.stem: load_config(OBJECTIVES.get(path.stem, PpoConfig), path)
        for path in (folder / "objectives").glob("*.yaml")
    }
    tuned = [config for config in configs.values() if isinstance(config, PolicyGradientConfig)]
    assert len(tuned) == 6
    assert (
        len({(config.policy.path, str(config.reward), config.beta, config.updates, config.batch) for config in tuned})
        == 1
    )
    script = runpy.run_path(str(folder / "objectives.py"), run_name="imported")
    laddered = {name: set(config.beta) for name, config in configs.items() if hasattr(config, "beta")}
    assert laddered == {name: set(script["BETAS"]) for name in script["OBJECTIVES"]}
