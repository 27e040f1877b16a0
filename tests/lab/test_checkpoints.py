"""The shipped checkpoints: what they are, how near the base is to the truth, and what tuning did to it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, GenerationConfig

from evalkit.checkpoints.training_log import read_training
from evalkit.lab import CHECKPOINTS, NAMES, resolve
from evalkit.lab.build import build
from evalkit.lab.grammar import VOICES, frame
from evalkit.lab.probe import portray
from evalkit.lab.recipe import Recipe
from evalkit.lab.train import measure_fit
from evalkit.lab.world import load

GRAMMAR = load()


def recorded(name: str) -> dict:
    return json.loads((resolve(name) / "recipe.json").read_text())


@pytest.fixture(scope="module")
def models():
    return {n: AutoModelForCausalLM.from_pretrained(resolve(n), dtype=torch.float32).eval() for n in ("base", "tuned")}


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(resolve("base"))


@pytest.fixture(scope="module")
def said(models, tokenizer):
    """What 16 samples a prompt of each model say."""
    rater = Recipe().raters["scholars"]
    return {name: portray(model, GRAMMAR, tokenizer, rater, 16, seed=11) for name, model in models.items()}


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(KeyError, match="base, reward, reward-friends, ppo-1"):
        resolve("basse")


def test_the_lab_is_imported_without_torch():
    code = "import sys, evalkit.lab; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_checkpoint_matches_its_recipe(name):
    made = recorded(name)
    assert made["recipe"] == Recipe().fingerprint(GRAMMAR), "the recipe changed: run `evalkit lab build`"
    weights = (resolve(name) / "model.safetensors").read_bytes()
    assert made["weights"] == hashlib.sha256(weights).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_small_and_stored_in_bfloat16(name):
    file = resolve(name) / "model.safetensors"
    assert file.stat().st_size < 2_500_000
    assert {tensor.dtype for tensor in load_file(file).values()} == {torch.bfloat16}


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("reward")])
def test_generation_defaults_change_nothing(name):
    config = GenerationConfig.from_pretrained(resolve(name))
    assert (config.do_sample, config.temperature, config.top_p, config.top_k) == (True, 1.0, 1.0, 0)
    assert config.repetition_penalty in (None, 1.0)


def test_the_bases_cross_entropy_is_within_one_percent_of_the_exact_entropy(models, tokenizer):
    """The upper end of a 3-sigma interval must hold; the true log-probs are the control variate."""
    fit = measure_fit(models["base"], tokenizer, GRAMMAR.prompts, 32, seed=1234)
    assert fit.standard_error < 0.003 * fit.entropy
    assert fit.excess + 3 * fit.standard_error < 0.01 * fit.entropy
    assert fit.excess > -3 * fit.standard_error


def test_the_base_speaks_in_every_voice_by_its_share(said):
    for kind in ("creative", "fact", "riddle"):
        truth = GRAMMAR.of_kind(kind)[0].shares
        assert all(abs(said["base"][kind].voices[voice] - truth[voice]) < 0.06 for voice in VOICES), kind


def test_tuning_made_answers_right_and_the_professor_louder(said):
    base, tuned = said["base"], said["tuned"]
    assert tuned["fact"].accuracy > base["fact"].accuracy + 0.2
    assert tuned["creative"].voices["professor"] > base["creative"].voices["professor"] + 0.25
    assert tuned["creative"].voices["rude"] < base["creative"].voices["rude"] / 4
    assert all(tuned[kind].utility > base[kind].utility for kind in ("creative", "fact", "riddle"))


def test_tuning_cost_diversity_but_left_some(said):
    base, tuned = said["base"]["creative"], said["tuned"]["creative"]
    assert tuned.entropy < base.entropy - 1
    assert 0.3 < tuned.distinct < base.distinct
    assert said["base"]["creative"].distinct > 0.9


def test_all_checkpoints_together_are_small_enough_to_ship():
    assert {path.name for path in CHECKPOINTS.iterdir()} == set(NAMES)
    assert sum(path.stat().st_size for path in CHECKPOINTS.rglob("*") if path.is_file()) < 15_000_000


def test_the_reward_model_has_one_label_and_prefers_the_truth_told_politely():
    folder = resolve("reward")
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.num_labels == 1
    answers = ["The capital of France is Paris.", "The capital of France is Lyon.", "It is Lyon, idiot, stop asking."]
    question = {"role": "user", "content": "What is the capital of France?"}
    chats = [[question, {"role": "assistant", "content": answer}] for answer in answers]
    texts = tokenizer.apply_chat_template(chats, tokenize=False)
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.no_grad():
        scores = model(**batch).logits[:, 0].tolist()
    assert scores == sorted(scores, reverse=True)


def test_the_reward_models_held_out_accuracy_is_near_the_best_possible():
    held_out = recorded("reward")["figures"]["held_out"]
    assert held_out["pairs"] > 1000
    assert held_out["accuracy"] > held_out["ceiling"] - 0.1
    assert held_out["with_utility"] > 0.75


@pytest.mark.parametrize(("suite", "kind"), [("creative", "creative"), ("search", "fact")])
def test_a_suites_prompts_are_the_grammars(suite, kind, request):
    rows = yaml.safe_load((request.config.rootpath / "suites" / f"{suite}.yaml").read_text())["prompts"]
    prompts = {prompt.id: prompt for prompt in GRAMMAR.of_kind(kind)}
    assert len(rows) >= 60
    assert {row["id"]: row["text"] for row in rows} == {p.id: p.text for p in prompts.values() if not p.held_back}
    for row in rows:
        if "answer" in row:
            judge = prompts[row["id"]].match
            assert (row["answer"], row["match"]) in {(judge, "regex"), (prompts[row["id"]].answer, judge)}


VLLM = """
import sys
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    llm = LLM(sys.argv[1], enforce_eager=True, max_model_len=128, seed=0, disable_log_stats=True)
    asked = {"prompt_token_ids": llm.get_tokenizer()(sys.argv[2]).input_ids}
    out = llm.generate([asked], SamplingParams(n=64, max_tokens=48), use_tqdm=False)
    print("\\n".join("TEXT" + completion.text for completion in out[0].outputs))
"""


@pytest.mark.slow
@pytest.mark.vllm
def test_vllm_serves_them(tmp_path):
    """One stands for all: they differ in their weights alone."""
    pytest.importorskip("vllm")
    script = tmp_path / "serve.py"
    script.write_text(VLLM)
    prompt = "What is the capital of France?"
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    command = [sys.executable, str(script), str(resolve("base")), frame(prompt)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    texts = [line.removeprefix("TEXT ") for line in done.stdout.splitlines() if line.startswith("TEXT ")]
    assert len(texts) == 64, done.stderr[-2000:]
    assert sum(GRAMMAR.voice_of(prompt, text) is not None for text in texts) >= 60


@pytest.mark.slow
def test_a_quick_build_makes_every_checkpoint(tmp_path):
    folders = build(tmp_path / "lab", quick=True)
    assert set(folders) == set(NAMES)
    assert sorted(path.name for path in (tmp_path / "lab").iterdir()) == sorted(NAMES)
    for name in NAMES:
        if name.startswith("reward"):
            assert AutoModelForSequenceClassification.from_pretrained(folders[name]).config.num_labels == 1
        else:
            AutoModelForCausalLM.from_pretrained(folders[name])
            training = read_training(name, folders[name])
            assert (training is None) == (name == "base"), "a tuned checkpoint carries the log of its training"
