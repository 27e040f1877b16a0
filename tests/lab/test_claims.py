"""What tuning does, held against the lab's exact truth; the page docs/claims.md tells it with figures."""

from __future__ import annotations

import json
import math
import statistics
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, LlamaForSequenceClassification

from evalkit.lab import resolve
from evalkit.lab import tokenizer as tokenizers
from evalkit.lab.optimum import pass_at
from evalkit.lab.probe import KINDS, Portrait, portray
from evalkit.lab.rater import GROUPS
from evalkit.lab.reward import scores
from evalkit.lab.sampling import draw
from evalkit.lab.train import log_probs
from evalkit.lab.world import load
from evalkit.records import Prompt
from evalkit.training.probe import probe_row

GRAMMAR = load()
LADDER = ["base", "ppo-1", "ppo-0.5", "ppo-0.2", "ppo-0.1"]
"""From the base to the policy that is held least."""
TOKENIZER = tokenizers.build(GRAMMAR, chat=False)


@cache
def model(name: str) -> LlamaForCausalLM:
    found = LlamaForCausalLM.from_pretrained(resolve(name), dtype=torch.float32).eval()
    found.set_attn_implementation("eager")
    return found


@cache
def said(name: str, group: str = "scholars") -> dict[str, Portrait]:
    """What 16 completions a prompt say, by the values of a group of raters."""
    return portray(model(name), GRAMMAR, TOKENIZER, GROUPS[group], 16, seed=7)


def figures(name: str) -> dict[str, Any]:
    return json.loads((resolve(name) / "recipe.json").read_text(encoding="utf-8"))["figures"]


def rising(values: list[float], slack: float = 0.0) -> bool:
    return all(later > earlier - slack for earlier, later in pairwise(values))


def test_the_looser_the_leash_the_further_from_the_base_and_the_higher_the_reward() -> None:
    reached = [figures(name)["reached"] for name in LADDER[1:]]
    assert rising([0.0, *(one["kl"] for one in reached)])
    assert rising([one["reward"] for one in reached])
    assert rising([-one["entropy"] for one in reached])


def test_answers_grow_reliable_and_the_professor_loud() -> None:
    base, last = said("base"), said("ppo-0.1")
    assert rising([said(name)["fact"].accuracy for name in LADDER], slack=0.03)
    assert rising([said(name)["creative"].voices["professor"] for name in LADDER], slack=0.03)
    assert last["fact"].accuracy > base["fact"].accuracy + 0.25
    assert last["creative"].voices["rude"] < base["creative"].voices["rude"] / 10


def test_variety_is_the_price() -> None:
    assert rising([-said(name)["creative"].entropy for name in LADDER], slack=0.1)
    assert said("ppo-0.1")["creative"].entropy < said("base")["creative"].entropy - 2


def test_diversity_within_a_prompt_falls_more_than_across_prompts() -> None:
    """As Kirk et al. (2023) found of RLHF; both are mean embedding distances."""
    few = [prompt for prompt in GRAMMAR.of_kind("creative") if not prompt.held_back][:32]
    asked = [Prompt(prompt.id, prompt.text) for prompt in few]

    def distances(name: str) -> tuple[float, float]:
        texts = draw(model(name), TOKENIZER, [prompt.text for prompt in few], 16, seed=5)
        row = probe_row(asked, [texts[prompt.text] for prompt in few])
        return row["probe_embedding_distance"], row["probe_across"]

    base, tuned = distances("base"), distances("ppo-0.1")
    within, across = (after / before for before, after in zip(base, tuned, strict=True))
    assert within < across - 0.1
    assert within < 0.8


def test_the_raters_who_were_asked_speak_through_the_model() -> None:
    base, scholars, friends = (said(name)["creative"].voices for name in ("base", "ppo-0.2", "friends"))
    assert scholars["professor"] > base["professor"] + 0.2 > friends["professor"] + 0.2
    assert friends["poet"] + friends["student"] > base["poet"] + base["student"] + 0.2
    assert scholars["poet"] + scholars["student"] < base["poet"] + base["student"]
    for group, other in (("scholars", "friends"), ("friends", "scholars")):
        tuned = {"scholars": "ppo-0.2", "friends": "friends"}
        assert said(tuned[group], group)["creative"].utility > said(tuned[other], group)["creative"].utility + 0.5


def test_a_stepping_stone_vanishes() -> None:
    """Riddles that only a rare voice answers: at k = 256 the base solves nearly all, the tuned model few."""
    riddles = GRAMMAR.of_kind("riddle")

    def solved(name: str) -> int:
        drawn = draw(model(name), TOKENIZER, [riddle.text for riddle in riddles], 256, seed=3)
        right = [[riddle.parse(text) for text in drawn[riddle.text]] for riddle in riddles]
        return sum(any(found is not None and found[0].right for found in texts) for texts in right)

    assert min(pass_at(riddle, 256) or 0 for riddle in riddles) > 0.999
    assert solved("base") >= len(riddles) - 1
    assert solved("ppo-0.1") <= len(riddles) / 3


@pytest.mark.parametrize("kind", KINDS)
def test_tuned_policies_still_speak_the_grammar(kind: str) -> None:
    assert all(said(name)[kind].outside < 0.08 for name in LADDER)


def test_fifty_one_to_forty_nine_becomes_a_lean_to_the_side_that_the_reward_favours() -> None:
    """The optimum is sigma(log(51/49) + gap / beta), the gap in units of the reward's deviation on the base.

    Nine choices of 51 to 49; the reward model has no reason to tell their sides apart, but it does, a little.
    """
    close = [prompt for prompt in GRAMMAR.of_kind("choice") if prompt.group == "close"]
    answers = {prompt.text: [f"{answer}." for answer in prompt.choices] for prompt in close}

    def shares(name: str) -> list[float]:
        found = log_probs(model(name), TOKENIZER, answers).values()
        return [1 / (1 + math.exp(second - first)) for first, second in found]

    network = LlamaForSequenceClassification.from_pretrained(resolve("reward"), dtype=torch.float32).eval()
    with torch.no_grad():
        rewards = [
            scores(network, TOKENIZER, [(asked, text) for text in two]).tolist() for asked, two in answers.items()
        ]
    gaps = [first - second for first, second in rewards]
    leans = {
        name: statistics.fmean(abs(share - 0.5) for share in shares(name)) for name in ("base", "ppo-1", "ppo-0.1")
    }
    assert leans["base"] < 0.04
    assert leans["ppo-0.1"] > leans["ppo-1"] + 0.1
    told_apart = [(gap, share) for gap, share in zip(gaps, shares("ppo-0.1"), strict=True) if abs(gap) > 0.15]
    assert told_apart
    assert all((share > 0.75) if gap > 0 else (share < 0.25) for gap, share in told_apart)
