"""Reward models learn what raters value, say how sure they may be, and are read alike by every tool."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaForSequenceClassification

from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.checkpoints.training_log import read_curves
from evalkit.errors import CheckpointError, EvalkitError, InputError, RecordsError
from evalkit.metrics.quality.reward import RewardModel
from evalkit.plumbing.progress import Quiet
from evalkit.preferences.files import Preference, read_preferences, write_preferences
from evalkit.records import Prompt
from evalkit.training import optimise
from evalkit.training import reward_model as reward
from evalkit.training.batch import pack
from evalkit.training.calibration import calibration_error, judge, reliability, wilson
from evalkit.training.chat_format import exchange_template, template_ids
from evalkit.training.config import RewardConfig
from evalkit.training.models import fresh_value_network, load_policy, sequence_scores
from evalkit.training.split import held_out_prompts
from tests import ROOT
from tests.training import toy

LETTERS = "abcd"
PROMPTS = [" ".join(letters) for letters in itertools.product(LETTERS, repeat=3)]
COMPLETIONS = [" ".join(word) for n in (1, 2) for word in itertools.product(LETTERS, repeat=n)]
CHAT = (
    "{{- bos_token }}{%- for message in messages %}{{- message['role'] + ' ' + message['content'] + '</s>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- 'assistant ' }}{%- endif %}\n"
)


def likes(letter: str) -> dict[str, float]:
    """Worth of each completion: 1.5 for each time that it says the letter."""
    return {text: 1.5 * text.count(letter) for text in COMPLETIONS}


def prefer(worth: dict[str, float], group: str | None, number: int, seed: int = 0) -> list[Preference]:
    """Bradley-Terry choices between random completions."""
    rng = random.Random(f"{group} {seed}")
    found = []
    for _ in range(number):
        a, b = rng.sample(COMPLETIONS, 2)
        chosen, rejected = (a, b) if rng.random() < 1 / (1 + math.exp(worth[b] - worth[a])) else (b, a)
        found.append(Preference(rng.choice(PROMPTS), chosen, rejected, None, group))
    return found


def config_of(folder: Path, preferences: Sequence[Preference], kind: str = "llama", **changes: object) -> RewardConfig:
    write_preferences(folder / "prefs.jsonl", preferences)
    given = {
        "name": "toy", "preferences": str(folder / "prefs.jsonl"), "batch": 64, "learning_rate": 3e-3,
        "model": {"path": toy.checkpoint(folder / "model", kind), "kind": "base", "frame": {"template": "{prompt} b"}},
        "reference_samples": 128, "max_tokens": 3, "held_out": 0.2,
    }  # fmt: skip
    return RewardConfig.model_validate(given | changes)


def training_json(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    return found


class Stops(Exception):  # noqa: N818
    pass


class Interrupting(Quiet):
    """Ends the process, as kill -9 would, after so many steps."""

    def __init__(self, after: int) -> None:
        self._left = after

    def advance(self, amount: int, tokens: int = 0) -> None:
        if amount == 1:
            self._left -= 1
        if self._left == 0:
            raise Stops


class Noting(Quiet):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_stated_utility_is_learned_up_to_the_raters_noise(tmp_path: Path) -> None:
    worth = likes("a")
    config = config_of(tmp_path, prefer(worth, None, 2500))
    [folder] = reward.train_reward(config, tmp_path / "out", Quiet())
    held_out = training_json(folder)["held_out"]
    held = held_out_prompts((p.prompt for p in read_preferences(config.preferences)), 0.2, 0)
    pairs = [p for p in read_preferences(config.preferences) if p.prompt in held]
    ceiling = np.mean([1 / (1 + math.exp(-abs(worth[p.chosen] - worth[p.rejected]))) for p in pairs])
    assert held_out["share"]["pairs"] == len(pairs)
    assert held_out["share"]["accuracy"] > ceiling - 0.05
    assert held_out["expected"] == pytest.approx(held_out["share"]["accuracy"], abs=0.05)
    assert held_out["ece"] < 0.07
    assert held_out["log_loss"] < 0.6


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_any_tool_reads_the_reward_that_training_reads(tmp_path: Path, kind: str) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 256), kind)
    [folder] = reward.train_reward(config, tmp_path / "out", Quiet())
    policy = load_policy("model", config.model)
    texts = ["a", "b c", "", "d d d", "a a"]
    prompts = [policy.prompt_ids((Prompt("p", text),), 4)[0] for text in ("a b c", "d", "b", "c c", "a")]
    completions = [policy.response_ids(text) for text in texts]
    classifier = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    network = fresh_value_network(CheckpointSpec(path=str(folder), kind="base"), 0)
    network.classifier.load_state_dict(classifier.state_dict())
    with torch.no_grad():
        trained = sequence_scores(network, pack(prompts, completions))

        tokenizer = AutoTokenizer.from_pretrained(folder)
        messages = [
            [{"role": "user", "content": asked}, {"role": "assistant", "content": text}]
            for asked, text in zip(("a b c", "d", "b", "c c", "a"), texts, strict=True)
        ]
        written = [tokenizer.apply_chat_template(exchange, tokenize=False) for exchange in messages]
        batch = tokenizer(written, add_special_tokens=False, padding=True, return_tensors="pt")
        plain = classifier(**batch).logits[:, 0]

    assert classifier.config.id2label == {0: "reward"}
    assert batch["attention_mask"][:, 0].all(), "padded on the right"
    torch.testing.assert_close(plain, trained, atol=1e-4, rtol=0)
    asked = list(zip(("a b c", "d", "b", "c c", "a"), texts, strict=True))
    measured = RewardModel(str(folder), "toy").score(asked)
    torch.testing.assert_close(torch.tensor(measured, dtype=torch.float32), trained, atol=1e-4, rtol=0)


def test_rewards_have_deviation_one_on_the_models_own_completions(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 512))
    [folder] = reward.train_reward(config, tmp_path / "out", Quiet())
    policy = load_policy("model", config.model)
    reference = reward.sample_reference(config, policy, read_preferences(config.preferences), Quiet())
    network = fresh_value_network(CheckpointSpec(path=str(folder), kind="base"), 0)
    network.classifier.load_state_dict(AutoModelForSequenceClassification.from_pretrained(folder).state_dict())
    scale = reward.scale_of_reference(config, network, reference)
    assert len(reference) == 128
    assert scale.deviation == pytest.approx(1, abs=1e-5)
    assert scale.mean == pytest.approx(training_json(folder)["scale"]["mean"], abs=1e-5)


def test_a_difference_in_log_odds_is_the_one_before_scaling(tmp_path: Path) -> None:
    preferences = prefer(likes("a"), None, 512)
    scaled = config_of(tmp_path, preferences)
    [with_scale] = reward.train_reward(scaled, tmp_path / "scaled", Quiet())
    [without] = reward.train_reward(scaled.model_copy(update={"reference_samples": 0}), tmp_path / "plain", Quiet())
    asked = [("a b c", "a a"), ("a b c", "b")]
    high, low = RewardModel(str(with_scale), "scaled").score(asked)
    raw_high, raw_low = RewardModel(str(without), "plain").score(asked)
    odds = training_json(with_scale)["scale"]["log_odds"]
    assert odds != pytest.approx(1, abs=0.01)
    assert odds * (high - low) == pytest.approx(raw_high - raw_low, abs=1e-5)


def test_a_head_with_a_bias_takes_the_mean_off(tmp_path: Path) -> None:
    head = torch.nn.Linear(3, 1)
    hidden = torch.randn(200, 3)
    before = head(hidden)
    mean = reward.rescale_head(head, reward.scale_of(before[:, 0].detach()))
    assert mean == 0.0
    assert head(hidden).mean().item() == pytest.approx(0, abs=1e-5)
    assert head(hidden).std().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("microbatch", [1, 2, 6, 64])
def test_microbatches_do_not_change_the_gradient(tmp_path: Path, microbatch: int) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 20), margin=0.3, centring=0.1, microbatch=microbatch)
    policy = load_policy("model", config.model)
    some = [*reward.encode(config, policy, read_preferences(config.preferences), Quiet())[0]][:9]

    plain = fresh_value_network(config.model, 0)
    chosen = sequence_scores(plain, pack([c.prompt for c in some], [c.chosen for c in some]))
    rejected = sequence_scores(plain, pack([c.prompt for c in some], [c.rejected for c in some]))
    loss = (-(chosen - rejected - 0.3).sigmoid().log() + 0.1 * (chosen + rejected) ** 2).mean()
    loss.backward()

    network = fresh_value_network(config.model, 0)
    means = optimise.accumulate(config, reward.bradley_terry(config, network), some)
    assert means["loss"] == pytest.approx(loss.item(), abs=1e-5)
    for ours, theirs in zip(network.classifier.parameters(), plain.classifier.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)


def test_every_item_is_taken_once_an_epoch() -> None:
    config = RewardConfig.model_construct(batch=64, seed=0, epochs=2)
    taken = [list(optimise.minibatch(config, 200, step)) for step in range(8)]
    assert sorted(itertools.chain(*taken[:4])) == sorted(itertools.chain(*taken[4:])) == list(range(200))
    assert taken[0] != taken[4]
    assert {len(minibatch) for minibatch in taken} == {50}


@pytest.mark.parametrize(("steps", "watched"), [(24, 96), (3, 40), (2000, 5000), (24, 0)])
def test_a_look_takes_no_longer_than_the_steps_before_it(steps: int, watched: int) -> None:
    config = RewardConfig.model_construct(batch=16)
    between = optimise.steps_between_looks(config, steps, watched)
    looked_at = min(watched, optimise.WATCHED)
    assert between >= 1
    assert between * config.batch > looked_at - config.batch
    assert between <= max(1, steps / optimise.LOOKS, looked_at / config.batch)


@given(st.sets(st.text(min_size=1), min_size=2), st.floats(0.01, 0.99), st.integers(0, 5))
def test_prompts_are_held_out_whole(prompts: set[str], share: float, seed: int) -> None:
    held = held_out_prompts([*prompts, *prompts], share, seed)
    assert held < prompts
    assert held
    assert held == held_out_prompts(sorted(prompts), share, seed)
    assert abs(len(held) - share * len(prompts)) <= 1


def test_no_prompt_is_on_both_sides(tmp_path: Path) -> None:
    preferences = prefer(likes("a"), None, 300)
    config = config_of(tmp_path, preferences)
    trained, held_out = reward.encode(config, load_policy("model", config.model), preferences, Quiet())
    assert len(trained) + len(held_out) == 300
    assert not {c.prompt for c in trained} & {c.prompt for c in held_out}


def test_a_killed_training_goes_on_to_the_same_curve_and_model(tmp_path: Path) -> None:
    preferences = [*prefer(likes("a"), "x", 120), *prefer(likes("b"), "y", 120)]
    config = config_of(tmp_path, preferences, groups=True, batch=16, epochs=4)
    unbroken = reward.train_reward(config, tmp_path / "unbroken", Quiet())
    for after in (8, 31, 40):
        with pytest.raises(Stops):
            reward.train_reward(config, tmp_path / "broken", Interrupting(after))
    broken = reward.train_reward(config, tmp_path / "broken", Quiet())
    for one, other in zip(unbroken, broken, strict=True):
        rows = [
            [{k: v for k, v in row.items() if k != "seconds"} for row in read_curves(Path(f"{folder}.work"))]
            for folder in (one, other)
        ]
        assert rows[0] == rows[1]
        assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
        assert training_json(one)["held_out"] == training_json(other)["held_out"]


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 64))
    [folder] = reward.train_reward(config, tmp_path / "out", Quiet())
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert reward.train_reward(config, tmp_path / "out", Quiet()) == [folder]
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_training_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 200), batch=16)
    with pytest.raises(Stops):
        reward.train_reward(config, tmp_path / "out", Interrupting(3))
    write_preferences(tmp_path / "prefs.jsonl", prefer(likes("b"), None, 200))
    with pytest.raises(InputError, match="the files have changed"):
        reward.train_reward(config, tmp_path / "out", Quiet())
    with pytest.raises(InputError, match="holds another training"):
        reward.train_reward(config.model_copy(update={"seed": 1}), tmp_path / "out", Quiet())


def test_groups_with_other_values_get_other_models(tmp_path: Path) -> None:
    preferences = [*prefer(likes("a"), "artists", 800), *prefer(likes("b"), "bakers", 800)]
    folders = reward.train_reward(config_of(tmp_path, preferences, groups=True), tmp_path / "out", Quiet())
    assert [folder.name for folder in folders] == ["reward", "reward-artists", "reward-bakers"]
    table = json.loads((tmp_path / "out" / "groups.json").read_text(encoding="utf-8"))
    for mine, other in (("artists", "bakers"), ("bakers", "artists")):
        assert table[f"reward-{mine}"][mine]["low"] > table[f"reward-{mine}"][other]["high"]
        own = training_json(tmp_path / "out" / f"reward-{mine}")
        assert own["held_out"]["share"] == own["held_out_by_group"][mine]
        assert own["pairs"] < 800
    card = (folders[1] / "README.md").read_text(encoding="utf-8")
    assert "of the rater group `artists` alone" in card
    assert "| bakers |" in card
    page = (tmp_path / "out" / "training.html").read_text(encoding="utf-8")
    assert "reward-bakers" in page
    models = table["disagreement"]["models"]
    assert "Held-out pairs on which they part most" in page
    # Two models of opposite loves part where one completion says more a and the other more b.
    for row in models["pairs"][:3]:
        loves = [row[side].count("a") - row[side].count("b") for side in "ab"]
        assert (loves[0] > loves[1]) == (row["prefers_a"][0] > row["prefers_a"][1])
    assert models["prompts"][0]["low"] > 0
    assert table["disagreement"]["between"] == []  # no rater is named, so that no votes can be held against each other
    assert json.loads((tmp_path / "out" / "train.json").read_text(encoding="utf-8"))["state"] == "complete"


def test_rows_are_those_that_the_page_draws(tmp_path: Path) -> None:
    [folder] = reward.train_reward(config_of(tmp_path, prefer(likes("a"), None, 400)), tmp_path / "out", Quiet())
    rows = read_curves(Path(f"{folder}.work"))
    assert [row["step"] for row in rows] == list(range(len(rows)))
    wanted = {"step", "loss", "accuracy", "grad_norm", "learning_rate", "seconds", "held_out_loss", "held_out_accuracy"}
    assert set(rows[-1]) == wanted


def test_adapters_train_the_head_too_and_are_merged(tmp_path: Path) -> None:
    preferences = prefer(likes("a"), None, 600)
    config = config_of(tmp_path, preferences, lora={"rank": 4}, learning_rate=1e-2, epochs=2)
    [folder] = reward.train_reward(config, tmp_path / "out", Quiet())
    made = AutoModelForSequenceClassification.from_pretrained(folder)
    assert type(made) is LlamaForSequenceClassification
    assert not [name for name in made.state_dict() if "lora" in name]
    start = fresh_value_network(config.model, config.seed).classifier.state_dict()
    changed = {name for name, value in made.state_dict().items() if not torch.equal(value[:5], start[name][:5])}
    assert "score.weight" in changed
    assert "model.layers.0.self_attn.q_proj.weight" in changed
    assert "model.embed_tokens.weight" not in changed
    assert training_json(folder)["held_out"]["share"]["accuracy"] > 0.55


def test_a_base_frame_is_written_by_the_chat_template(tmp_path: Path) -> None:
    frame = Frame.model_validate(
        {"template": 'a "{prompt}"\n b', "examples": [{"prompt": "Why?", "completion": "Rain, and then less."}]}
    )
    for path, its in (("lab:base", Frame()), ("lab:base", frame), (toy.checkpoint(tmp_path), frame)):
        spec = CheckpointSpec(path=path, kind="base", frame=its)
        policy = load_policy("model", spec)
        template = exchange_template(spec, policy.tokenizer)
        for asked, said in (("What is rain?", "Rain."), ("a {b} </s>", ""), ("  d ", "c")):
            [prompt] = policy.prompt_ids((Prompt("p", asked),), 1)
            expected = [*prompt, *policy.response_ids(said)]
            assert template_ids(policy.tokenizer, template, asked, said) == expected


@pytest.mark.parametrize("system", [None, 'Say "a".'])
def test_a_tuned_models_exchange_ends_at_its_end_of_sequence(tmp_path: Path, system: str | None) -> None:
    folder = Path(toy.checkpoint(tmp_path))
    (folder / "chat_template.jinja").write_text(CHAT.replace("bos_token", "''"), encoding="utf-8")
    spec = CheckpointSpec(path=str(folder), kind="tuned", system=system)
    policy = load_policy("model", spec)
    template = exchange_template(spec, policy.tokenizer)
    [prompt] = policy.prompt_ids((Prompt("p", "a b"),), 1)
    assert template_ids(policy.tokenizer, template, "a b", " c d ") == [*prompt, *policy.response_ids("c d")]
    messages = [{"role": "user", "content": "a b"}, {"role": "assistant", "content": "c d"}]
    written = policy.tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)
    before = f"system {system}</s>\n" if system else ""
    assert written == f"{before}user a b</s>\nassistant c d</s>"


def test_what_other_tools_would_read_otherwise_is_noted(tmp_path: Path) -> None:
    preferences = prefer(likes("a"), None, 40)
    config = config_of(tmp_path, preferences, model={
        "path": toy.checkpoint(tmp_path / "model"), "kind": "base", "frame": {"template": "{prompt} {prompt}"},
    })  # fmt: skip
    tell = Noting()
    policy = load_policy("model", config.model)
    ids = {p.prompt: (0, 1, 2) for p in preferences}
    reward.check_template(config, policy, preferences, ids, tell)
    assert "become other tokens" in tell.notes[0]


def test_exchanges_that_do_not_fit_are_left_out_and_counted(tmp_path: Path) -> None:
    long = Preference("a b c", " ".join("a" * 40), "b")
    tell = Noting()
    config = config_of(tmp_path, [*prefer(likes("a"), None, 40), long])
    trained, held_out = reward.encode(
        config, load_policy("model", config.model), read_preferences(config.preferences), tell
    )
    assert len(trained) + len(held_out) == 40
    assert tell.notes == ["1 of 41 preferences are longer than the model's context, and left out"]


def test_a_model_with_two_labels_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 40))
    two = AutoModelForSequenceClassification.from_pretrained(config.model.path, num_labels=2)
    two.save_pretrained(tmp_path / "model")
    with pytest.raises(CheckpointError, match="a policy is a causal language model"):
        reward.train_reward(config, tmp_path / "out", Quiet())


@pytest.mark.parametrize(
    ("preferences", "changes", "message"),
    [
        ([Preference("a", "a", "b"), Preference("a", "b", "c")], {}, "a single prompt"),
        ([Preference("a", "a", "b"), Preference("b", "b", "c")], {"groups": True}, "2 of 2 preferences have no `group`"),
        ([Preference("a", "a", "b", group="../x"), Preference("b", "b", "c", group="y")], {"groups": True}, "folder's name"),
        ([Preference("a", "a", "b", group="x"), Preference("b", "b", "c", group="y")], {"groups": True}, "of group '[xy]' to"),
        ([Preference("a " * 31, "a", "b"), Preference("b", "b", "c")], {}, "leaves no room"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_trained_on_is_refused_before_anything_is_written(
    tmp_path: Path, preferences: list[Preference], changes: dict[str, object], message: str
) -> None:
    config = config_of(tmp_path, preferences, **changes)
    with pytest.raises(InputError, match=message):
        reward.train_reward(config, tmp_path / "out", Quiet())
    assert not (tmp_path / "out").exists()


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    config = config_of(tmp_path, [])
    (tmp_path / "prefs.jsonl").write_text('{"prompt": "a", "chosen": "b"}\n', encoding="utf-8")
    with pytest.raises(RecordsError, match=r"prefs.jsonl:1: rejected: this key is missing"):
        reward.train_reward(config, tmp_path / "out", Quiet())


def test_a_loss_that_is_not_finite_ends_the_training_and_keeps_the_state(tmp_path: Path) -> None:
    config = config_of(tmp_path, prefer(likes("a"), None, 100), learning_rate=1e30, batch=16)
    with pytest.raises(EvalkitError, match=r"step \d+: the loss or its gradient is not a finite number.*learning_rate"):
        reward.train_reward(config, tmp_path / "out", Quiet())
    assert not (tmp_path / "out" / "reward").exists()
    assert (tmp_path / "out" / "reward.work" / "state.safetensors").exists()


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="one process"):
        reward.train_reward(config_of(tmp_path, prefer(likes("a"), None, 40)), tmp_path / "out", Quiet())


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_calibration_error_is_the_sum_that_one_does_by_hand() -> None:
    # Confidences .52 .54 (bin .50-.55), .83 .83 .83 .83 (bin .80-.85), 1 in the last bin.
    margins = np.array([logit(0.52), -logit(0.54), *[logit(0.83)] * 3, -logit(0.83), 50.0])
    found = judge(margins)
    by_hand = 2 / 7 * abs(0.5 - 0.53) + 4 / 7 * abs(0.75 - 0.83) + 1 / 7 * abs(1 - 1)
    assert found.ece == pytest.approx(by_hand)
    assert [b.pairs for b in found.bins] == [2, 0, 0, 0, 0, 0, 4, 0, 0, 1]
    assert (found.bins[6].low, found.bins[6].high) == (0.8, 0.85)
    assert found.bins[6].confidence == pytest.approx(0.83)
    assert found.bins[6].accuracy == 0.75
    assert found.bins[1].accuracy is None
    assert found.share.accuracy == pytest.approx(5 / 7)
    assert found.expected == pytest.approx((0.52 + 0.54 + 4 * 0.83 + 1) / 7)
    assert found.log_loss == pytest.approx(-(math.log(0.52) + math.log(0.46) + 3 * math.log(0.83) + math.log(0.17)) / 7)


def test_a_tie_is_half_right() -> None:
    assert judge(np.array([0.0, 0.0, 1.0, -1.0])).share.accuracy == 0.5


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3))
def test_a_calibrated_model_has_almost_no_calibration_error(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    gaps = rng.normal(0, spread, 40_000)
    agrees = rng.random(gaps.size) < 1 / (1 + np.exp(-gaps))
    margins = np.where(agrees, gaps, -gaps)
    honest, boastful = judge(margins), judge(4 * margins)
    assert honest.ece < 0.015
    assert honest.expected == pytest.approx(honest.share.accuracy, abs=0.015)
    assert boastful.share == honest.share
    assert boastful.ece > honest.ece + 0.03


@given(st.lists(st.floats(-800, 800), min_size=1))
def test_every_pair_is_in_one_bin(margins: list[float]) -> None:
    bins = reliability(np.array(margins))
    assert sum(found.pairs for found in bins) == len(margins)
    assert 0 <= calibration_error(bins) <= 1
    assert all(
        found.low - 1e-9 <= found.confidence <= found.high + 1e-9 for found in bins if found.confidence is not None
    )


@given(st.integers(1, 500), st.data())
def test_wilsons_interval_is_scipys(trials: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, trials))
    theirs = binomtest(right, trials).proportion_ci(0.95, method="wilson")
    assert wilson(right, trials) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_the_config_in_the_docs_is_a_config() -> None:
    page = ROOT / "docs" / "reward-models.md"
    text = page.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    assert RewardConfig.model_validate(yaml.safe_load(text)).groups
